"""Continuous propagation (paper 3.1, Algorithm 1): all dimensions of a code follow the gradient of fixed predictors.

Any number of starts move at once; every one of them goes as it would go alone.

Shape suffixes: S starts, D dimensions, K objectives, T steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ncp.errors import UserError
from ncp.search.criterion import Criterion
from ncp.search.gradients import gradient_function
from ncp.search.limits import Budget
from ncp.search.loss import Loss, Outputs
from ncp.search.objectives import Objectives
from ncp.search.trajectory import Trajectory, Walk, walks_of

_SHORTLIST = 16  # starts whose every rounded step is scored when the best one is chosen


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
        round_every: also replace the code by its nearest valid one after every so many updates (appendix C.3; 0: never);
            only these are then architectures of the walk, which stays at each until the next.
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
        if self.round_every:
            rounded_TSD = rounded_TSD[np.arange(len(codes)) // self.round_every * self.round_every]
        reasons = ["all targets reached" if m else f"{self.iterations} iterations done" for m in met]
        walks = walks_of(codes, losses, steps, reasons, rounded_TSD)
        best = best_step(self.loss, objectives, budget, walks)
        return Trajectory(objectives, walks, best, queries=int(steps.sum()) + len(steps))

    def _propagate(
        self, objectives: Objectives, start: np.ndarray, budget: Budget
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Codes ``(T, S, D)``, losses ``(T, S)``, number of updates ``(S,)`` and whether the targets were met ``(S,)``."""
        region = budget.region
        rate_D = self.learning_rate * self._scale(objectives) ** 2 * ~region.fixed
        weights_K = objectives.weights_K.numpy()
        gradient = gradient_function(objectives)
        x_SD = np.array(start, dtype=np.float64)
        codes, outputs = [], []
        goals: Outputs | None = None
        slopes: tuple[np.ndarray, np.ndarray] | None = None
        steps_S = np.full(len(x_SD), self.iterations)
        moving_S = np.ones(len(x_SD), dtype=bool)
        for t in range(self.iterations + 1):
            at, pull = gradient(x_SD)
            codes.append(x_SD)
            outputs.append(at)
            if t == 0:
                goals = self.loss.goals(objectives, at)
            if goals is not None:
                now = moving_S & self.loss.reached(at, goals)
                steps_S[now] = t
                moving_S &= ~now
            if t == self.iterations or not moving_S.any():
                break
            if slopes is None or goals is not None:  # with targets that move along they never change
                slopes = self.loss.slopes(at, goals, weights_K)
            x_SD = region.clamp(x_SD - rate_D * pull(*slopes))
            if self.round_every and (t + 1) % self.round_every == 0:
                x_SD = region.round(x_SD).astype(np.float64)
            if not moving_S.all():
                x_SD = np.where(moving_S[:, None], x_SD, codes[-1])
        every = Outputs(np.stack([o.z for o in outputs]), np.stack([o.cost for o in outputs]))
        return np.stack(codes), self.loss.value(every, goals, weights_K), steps_S, ~moving_S

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
        goals = loss.goals(objectives, _outputs(objectives, walks[s].codes[:1]))
        loss_T = loss.value(_outputs(objectives, walks[s].rounded), goals, objectives.weights_K.numpy())
        found += [(x, v, s, t) for t, (x, v) in enumerate(zip(criterion.excess(walks[s].rounded), loss_T, strict=True))]
    excess, _, s, t = min(found)
    if excess > 0:
        raise criterion.unreachable(walks[s].rounded[t], "no step of this walk keeps")
    return s, t


def _outputs(objectives: Objectives, codes_ND: np.ndarray) -> Outputs:
    with torch.no_grad():
        forward = objectives.forward(torch.as_tensor(codes_ND, dtype=torch.float64))
    return Outputs(forward.z_NK.numpy(), forward.cost_NK.numpy())
