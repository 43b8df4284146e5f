"""Which walks a search keeps: all of few starts; of many those that are not random, a spread of the others, and the best."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

import numpy as np

from ncp.search.starts import FEW, Starts
from ncp.search.trajectory import Walk

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Gallery:
    """Walks by the number of their start.

    Args:
        starts: all that there will be.
        best: how many of the best are kept.
    """

    def __init__(self, starts: Starts, best: int = 0) -> None:
        self.few, self.best, self.anchors = len(starts) <= FEW, best, starts.anchors
        self._walks: dict[int, Walk] = {}
        self._leaders: list[tuple[float, int, Walk]] = []

    def offer(self, number: int, losses: np.ndarray, make: Callable[[int], Walk]) -> None:
        """The walks of one part of the starts.

        Args:
            number: of the first of them.
            losses: ``(N,)``, by which they compare; the least is the best.
            make: gives the i-th walk, with arrays of its own.
        """
        order = np.argsort(losses, kind="stable")
        chosen: Iterable[int] = range(0)
        if self.few:
            chosen = range(len(losses))
        elif number == 0:  # random starts like all others: their quantiles stand for everyone's
            chosen = sorted(
                {*range(min(self.anchors, len(losses))), *(int(order[round(q * (len(order) - 1))]) for q in QUANTILES)}
            )
        self._walks |= {number + i: make(i) for i in chosen}
        if not self.best:
            return
        worst = self._leaders[-1][0] if len(self._leaders) == self.best else np.inf
        new = [(float(losses[i]), number + int(i), make(int(i))) for i in order[: self.best] if losses[i] <= worst]
        self._leaders = heapq.nsmallest(self.best, [*self._leaders, *new], key=lambda leader: leader[:2])

    def keep(self, walk: Walk) -> None:
        """Keep this one, in the place of another from the same start."""
        self._walks[walk.number] = walk

    @property
    def leaders(self) -> list[int]:
        """Numbers of the best, the best first."""
        return [number for _, number, _ in self._leaders]

    def walks(self) -> dict[int, Walk]:
        """Number of the start -> walk, in order."""
        kept = {number: walk for _, number, walk in self._leaders} | self._walks
        return dict(sorted(kept.items()))
