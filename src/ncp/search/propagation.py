"""Continuous propagation (paper 3.1, Algorithm 1): all dimensions of a code follow the gradient of fixed predictors.

Any number of starts move at once; every one of them goes as it would go alone.

Shape suffixes: S starts, D dimensions, K objectives, T steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ncp.errors import UserError
from ncp.numeric import finite, shown, whole
from ncp.search.criterion import BROKEN, Criterion
from ncp.search.gallery import Gallery
from ncp.search.gradients import gradient_function
from ncp.search.limits import Budget
from ncp.search.loss import Loss, Outputs
from ncp.search.objectives import Objectives
from ncp.search.starts import Starts
from ncp.search.trajectory import Trajectory, Walk

SHORTLIST = 16  # starts whose every rounded step is scored when the best one is chosen
KEEP = ("last", "best")


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
        keep: which step is returned: ``last`` (Algorithm 1: the code after the last update) or ``best`` (the least loss at the
            rounded code). Both say so within the limits, where there are any: the last step, or the best, that keeps them.
    """

    loss: Loss = field(default_factory=Loss)
    learning_rate: float = 3.0
    iterations: int = 70
    coordinate: str = "auto"
    round_every: int = 0
    keep: str = "last"

    starts = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", finite("learning_rate", self.learning_rate))
        object.__setattr__(self, "round_every", whole("round_every", self.round_every, 0))
        check_keep(self.keep)

    def run(self, objectives: Objectives, start: Any, budget: Budget, rng: np.random.Generator) -> Trajectory:
        """Propagate all starts; marked is the step that ``keep`` asks for among those that keep the budget, or come nearest."""
        starts = Starts.of(start, budget.region)
        gallery, queries = Gallery(starts, SHORTLIST), 0
        for number, codes_SD in starts.chunks():
            codes, losses, steps, met = self._propagate(objectives, budget.region.clamp(codes_SD), budget)
            rounded_TSD = budget.region.round(codes.reshape(-1, codes.shape[-1])).reshape(codes.shape)
            if self.round_every:
                rounded_TSD = rounded_TSD[np.arange(len(codes)) // self.round_every * self.round_every]
            walk = partial(self._walk, (codes, rounded_TSD, losses), steps, met, number)
            gallery.offer(number, promise(budget, losses, rounded_TSD, steps), walk)
            queries += int(steps.sum()) + len(steps)
        return marked(self.loss, objectives, budget, gallery, queries, len(starts), self.keep)

    def ends(self, objectives: Objectives, codes_SD: np.ndarray, budget: Budget) -> np.ndarray:
        """``(S, D)`` int64: where each of ``(S, D)`` starts ends, rounded; for statistics over many walks."""
        codes_TSD, _, steps_S, _ = self._propagate(objectives, budget.region.clamp(codes_SD), budget)
        return budget.region.round(codes_TSD[steps_S, np.arange(len(steps_S))])

    def _walk(self, arrays: Sequence[np.ndarray], steps_S: np.ndarray, met_S: np.ndarray, number: int, s: int) -> Walk:
        """That of the s-th of the starts of which the first has a number, cut after its last update."""
        codes, rounded, losses = (np.array(array[: steps_S[s] + 1, s]) for array in arrays)
        reason = "all targets reached" if met_S[s] else f"{self.iterations} iterations done"
        return Walk(codes, rounded, losses, reason, number=number + s)

    def _propagate(
        self, objectives: Objectives, start: np.ndarray, budget: Budget
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Codes ``(T, S, D)``, losses ``(T, S)``, number of updates ``(S,)`` and whether the targets were met ``(S,)``."""
        region = budget.region
        rate_D = self.learning_rate * self._scale(objectives) ** 2 * ~region.fixed
        weights_K = objectives.weights_K
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
        own = [np.asarray(spread, dtype=np.float64) for spread in spreads if spread is not None]
        single = len(objectives.predictors) == 1 and len(own) == 1
        if self.coordinate not in ("auto", "space", "predictor"):
            raise UserError(f"coordinate is auto, space or predictor, given was '{self.coordinate}'")
        if self.coordinate == "predictor" and not single:
            raise UserError("coordinate=predictor needs one predictor with a standardisation of its own; use space")
        use_own = single and self.coordinate != "space"
        return own[0] if use_own else objectives.space.scale


def promise(budget: Budget, loss_TS: np.ndarray, rounded_TSD: np.ndarray, steps_S: np.ndarray) -> np.ndarray:
    """``(S,)``: by which walks compare before their rounded steps are scored, the least is the best.

    The least loss at a continuous code whose rounded one keeps the limits of cost; where no step does, by how much they
    are missed comes first.
    """
    valid_TS = np.arange(len(loss_TS))[:, None] <= steps_S
    if not budget.limits:
        return np.asarray(np.where(valid_TS, loss_TS, np.inf).min(0))
    excess_TS = budget.excess(rounded_TSD.reshape(-1, rounded_TSD.shape[-1])).reshape(loss_TS.shape)
    least_S = np.where(valid_TS, excess_TS, np.inf).min(0)
    kept_S = np.where(valid_TS & (excess_TS <= least_S), loss_TS, np.inf).min(0)
    return np.asarray(np.where(least_S > 0, -BROKEN * (1 + least_S), kept_S))


def check_keep(keep: Any) -> None:
    """Raise ``UserError`` unless it is one of :data:`KEEP`."""
    if keep not in KEEP:
        raise UserError(f"keep is {' or '.join(KEEP)}, given was {shown(keep)}")


def marked(
    loss: Loss, objectives: Objectives, budget: Budget, gallery: Gallery, queries: int, starts: int, keep: str
) -> Trajectory:
    """The trajectory with the step that is returned, and beside it the one of least loss.

    Of each walk the last step, or the one of least loss at its rounded code, that keeps the budget; of several walks that
    whose step has the least loss. Of many starts only the most promising ones are looked through. Where no step keeps the
    budget, the one that comes nearest is taken, and the trajectory says what it breaks.
    """
    walks = gallery.walks()
    criterion = Criterion(objectives, budget, kappa=0.0)
    lasts, bests = [], []
    for s in gallery.leaders:
        goals = loss.goals(objectives, _outputs(objectives, walks[s].codes[:1]))
        loss_T = loss.value(_outputs(objectives, walks[s].rounded), goals, objectives.weights_K)
        excess_T = criterion.excess(walks[s].rounded)
        steps = [(float(x), float(v), s, t) for t, (x, v) in enumerate(zip(excess_T, loss_T, strict=True))]
        bests.append(min(steps))
        kept = [step for step in steps if step[0] <= 0]
        lasts.append(kept[-1] if kept else min(steps))
    best, last = min(bests), min(lasts)
    excess, _, s, t = last if keep == "last" else best
    broken = f"no step of this walk keeps {criterion.missed(walks[s].rounded[t])}" if excess > 0 else ""
    place = list(walks)
    return Trajectory(
        objectives, list(walks.values()), (place.index(s), t), queries, starts, broken, (place.index(best[2]), best[3])
    )


def _outputs(objectives: Objectives, codes_ND: np.ndarray) -> Outputs:
    forward = objectives.forward(codes_ND)
    return Outputs(forward.z_NK, forward.cost_NK)
