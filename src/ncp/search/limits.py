"""What a search must respect: free dimensions and their bounds, cost limits, floors of predicted metrics, queries.

Shape suffixes: N codes, D dimensions of the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.numeric import finite, shortest, shown
from ncp.search.objectives import split_metric
from ncp.search.quantities import Inference, Quantity, check_trust, counted, memory, tasks_of
from ncp.search.region import Region
from ncp.slopes import Slope
from ncp.spaces import slopes

__all__ = ["COSTS", "Budget", "Floor", "Limit", "Region", "other_limits", "parse_costs", "parse_floors"]
COSTS = {
    "macs": "multiply-adds", "params": "parameters", "latency_ms": "milliseconds", "memory_mb": "MiB of peak memory",
}  # fmt: skip
_COUNTED = ("macs", "params")  # in the order of a space's slopes
_TRIES = 256  # architectures among which the least of a quantity is looked for that does not grow with every dimension


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
class Limit:
    """A quantity must be at most ``value``, in the quantity's unit."""

    quantity: Quantity
    value: float

    @property
    def name(self) -> str:
        """As in budgets."""
        return self.quantity.name


@dataclass(frozen=True)
class Budget:
    """All limits of a search.

    Attributes:
        region: where it may move.
        macs, params: upper limits of exact cost, or None.
        floors: lower limits of predicted metrics.
        queries: how many codes a strategy may ask the predictor about (baselines; None: the strategy's own number).
        others: further upper limits: of milliseconds, of memory.
    """

    region: Region
    macs: float | None = None
    params: float | None = None
    floors: tuple[Floor, ...] = ()
    queries: int | None = None
    others: tuple[Limit, ...] = ()

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The upper limits that are given."""
        exact = counted(self.region.space)
        given = [Limit(exact[n], v) for n, v in (("macs", self.macs), ("params", self.params)) if v is not None]
        return (*given, *self.others)

    def costs(self, codes_ND: Any) -> list[Any]:
        """What is limited, ``(N,)`` each in the order of ``limits``; of integers exact."""
        exact = self.region.space.cost(codes_ND) if self.macs is not None or self.params is not None else None
        return [
            getattr(exact, limit.name) if limit.name in _COUNTED else limit.quantity.of(codes_ND)
            for limit in self.limits
        ]

    def slopes(self, codes_ND: np.ndarray) -> list[Slope]:
        """The same of continuous codes, with the way back."""
        exact = slopes.cost(self.region.space, codes_ND) if self.macs is not None or self.params is not None else None
        return [
            exact.column(_COUNTED.index(limit.name))
            if exact is not None and limit.name in _COUNTED
            else limit.quantity.at(codes_ND)
            for limit in self.limits
        ]

    def over(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` bool: continuous codes that break a limit."""
        out: np.ndarray = np.any(
            [np.asarray(c) > x.value for c, x in zip(self.costs(codes_ND), self.limits, strict=True)], axis=0
        )
        return out

    def check_reachable(self) -> None:
        """Raises ``UserError`` if even the smallest architecture costs too much, stating what it costs."""
        where = "of the space" if self.region.whole else "within the bounds and fixed dimensions"
        for limit in self.limits:
            least = self._least(limit.quantity)
            if least <= limit.value:
                continue
            if limit.name in ("macs", "params"):
                said = f"the smallest architecture {where} has {int(least):,} {COSTS[limit.name]}"
            else:
                said = f"the least that was found {where} is {least:.4g} {limit.quantity.unit} ({limit.quantity.words})"
            raise UserError(f"budget.{limit.name}={shortest(limit.value)} cannot be met: {said}")

    def _least(self, quantity: Quantity) -> float:
        """The least of a quantity in the region: exact where it grows with every dimension, else by descent."""
        corner = self.region.cheapest()[None]
        if quantity.model is None and not (self.region.space.upper - self.region.space.lower <= 1).all():
            return float(quantity.of(corner)[0])
        tried = np.concatenate([corner, self.region.sample(_TRIES, np.random.default_rng(0)).astype(np.int64)])
        values = np.asarray(quantity.of(tried), dtype=np.float64)
        code, least = tried[values.argmin()], float(values.min())
        for _ in range(60):
            near = code + self.region.moves()
            near = near[self.region.contains(near)].astype(np.int64)
            values = np.asarray(quantity.of(near), dtype=np.float64) if len(near) else np.array([np.inf])
            if values.min() >= least:
                break
            code, least = near[values.argmin()], float(values.min())
        return least

    def excess(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` sum of relative excesses over the limits of cost, 0 where all are kept; counts by exact integers."""
        total = np.zeros(len(codes_ND))
        if self.limits:
            for cost, limit in zip(self.costs(np.asarray(codes_ND).astype(np.int64)), self.limits, strict=True):
                total += np.maximum(cost / limit.value - 1, 0)
        return total


def parse_costs(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """``{macs: 1.0e9, params: 5e6, latency_ms: 20, memory_mb: 64}`` with any of them left out or None.

    Of several machines ``latency_ms`` is a list, one limit each (null for none). Raises ``UserError`` for anything else.
    """
    if given is not None and not isinstance(given, Mapping):
        raise UserError(f"a budget is {{macs: 1e9, params: 5e6}} or one of them, given was {shown(given)}")
    out: dict[str, Any] = {}
    for name, value in (given or {}).items():
        if name not in COSTS:
            raise UserError(
                f"unknown budget '{name}'; a budget is of macs or params (multiply-adds, parameters), of latency_ms or memory_mb"
            )
        if value is None:
            continue
        if name == "latency_ms" and isinstance(value, Iterable) and not isinstance(value, (str, Mapping)):
            out[name] = [None if v is None else finite(f"budget.{name}", v, above=0) for v in value]
        else:
            out[name] = finite(f"budget.{name}", value, above=0)
    return out


def other_limits(
    costs: Mapping[str, Any],
    machines: Sequence[Quantity],
    space: spaces.Space[Any],
    names: Iterable[str],
    run: Inference,
    trust: bool = False,
) -> tuple[list[Limit], list[str]]:
    """The limits of milliseconds and memory, and what to say of them.

    Args:
        costs: as :func:`parse_costs` reads them.
        machines: that were measured.
        names: settings whose networks are run, for their memory.
        run: size, batch and type of numbers, for memory.
        trust: whether a machine whose model is wrong by more than a tenth may be a limit.

    Raises:
        UserError: for milliseconds without a machine, another number of limits than of machines, or a model that is no hard
            limit.
    """
    out: list[Limit] = []
    said: list[str] = []
    given = costs.get("latency_ms")
    if given is not None:
        if not machines:
            raise UserError("budget.latency_ms needs a measured machine: latency=FILE, which `latency` writes")
        values = given if isinstance(given, list) else [given] * len(machines)
        if len(values) != len(machines):
            raise UserError(
                f"budget.latency_ms is one limit for all or one a machine ({len(machines)}), given were {len(values)}"
            )
        for machine, value in zip(machines, values, strict=True):
            if value is not None:
                said += filter(None, [check_trust(machine, trust)])
                out.append(Limit(machine, value))
    if "memory_mb" in costs:
        out.append(Limit(memory(space, tasks_of(names), run.on(machines)), costs["memory_mb"]))
    return out, said


def _possible(setting: str, metric: str, given: Any) -> float:
    """A floor that the metric can reach at all."""
    value = finite(f"floor.{setting}.{metric}", given)
    known = settings.SETTINGS.get(setting)
    if known is None or metric not in known.metrics:  # a predictor's own
        return value
    low, high = known.range(metric)
    if value > high:
        raise UserError(
            f"floor.{setting}.{metric}={shortest(value)} cannot be reached: {metric} lies in {low:g}..{high:g}"
        )
    return value


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
            floors.append(Floor(setting, metric, _possible(setting, metric, number)))
    return tuple(floors)
