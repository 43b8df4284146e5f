"""A worker: trains what its shard holds, one unit after the other or several at a time on one device."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ncp import signals
from ncp.campaign import plan as plans
from ncp.campaign import reading
from ncp.campaign.halting import Deadline, Halting
from ncp.campaign.options import BuildOptions
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import DONE
from ncp.campaign.scheduler import liveness
from ncp.campaign.states import folder
from ncp.campaign.store import Folder
from ncp.campaign.units import Worker
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.campaign.train import Bench

log = logging.getLogger(__name__)


def build_folder(options: BuildOptions, plan: BuildPlan | None) -> Path:
    """``build.dir``, or the default one that carries the plan's hash."""
    given = options.build.dir
    if given:
        return Path(given).expanduser()
    assert plan is not None
    return Path(options.outputs) / "build" / f"{plan.setting}-{plan.hash}"


def open_build(options: BuildOptions) -> tuple[BuildPlan, Folder]:
    """The plan of a configuration, published, with the rounds that are there, and its folder.

    Raises:
        UserError: where the folder holds another plan, or a key of ``build`` cannot be used.
    """
    check(options)
    plan = plans.make(options)
    store = Folder(build_folder(options, plan))
    plans.publish(plan, store)
    return plans.follow(plan, store), store


def find_build(options: BuildOptions) -> tuple[BuildPlan, Folder]:
    """A build that is there, for reading: in ``build.dir`` whatever else the configuration says, or the configuration's own.

    Raises:
        UserError: where there is none.
    """
    if options.build.dir:
        store = Folder(build_folder(options, None), reading=True)
        return plans.read(store), store
    plan = plans.make(options)
    path = build_folder(options, plan)
    if not (path / plans.FILE).is_file():
        raise UserError(
            f"there is no build of this configuration yet ('{path}'); start it with action=run, or give build.dir"
        )
    store = Folder(path, reading=True)
    return plans.follow(plan, store), store


def check(options: BuildOptions) -> None:
    """Refuse what does not fit together."""
    shard, shards, build = options.shard, options.shards, options.build
    if not 0 <= shard < shards:
        raise UserError(
            f"shard must be within 0..{shards - 1}, given was {shard}; the number of shards is shards={shards}"
        )
    if not build.beat < build.patience / 3:
        raise UserError(
            f"build.patience must be more than three times build.beat, given were {build.patience:g} and {build.beat:g}"
        )
    if options.sampler == "adaptive" and not build.steal:
        raise UserError(
            "build.steal=false is for sampler=random: a round ends when all its architectures are trained, whoever is there"
        )


def make_worker(options: BuildOptions, plan: BuildPlan, store: Folder, first: int = 0) -> Worker:
    """The worker of this shard; ``first`` turns its list, so that several on one device begin apart."""
    from ncp.campaign.train import progress

    me, build = liveness.identity(), options.build
    mine = plan.shards(options.shards)[options.shard]
    mine = mine[first:] + mine[:first]
    if plan.growth is not None:  # a round ends with the last unit of any shard, so each worker answers for all
        own, turn = set(mine), mine[0] if mine else first
        others = [unit for unit in range(len(plan)) if unit not in own]
        mine += others[turn:] + others[:turn]
    return Worker(
        store,
        plan.units,
        mine,
        me,
        alive=lambda other: liveness.alive(other, me),
        patience=build.patience,
        attempts=build.attempts,
        steal=build.steal,
        progress=lambda name, generation: progress(store, name, generation),
        damage=lambda unit: reading.damage(plan, store, unit),
    )


def work(
    options: BuildOptions,
    plan: BuildPlan,
    store: Folder,
    first: int = 0,
    most: int | None = None,
    deadline: Deadline | None = None,
) -> Counter[str]:
    """Train until nothing is left for this worker.

    Args:
        options: of the build.
        plan, store: of the build.
        first: see :func:`make_worker`.
        most: so many trainings at most.
        deadline: until when trainings are begun.

    Returns:
        How many were ``recorded`` and how many attempts ``failed``.

    Raises:
        UserError: when the data cannot be read, ``build.give_up`` trainings failed in a row, or ``build.alike`` of them say the
            same.
        KeyboardInterrupt: for a signal to end (:mod:`ncp.signals`); what was being trained is handed back.
    """
    from ncp.campaign.advance import advance
    from ncp.campaign.train import Bench
    from ncp.tasks import parts

    if parts.device_count(options.trainer) > 1:
        raise UserError(
            "a build trains each architecture on one device and spreads the architectures (shards, build.per_device); "
            "use trainer=gpu or trainer=cpu; the recipe's total batch is kept by accumulation (recipe.per_device)"
        )
    parts.check(options)  # its mistakes are the user's, not 2,500 failed trainings
    with signals.handled(yielding=True):
        worker = make_worker(options, plan, store, first)
        bench = Bench(options, plan, store, worker, Peers(plan, store))
        bench.data(plan.seed)
        halting = Halting(options, deadline)
        tally: Counter[str] = Counter()
        try:
            while True:
                tally += _train_all(bench, options, most, halting)
                if most is not None or len(bench.plan) == bench.plan.total or halting.late(bench.plan, store):
                    return tally
                signals.check()
                bench.plan = advance(options, bench.plan, store)
                bench.worker = make_worker(options, bench.plan, store, first)
                bench.peers = Peers(bench.plan, store)
        except (KeyboardInterrupt, SystemExit):
            # why it ends counts more than why that cannot be written down
            with signals.leaving(), contextlib.suppress(UserError):
                bench.worker.leave()
            raise


def _train_all(bench: Bench, options: BuildOptions, most: int | None, halting: Halting) -> Counter[str]:
    from ncp.benchmark.settings import figure_text
    from ncp.campaign.train import train

    store, worker = bench.store, bench.worker
    tally: Counter[str] = Counter()
    bad: list[str] = []
    told: set[str] = set()
    while most is None or tally["recorded"] < most:
        signals.check()
        halting.check_alike(bench.plan, store)
        if halting.late(bench.plan, store):
            left = (
                "are over" if options.build.after is None else "leave no time for one more beside what comes afterwards"
            )
            log.info("the hours %s: no training is begun any more", left)
            break
        claim = worker.next()
        if claim is None and worker.waiting:
            _explain(worker, told)
            time.sleep(min(options.build.beat, 5.0))
            continue
        if claim is None:
            break
        if record := train(bench, claim):
            tally["recorded"] += 1
            bad.clear()
            some = list(record.metrics.items())[:3]
            metrics = ", ".join(f"{key} {figure_text(f'{bench.plan.setting}.{key}', value)}" for key, value in some)
            log.info("unit %s of %d: %s in %.0f s", record.unit, bench.plan.total, metrics, record.seconds)
            continue
        file = f"{claim.generation}.failed.{len(claim.failures)}.json"
        if file not in store.names(folder(claim.name)):
            continue  # another worker has it now
        failure = reading.read_failure(store, claim.name, file)
        tally["failed"] += 1
        bad.append(claim.name)
        log.warning("unit %s, attempt %d: %s", claim.name, len(claim.failures) + 1, failure["reason"])
        if len(bad) >= options.build.give_up:
            raise UserError(
                f"{len(bad)} trainings failed in a row on this worker, the last one: {failure['reason']}; everything is "
                "recorded, the same command goes on"
            )
    return tally


def _explain(worker: Worker, told: set[str]) -> None:
    """Say once what this worker waits for, and once more where whoever trains it falls silent."""
    for holder in worker.blockers:
        at_work = holder.at_work(worker.patience)
        if f"{holder.unit} {at_work}" in told:
            continue
        told.add(f"{holder.unit} {at_work}")
        if at_work:
            log.info("waiting for unit %s, which %s trains", holder.unit, holder.who)
        else:
            words = holder.words(worker.patience)
            log.info("waiting for %s; action=release units=%s frees it", words, int(holder.unit))


class Peers:
    """Finished trainings' main metric at a step; the records are looked through at most every ``refresh`` seconds."""

    def __init__(self, plan: BuildPlan, store: Folder, refresh: float = 60.0) -> None:
        from ncp.benchmark import settings

        self.plan, self.store, self.refresh = plan, store, refresh
        self.main = settings.get(plan.setting).main
        self._read: dict[int, dict[int, float]] = {}
        self._at = -float("inf")

    def __call__(self, step: int) -> list[float]:
        """Values of those that were evaluated at ``step`` and were trained to their end."""
        if time.monotonic() - self._at > self.refresh:
            self._at = time.monotonic()
            new = [unit for unit in range(len(self.plan)) if unit not in self._read]
            for unit, record in reading.usable(self.plan, self.store, new):
                rows = record.evaluations if record.state == DONE else []
                self._read[unit] = {e.step: e.metrics[self.main] for e in rows if self.main in e.metrics}
        return [values[step] for values in self._read.values() if step in values]
