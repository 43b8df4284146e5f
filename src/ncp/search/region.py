"""Where a search may move: bounds, grids and relations of the dimensions, and which of them stay.

Shape suffixes: N codes, D dimensions of the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ncp import spaces
from ncp.errors import UserError
from ncp.numeric import shown, whole
from ncp.search.relations import Order, parse_relations


@lru_cache(maxsize=8)
def moves(space_name: str) -> np.ndarray:
    """``(n, D)`` differences between neighbouring codes of a space: those that it names, or found by asking for the neighbours
    of samples."""
    space = spaces.get(space_name)
    if hasattr(space, "moves"):
        own: np.ndarray = space.moves()
        return own
    rng = np.random.default_rng(0)
    found: dict[tuple[int, ...], None] = {}
    quiet, architecture = 0, space.default()
    while quiet < 8:
        here = space.encode([architecture])
        deltas = (space.encode(space.neighbours(architecture)) - here).astype(np.int64)
        before = len(found)
        found.update(dict.fromkeys(map(tuple, deltas.tolist())))
        quiet = quiet + 1 if len(found) == before else 0
        architecture = space.sample(1, rng)[0]
    return np.array(sorted(found), dtype=np.float64)


class Region:
    """The part of a space in which a search may move: narrower bounds, and dimensions that stay as they are.

    Args:
        space: the space.
        start: ``(D,)`` code whose values the fixed dimensions keep.
        fixed: labels of dimensions that stay.
        bounds: label -> ``(lower, upper)``.
        known: lower and upper bounds ``(D,)`` each of what the predictors were fitted on; the whole space unless given.
        multiple_of: what every number of channels is a multiple of.
        relations: between dimensions, such as ``c2_1<=c3_1``; see :mod:`ncp.search.relations`.

    Attributes:
        step: ``(D,)`` grid of each dimension, the space's or a coarser one.

    Raises:
        UserError: for an unknown label, bounds that are empty, off the grid or outside the space's or of what is known, or
            a fixed dimension whose value lies outside of them.
    """

    def __init__(
        self,
        space: spaces.Space[Any],
        start: np.ndarray | None = None,
        fixed: Iterable[str] = (),
        bounds: Mapping[str, Any] | None = None,
        known: tuple[np.ndarray, np.ndarray] | None = None,
        multiple_of: int | None = None,
        relations: Any = (),
    ) -> None:
        self.space = space
        self.lower, self.upper = (space.lower.copy(), space.upper.copy()) if known is None else map(np.copy, known)
        if bounds is not None and not isinstance(bounds, Mapping):
            raise UserError(
                f"bounds are {{dimension: [lower, upper]}}, such as {{c4_4: [8, 64]}}, given was {shown(bounds)}"
            )
        for label, limits in (bounds or {}).items():
            i = self._index(label)
            lower, upper = self._bounds(i, limits)
            if max(lower, self.lower[i]) > min(upper, self.upper[i]):
                raise UserError(
                    f"bounds.{label}=[{lower:g},{upper:g}] lies outside of the architectures that the predictor was fitted "
                    f"on, {self.lower[i]:g}..{self.upper[i]:g}; give bounds within them, or fit one to others"
                )
            self.lower[i], self.upper[i] = max(lower, self.lower[i]), min(upper, self.upper[i])
        self.step = space.step.copy()
        if multiple_of is not None:
            self._coarsen(multiple_of)
        origin = space.encode([space.default()])[0] if start is None else np.asarray(start, dtype=np.float64)
        for label in self._labels(fixed):
            i = self._index(label)
            if not self.lower[i] <= origin[i] <= self.upper[i]:
                raise UserError(
                    f"fixed dimensions keep the start's value, but the start's {label}={origin[i]:g} is not within "
                    f"{self.lower[i]:g}..{self.upper[i]:g}; start elsewhere, or free it"
                )
            if (origin[i] - self.lower[i]) % self.step[i]:
                raise UserError(
                    f"fixed dimensions keep the start's value, but the start's {label}={origin[i]:g} is no multiple of "
                    f"{self.step[i]:g}; start elsewhere, or free it"
                )
            self.lower[i] = self.upper[i] = origin[i]
        self._order: Order | None = None
        if relations:
            self._relate(relations)
        self.fixed = self.lower == self.upper
        self._plain = self._order is None and bool((self.step == space.step).all())
        bounded = bool((self.lower == space.lower).all() and (self.upper == space.upper).all())
        self.whole = self._plain and bounded

    @property
    def related(self) -> bool:
        """Whether relations hold between dimensions."""
        return self._order is not None

    def _coarsen(self, multiple_of: Any) -> None:
        """Let widths move on multiples of a number alone."""
        number = whole("multiple_of", multiple_of, 1)
        widths = spaces.widths(self.space)
        if not widths:
            raise UserError(f"multiple_of is for numbers of channels, which space '{self.space.name}' has none of")
        for i in widths:
            step = float(np.lcm(number, int(self.space.step[i])))
            lower, upper = np.ceil(self.lower[i] / step) * step, np.floor(self.upper[i] / step) * step
            if lower > upper:
                raise UserError(
                    f"multiple_of={number} leaves no value of {self.space.labels[i]}, which lies within "
                    f"{self.lower[i]:g}..{self.upper[i]:g}; give a smaller one, or other bounds"
                )
            self.lower[i], self.upper[i], self.step[i] = lower, upper, step

    def _relate(self, relations: Any) -> None:
        space = self.space
        if (space.upper - space.lower <= 1).all():
            raise UserError(f"relations are between numbers; a code of space '{space.name}' has choices alone")
        parsed = parse_relations(relations, space.labels)
        self._order = Order(parsed, space.labels, self.lower, self.upper, self.step)
        self.lower, self.upper, self.step = self._order.lower, self._order.upper, self._order.step

    @staticmethod
    def _labels(fixed: Any) -> list[Any]:
        if isinstance(fixed, str):
            return [fixed]
        if fixed is not None and (isinstance(fixed, Mapping) or not isinstance(fixed, Iterable)):
            raise UserError(f"fixed is a list of dimensions, such as [i1,i2], given was {shown(fixed)}")
        return list(fixed or ())

    def _index(self, label: str) -> int:
        if str(label) not in self.space.labels:
            raise UserError(f"unknown dimension '{label}'; the dimensions are {', '.join(self.space.labels)}")
        return self.space.labels.index(str(label))

    def _bounds(self, i: int, limits: Any) -> tuple[float, float]:
        label, low, high, step = self.space.labels[i], self.space.lower[i], self.space.upper[i], self.space.step[i]
        allowed = f"within {low:g}..{high:g}" + (f" in steps of {step:g}" if step != 1 else "")
        try:
            lower, upper = (float(v) for v in limits)
        except (TypeError, ValueError):
            raise UserError(f"bounds.{label} is [lower, upper] {allowed}, given was {shown(limits)}") from None
        on_grid = all((v - low) % step == 0 for v in (lower, upper))
        if not (low <= lower <= upper <= high and on_grid):
            raise UserError(f"bounds.{label} is [lower, upper] {allowed}, given was [{lower:g}, {upper:g}]")
        return lower, upper

    def clamp(self, codes_ND: np.ndarray) -> np.ndarray:
        """Continuous codes moved into the bounds and relations, and to where they mean something in the space."""
        inside = self.space.project(codes_ND)
        if self.whole:
            return inside
        inside = np.clip(inside, self.lower, self.upper)
        return inside if self._order is None else self._order.project(inside)

    def round(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, D)`` int64: the valid codes of the region nearest to the continuous ones."""
        codes = self.clamp(np.asarray(codes_ND, dtype=np.float64))
        if self.whole:
            return self.space.round(codes)
        if not self._plain:
            steps = np.floor((codes - self.lower) / self.step + 0.5)
            codes = np.clip(self.lower + steps * self.step, self.lower, self.upper)
            return (codes if self._order is None else self._order.repair(codes)).astype(np.int64)
        # in a space decoded by comparison (argmax), a dimension that must keep its value has to win or lose clearly
        far = codes + 1e6 * (codes - self.space.center)
        rounded = self.space.round(np.where(self.fixed, far, codes))
        return np.where(self.fixed, self.lower, rounded).astype(np.int64)

    def contains(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` bool: valid codes inside the region."""
        codes = np.asarray(codes_ND, dtype=np.float64)
        out = np.asarray(((codes >= self.lower) & (codes <= self.upper)).all(-1))
        out = np.asarray(out & (self.space.round(codes) == codes).all(-1))
        if not self._plain:
            out = np.asarray(out & ((codes - self.lower) % self.step == 0).all(-1))
        return out if self._order is None else np.asarray(out & self._order.kept(codes))

    def moves(self) -> np.ndarray:
        """``(n, D)`` smallest differences between codes of the region: of one dimension, or of those that move together."""
        if self._plain:
            return moves(self.space.name)
        if self._order is not None:
            return self._order.moves()
        return np.concatenate([np.diag(self.step), -np.diag(self.step)])

    def steps(self) -> np.ndarray:
        """``(D, D)``: by row the step up of each dimension, with all that are equal to it by a relation."""
        if self._order is None:
            return np.diag(self.step)
        same = self._order.owner[:, None] == self._order.owner
        return np.asarray(same * self.step)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n, D)`` float64 codes of the region, drawn from the space and moved into it."""
        codes = spaces.sampled(self.space, n, rng)
        if self.whole:
            return codes
        # spread over narrower bounds, so that clamping does not pile everything up at them
        share = (codes - self.space.lower) / (self.space.upper - self.space.lower)
        return self.round(self.lower + share * (self.upper - self.lower)).astype(np.float64)

    def neighbours(self, code_D: np.ndarray) -> np.ndarray:
        """``(n, D)`` float64 codes of the region one step from ``code``."""
        architecture = self.space.decode(np.asarray(code_D, dtype=np.float64)[None])[0]
        codes = self.space.encode(self.space.neighbours(architecture))
        return codes if self.whole else codes[self.contains(codes)]

    def cheapest(self) -> np.ndarray:
        """``(D,)`` code at the lower bounds: the least cost, since cost grows with every dimension that costs."""
        out: np.ndarray = self.round(self.lower[None])[0]
        return out
