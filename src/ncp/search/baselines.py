"""Other ways to search, with the same interface and score, each under a budget of queries to the predictors.

Shape suffixes: S starts, N codes, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncp.numeric import whole
from ncp.progress import Progress
from ncp.search.criterion import Criterion
from ncp.search.limits import Budget
from ncp.search.objectives import Objectives
from ncp.search.robust import shrink
from ncp.search.starts import Starts
from ncp.search.trajectory import Trajectory, Walk


class _Asker:
    """Scores codes until the queries are spent, and remembers when the best one so far changed."""

    def __init__(self, criterion: Criterion, queries: int, tell: Progress) -> None:
        self.criterion, self.left, self.queries, self.tell = criterion, queries, queries, tell
        self.best = -np.inf
        self.codes: list[np.ndarray] = []
        self.scores: list[float] = []
        self.excess = np.inf

    def __call__(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(n,)`` scores of the first n codes for which queries are left."""
        codes = codes_ND[: self.left]
        self.left -= len(codes)
        result = self.criterion.scores(codes)
        self.tell(1 - self.left / self.queries, f"{self.queries - self.left:,} of {self.queries:,} queries")
        score = result.score
        for i in np.flatnonzero(score > np.maximum.accumulate(np.concatenate([[self.best], score[:-1]]))):
            self.codes.append(codes[i])
            self.scores.append(float(score[i]))
            self.best, self.excess = float(score[i]), float(result.excess[i])
        return score


@dataclass(frozen=True)
class Baseline:
    """Common part: the trajectory of a baseline is the sequence of its best architectures so far.

    Attributes:
        lam, kappa: as in :class:`ncp.search.criterion.Criterion`.
        queries: codes it may ask about, unless the budget says otherwise.
    """

    lam: float = 0.5
    kappa: float = 1.0
    queries: int = 2000
    starts = 1

    def run(self, objectives: Objectives, start: Any, budget: Budget, rng: np.random.Generator) -> Trajectory:
        """Search from all starts; raises ``UserError`` if nothing that keeps the limits was met."""
        queries = whole("queries", self.queries if budget.queries is None else budget.queries, 1)
        criterion = Criterion(objectives, budget, self.lam, self.kappa)
        starts = Starts.of(start, budget.region)
        # those beyond the queries cannot be asked about; one chunk, since what follows draws from the same generator
        first = budget.region.round(next(starts.chunks(queries))[1]).astype(np.float64)
        asker = _Asker(criterion, queries, starts.tell)
        asker(first)
        self._search(asker, first, budget, rng)
        if asker.excess > 0:
            raise criterion.unreachable(asker.codes[-1], f"within {queries} queries nothing was met that keeps")
        codes = np.stack(asker.codes)
        spent = queries - asker.left
        reason = f"{spent} queries made" if not asker.left else f"no better neighbour after {spent} queries"
        walk = Walk(codes, codes.astype(np.int64), -np.array(asker.scores), reason, ("best so far",) * len(codes))
        return Trajectory(objectives, [walk], (0, len(codes) - 1), spent, len(starts))

    def _search(self, asker: _Asker, first: np.ndarray, budget: Budget, rng: np.random.Generator) -> None:
        raise NotImplementedError


def _draw(n: int, budget: Budget, rng: np.random.Generator) -> np.ndarray:
    """``(n, D)`` random valid codes, drawn toward the cheapest corner as far as the cost limits demand."""
    return budget.region.round(shrink(budget.region, budget, budget.region.sample(n, rng))).astype(np.float64)


class RandomSearch(Baseline):
    """The best of random architectures; with 10,000 of them the search of Wen et al., 2020 ("neural predictor")."""

    def _search(self, asker: _Asker, first: np.ndarray, budget: Budget, rng: np.random.Generator) -> None:
        while asker.left:
            asker(_draw(min(asker.left, 4096), budget, rng))


class Greedy(Baseline):
    """Like NetAdapt in the paper's Table 10: ask about a step in every dimension, make the best one, repeat."""

    def _search(self, asker: _Asker, first: np.ndarray, budget: Budget, rng: np.random.Generator) -> None:
        code, score = first[0], asker.best
        while asker.left:
            near = _near(code, budget)
            scores = asker(near)
            if not len(scores) or scores.max() <= score:
                break
            code, score = near[scores.argmax()], float(scores.max())


class LocalSearch(Baseline):
    """Hill climbing that takes the first better neighbour, begun anew at a random architecture at every summit."""

    def _search(self, asker: _Asker, first: np.ndarray, budget: Budget, rng: np.random.Generator) -> None:
        code, score = first[0], asker.best
        while asker.left:
            better = self._climb(asker, code, score, budget, rng)
            if better is not None:
                code, score = better
            elif asker.left:
                code = _draw(1, budget, rng)[0]
                score = float(asker(code[None])[0])

    def _climb(
        self, asker: _Asker, code: np.ndarray, score: float, budget: Budget, rng: np.random.Generator
    ) -> tuple[np.ndarray, float] | None:
        for near in np.array_split(rng.permutation(_near(code, budget)), 8):
            scores = asker(near)
            if len(scores) and scores.max() > score:
                return near[scores.argmax()], float(scores.max())
        return None


@dataclass(frozen=True)
class Evolution(Baseline):
    """Regularised evolution (Real et al., 2019): mutate the best of a random few, retire the oldest.

    Attributes:
        population: architectures alive at a time.
        tournament: how many of them compete to be the parent.
        children: made at a time, so that predictors are asked in batches.
    """

    population: int = 64
    tournament: int = 16
    children: int = 8

    def __post_init__(self) -> None:
        for name in ("population", "tournament", "children"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))

    def _search(self, asker: _Asker, first: np.ndarray, budget: Budget, rng: np.random.Generator) -> None:
        codes = np.concatenate([first[:1], _draw(self.population - 1, budget, rng)])
        scores = asker(codes)
        codes = codes[: len(scores)]
        while asker.left:
            parents = [self._parent(scores, rng) for _ in range(self.children)]
            children = np.stack([_mutate(codes[p], budget, rng) for p in parents])
            new = asker(children)
            codes = np.concatenate([codes, children[: len(new)]])[-self.population :]
            scores = np.concatenate([scores, new])[-self.population :]

    def _parent(self, scores: np.ndarray, rng: np.random.Generator) -> int:
        rivals = rng.integers(0, len(scores), self.tournament)
        return int(rivals[scores[rivals].argmax()])


def _near(code: np.ndarray, budget: Budget) -> np.ndarray:
    codes = code + budget.region.moves()
    inside: np.ndarray = codes[budget.region.contains(codes)]
    return inside


def _mutate(code: np.ndarray, budget: Budget, rng: np.random.Generator) -> np.ndarray:
    """One to four random steps."""
    for _ in range(int(rng.integers(1, 5))):
        near = _near(code, budget)
        if len(near):
            code = near[rng.integers(len(near))]
    return code


BASELINES: Sequence[tuple[str, type[Baseline], int]] = (
    ("random", RandomSearch, 2000),
    ("neural_predictor", RandomSearch, 10_000),
    ("greedy", Greedy, 10_000),
    ("local", LocalSearch, 2000),
    ("evolution", Evolution, 2000),
)
"""Name, class and number of queries unless told otherwise."""
