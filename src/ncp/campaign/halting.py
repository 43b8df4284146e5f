"""When a worker begins no further training though some are left: time is short, or what was trained teaches nothing.

Shape suffixes: N trainings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.campaign import reading
from ncp.campaign.growth import LEAST
from ncp.campaign.options import After, BuildOptions
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import DONE
from ncp.campaign.states import UnitState, folder
from ncp.campaign.store import Store
from ncp.errors import UserError

log = logging.getLogger(__name__)
FEW = 3  # trainings: of fewer a trial counts beside them


@dataclass(frozen=True)
class Pace:
    """How long a training takes: ``start`` seconds, and ``rate`` more for each multiply-add of the network."""

    start: float
    rate: float

    def seconds(self, macs: float) -> float:
        """Of a network's training."""
        return self.start + self.rate * macs

    @classmethod
    def of(cls, measured: Sequence[tuple[float, float]]) -> Pace:
        """By least squares of the relative errors, neither part negative, and so that all of them together take as long.

        Args:
            measured: multiply-adds and seconds of a training each, one or more.
        """
        macs_N, seconds_N = np.maximum(np.array(measured, dtype=np.float64).T, 1e-3)
        parts_N2 = np.stack([1 / seconds_N, macs_N / seconds_N], 1)
        scale_2 = np.sqrt((parts_N2**2).sum(0))
        if np.ptp(macs_N) == 0:  # nothing tells them apart
            found_2 = np.array([0.0, seconds_N.mean() / macs_N[0]])
        else:
            found_2 = np.linalg.lstsq(parts_N2 / scale_2, np.ones(len(macs_N)), rcond=None)[0] / scale_2
        for negative, other in ((0, 1), (1, 0)):
            if found_2[negative] < 0:
                found_2[negative] = 0.0
                found_2[other] = parts_N2[:, other].sum() / scale_2[other] ** 2
        found_2 *= seconds_N.sum() / (found_2[0] + found_2[1] * macs_N).sum()
        return cls(float(found_2[0]), float(found_2[1]))


def expected(measured: Sequence[tuple[float, float]], tried: Sequence[tuple[float, float]]) -> Pace:
    """By the trainings that are done; what a trial lets expect counts beside them while they are few."""
    return Pace.of(measured if len(measured) >= FEW else [*measured, *tried])


def measured(plan: BuildPlan, store: Store, units: Iterable[int]) -> dict[int, tuple[float, float]]:
    """Unit -> multiply-adds at the standard size, and seconds, of those that have a result."""
    found = list(reading.usable(plan, store, units))
    if not found:
        return {}
    macs_N = spaces.get(settings.get(plan.setting).space).cost([record.code for _, record in found]).macs
    return {unit: (float(macs), record.seconds) for (unit, record), macs in zip(found, macs_N, strict=True)}


@dataclass(frozen=True)
class Deadline:
    """Until when trainings are begun.

    Attributes:
        at: seconds since 1970.
        after: what must have come to its end by then, too: with it, none is begun whose own end, as those that are done let
            expect it, leaves too little time for these. None where the time alone counts.
        at_a_time: trainings on this machine.
    """

    at: float
    after: After | None = None
    at_a_time: int = 1


class Halting:
    """Asked before each training; reads each record once."""

    def __init__(self, options: BuildOptions, deadline: Deadline | None) -> None:
        self.options, self.deadline = options, deadline
        self._measured: dict[int, tuple[float, float]] = {}
        self._values: dict[int, float] = {}  # of the main metric

    def late(self, plan: BuildPlan, store: Store) -> bool:
        """Whether the time is over, or too short for one more."""
        if self.deadline is None:
            return False
        left, after = self.deadline.at - time.time(), self.deadline.after
        if after is None:
            return left <= 0
        self._measured |= measured(plan, store, [unit for unit in range(len(plan)) if unit not in self._measured])
        next_macs = self._next(plan, store)
        if next_macs is None:
            return False
        known = list(self._measured.values())
        pace = expected(known, after.tried)
        rest = after.macs if len(known) >= LEAST else after.macs[: after.first]
        need = after.times * sum(map(pace.seconds, rest)) / self.deadline.at_a_time
        return left < need + pace.seconds(next_macs)

    def check_alike(self, plan: BuildPlan, store: Store) -> None:
        """Stop where all trainings so far, ``build.alike`` of them or more, say the same.

        Raises:
            UserError: with what they reached.
        """
        alike, main = self.options.build.alike, settings.get(plan.setting).main
        if alike is None or len(set(self._values.values())) > 1:
            return
        new = [unit for unit in range(len(plan)) if unit not in self._values]
        rows = reading.usable(plan, store, new)
        self._values |= {unit: record.metrics[main] for unit, record in rows if record.state == DONE}
        left = plan.total - len(self._values)
        if len(self._values) < alike or len(set(self._values.values())) > 1 or not left:
            return
        setting, value = settings.get(plan.setting), next(iter(self._values.values()))
        figure = settings.figure_text(f"{plan.setting}.{main}", value)
        advice = "train longer (recipe.length), or architectures that differ more"
        if value == setting.range(main)[1]:
            advice = "train shorter (recipe.length), or smaller architectures (budget, bounds)"
        raise UserError(
            f"all {len(self._values)} trainings so far ended with {main} {figure}, so there is nothing to learn from them: "
            f"{advice}; without build.alike the other {left} are trained all the same"
        )

    def _next(self, plan: BuildPlan, store: Store) -> float | None:
        """Multiply-adds of what would be trained next, None where nothing is left.

        A worker takes the dearest first, and gives up what failed too often; of a round to come the mean is expected.
        """
        space = spaces.get(settings.get(plan.setting).space)
        codes = [spaces.of_text(space, text).code for text in plan.architectures]
        macs_N = np.asarray(space.cost(codes).macs, dtype=np.float64)
        for unit in np.argsort(-macs_N, kind="stable").tolist():
            if unit in self._measured:
                continue
            state = UnitState.of(store.names(folder(plan.units[unit])))
            if len(state.failures) < self.options.build.attempts:
                return float(macs_N[unit])
        return float(macs_N.mean()) if len(plan) < plan.total else None
