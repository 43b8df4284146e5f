"""Measuring a hundred networks: medians of warmed-up runs, a reference network between them, and a choice of what to measure.

The first networks are spread over the costs of the space, the later ones are those of which the model so far is least sure;
some more, drawn apart, are measured among them and check the model. A reference network is run again and again: how far its time
moves says how far the machine can be trusted, and what was measured while it moved is measured again at the end. Every time is
written down at once, so that a stopped measurement goes on.

Shape suffixes: N candidates, D dimensions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, spaces, terminal
from ncp.errors import UserError
from ncp.latency.card import MachineCard
from ncp.latency.fitting import LEAST_HELD, LEAST_ROWS, MOST_ROWS, fit
from ncp.latency.log import MEASURED, STEADY, Log, Row
from ncp.latency.model import Latency
from ncp.progress import Progress

NOISY = 0.15
"""Spread of the reference's times, as a share of their median, above which a machine is too noisy to be trusted."""
EVERY = 4  # networks between two runs of the reference
STRATIFIED = 0.6  # share of the fitted networks that are spread over the costs; the rest is chosen by doubt
LEAST_RUNS = 5
LOOKS = 3  # at a network, at most, where the reference beside it was not steady
Timer = Callable[[Any], float]


@dataclass
class Outcome:
    """What a measurement came to.

    Attributes:
        model: fitted, with its errors on the checking networks.
        rows: all that was measured, in order; ``noisy`` is the kind of those in whose place another look counts.
        drift: spread of the reference's times beside what counts (ninth decile less first), as a share of their median.
        notes: what a reader must know, in words.
    """

    model: Latency
    rows: list[Row]
    drift: float
    notes: list[str]


def median_time(run: Callable[[], None], seconds: float, now: Callable[[], float] = time.perf_counter) -> float:
    """Median milliseconds of a warmed-up run, from at least five runs and at most about so many seconds.

    Raises:
        UserError: where the clock goes back.
    """

    def once() -> float:
        before = now()
        run()
        took = now() - before
        if took < 0:
            raise UserError("the clock of this machine went back while a network was timed; measure again")
        return took

    first = spent = once()
    # the first run sets things up; go on until two in a row are alike or a fifth of the time is spent
    while spent < seconds / 5:
        last = once()
        spent += last
        if last > 0.8 * first:
            break
        first = last
    times: list[float] = []
    while len(times) < LEAST_RUNS or (sum(times) < 0.8 * seconds and len(times) < 1000):
        times.append(once())
    return 1e3 * float(np.median(times))


def stratified(space: spaces.Space[Any], n: int, rng: np.random.Generator) -> list[Any]:
    """``n`` architectures spread evenly over the logarithm of multiply-adds, drawn from between the smallest and random ones."""
    pool = space.encode(space.sample(40 * n, rng))
    # random codes of many dimensions all cost about the same: draw them toward the smallest by random parts
    codes = space.round(space.lower + rng.uniform(0, 1, (len(pool), 1)) ** 0.5 * (pool - space.lower))
    macs = np.log(np.asarray(space.cost(codes).macs, dtype=np.float64))
    low, high = np.quantile(macs, [0.005, 0.995]).tolist()
    edges = np.linspace(low, high, n)
    left = np.ones(len(codes), dtype=bool)
    picked = []
    for edge in rng.permutation(edges):
        i = int(np.where(left, np.abs(macs - edge), np.inf).argmin())
        left[i] = False
        picked.append(i)
    return space.decode(codes[picked].astype(np.float64))


def unsure(space: spaces.Space[Any], model: Latency, n: int, rng: np.random.Generator) -> list[Any]:
    """``n`` architectures, each the least sure of its part of a random sample."""
    pool = stratified(space, 40 * n, rng)
    mean, std = model.posterior_of(pool)
    doubt = std / mean
    parts = np.array_split(rng.permutation(len(pool)), n)
    return [pool[int(part[doubt[part].argmax()])] for part in parts]


def measure(
    space: spaces.Space[Any],
    timer: Timer,
    card: MachineCard,
    folder: Path,
    count: int = 100,
    checks: int = 20,
    minutes: float = 15.0,
    seed: int = 0,
    progress: Progress | None = None,
    now: Callable[[], float] = time.perf_counter,
) -> Outcome:
    """Measure networks of a space and fit a model to them.

    Args:
        space: of the architectures.
        timer: milliseconds of an architecture on the machine.
        card: of the machine.
        folder: of ``measured.csv``; what lies there is gone on from.
        count: networks that the model is fitted on.
        checks: further ones on which its errors are measured.
        minutes: after which no further network is begun, once there are enough for a model.
        seed: of what is drawn.
        progress: told the part done.
        now: tells the time in seconds.

    Raises:
        UserError: as :func:`ncp.latency.fit`, and before anything is measured for fewer than 10 networks or more than 4,000, or
            where what lies in ``folder`` is of another machine, size or task.
    """
    if count < LEAST_ROWS or checks < LEAST_HELD:
        raise UserError(
            f"a latency model needs at least {LEAST_ROWS} networks and {LEAST_HELD} to check it, given were {count} and {checks}"
        )
    if max(count, checks) > MOST_ROWS:
        raise UserError(
            f"a latency model takes at most {MOST_ROWS:,} networks and as many to check it, given were {count:,} and {checks:,}"
        )
    rng = np.random.default_rng(seed)
    classes = "" if card.classes is None else f", {card.classes} classes"
    log, began = Log(folder / MEASURED, space, files.printable(card.described() + classes)), now()
    work = _Work(space, timer, log, count + checks, began, 60 * minutes, progress, now)
    spread = stratified(space, max(LEAST_ROWS, round(STRATIFIED * count)), rng)
    checking = stratified(space, checks, np.random.default_rng([seed, 1]))
    # checking networks among the others, so that a machine that gets slower does so for both
    first = [("fit", a) for a in spread] + [("check", a) for a in checking]
    order = np.random.default_rng([seed, 2]).permutation(len(first))
    work.all([first[i] for i in order])
    while len(log.of("fit")) < count and not work.late():
        model = _model(space, card, log, seed, checked=False)
        more = unsure(
            space, model, min(10, count - len(log.of("fit"))), np.random.default_rng([seed, len(log.of("fit"))])
        )
        if not work.all([("fit", a) for a in more]):
            break
    if not log.references():  # all others were measured by an earlier process
        work.time("reference", space.default())
    work.again()
    return _concluded(space, card, log, count, checks, seed)


class _Work:
    """Times one network after the other, the reference among them."""

    def __init__(
        self,
        space: Any,
        timer: Timer,
        log: Log,
        total: int,
        began: float,
        seconds: float,
        progress: Progress | None,
        now: Any,
    ) -> None:
        self.space, self.timer, self.log, self.total = space, timer, log, total
        self.began, self.seconds, self.progress, self.now = began, seconds, progress, now
        self.before = len(log.of("fit")) + len(log.of("check"))

    def late(self) -> bool:
        """Whether the time is over and there is enough for a model."""
        enough = len(self.log.of("fit")) >= LEAST_ROWS and len(self.log.of("check")) >= 2
        return enough and self.now() - self.began > self.seconds

    def all(self, wanted: list[tuple[str, Any]]) -> int:
        """Time those that were not; how many that were."""
        known = {(row.kind, row.text) for row in self.log.rows}
        timed = 0
        for kind, architecture in wanted:
            if (kind, architecture.text) in known:
                continue
            if self.late():
                break
            done = len(self.log.of("fit")) + len(self.log.of("check"))
            if done % EVERY == 0 or not self.log.references():
                self.time("reference", self.space.default())
            self.time(kind, architecture)
            timed += 1
            self._tell(done + 1)
        return timed

    def again(self) -> None:
        """Time those once more beside which the reference was not steady, as long as that helps and there is time."""
        for _ in range(LOOKS):
            if self.log.rows[-1].kind != "reference" and not self.late():
                self.time("reference", self.space.default())
            doubted = [look.row for look in self.log.counted() if look.off > STEADY and look.number < LOOKS]
            done, self.total = self.total, self.total + len(doubted)
            for i, row in enumerate(doubted):
                if self.late():
                    return
                if i % EVERY == 0:
                    self.time("reference", self.space.default())
                self.time(row.kind, self.space.parse(row.text))
                self._tell(done + i + 1)

    def time(self, kind: str, architecture: Any) -> None:
        """Measure one and write it down."""
        self.log.add(Row(kind, architecture.text, self.timer(architecture)))

    def _tell(self, done: int) -> None:
        if self.progress is None:
            return
        each = (self.now() - self.began) / max(done - self.before, 1)
        left = min(each * (self.total - done), self.seconds - (self.now() - self.began))
        note = f"{done} of {self.total} networks, about {terminal.duration(max(left, 0))} left"
        self.progress(min(done / self.total, 1.0), note)


def _model(space: Any, card: MachineCard, log: Log, seed: int, checked: bool) -> Latency:
    rows, held = log.of("fit"), log.of("check")
    pair = ([space.parse(r.text) for r in held], [r.milliseconds for r in held]) if checked or len(held) >= 2 else None
    return fit(space, [space.parse(r.text) for r in rows], [r.milliseconds for r in rows], card, pair, seed)


def _concluded(space: Any, card: MachineCard, log: Log, count: int, checks: int, seed: int) -> Outcome:
    looks, places = log.counted(), log.references()
    every = np.array([log.rows[i].milliseconds for i in places])
    times = np.array([log.rows[i].milliseconds for i in sorted({i for look in looks for i in look.beside})])
    drift = float((np.quantile(times, 0.9) - np.quantile(times, 0.1)) / np.median(times))
    model = _model(space, replace(card, drift=drift), log, seed, checked=True)
    notes = []
    if drift > NOISY:
        notes.append(
            f"the machine was too noisy: the reference network took {times.min():.3g} to {times.max():.3g} ms "
            f"(spread {100 * drift:.0f} %); other work, or clocks that change: measure again when it is quiet"
        )
    half = len(every) // 2
    if half >= 3 and abs(np.median(every[half:]) / np.median(every[:half]) - 1) > NOISY:
        early, later = np.median(every[:half]), np.median(every[half:])
        notes.append(
            f"its clock seems to have changed: the reference took {early:.3g} ms at first, {later:.3g} ms later"
        )
    if len(log.of("fit")) < count or len(log.of("check")) < checks:
        notes.append(
            f"the time was over after {len(log.of('fit'))} of {count} networks and {len(log.of('check'))} of {checks} checks"
        )
    count_too = {id(look.row) for look in looks}
    rows = [r if r.kind == "reference" or id(r) in count_too else replace(r, kind="noisy") for r in log.rows]
    return Outcome(model, rows, drift, notes)
