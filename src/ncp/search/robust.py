"""The default strategy: many starts, exact cost, limits that hold, distrust of the predictor, and a discrete polish.

What it changes against the paper's propagation, and why: cost is the exact differentiable count instead of a learned one,
whose gradient has the wrong sign for some dimensions; what is raised is the prediction minus ``kappa`` standard deviations
of the predictor's own doubt, since plain ascent finds the places where a predictor is wrong; limits are one-sided, and hold
for the rounded architecture; and the neighbours of the rounded codes are tried at the end, in a space of some thousands of
architectures all of them.

Shape suffixes: S starts, D dimensions, T steps, J limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ncp.errors import UserError
from ncp.numeric import finite, shown, whole
from ncp.search.criterion import Criterion
from ncp.search.gallery import Gallery
from ncp.search.limits import Budget, Region
from ncp.search.listing import ranked, whole_space
from ncp.search.objectives import Objectives
from ncp.search.polish import Polish, Polished
from ncp.search.starts import Starts
from ncp.search.trajectory import Trajectory, Walk


@dataclass(frozen=True)
class Robust:
    """``strategy=robust``.

    Attributes:
        lam: lambda, the weight of cost where no limit is given.
        kappa: standard deviations taken off every prediction.
        iterations: continuous updates.
        starts: how many codes move at once.
        learning_rate: first step size in units of the space's scale; it falls to a twentieth along a half cosine.
        penalty: first weight of broken limits; it grows for starts that keep breaking them.
        keep: how many different rounded ends are polished.
        polish: whether they are polished at all (limits are then kept by single repairing steps alone).
    """

    lam: float = 0.5
    kappa: float = 1.0
    iterations: int = 70
    starts: int = 32
    learning_rate: float = 0.3
    penalty: float = 4.0
    keep: int = 6
    polish: bool = True

    def __post_init__(self) -> None:
        for name in ("iterations", "starts", "keep"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        for name in ("learning_rate", "penalty"):
            object.__setattr__(self, name, finite(name, getattr(self, name), above=0))
        if not isinstance(self.polish, bool):
            raise UserError(f"polish is true or false, given was {shown(self.polish)}")

    def run(self, objectives: Objectives, start: Any, budget: Budget, rng: np.random.Generator) -> Trajectory:
        """Search from all starts; the result keeps the limits, or a ``UserError`` says what is reachable.

        A start that the user gave is polished as well, itself and where its walk ends.
        """
        criterion = Criterion(objectives, budget, self.lam, self.kappa)
        starts = Starts.of(start, budget.region)
        gallery, ends = Gallery(starts), _Ends(self.keep)
        own: list[tuple[np.ndarray, Walk]] = []
        for number, codes_SD in starts.chunks():
            codes_TSD, loss_TS = self.ascend(criterion, codes_SD)
            walk = partial(self._walk, budget.region, codes_TSD, loss_TS, number)
            ends.add(*self.ends(criterion, codes_TSD[-1]), walk)
            gallery.offer(number, loss_TS[-1], walk)
            if starts.given and number == 0:
                own = [(walk(0).rounded[-1], walk(0)), _standing(criterion, codes_SD[:1])]
        candidates = ends.with_others(own)
        polished = self.finish(criterion, np.stack([code for code, _ in candidates]))
        best = max(range(len(polished)), key=lambda i: polished[i].score)
        polished[best] = _best_of_all(criterion, polished[best])
        if polished[best].excess > 0:
            raise criterion.unreachable(polished[best].path[-1], "no architecture was found that keeps")
        for _, walk_kept in candidates[: len(ends.best)]:
            gallery.keep(walk_kept)
        found = extend(candidates[best][1], polished[best])
        gallery.keep(found)
        walks = list(gallery.walks().values())
        place = next(i for i, w in enumerate(walks) if w is found)
        return Trajectory(objectives, walks, (place, len(found) - 1), criterion.queries, len(starts))

    def ascend(
        self, criterion: Criterion, start: np.ndarray, lam_S: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Codes ``(T, S, D)`` and losses ``(T, S)`` (minus the value, without penalties) of all starts."""
        region = criterion.budget.region
        scale_D = criterion.objectives.space.scale * ~region.fixed
        x_SD = shrink(region, criterion.budget, start)
        momentum, square = np.zeros_like(x_SD), np.zeros_like(x_SD)
        penalty_S = np.full(len(x_SD), self.penalty)
        codes, losses = [], []
        for t in range(self.iterations + 1):
            terms = criterion.terms(x_SD, lam_S)
            codes.append(x_SD)
            losses.append(-terms.value)
            if t == self.iterations:
                break
            broken_SJ = terms.excess >= 0
            gradient_SD = terms.pull(-np.ones(len(x_SD)), penalty_S[:, None] * broken_SJ)
            excess_S = (terms.excess * broken_SJ).sum(1)
            penalty_S = np.where(excess_S > 1e-2, penalty_S * 1.1, penalty_S)
            step_SD, momentum, square = _adam(gradient_SD * scale_D, momentum, square, t)
            x_SD = region.clamp(x_SD - self._rate(t) * scale_D * step_SD)
        return np.stack(codes), np.stack(losses)

    def _rate(self, t: int) -> float:
        wave = (1 + np.cos(np.pi * t / self.iterations)) / 2
        return float(self.learning_rate * (0.05 + 0.95 * wave))

    def ends(self, criterion: Criterion, codes_SD: np.ndarray) -> tuple[np.ndarray, list[int], np.ndarray]:
        """The ``keep`` best different rounded codes, from which start each came, and by what they compare."""
        rounded = criterion.budget.region.round(codes_SD)
        _, first = np.unique(rounded, axis=0, return_index=True)
        scores = criterion.scores(rounded[first])
        # a rounded end may miss a limit by a hair; it is repaired, so excess counts here like lost value, not as exclusion
        value = scores.value - 4 * self.penalty * scores.excess
        order = np.argsort(-value, kind="stable")[: self.keep]
        return rounded[first[order]], first[order].tolist(), value[order]

    def finish(self, criterion: Criterion, codes_CD: np.ndarray, lam_C: np.ndarray | None = None) -> list[Polished]:
        """Repair and polish ``(C, D)`` rounded codes."""
        if self.polish:
            return Polish(criterion).run(codes_CD, lam_C)
        repair = Polish(criterion, pairs=0, repair_only=True)
        return repair.run(codes_CD, lam_C)

    def _walk(self, region: Region, codes_TSD: np.ndarray, loss_TS: np.ndarray, number: int, s: int) -> Walk:
        """That of the s-th of the starts of which the first has a number."""
        codes_TD = np.array(codes_TSD[:, s])
        phase = ("propagation",) * len(codes_TD)
        reason = f"{self.iterations} iterations done"
        return Walk(codes_TD, region.round(codes_TD), np.array(loss_TS[:, s]), reason, phase, number + s)


def _best_of_all(criterion: Criterion, polished: Polished) -> Polished:
    """With a last step to the best of the whole space, where that can be listed and something in it is better."""
    space: Any = criterion.objectives.space
    every = whole_space(space)
    if every is None:
        return polished
    codes, scores = ranked(criterion, every)
    if not len(codes) or (polished.excess == 0 and scores[0] <= polished.score):
        return polished
    return Polished(
        np.concatenate([polished.path, codes[:1]]), np.append(polished.values, scores[0]), float(scores[0]), 0.0
    )


class _Ends:
    """The best different rounded ends of all walks so far, each with its walk.

    Args:
        keep: how many.
    """

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self._found: list[tuple[float, np.ndarray, Walk]] = []

    def add(self, codes: np.ndarray, owners: list[int], values: np.ndarray, walk: Callable[[int], Walk]) -> None:
        """More of them; of equal ones the earlier stays."""
        new = [(float(v), c, walk(s)) for c, s, v in zip(codes, owners, values, strict=True)]
        merged: dict[tuple[int, ...], tuple[float, np.ndarray, Walk]] = {}
        for end in sorted([*self._found, *new], key=lambda end: -end[0]):
            merged.setdefault(tuple(end[1].tolist()), end)
        self._found = list(merged.values())[: self.keep]

    @property
    def best(self) -> list[tuple[np.ndarray, Walk]]:
        """Codes and walks, the best first."""
        return [(code, walk) for _, code, walk in self._found]

    def with_others(self, others: list[tuple[np.ndarray, Walk]]) -> list[tuple[np.ndarray, Walk]]:
        """Those, then the others whose codes are not among them."""
        out = {tuple(code.tolist()): (code, walk) for code, walk in self.best}
        for code, walk in others:
            out.setdefault(tuple(code.tolist()), (code, walk))
        return list(out.values())


def _standing(criterion: Criterion, code_1D: np.ndarray) -> tuple[np.ndarray, Walk]:
    """A start as it is, and the walk of one step that it makes."""
    rounded = criterion.budget.region.round(code_1D)
    loss = -criterion.scores(rounded).value
    return rounded[0], Walk(rounded.astype(np.float64), rounded, loss, "from the start itself", ("start",))


def extend(walk: Walk, polished: Polished) -> Walk:
    """A continuous walk followed by the rounding of its end and the discrete steps after it."""
    return Walk(
        np.concatenate([walk.codes, polished.path]),
        np.concatenate([walk.rounded, polished.path.astype(np.int64)]),
        np.concatenate([walk.loss, -polished.values]),
        f"{walk.reason}, then no better neighbour",
        walk.phase + ("polish",) * len(polished.path),
        walk.number,
    )


def shrink(region: Region, budget: Budget, codes_SD: np.ndarray) -> np.ndarray:
    """``(S, D)`` starts drawn toward the cheapest corner until they keep the cost limits (continuous codes)."""
    codes = region.clamp(np.asarray(codes_SD, dtype=np.float64))
    if not budget.limits:
        return codes
    low, high = np.zeros(len(codes)), np.ones(len(codes))
    over = budget.over(codes)
    for _ in range(12):
        middle = (low + high) / 2
        fits = ~budget.over(region.lower + middle[:, None] * (codes - region.lower))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    share = np.where(over, low, 1.0)
    out: np.ndarray = region.lower + share[:, None] * (codes - region.lower)
    return out


def _adam(
    gradient: np.ndarray, momentum: np.ndarray, square: np.ndarray, t: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A step of unit size in each dimension, from the running mean and square of gradients (Kingma and Ba, 2015)."""
    momentum = 0.8 * momentum + 0.2 * gradient
    square = 0.95 * square + 0.05 * gradient**2
    mean, spread = momentum / (1 - 0.8 ** (t + 1)), square / (1 - 0.95 ** (t + 1))
    return mean / (np.sqrt(spread) + 1e-8), momentum, square
