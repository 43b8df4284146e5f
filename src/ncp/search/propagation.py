"""Continuous propagation (paper 3.1, Algorithm 1): all dimensions of a code follow the gradient of fixed predictors.

Any number of starts move at once; every one of them goes as it would go alone.

Shape suffixes: S starts, D dimensions, K objectives, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp.errors import UserError
from ncp.search.criterion import Criterion
from ncp.search.gradients import gradient_function
from ncp.search.limits import Budget
from ncp.search.objectives import LEARNED_COST, Forward, Objectives, split_metric
from ncp.search.trajectory import Trajectory, Walk, walks_of

LOSSES = ("smooth_l1", "l1")
TARGETS = ("relative", "fixed", "absolute")
REACHED = 0.01  # a target is met within this share of a metric's standard deviation
_SHORTLIST = 16  # starts whose every rounded step is scored when the best one is chosen


@dataclass(frozen=True)
class Loss:
    """Equation 3: the distance of metrics and cost to their targets, in standardised outputs.

    Attributes:
        kind: ``smooth_l1`` (beta 1) or ``l1``. With targets set anew one unit away the two have the same gradient, -1 for
            a metric and +lambda for its cost; with ``l1`` the size of ``step`` has no effect at all.
        targets: ``relative`` (``step`` better than now, set anew every iteration), ``fixed`` (``step`` better than the
            start, set once) or ``absolute`` (``values``).
        step: how much better, in standard deviations.
        values: for ``absolute``: ``seg.mIoU`` (or ``seg``) -> value, and ``macs`` (exact cost) or ``flops`` (learned, in
            billions) for the cost; without the latter there is no cost term.
        lam: lambda, the weight of cost.
    """

    kind: str = "smooth_l1"
    targets: str = "relative"
    step: float = 1.0
    values: Mapping[str, float] | None = None
    lam: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in LOSSES:
            raise UserError(f"propagation.loss is {' or '.join(LOSSES)}, given was '{self.kind}'")
        if self.targets not in TARGETS:
            raise UserError(f"targets is one of {', '.join(TARGETS)}, given was '{self.targets}'")
        if not self.step > 0:
            raise UserError(f"the step of the targets must be positive, given was {self.step}")
        if not 0 <= self.lam < float("inf"):
            raise UserError(f"lambda must not be negative, given was {self.lam}")

    def goals(self, objectives: Objectives, first: Forward) -> tuple[Tensor, Tensor] | None:
        """Targets ``(S, K)`` of metrics and costs in standardised outputs; None when they move along."""
        if self.targets == "relative":
            return None
        if self.targets == "fixed":
            return first.z_NK.detach() + self.step, first.cost_NK.detach() - self.step
        z, cost = self._absolute(objectives)
        return z.expand_as(first.z_NK), cost.expand_as(first.cost_NK)

    def _absolute(self, objectives: Objectives) -> tuple[Tensor, Tensor]:
        given = dict(self.values or {})
        costs = {name: given.pop(name) for name in ("macs", LEARNED_COST) if name in given}
        wanted = {".".join(split_metric(str(k), objectives.predictors)): float(v) for k, v in given.items()}
        names = [o.name for o in objectives.items]
        if set(wanted) != set(names):
            raise UserError(
                f"absolute targets need a value for each objective ({', '.join(names)}); given were "
                f"{', '.join(wanted) or 'none'}"
            )
        unit = LEARNED_COST if objectives.cost == "learned" else "macs"
        if set(costs) - {unit}:
            raise UserError(
                f"with cost={objectives.cost} the target of the cost is '{unit}', given was {', '.join(costs)}"
            )
        return objectives.standardise(wanted, costs.get(unit))

    def value(self, forward: Forward, goals: tuple[Tensor, Tensor] | None, weights_K: Tensor) -> Tensor:
        """``(..., S)`` loss of ``(..., S, K)`` predictions.

        Relative targets make it constant; what it descends then, the trade-off with the opposite sign, stands for it.
        """
        if goals is None:
            return -(forward.z_NK - self.lam * forward.cost_NK) @ weights_K
        far_z, far_cost = goals[0] - forward.z_NK, forward.cost_NK - goals[1]
        return (self._distance(far_z) + self.lam * self._distance(far_cost)) @ weights_K

    def slopes(self, forward: Forward, goals: tuple[Tensor, Tensor] | None, weights_K: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of the loss by ``z`` and by cost, ``(S, K)`` each."""
        if goals is None:
            slope = 1.0 if self.kind == "l1" else min(self.step, 1.0)
            ones = torch.ones_like(forward.z_NK) * (slope * weights_K)
            return -ones, self.lam * ones
        z, cost = self._slope(forward.z_NK - goals[0]), self._slope(forward.cost_NK - goals[1])
        return z * weights_K, self.lam * cost * weights_K

    def _distance(self, far: Tensor) -> Tensor:
        size = far.abs().nan_to_num(0.0, posinf=0.0)
        return size if self.kind == "l1" else torch.where(size < 1, size * size / 2, size - 0.5)

    def _slope(self, far: Tensor) -> Tensor:
        far = far.nan_to_num(0.0, posinf=0.0, neginf=0.0)
        return far.sign() if self.kind == "l1" else far.clamp(-1, 1)

    def reached(self, forward: Forward, goals: tuple[Tensor, Tensor] | None) -> Tensor:
        """``(S,)`` bool: all targets are met within ``REACHED``."""
        if goals is None:
            return torch.zeros(len(forward.z_NK), dtype=torch.bool)
        met = (forward.z_NK >= goals[0] - REACHED) & (forward.cost_NK <= goals[1] + REACHED)
        return met.all(1)


@dataclass(frozen=True)
class Propagation:
    """``strategy=paper``: e <- e - learning_rate * dL/de in a standardised code, then clamped to the bounds.

    Attributes:
        loss: the loss of equation 3.
        learning_rate: of plain gradient descent.
        iterations: at most so many updates.
        coordinate: in which standardisation of the code the gradients are taken and added: ``space`` (constants of the
            space), ``predictor`` (of the one predictor that has its own, as the release does) or ``auto``: the latter for
            a single objective whose predictor has it.
        round_every: also replace the code by its nearest valid one after every so many updates (appendix C.3; 0: never).
    """

    loss: Loss = field(default_factory=Loss)
    learning_rate: float = 3.0
    iterations: int = 70
    coordinate: str = "auto"
    round_every: int = 0

    starts = 1

    def run(self, objectives: Objectives, start: np.ndarray, budget: Budget, rng: np.random.Generator) -> Trajectory:
        """Propagate ``(S, D)`` starts; the best rounded step under the loss that keeps the budget is marked."""
        codes, losses, steps, met = self._propagate(objectives, budget.region.clamp(start), budget)
        rounded_TSD = budget.region.round(codes.reshape(-1, codes.shape[-1])).reshape(codes.shape)
        reasons = ["all targets reached" if m else f"{self.iterations} iterations done" for m in met]
        walks = walks_of(codes, losses, steps, reasons, rounded_TSD)
        best = best_step(self.loss, objectives, budget, walks)
        return Trajectory(objectives, walks, best, queries=int(steps.sum()) + len(steps))

    def _propagate(
        self, objectives: Objectives, start: np.ndarray, budget: Budget
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Codes ``(T, S, D)``, losses ``(T, S)``, number of updates ``(S,)`` and whether the targets were met ``(S,)``."""
        region = budget.region
        rate_D = torch.as_tensor(self.learning_rate * self._scale(objectives) ** 2 * ~region.fixed)
        lower, upper = torch.as_tensor(region.lower), torch.as_tensor(region.upper)
        x_SD = torch.as_tensor(start, dtype=torch.float64)
        weights_K = objectives.weights_K
        gradient = gradient_function(objectives)
        codes, forwards = [], []
        goals: tuple[Tensor, Tensor] | None = None
        slopes: tuple[Tensor, Tensor] | None = None
        steps_S = np.full(len(start), self.iterations)
        moving_S = torch.ones(len(start), dtype=torch.bool)
        for t in range(self.iterations + 1):
            forward, pull = gradient(x_SD)
            codes.append(x_SD)
            forwards.append(forward)
            if t == 0:
                goals = self.loss.goals(objectives, forward)
            if goals is not None:
                now = moving_S & self.loss.reached(forward, goals)
                steps_S[now.numpy()] = t
                moving_S &= ~now
            if t == self.iterations or (goals is not None and not moving_S.any()):
                break
            if slopes is None or goals is not None:  # with targets that move along they never change
                slopes = self.loss.slopes(forward, goals, weights_K)
            x_SD = torch.clamp(torch.addcmul(x_SD, pull(*slopes), rate_D, value=-1), lower, upper)
            if self.round_every and (t + 1) % self.round_every == 0:
                x_SD = torch.as_tensor(region.round(x_SD.numpy()), dtype=torch.float64)
            if goals is not None:
                x_SD = torch.where(moving_S[:, None], x_SD, codes[-1])
        every = Forward(torch.stack([f.z_NK for f in forwards]), torch.stack([f.cost_NK for f in forwards]))
        losses_TS = self.loss.value(every, goals, weights_K).numpy()
        return torch.stack(codes).numpy(), losses_TS, np.minimum(steps_S, len(codes) - 1), ~moving_S.numpy()

    def _scale(self, objectives: Objectives) -> np.ndarray:
        spreads = [getattr(p, "input_std", None) for p in objectives.predictors.values()]
        own = [spread for spread in spreads if isinstance(spread, Tensor)]
        single = len(objectives.predictors) == 1 and len(own) == 1
        if self.coordinate not in ("auto", "space", "predictor"):
            raise UserError(f"coordinate is auto, space or predictor, given was '{self.coordinate}'")
        if self.coordinate == "predictor" and not single:
            raise UserError("coordinate=predictor needs one predictor with a standardisation of its own; use space")
        use_own = single and self.coordinate != "space"
        return own[0].double().numpy() if use_own else objectives.space.scale


def best_step(loss: Loss, objectives: Objectives, budget: Budget, walks: Sequence[Walk]) -> tuple[int, int]:
    """``(walk, step)`` of least loss at the rounded code among the steps that keep the budget.

    Of many starts only the ones whose continuous codes came furthest are looked through.

    Raises:
        UserError: if no step keeps the budget, naming the one that comes nearest.
    """
    order = sorted(range(len(walks)), key=lambda s: float(walks[s].loss.min()))[:_SHORTLIST]
    criterion = Criterion(objectives, budget, kappa=0.0)
    found = []
    for s in order:
        with torch.no_grad():
            goals = loss.goals(objectives, objectives.forward(torch.as_tensor(walks[s].codes[:1])))
            forward = objectives.forward(torch.as_tensor(walks[s].rounded, dtype=torch.float64))
            loss_T = loss.value(forward, goals, objectives.weights_K).numpy()
        found += [(x, v, s, t) for t, (x, v) in enumerate(zip(criterion.excess(walks[s].rounded), loss_T, strict=True))]
    excess, _, s, t = min(found)
    if excess > 0:
        raise criterion.unreachable(walks[s].rounded[t], "no step of this walk keeps")
    return s, t


def loss_options(lam: float, options: dict[str, Any]) -> Loss:
    """A loss from flat options, which it takes out: ``loss``, ``targets`` (a kind, or absolute values), ``step``."""
    targets = options.pop("targets", "relative")
    values = dict(targets) if isinstance(targets, Mapping) else None
    kind = "absolute" if values is not None else str(targets)
    return Loss(str(options.pop("loss", "smooth_l1")), kind, float(options.pop("step", 1.0)), values, lam)
