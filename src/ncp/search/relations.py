"""Relations between dimensions that every architecture of a search keeps: ``c2_1<=c3_1``, ``n3_1=n4_1``.

Equal dimensions form one class that moves as one; the others are ordered. Bounds are carried along the order, so that what is
left of each dimension's values can be completed to an architecture, and what is impossible is known before anything is searched.

Shape suffixes: N codes, D dimensions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

import numpy as np

from ncp.errors import UserError
from ncp.numeric import shown

_RELATION = re.compile(r"\s*([A-Za-z]\w*)\s*(<=|>=|==|=|<|>)\s*([A-Za-z]\w*)\s*")


class Relation(NamedTuple):
    """Dimension ``low`` is at most, below or equal to ``high``; ``text`` as the user wrote it."""

    low: int
    high: int
    kind: str
    text: str


def parse_relations(given: Any, labels: tuple[str, ...]) -> tuple[Relation, ...]:
    """Relations in words; raises ``UserError`` for one that is none, or names a dimension that is not there."""
    if isinstance(given, str):
        given = [given]
    if given is not None and (isinstance(given, Mapping) or not isinstance(given, Iterable)):
        raise UserError(f"relations are a list, such as [c2_1<=c3_1,n3_1=n4_1], given was {shown(given)}")
    out = []
    for text in given or ():
        found = _RELATION.fullmatch(str(text)) if isinstance(text, str) else None
        if found is None:
            raise UserError(
                f"a relation is DIMENSION<=DIMENSION (or <, =, >, >=), such as c2_1<=c3_1, given was {shown(text)}; a limit of "
                "one dimension is bounds.c2_1=[8,64]"
            )
        first, kind, second = found.groups()
        unknown = [name for name in (first, second) if name not in labels]
        if unknown:
            raise UserError(
                f"unknown dimension '{unknown[0]}' in the relation {shown(text)}; the dimensions are {', '.join(labels)}"
            )
        if first == second:
            raise UserError(f"the relation {shown(text)} compares a dimension with itself")
        if kind in (">", ">="):
            first, second, kind = second, first, kind.replace(">", "<")
        out.append(Relation(labels.index(first), labels.index(second), kind.replace("==", "="), text.strip()))
    return tuple(out)


class Order:
    """Relations over bounded grids.

    Attributes:
        lower, upper: ``(D,)`` bounds, narrowed to what the relations leave.

    Args:
        relations: that hold.
        labels: names of the dimensions.
        lower, upper, step: ``(D,)`` bounds and grid of each dimension before the relations; both bounds lie on the grid.

    Raises:
        UserError: where they contradict each other or the bounds, with the reason.
    """

    def __init__(
        self,
        relations: tuple[Relation, ...],
        labels: tuple[str, ...],
        lower: np.ndarray,
        upper: np.ndarray,
        step: np.ndarray,
    ) -> None:
        self.relations, self.labels, self.step = relations, labels, step
        self.lower, self.upper = lower.copy(), upper.copy()
        self.owner = self._classes(len(labels))
        self.classes = [np.flatnonzero(self.owner == c) for c in sorted(set(self.owner.tolist()))]
        self.pairs = [
            (self.owner[r.low], self.owner[r.high], r) for r in relations if self.owner[r.low] != self.owner[r.high]
        ]
        for r in relations:
            if r.kind == "<" and self.owner[r.low] == self.owner[r.high]:
                raise UserError(f"the relations contradict each other: {r.text}, and others make the two equal")
        self.order = self._sorted()
        self._equalise()
        self._narrow()

    def _classes(self, n: int) -> np.ndarray:
        """The class of each dimension: those that are equal, or at most each other in a circle, are one."""
        reach = np.eye(n, dtype=bool)
        for r in self.relations:
            reach[r.low, r.high] = True
            reach[r.high, r.low] |= r.kind == "="
        for k in range(n):
            reach |= reach[:, [k]] & reach[[k]]
        both = reach & reach.T
        return np.asarray(both.argmax(1))

    def _sorted(self) -> list[int]:
        graph: dict[int, set[int]] = {int(c[0]): set() for c in self.classes}
        for low, high, _ in self.pairs:
            graph[int(high)].add(int(low))
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError:  # circles were merged into classes
            raise AssertionError("classes of relations form a circle") from None

    def _equalise(self) -> None:
        for members in self.classes:
            if len(members) == 1:
                continue
            grids = [set(np.arange(self.lower[i], self.upper[i] + 1, self.step[i]).tolist()) for i in members]
            common = sorted(set.intersection(*grids))
            if not common:
                names = " = ".join(self.labels[i] for i in members)
                ranges = ", ".join(f"{self.labels[i]} in {self.lower[i]:g}..{self.upper[i]:g}" for i in members)
                raise UserError(
                    f"the relations make {names}, which have no value in common ({ranges}); drop a relation"
                )
            steps = np.diff(common)
            if (len(steps) and (steps != steps[0]).any()) or (len(steps) and steps[0] != self.step[members].max()):
                raise UserError(f"{' = '.join(self.labels[i] for i in members)} have grids that do not fit each other")
            self.lower[members], self.upper[members], self.step[members] = (
                common[0],
                common[-1],
                self.step[members].max(),
            )

    def _narrow(self) -> None:
        for high in self.order:
            for low, _, r in (p for p in self.pairs if p[1] == high):
                self._set("lower", high, self._at_least(high, self.lower[low], r.kind), r)
        for low in reversed(self.order):
            for _, high, r in (p for p in self.pairs if p[0] == low):
                self._set("upper", low, self._at_most(low, self.upper[high], r.kind), r)

    def _set(self, side: str, owner: int, value: float, relation: Relation) -> None:
        bounds = getattr(self, side)
        better = max(bounds[owner], value) if side == "lower" else min(bounds[owner], value)
        bounds[self.owner == owner] = better
        if self.lower[owner] > self.upper[owner]:
            a, b = relation.low, relation.high
            raise UserError(
                f"the relation {relation.text} cannot be kept: {self.labels[a]} is at least {self.lower[a]:g} and "
                f"{self.labels[b]} at most {self.upper[b]:g}; drop it, or change their bounds"
                if side == "upper" or self.lower[a] > self.upper[b]
                else f"the relation {relation.text} cannot be kept: it leaves no value of {self.labels[owner]} within its bounds"
            )

    def _at_least(self, i: int, value: Any, kind: str) -> Any:
        """The least grid value of dimension ``i`` that is at least (``<``: above) ``value``."""
        steps = np.ceil((value - self.lower[i]) / self.step[i])
        out = self.lower[i] + np.maximum(steps, 0) * self.step[i]
        return np.where(out <= value, out + self.step[i], out) if kind == "<" else out

    def _at_most(self, i: int, value: Any, kind: str) -> Any:
        steps = np.floor((value - self.lower[i]) / self.step[i])
        out = self.lower[i] + steps * self.step[i]
        return np.where(out >= value, out - self.step[i], out) if kind == "<" else out

    def project(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, D)`` continuous codes near the given ones that keep the relations; ``<`` counts as ``<=`` between grid points."""
        codes = codes_ND.copy()
        for members in self.classes:
            if len(members) > 1:
                codes[:, members] = codes[:, members].mean(1, keepdims=True)
        up, down = codes.copy(), codes.copy()
        for high in self.order:
            for low, _, _ in (p for p in self.pairs if p[1] == high):
                up[:, self.owner == high] = np.maximum(up[:, [high]], up[:, [low]])
        for low in reversed(self.order):
            for _, high, _ in (p for p in self.pairs if p[0] == low):
                down[:, self.owner == low] = np.minimum(down[:, [low]], down[:, [high]])
        # the one raises what is too low, the other lowers what is too high; between them both give in
        return np.asarray((up + down) / 2)

    def repair(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, D)`` codes on the grid within the bounds, raised where a relation is broken."""
        codes = codes_ND.copy()
        for members in self.classes:
            codes[:, members] = codes[:, members[:1]]
        for high in self.order:
            for low, _, r in (p for p in self.pairs if p[1] == high):
                least = np.maximum(codes[:, high], self._at_least(high, codes[:, low], r.kind))
                codes[:, self.owner == high] = least[:, None]
        return codes

    def kept(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` bool: all relations hold."""
        out = np.ones(len(codes_ND), dtype=bool)
        for r in self.relations:
            low, high = codes_ND[:, r.low], codes_ND[:, r.high]
            out &= low == high if r.kind == "=" else low < high if r.kind == "<" else low <= high
        return out

    def moves(self) -> np.ndarray:
        """``(n, D)`` smallest steps: of each class up and down, and of two related ones together."""
        ups = []
        for members in self.classes:
            one = np.zeros(len(self.labels))
            one[members] = self.step[members]
            ups.append(one)
        by_class = {int(members[0]): up for members, up in zip(self.classes, ups, strict=True)}
        ups += [by_class[int(low)] + by_class[int(high)] for low, high, _ in self.pairs]
        return np.unique(np.concatenate([ups, -np.array(ups)]), axis=0)
