"""How far a build is. Reads names and results only, writes nothing; never in the way of the workers."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ncp.benchmark import settings
from ncp.campaign import leases, reading
from ncp.campaign.leases import Holder
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import TrainingRecord
from ncp.campaign.scheduler import liveness
from ncp.campaign.states import UnitState, folder
from ncp.campaign.store import Store, Unusable

READERS = 16  # a slow file system answers many at a time
AT_A_TIME = 512  # units given to them at a time
UNCHOSEN = "unchosen"
STATES = ("done", "stopped", "failed", "damaged", "blocked", "running", "silent", "left")
RATE_OVER = 50  # the newest so many results give the speed
T = TypeVar("T")
Track = Callable[[Iterable[T], int], Iterable[T]]


@dataclass(frozen=True)
class UnitStatus:
    """What is known of one unit.

    Attributes:
        name: of the unit.
        state: from ``STATES``: ``running`` has a fresh heartbeat, ``silent`` none any more (it will be taken over), of a
            ``damaged`` one the record cannot be used (it will be trained again), in the place of a ``blocked`` one lies no
            folder.
        record: the result, where there is one.
        failures: what attempts failed of, oldest first.
        holder: whose lease it is, of those that run or are silent.
        problem: what is wrong with the record of a damaged one, or the place of a blocked one.
    """

    name: str
    state: str
    record: TrainingRecord | None = None
    failures: tuple[dict[str, Any], ...] = ()
    holder: Holder | None = None
    problem: str = ""


@dataclass(frozen=True)
class Status:
    """The whole build.

    Attributes:
        counts: units by state; of a build that grows also those that are not ``chosen`` yet.
        total: units, those of all rounds.
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
        return not any(
            self.counts.get(state) for state in ("damaged", "blocked", "running", "silent", "left", UNCHOSEN)
        )


@dataclass(frozen=True)
class RoundStatus:
    """What a round came to.

    Attributes:
        number: from 1.
        units: of it.
        done: trainings that came to their end.
        over: units that have an end.
        best: the best main metric among them; None where there is none.
    """

    number: int
    units: int
    done: int
    over: int
    best: float | None


def read_units(
    plan: BuildPlan,
    store: Store,
    attempts: int = 2,
    patience: float = 300.0,
    track: Track[int] = lambda units, total: units,
) -> list[UnitStatus]:
    """All units, read by several threads; in time and memory linear in their number.

    Args:
        plan, store: of the build.
        attempts, patience: as the workers have them.
        track: wraps what is gone through, given how many there are: a progress bar.

    Raises:
        UserError: where the file system does not answer.
    """
    me = liveness.identity()

    def alive(other: Mapping[str, Any]) -> bool | None:
        return liveness.alive(other, me)

    def one(unit: int) -> UnitStatus:
        name = plan.units[unit]
        try:
            state = UnitState.of(store.names(folder(name)))
        except Unusable as error:
            return UnitStatus(name, "blocked", problem=str(error))
        failures = tuple(reading.read_failure(store, name, file) for file in state.failures)
        problem = ""
        if state.recorded:
            try:
                if record := reading.read(plan, store, unit):
                    return UnitStatus(name, record.state, record, failures)
            except (reading.Damaged, reading.OtherVersion) as error:
                problem = str(error)
        if len(failures) >= attempts:
            return UnitStatus(name, "failed", None, failures)
        if problem:
            return UnitStatus(name, "damaged", None, failures, problem=problem)
        if state.generation < 0 or state.closed:
            return UnitStatus(name, "left", None, failures)
        holder = leases.holder(store, name, state.generation, alive)
        return UnitStatus(name, "silent" if holder.gone(patience) else "running", None, failures, holder)

    return list(in_parallel(one, track(range(len(plan)), len(plan))))


def in_parallel(function: Callable[[int], T], units: Iterable[int]) -> Iterator[T]:
    """``function`` of every unit, in order; so many at a time that whoever counts them sees them go."""
    with ThreadPoolExecutor(READERS) as pool:
        rest = iter(units)
        while some := list(itertools.islice(rest, AT_A_TIME)):
            yield from pool.map(function, some)


def summarise(plan: BuildPlan, units: Sequence[UnitStatus], now: float | None = None) -> Status:
    """Counts, speed and expected end; an architecture that is not chosen yet is taken to cost as much as the others do."""
    counts = Counter(unit.state for unit in units)
    unchosen = {UNCHOSEN: plan.total - len(plan)} if plan.growth is not None else {}
    whole = round(sum(plan.macs) * plan.total / len(plan))
    cost = dict(zip(plan.units, plan.macs, strict=True))
    over = sum(cost[unit.name] for unit in units if unit.state in ("done", "stopped", "failed"))
    results = sorted((unit.record.finished_at(), cost[unit.name]) for unit in units if unit.record)
    per_hour, left = _speed(results, whole - over, time.time() if now is None else now)
    return Status(
        counts={state: counts.get(state, 0) for state in STATES} | unchosen,
        total=plan.total,
        share=over / whole,
        per_hour=per_hour,
        seconds_left=left,
        reasons=dict(Counter(str(f.get("kind", "unknown")) for unit in units for f in unit.failures)),
        hours=sum(unit.record.seconds for unit in units if unit.record) / 3600,
    )


def rounds(plan: BuildPlan, units: Sequence[UnitStatus]) -> list[RoundStatus]:
    """The published rounds of a build that grows; nothing of another one."""
    out = []
    setting = settings.get(plan.setting)
    main, sign = setting.main, setting.sign(setting.main)
    for number, members in enumerate(plan.rounds if plan.growth is not None else (), start=1):
        some = [units[unit] for unit in members]
        values = [unit.record.metrics[main] for unit in some if unit.record and unit.state == "done"]
        over = sum(unit.state in ("done", "stopped", "failed") for unit in some)
        out.append(RoundStatus(number, len(some), len(values), over, max(values, default=None, key=lambda v: sign * v)))
    return out


def blockers(units: Sequence[UnitStatus], patience: float) -> list[str]:
    """What stands in the way, a line each: places that hold no folder, records that cannot be used, then leases, those that
    are silent first."""
    blocked = [f"unit {unit.name} is left out: {unit.problem}" for unit in units if unit.state == "blocked"]
    damaged = [
        f"unit {unit.name}: {unit.problem}; it will be trained again" for unit in units if unit.state == "damaged"
    ]
    held = sorted((unit for unit in units if unit.holder), key=lambda unit: (unit.state != "silent", unit.name))
    return (
        blocked
        + damaged
        + [unit.holder.words(patience) for unit in held if unit.holder and unit.holder.silent is not None]
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
    return {
        "units": dict(status.counts),
        "total": status.total,
        "share": status.share,
        "models_per_hour": status.per_hour,
        "seconds_left": status.seconds_left,
        "failures": dict(status.reasons),
        "training_hours": status.hours,
        "finished": status.finished,
    }
