"""Random search, regularised evolution, local and greedy search with a number of evaluations, many runs at once.

The search's baselines are these, on a ground that scores by its criterion (:mod:`ncp.search.baselines`).

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
        children: made and asked about at a time.
        mutations: of a child, at most; how many is drawn uniformly.
    """

    population: Count = 10
    tournament: Count = 10
    children: Count = 1
    mutations: Count = 1

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about."""
        first = min(self.population, queries)
        alive = np.stack([ground.draw(first, generator) for generator in generators])
        own = 2 * self.mutations + (self.mutations > 1)  # numbers that the mutations of a child take
        uniform = np.stack([generator.random((queries - first, first + own)) for generator in generators])
        asked, fitness = [alive], ground.fitness(alive)
        for begin in range(0, queries - first, self.children):
            some = uniform[:, begin : begin + self.children]
            rivals = np.argsort(some[..., own:], axis=2)[..., : min(self.tournament, first)]
            rivals = np.sort(rivals, axis=2)  # of equal ones the oldest, whatever the tournament's order
            winners = np.take_along_axis(fitness[:, None], rivals, 2).argmax(2)
            parents = np.take_along_axis(rivals, winners[..., None], 2)[..., 0]
            children = self._children(ground, np.take_along_axis(alive, parents, 1), some[..., :own])
            asked.append(children)
            alive = np.concatenate([alive, children], axis=1)[:, -first:]
            fitness = np.concatenate([fitness, ground.fitness(children)], axis=1)[:, -first:]
        return np.concatenate(asked, axis=1)

    def _children(self, ground: Ground, parents_RC: np.ndarray, uniform_RCU: np.ndarray) -> np.ndarray:
        """``(R, C)`` handles, one a parent."""
        flat, uniform = parents_RC.ravel(), uniform_RCU.reshape(parents_RC.size, -1)
        times = 1 + (uniform[:, -1] * self.mutations).astype(np.int64) if self.mutations > 1 else np.ones(len(flat))
        for step in range(self.mutations):
            more = np.flatnonzero(times > step)
            if len(more):
                flat = flat.copy()
                flat[more] = ground.mutate(flat[more], uniform[more, 2 * step : 2 * step + 2])
        return flat.reshape(parents_RC.shape)


class _Climbing:
    """Runs one after the other, each by itself."""

    def run(self, ground: Ground, queries: int, generators: Generators) -> np.ndarray:
        """``(R, Q)`` handles in the order in which they are asked about; of one run fewer where it ends earlier."""
        return np.array([self._one(ground, queries, generator) for generator in generators])

    def _one(self, ground: Ground, queries: int, rng: np.random.Generator) -> list[int]:
        raise NotImplementedError


@dataclass(frozen=True)
class Local(_Climbing):
    """Hill climbing that takes the first better neighbour, begun anew at a random architecture at every summit.

    Attributes:
        parts: into how many parts the neighbours of an architecture are divided; those of one part are asked about at a time,
            and the best of them is taken. 0: one by one.
    """

    parts: Annotated[int, Meta(ge=0, le=1000)] = 0

    def _one(self, ground: Ground, queries: int, rng: np.random.Generator) -> list[int]:
        asked: list[int] = []
        while len(asked) < queries:
            here = int(ground.draw(1, rng)[0])
            asked.append(here)
            height, moved = float(ground.fitness(np.array([here]))[0]), True
            while moved and len(asked) < queries:
                moved = False
                near = rng.permutation(ground.near(here))
                for part in np.array_split(near, max(1, min(self.parts or len(near), len(near)))):
                    some = part[: queries - len(asked)]
                    if not len(some):
                        break
                    asked += some.tolist()
                    values = ground.fitness(some)
                    if values.max() > height:
                        here, height, moved = int(some[values.argmax()]), float(values.max()), True
                        break
        return asked


@dataclass(frozen=True)
class Greedy(_Climbing):
    """Like NetAdapt in the paper's Table 10: ask about a step in every dimension, make the best one, repeat.

    Attributes:
        again: whether a summit is followed by another climb from a random architecture; else the run ends there.
    """

    again: bool = True

    def _one(self, ground: Ground, queries: int, rng: np.random.Generator) -> list[int]:
        asked: list[int] = []
        while len(asked) < queries:
            here = int(ground.draw(1, rng)[0])
            asked.append(here)
            height = float(ground.fitness(np.array([here]))[0])
            while len(asked) < queries:
                near = ground.near(here)[: queries - len(asked)]
                asked += near.tolist()
                values = ground.fitness(near)
                if not len(near) or values.max() <= height:
                    break
                here, height = int(near[values.argmax()]), float(values.max())
            if not self.again:
                break
        return asked
