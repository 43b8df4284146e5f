"""CATCH: a controller whose candidates an evaluator chooses from, both told which task it is by a context; meta-trained first.

Source: the supplement of TransNAS-Bench-101, section 5 (rates, weight of the KL term, epsilons); Chen et al., ECCV 2020, for the
parts. No code of it is public, so the rest is chosen here: networks of two hidden layers of 64, a context of 8 numbers from a
product of Gaussians over what was seen, 16 candidates a step, 20 gradient steps of evaluator and encoder after each evaluation,
and meta-training on jigsaw, then object and scene classification (without the target), as many evaluations on each as on the
target.

Shape suffixes: R runs, B candidates, T choices, O options, Z numbers of the context, N architectures seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor

from ncp.search.querying.ground import Ground
from ncp.search.querying.policy import (
    HIDDEN,
    Constants,
    Controller,
    Count,
    Generators,
    Networks,
    Positive,
    handles_of,
    related,
    rewards,
)

META = ("jigsaw", "class_object", "class_scene")


@dataclass(frozen=True)
class Epsilon:
    """The share of steps that explore: it begins at ``start`` and falls by ``fall`` every ``every`` steps."""

    start: float
    every: Count
    fall: float = 0.025

    def at(self, step: int) -> float:
        """At a step, counted from 0."""
        return max(0.0, self.start - self.fall * (step // self.every))


class _Mind:
    """Evaluator and context encoder of R runs."""

    def __init__(self, ground: Ground, generators: Generators, size: int, rate: float, divergence: float) -> None:
        self.options, self.size, self.divergence = ground.choices.options, size, divergence
        inputs = ground.choices.length * self.options
        self.encoder = Networks([inputs + 1, HIDDEN, 2 * size], generators, last=0.1)
        self.evaluator = Networks([inputs + size, HIDDEN, HIDDEN, 1], generators)
        self.optimiser = torch.optim.Adam([*self.encoder.parameters, *self.evaluator.parameters], lr=rate, fused=True)
        self.generators = generators

    def seen(self, options_RNT: np.ndarray) -> Tensor:
        """``(R, N, T * O)`` one-hot architectures."""
        return torch.nn.functional.one_hot(torch.from_numpy(options_RNT), self.options).flatten(2).float()

    def context(self, x_RNI: Tensor, y_RN: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance ``(R, Z)`` of the context: a standard normal times one Gaussian for each architecture seen."""
        out = self.encoder(torch.cat([x_RNI, y_RN[..., None]], -1))
        mean, precision = out[..., : self.size], out[..., self.size :].exp()
        total = 1 + precision.sum(1)
        return (mean * precision).sum(1) / total, 1 / total

    def score(self, x_RBI: Tensor, z_RZ: Tensor) -> Tensor:
        """``(R, B)`` expected rewards."""
        return self.evaluator(torch.cat([x_RBI, z_RZ[:, None].expand(-1, x_RBI.shape[1], -1)], -1))[..., 0]

    def learn(self, x_RNI: Tensor, y_RN: Tensor, steps: int) -> None:
        """Fit rewards of what was seen, and keep the context near a standard normal."""
        noise = np.stack([generator.normal(size=(steps, self.size)) for generator in self.generators])
        drawn = torch.tensor(noise, dtype=torch.float32)
        for step in range(steps):
            mean, variance = self.context(x_RNI, y_RN)
            z = mean + variance.sqrt() * drawn[:, step]
            miss = (self.score(x_RNI, z) - y_RN).square().mean(1)
            kl = 0.5 * (variance + mean.square() - 1 - variance.log()).sum(1)
            self.optimiser.zero_grad()
            (miss + self.divergence * kl).sum().backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()


@dataclass
class Catch:
    """``strategy=catch``.

    Attributes:
        meta: tasks of the meta-training, those that are known and not the objective.
        candidates: B, architectures that the controller offers the evaluator at a step.
        steps: gradient steps of evaluator and encoder after each evaluation.
        size: Z.
        rate: of evaluator and encoder; ``divergence``: weight of the KL term.
        meta_epsilon, epsilon: how often a random candidate is taken, in meta-training and at the target.
        constants: of the controller.
        spent: evaluations on other tasks in the last run.
    """

    meta: tuple[str, ...] = META
    candidates: Count = 16
    steps: Annotated[int, Meta(ge=0, le=10_000)] = 20
    size: Count = 8
    rate: Positive = 5e-4
    divergence: Annotated[float, Meta(ge=0)] = 0.1
    meta_epsilon: Epsilon = Epsilon(1.0, 4)
    epsilon: Epsilon = Epsilon(0.5, 2)
    constants: Constants = field(default_factory=Constants)
    spent: int = field(default=0, init=False)

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        controller = Controller(ground, generators, self.size, self.constants)
        mind = _Mind(ground, generators, self.size, self.rate, self.divergence)
        others = related(ground, self.meta)
        for number, other in enumerate(others):
            self._search(controller, mind, other, queries, self.meta_epsilon, number * queries)
        self.spent = queries * len(others)
        return self._search(controller, mind, ground, queries, self.epsilon, 0)

    def _search(
        self, controller: Controller, mind: _Mind, ground: Ground, queries: int, epsilon: Epsilon, before: int
    ) -> np.ndarray:
        runs = len(controller.generators)
        controller.memory.clear()
        asked = np.zeros((runs, 0), dtype=np.int64)
        seen, made = np.zeros((runs, 0)), np.zeros((runs, 0, controller.length), dtype=np.int64)
        z = torch.zeros(runs, self.size)
        for step in range(queries):
            episode = controller.make(ground, self.candidates, z)
            handles = handles_of(ground, episode.options_RBT)
            with torch.no_grad():
                scores = mind.score(mind.seen(episode.options_RBT), z).double().numpy()
            scores[(handles[..., None] == asked[:, None]).any(-1)] -= 1e6  # known already
            lot = np.stack([generator.random(2) for generator in controller.generators])
            explores = lot[:, 0] < epsilon.at(before + step)
            chosen = np.where(explores, (lot[:, 1] * self.candidates).astype(np.int64), scores.argmax(1))
            taken = episode.take(chosen)
            asked = np.concatenate([asked, handles[np.arange(runs), chosen][:, None]], axis=1)
            seen = np.concatenate([seen, ground.fitness(asked[:, -1:])], axis=1)
            made = np.concatenate([made, taken.options_RBT], axis=1)
            controller.remember(taken, rewards(seen), z)
            spread = seen.std(1, keepdims=True)
            away = np.clip((seen - seen.mean(1, keepdims=True)) / np.where(spread > 0, spread, 1.0), -3, 3)
            x, y = mind.seen(made), torch.tensor(away, dtype=torch.float32)
            mind.learn(x, y, self.steps)
            with torch.no_grad():
                z = mind.context(x, y)[0]
        return asked
