"""What a search must respect: free dimensions and their bounds, cost limits, floors of predicted metrics, queries.

Shape suffixes: N codes, D dimensions of the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncp import spaces
from ncp.errors import UserError
from ncp.numeric import finite, shortest, shown
from ncp.search.objectives import split_metric

COSTS = {"macs": "multiply-adds", "params": "parameters"}


class Region:
    """The part of a space in which a search may move: narrower bounds, and dimensions that stay as they are.

    Args:
        space: the space.
        start: ``(D,)`` code whose values the fixed dimensions keep.
        fixed: labels of dimensions that stay.
        bounds: label -> ``(lower, upper)``.
        known: lower and upper bounds ``(D,)`` each of what the predictors were fitted on; the whole space unless given.

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
        origin = space.encode([space.default()])[0] if start is None else np.asarray(start, dtype=np.float64)
        for label in self._labels(fixed):
            i = self._index(label)
            if not self.lower[i] <= origin[i] <= self.upper[i]:
                raise UserError(
                    f"fixed dimensions keep the start's value, but the start's {label}={origin[i]:g} is not within "
                    f"{self.lower[i]:g}..{self.upper[i]:g}; start elsewhere, or free it"
                )
            self.lower[i] = self.upper[i] = origin[i]
        self.fixed = self.lower == self.upper
        self.whole = bool((self.lower == space.lower).all() and (self.upper == space.upper).all())

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
        """Continuous codes moved into the bounds, and to where they mean something in the space."""
        inside = self.space.project(codes_ND)
        return inside if self.whole else np.clip(inside, self.lower, self.upper)

    def round(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, D)`` int64: the valid codes of the region nearest to the continuous ones."""
        codes = self.clamp(np.asarray(codes_ND, dtype=np.float64))
        if self.whole:
            return self.space.round(codes)
        # in a space decoded by comparison (argmax), a dimension that must keep its value has to win or lose clearly
        far = codes + 1e6 * (codes - self.space.center)
        rounded = self.space.round(np.where(self.fixed, far, codes))
        return np.where(self.fixed, self.lower, rounded).astype(np.int64)

    def contains(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` bool: valid codes inside the region."""
        codes = np.asarray(codes_ND, dtype=np.float64)
        inside = ((codes >= self.lower) & (codes <= self.upper)).all(-1)
        out: np.ndarray = inside & (self.space.round(codes) == codes).all(-1)
        return out

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n, D)`` float64 codes of the region, drawn from the space and moved into it."""
        codes = self.space.encode(self.space.sample(n, rng))
        if self.whole:
            return codes
        # spread over narrower bounds, so that clamping does not pile everything up at them
        share = (codes - self.space.lower) / (self.space.upper - self.space.lower)
        return self.round(self.lower + share * (self.upper - self.lower)).astype(np.float64)

    def neighbours(self, code_D: np.ndarray) -> np.ndarray:
        """``(n, D)`` float64 codes of the region one step from ``code``."""
        architecture = self.space.decode(np.asarray(code_D, dtype=np.float64)[None])[0]
        codes = self.space.encode(self.space.neighbours(architecture))
        return codes if self.whole else codes[((codes >= self.lower) & (codes <= self.upper)).all(-1)]

    def cheapest(self) -> np.ndarray:
        """``(D,)`` code at the lower bounds: the least cost, since cost grows with every dimension that costs."""
        out: np.ndarray = self.round(self.lower[None])[0]
        return out


@dataclass(frozen=True)
class Floor:
    """A predicted metric must be at least ``value`` (in the metric's unit)."""

    setting: str
    metric: str
    value: float

    @property
    def name(self) -> str:
        """``setting.metric``."""
        return f"{self.setting}.{self.metric}"


@dataclass(frozen=True)
class Budget:
    """All limits of a search.

    Attributes:
        region: where it may move.
        macs, params: upper limits of exact cost, or None.
        floors: lower limits of predicted metrics.
        queries: how many codes a strategy may ask the predictor about (baselines; None: the strategy's own number).
    """

    region: Region
    macs: float | None = None
    params: float | None = None
    floors: tuple[Floor, ...] = ()
    queries: int | None = None

    @property
    def limits(self) -> tuple[tuple[str, float], ...]:
        """``(name of the cost, limit)`` of those that are given."""
        given = (("macs", self.macs), ("params", self.params))
        return tuple((name, limit) for name, limit in given if limit is not None)

    def check_reachable(self) -> None:
        """Raises ``UserError`` if even the smallest architecture costs too much, stating what it costs."""
        least = self.region.space.cost(self.region.cheapest()[None])
        for name, limit in self.limits:
            smallest = int(getattr(least, name)[0])
            if smallest > limit:
                where = "of the space" if self.region.whole else "within the bounds and fixed dimensions"
                raise UserError(
                    f"budget.{name}={shortest(limit)} cannot be met: the smallest architecture {where} has {smallest:,} "
                    f"{COSTS[name]}"
                )

    def excess(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` sum of relative excesses over the cost limits, 0 where all are kept; by exact integers."""
        total = np.zeros(len(codes_ND))
        if self.limits:
            cost = self.region.space.cost(np.asarray(codes_ND).astype(np.int64))
            for name, limit in self.limits:
                total += np.maximum(getattr(cost, name) / limit - 1, 0)
        return total


def parse_costs(given: Mapping[str, Any] | None) -> dict[str, float]:
    """``{macs: 1.0e9, params: 5e6}`` with either left out or None; raises ``UserError`` for anything else."""
    if given is not None and not isinstance(given, Mapping):
        raise UserError(f"a budget is {{macs: 1e9, params: 5e6}} or one of them, given was {shown(given)}")
    out = {}
    for name, value in (given or {}).items():
        if name not in COSTS:
            raise UserError(f"unknown budget '{name}'; a budget is of {' or '.join(COSTS)} (multiply-adds, parameters)")
        if value is not None:
            out[name] = finite(f"budget.{name}", value, above=0)
    return out


def parse_floors(given: Mapping[str, Any] | None, predictors: Mapping[str, Any] | None = None) -> tuple[Floor, ...]:
    """``{seg: {mIoU: 77}}``, ``{seg.mIoU: 77}`` or ``{seg: 77}`` (main metric); raises ``UserError`` for anything else."""
    if given is not None and not isinstance(given, Mapping):
        raise UserError(
            f"floors are {{setting: {{metric: value}}}}, such as {{seg: {{mIoU: 77}}}}, given was {shown(given)}"
        )
    floors = []
    for name, value in (given or {}).items():
        if value is None:
            continue
        inner = value.items() if isinstance(value, Mapping) else [("", value)]
        for metric, number in inner:
            if number is None:
                continue
            try:
                setting, metric = split_metric(f"{name}.{metric}" if metric else str(name), predictors)
            except UserError as error:
                raise UserError(f"floor.{name}: {error}") from None
            floors.append(Floor(setting, metric, finite(f"floor.{setting}.{metric}", number)))
    return tuple(floors)
