"""Other ways to search, with the same interface and score, each under a budget of queries to the predictors.

The ways are those of :mod:`ncp.search.querying.evolution`; here they ask a ground that answers with a search's criterion.

Shape suffixes: N codes, D dimensions.
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
from ncp.search.querying import evolution
from ncp.search.querying.bounded import BoundedGround
from ncp.search.querying.strategies import Way
from ncp.search.starts import Starts
from ncp.search.trajectory import Trajectory, Walk


class _Ground(BoundedGround):
    """Scores by a criterion, and tells how far the search is."""

    def __init__(self, criterion: Criterion, budget: Budget, first: np.ndarray, queries: int, tell: Progress) -> None:
        super().__init__(budget, self._scores, first=first, keep=False)
        self.criterion, self.queries, self.tell, self.asked = criterion, queries, tell, 0

    def _scores(self, codes_ND: np.ndarray) -> np.ndarray:
        self.asked += len(codes_ND)
        self.tell(min(1.0, self.asked / self.queries), f"{self.asked:,} of {self.queries:,} queries")
        return np.asarray(self.criterion.scores(codes_ND.astype(np.float64)).score)


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
        first = budget.region.round(next(starts.chunks(queries))[1])
        ground = _Ground(criterion, budget, first, queries, starts.tell)
        asked = self._way(len(first)).run(ground, queries, [rng])[0]
        scores = ground.fitness(asked)
        better = np.flatnonzero(scores > np.maximum.accumulate(np.concatenate([[-np.inf], scores[:-1]])))
        codes = ground.codes(asked[better])
        if criterion.excess(codes[-1:])[0] > 0:
            raise criterion.unreachable(codes[-1], f"within {queries} queries nothing was met that keeps")
        spent = len(asked)
        reason = f"{spent} queries made" if spent == queries else f"no better neighbour after {spent} queries"
        phases = ("best so far",) * len(codes)
        walk = Walk(codes.astype(np.float64), codes, -scores[better], reason, phases)
        return Trajectory(objectives, [walk], (0, len(codes) - 1), spent, len(starts))

    def _way(self, first: int) -> Way:
        """How the queries are spent; the ground draws ``first`` starts before anything else."""
        raise NotImplementedError


class RandomSearch(Baseline):
    """The best of random architectures; with 10,000 of them the search of Wen et al., 2020 ("neural predictor")."""

    def _way(self, first: int) -> Way:
        return evolution.Random()


class GreedySearch(Baseline):
    """Like NetAdapt in the paper's Table 10: ask about a step in every dimension, make the best one, repeat."""

    def _way(self, first: int) -> Way:
        return evolution.Greedy(again=False)


class LocalSearch(Baseline):
    """Hill climbing that takes a better neighbour, begun anew at the next start, then at random ones, at every summit."""

    def _way(self, first: int) -> Way:
        return evolution.Local(parts=8)


@dataclass(frozen=True)
class EvolutionSearch(Baseline):
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

    def _way(self, first: int) -> Way:
        return evolution.Evolution(max(self.population, first), self.tournament, self.children, mutations=4)


BASELINES: Sequence[tuple[str, type[Baseline], int]] = (
    ("random", RandomSearch, 2000),
    ("neural_predictor", RandomSearch, 10_000),
    ("greedy", GreedySearch, 10_000),
    ("local", LocalSearch, 2000),
    ("evolution", EvolutionSearch, 2000),
)
"""Name, class and number of queries unless told otherwise."""
