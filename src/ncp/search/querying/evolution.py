"""Random search, regularised evolution and local search with a number of evaluations, many runs at once.

Shape suffixes: R runs, Q evaluations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from ncp.search.querying.ground import Ground

Generators = Sequence[np.random.Generator]
Count = Annotated[int, Meta(ge=1, le=10_000)]


@dataclass(frozen=True)
class Random:
    """Architectures drawn uniformly, all different."""

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        return np.stack([ground.draw(queries, generator) for generator in generators])


@dataclass(frozen=True)
class Evolution:
    """Regularised evolution (Real et al., 2019): mutate the best of a random few, retire the oldest.

    With the constants of TransNAS-Bench-101's supplement the few are all, so that the parent is always the best alive.

    Attributes:
        population: architectures alive at a time, the first ones random.
        tournament: how many of them compete to be the parent.
    """

    population: Count = 10
    tournament: Count = 10

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        first = min(self.population, queries)
        alive = np.stack([ground.draw(first, generator) for generator in generators])
        uniform = np.stack([generator.random((queries - first, first + 2)) for generator in generators])
        asked, fitness, runs = [alive], ground.fitness(alive), np.arange(len(alive))
        for step in range(queries - first):
            rivals = np.argsort(uniform[:, step, 2:], axis=1)[:, : min(self.tournament, first)]
            rivals = np.sort(rivals, axis=1)  # of equal ones the oldest, whatever the tournament's order
            parent = rivals[runs, np.take_along_axis(fitness, rivals, 1).argmax(1)]
            child = ground.mutate(alive[runs, parent], uniform[:, step, :2])
            asked.append(child[:, None])
            alive = np.concatenate([alive[:, 1:], child[:, None]], axis=1)
            fitness = np.concatenate([fitness[:, 1:], ground.fitness(child)[:, None]], axis=1)
        return np.concatenate(asked, axis=1)


@dataclass(frozen=True)
class Local:
    """Hill climbing that takes the first better neighbour, begun anew at a random architecture at every summit."""

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        return np.array([self._one(ground, queries, generator) for generator in generators])

    def _one(self, ground: Ground, queries: int, rng: np.random.Generator) -> list[int]:
        asked: list[int] = []
        while len(asked) < queries:
            here = int(ground.draw(1, rng)[0])
            asked.append(here)
            height, moved = float(ground.fitness(np.array([here]))[0]), True
            while moved and len(asked) < queries:
                moved = False
                for other in rng.permutation(ground.near(here)).tolist():
                    if len(asked) == queries:
                        break
                    asked.append(other)
                    value = float(ground.fitness(np.array([other]))[0])
                    if value > height:
                        here, height, moved = other, value, True
                        break
        return asked
