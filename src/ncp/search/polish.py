"""The last, discrete part of a search: better neighbours of rounded codes, two steps at once where one cannot help.

At a cost limit no single step improves: what grows breaks the limit, what shrinks loses accuracy. A pair of steps, one up
and one down, keeps the cost. The hundreds of pairs are ranked by the sum of their single effects and only the most
promising ones are predicted.

Shape suffixes: C candidates, N codes, D dimensions, P pairs, J limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncp.search.criterion import Criterion
from ncp.search.region import moves

__all__ = ["PAIRS", "Polish", "Polished", "moves"]
PAIRS = 48  # pairs predicted per candidate and round
_TOLERANCE = 1e-9


@dataclass
class _Candidate:
    code: np.ndarray
    path: list[np.ndarray]
    values: list[float]
    score: float
    excess: float
    value: float
    active: bool = True


@dataclass(frozen=True)
class Polished:
    """One candidate after polishing: its path ``(T, D)`` of codes, their values ``(T,)``, and the end's score and excess."""

    path: np.ndarray
    values: np.ndarray
    score: float
    excess: float


class Polish:
    """Steepest ascent of the criterion over single steps and pairs of steps, for several candidates in one batch.

    A candidate that breaks a limit first takes the steps that lose the least value for each part of the excess they remove.

    Args:
        criterion: what to raise and which limits to keep.
        rounds: at most so many steps per candidate.
        pairs: pairs predicted per candidate and round; 0 for single steps alone.
        repair_only: stop as soon as all limits are kept.
    """

    def __init__(self, criterion: Criterion, rounds: int = 40, pairs: int = PAIRS, repair_only: bool = False) -> None:
        self.criterion, self.rounds, self.pairs, self.repair_only = criterion, rounds, pairs, repair_only
        self.region = criterion.budget.region
        self.moves = self.region.moves()

    def run(self, codes_CD: np.ndarray, lam_C: np.ndarray | None = None) -> list[Polished]:
        """Polish ``(C, D)`` valid codes; ``lam_C`` gives each its own lambda."""
        codes = np.asarray(codes_CD, dtype=np.float64)
        lam = None if lam_C is None else np.asarray(lam_C, dtype=np.float64)
        first = self.criterion.scores(codes, lam)
        candidates = [
            _Candidate(c, [c], [float(v)], float(s), float(e), float(v))
            for c, v, s, e in zip(codes, first.value, first.score, first.excess, strict=True)
        ]
        for _ in range(self.rounds):
            active = [i for i, c in enumerate(candidates) if c.active and not (self.repair_only and c.excess == 0)]
            if not active:
                break
            self._round([candidates[i] for i in active], None if lam is None else lam[active])
        return [Polished(np.stack(c.path), np.array(c.values), c.score, c.excess) for c in candidates]

    def _round(self, candidates: list[_Candidate], lam: np.ndarray | None) -> None:
        """One step of every candidate."""
        near = [c.code + self.moves for c in candidates]
        near = [n[self.region.contains(n)] for n in near]
        owner = np.repeat(np.arange(len(candidates)), [len(n) for n in near])
        codes = np.concatenate([np.stack([c.code for c in candidates]), *near])
        lams = None if lam is None else np.concatenate([lam, lam[owner]])
        value_N, signed_NJ = self._terms(codes, lams)
        here = len(candidates)
        excess = self._excess(codes[here:], signed_NJ[here:])
        options = [
            (codes[here:][owner == i], value_N[here:][owner == i], excess[owner == i]) for i in range(len(candidates))
        ]
        if self.pairs:
            pairs = [
                self._pairs(c, o[0], o[1], value_N[i], signed_NJ[i], signed_NJ[here:][owner == i])
                for i, (c, o) in enumerate(zip(candidates, options, strict=True))
            ]
            owner = np.repeat(np.arange(len(candidates)), [len(p) for p in pairs])
            codes = np.concatenate(pairs)
            scores = self.criterion.scores(codes, None if lam is None else lam[owner])
            for i, (c, v, e) in enumerate(options):
                mine = owner == i
                options[i] = (
                    np.concatenate([c, codes[mine]]),
                    np.concatenate([v, scores.value[mine]]),
                    np.concatenate([e, scores.excess[mine]]),
                )
        for candidate, (c, v, e) in zip(candidates, options, strict=True):
            self._step(candidate, c, v, e)

    def _terms(self, codes: np.ndarray, lam: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        terms = self.criterion.terms(codes, lam)
        return terms.value, terms.excess

    def _excess(self, codes: np.ndarray, signed_NJ: np.ndarray) -> np.ndarray:
        costs = len(self.criterion.budget.limits)
        out: np.ndarray = np.maximum(signed_NJ[:, costs:], 0).sum(1) + self.criterion.budget.excess(codes)
        return out

    def _pairs(
        self,
        candidate: _Candidate,
        near: np.ndarray,
        value: np.ndarray,
        value_here: float,
        signed_here: np.ndarray,
        signed: np.ndarray,
    ) -> np.ndarray:
        """``(P, D)`` valid codes two steps away whose single effects add up best while the limits seem kept."""
        i, j = np.triu_indices(len(near), 1)
        gain = value[i] + value[j] - 2 * value_here
        if signed.shape[1]:
            broken = np.maximum(signed[i] + signed[j] - signed_here, 0).sum(1)
            least = broken <= min(candidate.excess, 0.0) + 1e-3  # what the sum says is not exact
            gain = np.where(least, gain, -np.inf)
        order = np.argsort(-gain, kind="stable")[: 2 * self.pairs]
        order = order[gain[order] > -np.inf]
        codes = near[i[order]] + near[j[order]] - candidate.code
        codes = codes[self.region.contains(codes)]
        out: np.ndarray = codes[: self.pairs]
        return out

    def _step(self, candidate: _Candidate, codes: np.ndarray, value: np.ndarray, excess: np.ndarray) -> None:
        if candidate.excess > 0:
            removed = np.minimum(candidate.excess - excess, candidate.excess)
            lost = np.maximum(candidate.value - value, 1e-6)
            rate = np.where(removed > _TOLERANCE, removed / lost, -np.inf)
        else:
            rate = np.where(excess > 0, -np.inf, value - candidate.value)
        best = int(rate.argmax()) if len(rate) else -1
        if best < 0 or rate[best] <= _TOLERANCE:
            candidate.active = False
            return
        candidate.code, candidate.value, candidate.excess = codes[best], float(value[best]), float(excess[best])
        candidate.score = candidate.value if candidate.excess == 0 else -1e9 * (1 + candidate.excess)
        candidate.path.append(candidate.code)
        candidate.values.append(candidate.value)
