"""A worker: trains what its shard holds, one unit after the other or several at a time on one device."""

from __future__ import annotations

import logging
import time
from collections import Counter
from pathlib import Path

from ncp.campaign import plan as plans
from ncp.campaign.options import BuildOptions
from ncp.campaign.plan import Plan
from ncp.campaign.scheduler import liveness
from ncp.campaign.store import Folder
from ncp.campaign.units import RECORD, Worker, folder, read_json
from ncp.errors import UserError

log = logging.getLogger(__name__)


def build_folder(options: BuildOptions, plan: Plan | None) -> Path:
    """``build.dir``, or the default one that carries the plan's hash."""
    given = options.build.dir
    if given:
        return Path(given).expanduser()
    assert plan is not None
    return Path(options.outputs) / "build" / f"{plan.setting}-{plan.hash}"


def open_build(options: BuildOptions) -> tuple[Plan, Folder]:
    """The plan of a configuration, published, and its folder.

    Raises:
        UserError: where the folder holds another plan, or a key of ``build`` cannot be used.
    """
    check(options)
    plan = plans.make(options)
    store = Folder(build_folder(options, plan))
    plans.publish(plan, store)
    return plan, store


def find_build(options: BuildOptions) -> tuple[Plan, Folder]:
    """A build that is there: in ``build.dir`` whatever the rest of the configuration says, or the configuration's own."""
    if options.build.dir:
        store = Folder(build_folder(options, None))
        return plans.read(store), store
    plan = plans.make(options)
    path = build_folder(options, plan)
    if not (path / plans.FILE).is_file():
        raise UserError(
            f"there is no build of this configuration yet ('{path}'); start it with action=run, or give build.dir"
        )
    return plan, Folder(path)


def check(options: BuildOptions) -> None:
    """Refuse numbers that do not fit together."""
    shard, shards, build = options.shard, options.shards, options.build
    if not 0 <= shard < shards:
        raise UserError(
            f"shard must be within 0..{shards - 1}, given was {shard}; the number of shards is shards={shards}"
        )
    if not build.beat < build.patience / 3:
        raise UserError(
            f"build.patience must be more than three times build.beat, given were {build.patience:g} and {build.beat:g}"
        )


def make_worker(options: BuildOptions, plan: Plan, store: Folder, first: int = 0) -> Worker:
    """The worker of this shard; ``first`` turns its list, so that several on one device begin apart."""
    from ncp.campaign.train import progress

    me, build = liveness.identity(), options.build
    mine = plan.shards(options.shards)[options.shard]
    return Worker(
        store,
        plan.units,
        mine[first:] + mine[:first],
        me,
        alive=lambda other: liveness.alive(other, me),
        patience=build.patience,
        attempts=build.attempts,
        steal=build.steal,
        progress=lambda name, generation: progress(store, name, generation),
    )


def work(options: BuildOptions, plan: Plan, store: Folder, first: int = 0, most: int | None = None) -> Counter[str]:
    """Train until nothing is left for this worker.

    Args:
        options: of the build.
        plan, store: of the build.
        first: see :func:`make_worker`.
        most: so many trainings at most.

    Returns:
        How many were ``recorded`` and how many attempts ``failed``.

    Raises:
        UserError: when the data cannot be read, or ``build.give_up`` trainings failed in a row.
    """
    from ncp.campaign.train import Bench, train
    from ncp.tasks.parts import device_count
    from ncp.tasks.recipe import Recipe

    if device_count(options.trainer) > 1:
        raise UserError(
            "a build trains each architecture on one device and spreads the architectures (shards, build.per_device); "
            "use trainer=gpu or trainer=cpu; the recipe's total batch is kept by accumulation (recipe.per_device)"
        )
    Recipe.from_config(options.recipe)  # its mistakes are the user's, not 2,500 failed trainings
    worker = make_worker(options, plan, store, first)
    bench = Bench(options, plan, store, worker, Peers(plan, store))
    bench.data(plan.seed)
    tally: Counter[str] = Counter()
    bad: list[str] = []
    while most is None or tally["recorded"] < most:
        claim = worker.next()
        if claim is None and worker.waiting:
            time.sleep(min(options.build.beat, 5.0))
            continue
        if claim is None:
            break
        if train(bench, claim):
            tally["recorded"] += 1
            bad.clear()
            _tell(plan, store, claim.name)
        elif failure := read_json(store, claim.file(f"failed.{len(claim.failures)}.json")):
            tally["failed"] += 1
            bad.append(claim.name)
            log.warning("unit %s, attempt %d: %s", claim.name, len(claim.failures) + 1, failure["reason"])
            if len(bad) >= options.build.give_up:
                raise UserError(
                    f"{len(bad)} trainings failed in a row on this worker, the last one: {failure['reason']}; everything "
                    "is recorded, the same command goes on"
                )
    return tally


def _tell(plan: Plan, store: Folder, name: str) -> None:
    record = read_json(store, f"{folder(name)}/{RECORD}") or {}
    metrics = ", ".join(f"{key} {value:.2f}" for key, value in list(record.get("metrics", {}).items())[:3])
    log.info("unit %s of %d: %s in %.0f s", name, len(plan), metrics, record.get("seconds", 0.0))


class Peers:
    """Finished trainings' main metric at a step; the records are looked through at most every ``refresh`` seconds."""

    def __init__(self, plan: Plan, store: Folder, refresh: float = 60.0) -> None:
        from ncp.benchmark import settings

        self.plan, self.store, self.refresh = plan, store, refresh
        self.main = settings.get(plan.setting).main
        self._read: dict[str, dict[int, float]] = {}
        self._at = -float("inf")

    def __call__(self, step: int) -> list[float]:
        """Values of those that were evaluated at ``step`` and were trained to their end."""
        if time.monotonic() - self._at > self.refresh:
            self._at = time.monotonic()
            for name in self.plan.units:
                if name not in self._read and (content := read_json(self.store, f"{folder(name)}/{RECORD}")):
                    done = content["state"] == "done"
                    rows = content["evaluations"] if done else []
                    self._read[name] = {e["step"]: e["metrics"][self.main] for e in rows if self.main in e["metrics"]}
        return [values[step] for values in self._read.values() if step in values]
