"""How far a build is. Reads names and results only; never in the way of the workers."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from ncp.campaign.plan import BuildPlan
from ncp.campaign.store import Store
from ncp.campaign.units import RECORD, State, folder, read_json

READERS = 16  # a slow file system answers many at a time
STATES = ("done", "stopped", "failed", "running", "silent", "left")
RATE_OVER = 50  # the newest so many results give the speed
T = TypeVar("T")


@dataclass(frozen=True)
class UnitStatus:
    """What is known of one unit.

    Attributes:
        name: of the unit.
        state: from ``STATES``: ``running`` has a fresh heartbeat, ``silent`` an old one (it will be taken over).
        record: the result, where there is one.
        failures: what attempts failed of, oldest first.
    """

    name: str
    state: str
    record: dict[str, Any] | None = None
    failures: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Status:
    """The whole build.

    Attributes:
        counts: units by state.
        total: units.
        share: of the build's cost (multiply-adds) that is done.
        per_hour: models an hour, from the newest results; None before there are two.
        seconds_left: until the end at that speed, by cost; None where unknown.
        reasons: how often attempts failed of what.
        hours: of training in all results.
    """

    counts: dict[str, int]
    total: int
    share: float
    per_hour: float | None
    seconds_left: float | None
    reasons: dict[str, int] = field(default_factory=dict)
    hours: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.counts["running"] or self.counts["silent"] or self.counts["left"])


def read_units(plan: BuildPlan, store: Store, attempts: int = 2, patience: float = 300.0) -> list[UnitStatus]:
    """All units, read by several threads."""

    def one(name: str) -> UnitStatus:
        names = store.names(folder(name))
        state = State.of(names)
        failures = tuple(read_json(store, f"{folder(name)}/{file}") or {} for file in state.failures)
        if state.recorded:
            record = read_json(store, f"{folder(name)}/{RECORD}")
            return UnitStatus(name, str((record or {}).get("state", "done")), record, failures)
        if len(failures) >= attempts:
            return UnitStatus(name, "failed", None, failures)
        if state.generation < 0 or state.closed:
            return UnitStatus(name, "left", None, failures)
        age = store.age(f"{folder(name)}/{state.generation}.lease")
        return UnitStatus(name, "running" if age is not None and age <= patience else "silent", None, failures)

    return in_parallel(one, plan.units)


def in_parallel(function: Callable[[str], T], names: tuple[str, ...]) -> list[T]:
    """``function`` of every name, in order."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(function, names, chunksize=64))


def summarise(plan: BuildPlan, units: list[UnitStatus], now: float | None = None) -> Status:
    """Counts, speed and expected end."""
    counts = Counter(unit.state for unit in units)
    cost = dict(zip(plan.units, plan.macs, strict=True))
    over = sum(cost[unit.name] for unit in units if unit.state in ("done", "stopped", "failed"))
    share = over / sum(plan.macs)
    results = sorted(
        (datetime.fromisoformat(unit.record["finished"]).timestamp(), cost[unit.name]) for unit in units if unit.record
    )
    per_hour, left = _speed(results, sum(plan.macs) - over, time.time() if now is None else now)
    return Status(
        counts={state: counts.get(state, 0) for state in STATES},
        total=len(plan),
        share=share,
        per_hour=per_hour,
        seconds_left=left,
        reasons=dict(Counter(str(f.get("kind", "unknown")) for unit in units for f in unit.failures)),
        hours=sum(float(unit.record.get("seconds", 0)) for unit in units if unit.record) / 3600,
    )


def _speed(results: list[tuple[float, int]], cost_left: int, now: float) -> tuple[float | None, float | None]:
    """Models an hour over the newest results, and seconds until the rest is done at their cost an hour."""
    newest = results[-RATE_OVER:]
    if len(newest) < 2:
        return None, 0.0 if not cost_left else None
    # while the build stands still, its speed falls
    seconds = max((now if cost_left else newest[-1][0]) - newest[0][0], 1.0)
    per_hour = 3600 * (len(newest) - 1) / seconds
    cost_per_second = sum(cost for _, cost in newest[1:]) / seconds
    return per_hour, cost_left / cost_per_second if cost_per_second else None


def as_json(status: Status) -> dict[str, Any]:
    """For ``result.json``."""
    return json.loads(
        json.dumps(
            {
                "units": status.counts,
                "total": status.total,
                "share": status.share,
                "models_per_hour": status.per_hour,
                "seconds_left": status.seconds_left,
                "failures": status.reasons,
                "training_hours": status.hours,
                "finished": status.finished,
            }
        )
    )
