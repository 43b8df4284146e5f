"""A controller that makes an architecture choice by choice and learns by proximal policy optimisation, many runs at once.

Source: the supplement of TransNAS-Bench-101, section 5, for the constants; Schulman et al., 2017, for the loss. Left open there
and chosen here: the networks (two hidden layers of 64), ten passes over the memory at each update, rewards standardised over what
the run has seen.

Shape suffixes: R runs, B architectures at a time, T choices, O options, Z numbers of a context, N remembered architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor

from ncp.errors import UserError
from ncp.search.querying.ground import Ground, TableGround

Generators = Sequence[np.random.Generator]
Count = Annotated[int, Meta(ge=1, le=10_000)]
Positive = Annotated[float, Meta(gt=0)]
HIDDEN = 64
CLOSED = -1e9  # of an option that cannot be taken


class Networks:
    """R small networks of one shape, each with weights of its own.

    Args:
        sizes: of the layers, the first one the input.
        generators: one a run, for the weights.
        last: factor of the last layer's first weights; small ones make a policy nearly uniform.
    """

    def __init__(self, sizes: Sequence[int], generators: Generators, last: float = 1.0) -> None:
        self.weights, self.biases = [], []
        for i, (before, after) in enumerate(pairwise(sizes)):
            scale = (last if i == len(sizes) - 2 else 1.0) / np.sqrt(before)
            drawn = np.stack([generator.normal(size=(before, after)) for generator in generators]) * scale
            self.weights.append(torch.tensor(drawn, dtype=torch.float32, requires_grad=True))
            self.biases.append(torch.zeros(len(generators), 1, after, requires_grad=True))

    @property
    def parameters(self) -> list[Tensor]:
        """All weights."""
        return [*self.weights, *self.biases]

    def __call__(self, x_RBI: Tensor) -> Tensor:
        """``(R, B, out)``."""
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x_RBI = torch.baddbmm(bias, x_RBI, weight)
            x_RBI = x_RBI.tanh() if i < len(self.weights) - 1 else x_RBI
        return x_RBI


@dataclass
class Episode:
    """Architectures that a controller made: options, what was open, probabilities and values at that time, context."""

    options_RBT: np.ndarray
    open_RBTO: Tensor
    log_RBT: Tensor
    value_RBT: Tensor

    def take(self, index_R: np.ndarray) -> Episode:
        """One of the B of each run, as an episode with B = 1."""
        runs = np.arange(len(index_R))
        pick = torch.from_numpy(index_R)
        return Episode(
            self.options_RBT[runs, index_R][:, None],
            *(part[torch.arange(len(pick)), pick][:, None] for part in (self.open_RBTO, self.log_RBT, self.value_RBT)),
        )


@dataclass(frozen=True)
class Constants:
    """Of the supplement, but ``passes``, which it leaves open."""

    rate: Positive = 0.01
    decay: float = 0.999  # of the rate, every ``every`` updates of the weights
    every: Count = 15
    clip: Positive = 0.2
    memory: Count = 100  # choices
    discount: float = 0.99
    gae: float = 0.95
    value: float = 1.0
    entropy: float = 0.01
    passes: Count = 10


class Controller:
    """R policies over the choices of a ground's space.

    Args:
        ground: its space, and which options are open.
        generators: one a run.
        context: Z, how many numbers tell the task.
        constants: of the optimisation.
    """

    def __init__(
        self, ground: Ground, generators: Generators, context: int = 0, constants: Constants = Constants()
    ) -> None:
        self.choices, self.generators, self.constants, self.context = ground.choices, generators, constants, context
        self.length, self.options = self.choices.length, self.choices.options
        inputs = self.length * (self.options + 1) + context
        self.network = Networks([inputs, HIDDEN, HIDDEN, self.options + 1], generators, last=0.1)
        self.optimiser = torch.optim.Adam(self.network.parameters, lr=constants.rate, fused=True)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimiser, constants.every, constants.decay)
        self.memory: list[tuple[Episode, Tensor, Tensor]] = []

    def _inputs(self, options_RBT: np.ndarray, step: int, z_RZ: Tensor) -> Tensor:
        """``(R, B, I)``: the choices made before ``step``, which step it is, and the context."""
        runs, batch, _ = options_RBT.shape
        made = torch.zeros(runs, batch, self.length, self.options)
        if step:
            before = torch.from_numpy(options_RBT[:, :, :step])
            made[:, :, :step].scatter_(-1, before[..., None], 1.0)
        place = torch.zeros(runs, batch, self.length)
        place[..., step] = 1.0
        return torch.cat([made.flatten(2), place, z_RZ[:, None].expand(-1, batch, -1)], dim=-1)

    @torch.no_grad()
    def make(self, ground: Ground, batch: int, z_RZ: Tensor) -> Episode:
        """``batch`` architectures a run."""
        runs = len(self.generators)
        uniform = np.stack([generator.random((batch, self.length)) for generator in self.generators])
        options = np.zeros((runs, batch, self.length), dtype=np.int64)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for step in range(self.length):
            can = ground.open_options(options[..., :step].reshape(runs * batch, step), step).reshape(runs, batch, -1)
            open_ = torch.from_numpy(can)
            out = self.network(self._inputs(options, step, z_RZ))
            logs = out[..., :-1].masked_fill(~open_, CLOSED).log_softmax(-1)
            reached = logs.double().exp().cumsum(-1).numpy() / (1 + 1e-9)
            chosen = (uniform[..., step, None] > reached).sum(-1)
            last = self.options - 1 - can[..., ::-1].argmax(-1)  # rounding may not lead past the last open option
            options[..., step] = np.minimum(chosen, last)
            log = logs.gather(-1, torch.from_numpy(options[..., step, None]))[..., 0]
            parts.append((open_, log, out[..., -1]))
        opens, logs_, values = (torch.stack(part, 2) for part in zip(*parts, strict=True))
        return Episode(options, opens, logs_, values)

    def remember(self, episode: Episode, reward_R: Tensor, z_RZ: Tensor) -> None:
        """One architecture a run with its reward; the weights are updated once the memory is full."""
        self.memory.append((episode, reward_R, z_RZ))
        if len(self.memory) * self.length >= self.constants.memory:
            self._update()
            self.memory.clear()

    def _update(self) -> None:
        c = self.constants
        episodes = [episode for episode, _, _ in self.memory]
        options = np.concatenate([episode.options_RBT for episode in episodes], axis=1)
        opens, old, values = (
            torch.cat([getattr(episode, name) for episode in episodes], dim=1)
            for name in ("open_RBTO", "log_RBT", "value_RBT")
        )
        advantage = self._advantages(values, torch.stack([reward for _, reward, _ in self.memory], 1))
        target = advantage + values
        flat = advantage.flatten(1)
        centred = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 1e-6)
        advantage = centred.view_as(advantage)
        contexts = torch.stack([z for _, _, z in self.memory], 1)  # (R, N, Z)
        taken = torch.from_numpy(options)
        for _ in range(c.passes):
            loss: Tensor = torch.zeros(())
            for step in range(self.length):
                inputs = self._inputs(options, step, contexts[:, 0] * 0)
                if self.context:
                    inputs[..., -self.context :] = contexts
                out = self.network(inputs)
                logs = out[..., :-1].masked_fill(~opens[:, :, step], CLOSED).log_softmax(-1)
                ratio = (logs.gather(-1, taken[..., step, None])[..., 0] - old[..., step]).exp()
                gain = advantage[..., step]
                policy = torch.minimum(ratio * gain, ratio.clamp(1 - c.clip, 1 + c.clip) * gain)
                doubt = -(logs.exp() * logs.clamp_min(-30)).sum(-1)
                miss = (out[..., -1] - target[..., step]).square()
                loss = loss + (-policy + c.value * miss - c.entropy * doubt).mean(1).sum() / self.length
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.schedule.step()

    def _advantages(self, value_RNT: Tensor, reward_RN: Tensor) -> Tensor:
        """Generalised advantages; the reward comes with the last choice."""
        c, out = self.constants, torch.zeros_like(value_RNT)
        ahead, later = torch.zeros_like(reward_RN), torch.zeros_like(reward_RN)
        for step in reversed(range(self.length)):
            reward = reward_RN if step == self.length - 1 else torch.zeros_like(reward_RN)
            surprise = reward + c.discount * later - value_RNT[..., step]
            ahead = surprise + c.discount * c.gae * ahead
            out[..., step], later = ahead, value_RNT[..., step]
        return out


def rewards(seen_RN: np.ndarray) -> Tensor:
    """``(R,)`` rewards of the last of what each run has seen: in its standard deviations from its mean, at most 3."""
    spread = seen_RN.std(1)
    away = (seen_RN[:, -1] - seen_RN.mean(1)) / np.where(spread > 0, spread, 1.0)
    return torch.from_numpy(np.clip(away, -3, 3).astype(np.float32))


def handles_of(ground: Ground, options_RBT: np.ndarray) -> np.ndarray:
    """``(R, B)`` handles of architectures made choice by choice."""
    codes = ground.choices.codes(options_RBT.reshape(-1, options_RBT.shape[-1]))
    return ground.nearest(codes).reshape(options_RBT.shape[:2])


def related(ground: Ground, wanted: Sequence[str]) -> list[TableGround]:
    """Grounds of other tasks over the same architectures, by the names of ``wanted`` in their order, as far as they are known.

    Raises:
        UserError: where none of them is.
    """
    known = getattr(ground, "known", {})
    found = []
    for name in wanted:
        for column, values in known.items():
            if column.partition(".")[0].rpartition("/")[2] == name and isinstance(ground, TableGround):
                found.append(TableGround(ground.space, ground.all_codes, values, column, steps=ground.steps))
    if not found:
        raise UserError(
            f"this strategy learns from other tasks first ({', '.join(wanted)}), of which there is no table over the same "
            "architectures; import them, or leave it out"
        )
    return found


@dataclass
class PPO:
    """``strategy=ppo``, and with ``source`` ``ppo_transfer``: from scratch, or after as many evaluations on another task.

    Attributes:
        source: tasks to begin on, the first that is known and not the objective; none to begin from scratch.
        constants: of the optimisation.
        spent: evaluations on other tasks in the last run.
    """

    source: tuple[str, ...] = ()
    constants: Constants = field(default_factory=Constants)
    spent: int = field(default=0, init=False)

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        controller = Controller(ground, generators, constants=self.constants)
        self.spent = 0
        if self.source:
            self._search(controller, related(ground, self.source)[0], queries)
            controller.memory.clear()
            self.spent = queries
        return self._search(controller, ground, queries)

    def _search(self, controller: Controller, ground: Ground, queries: int) -> np.ndarray:
        none = torch.zeros(len(controller.generators), 0)
        asked, seen = [], []
        for _ in range(queries):
            episode = controller.make(ground, 1, none)
            asked.append(handles_of(ground, episode.options_RBT))
            seen.append(ground.fitness(asked[-1]))
            controller.remember(episode, rewards(np.concatenate(seen, axis=1)), none)
        return np.concatenate(asked, axis=1)
