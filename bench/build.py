"""A build of the paper's size without the trainings: python -m bench build.

22,500 models over 64 workers; 5% of the attempts fail, workers are preempted, and every operation of the file system takes 20 ms
of virtual time. The workers' code is the real one, the clock is virtual. Durations are recorded ones: those of the trainings
in ``durations.csv``, which real builds left (``python -m bench build --record BUILD_FOLDER ...`` writes it anew), each
model's drawn from the recorded trainings of about its rank in cost and stretched so that the mean is ``MEAN`` (the paper's is
18 hours). Then 22,500 records on a real disk: how long merging takes, and how much memory.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import random
import resource
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from bench._timing import show
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import DONE, RecordedEvaluation, TrainingRecord
from ncp.campaign.states import RECORD, UnitState
from ncp.campaign.store import Folder
from ncp.campaign.units import Worker
from ncp.spaces.multires import SPACE

MODELS, WORKERS = 22_500, 64
LATENCY = 0.02  # seconds of an operation on the slow file system
BEAT, PATIENCE = 20.0, 300.0
MEAN = 3600.0  # seconds of a training
NEAR = 0.05  # a model takes as long as some recorded training whose rank in cost is so near
DURATIONS = Path(__file__).with_name("durations.csv")
EPOCHS = 20
PREEMPTED_EVERY = 24 * 3600.0  # of one worker, in the mean
OVERHEAD_BAR, MERGE_BAR, MEMORY_BAR = 0.01, 30.0, 1000.0
SAVED_EVERY = 300.0  # seconds between checkpoints
QUEUED = 600.0  # seconds until a preempted job starts again


class SlowMemory:
    """A store in memory; every operation costs the worker that calls it ``LATENCY`` seconds."""

    def __init__(self) -> None:
        self.folders: defaultdict[str, dict[str, list[Any]]] = defaultdict(dict)
        self.now, self.spent, self.operations = 0.0, 0.0, 0

    def _at(self, name: str) -> tuple[dict[str, list[Any]], str]:
        self.spent += LATENCY
        self.operations += 1
        folder, _, file = name.rpartition("/")
        return self.folders[folder], file

    def create(self, name: str, content: bytes) -> bool:
        """As ``ncp.campaign.store.Store``."""
        folder, file = self._at(name)
        if file in folder:
            return False
        folder[file] = [content, self.now]
        return True

    def read(self, name: str, limit: int = 0) -> bytes | None:
        """As ``ncp.campaign.store.Store``."""
        folder, file = self._at(name)
        return folder[file][0] if file in folder else None

    def names(self, folder: str) -> list[str]:
        """As ``ncp.campaign.store.Store``."""
        self._at(f"{folder}/")
        return list(self.folders[folder])

    def touch(self, name: str) -> None:
        """As ``ncp.campaign.store.Store``."""
        folder, file = self._at(name)
        folder[file][1] = self.now

    def age(self, name: str) -> float | None:
        """As ``ncp.campaign.store.Store``."""
        folder, file = self._at(name)
        return self.now - folder[file][1] if file in folder else None

    def move(self, old: str, new: str) -> bool:
        """As ``ncp.campaign.store.Store``."""
        folder, file = self._at(old)
        if file not in folder:
            return False
        folder[new.rpartition("/")[2]] = folder.pop(file)
        return True


def simulate(models: int = MODELS, workers: int = WORKERS, seed: int = 0) -> dict[str, float]:
    """A build in virtual time; seconds of training, of overhead (file system and lost work), and of real time."""
    rng = random.Random(seed)
    plan = make_plan(models, seed)
    seconds = durations(plan, np.random.default_rng(seed))
    shards, store = plan.shards(workers), SlowMemory()
    queue: list[tuple[float, int, int, int]] = []
    lives = [0] * workers
    training = lost = 0.0
    recorded: dict[str, int] = {}

    def worker(shard: int) -> Worker:
        life = lives[shard]
        me = {"job": shard, "life": life}

        def alive(other: Any) -> bool | None:
            """Heartbeats of those that live are not simulated one by one; of the dead only the own former lives are known."""
            return True if lives[other["job"]] == other["life"] else False if other["job"] == shard else None

        return Worker(
            store,
            plan.units,
            shards[shard],
            me,
            alive=alive,
            patience=PATIENCE,
            progress=lambda name, generation: int(done_steps.get(name, 0)),
        )

    done_steps: dict[str, float] = {}
    team = [worker(shard) for shard in range(workers)]
    for shard in range(workers):
        heapq.heappush(queue, (rng.random(), shard, 0, 0))
    busy: dict[int, tuple[Any, float, bool]] = {}
    while queue:
        now, shard, life, _ = heapq.heappop(queue)
        if life != lives[shard]:
            continue
        store.now, before = max(store.now, now), store.spent
        if shard in busy:
            claim, stretch, preempted = busy.pop(shard)
            store.spent += LATENCY * 3 * stretch / BEAT / 50  # beats run beside the training: a fiftieth is waited for
            if preempted:
                kept = max(0.0, stretch - SAVED_EVERY * rng.random())
                done_steps[claim.name] = done_steps.get(claim.name, 0.0) + kept
                training += kept
                lost += stretch - kept
                lives[shard] += 1
                team[shard] = worker(shard)
                heapq.heappush(queue, (now + QUEUED, shard, lives[shard], 0))
                continue
            training += stretch
            if rng.random() < 0.05 and not claim.failures:
                team[shard].fail(claim, {"kind": "crash", "reason": "simulated"})
                done_steps.pop(claim.name, None)
            elif team[shard].record(claim, {"unit": claim.name}):
                recorded[claim.name] = recorded.get(claim.name, 0) + 1
        claim = team[shard].next()
        took = store.spent - before
        if claim is not None:
            left = max(1.0, seconds[claim.unit] - done_steps.get(claim.name, 0.0))
            preempted = rng.random() < left / PREEMPTED_EVERY
            stretch = left * rng.random() if preempted else left
            busy[shard] = (claim, stretch, preempted)
            heapq.heappush(queue, (now + took + stretch, shard, lives[shard], 0))
        elif team[shard].waiting:
            heapq.heappush(queue, (now + took + BEAT, shard, lives[shard], 0))
    states = [UnitState.of(list(store.folders[f"units/{name}"])) for name in plan.units]
    given_up = sum(len(state.failures) >= 2 for state in states if not state.recorded)
    assert len(recorded) + given_up == models, f"{models - len(recorded) - given_up} units are lost"
    assert set(recorded.values()) == {1}, "a unit was recorded twice"
    return {
        "training": training,
        "lost": lost,
        "files": store.spent,
        "operations": store.operations,
        "end": store.now,
        "even": float(seconds.sum()) / workers,
        "preemptions": float(sum(lives)),
        "given up": float(given_up),
    }


def durations(plan: BuildPlan, rng: np.random.Generator) -> np.ndarray:
    """``(N,)`` seconds for the models of a plan, from the recorded trainings."""
    with open(DURATIONS, newline="") as file:
        rows = [(row["setting"], float(row["macs"]), float(row["seconds"])) for row in csv.DictReader(file)]
    shares, seconds = [], []
    for setting in sorted({name for name, _, _ in rows}):  # ranks and means within a setting
        mine = np.array([(macs, took) for name, macs, took in rows if name == setting])
        shares.append(mine[:, 0].argsort().argsort() / max(1, len(mine) - 1))
        seconds.append(mine[:, 1] / mine[:, 1].mean())
    order = np.argsort(np.concatenate(shares))
    share, took = np.concatenate(shares)[order], np.concatenate(seconds)[order]
    wanted = np.argsort(np.argsort(plan.macs)) / max(1, len(plan.macs) - 1)
    low, high = np.searchsorted(share, wanted - NEAR), np.searchsorted(share, wanted + NEAR, side="right")
    return np.asarray(MEAN * took[rng.integers(low, np.maximum(high, low + 1)).clip(0, len(took) - 1)])


def record_durations(folders: list[Path]) -> None:
    """Write ``durations.csv`` from the records in builds' folders."""
    from ncp.campaign.plan import read
    from ncp.campaign.status import read_units

    with open(DURATIONS, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["setting", "macs", "seconds"])
        for store in map(Folder, folders):
            for unit in read_units(read(store), store):
                if unit.record and unit.state == DONE:
                    took = round(unit.record.seconds, 2)
                    writer.writerow([unit.record.setting, unit.record.cost["macs_at_size"], took])


def make_plan(models: int, seed: int = 0) -> BuildPlan:
    """A plan of random architectures."""
    codes = SPACE.sample_codes(models, np.random.default_rng(seed))
    texts = tuple(architecture.text for architecture in SPACE.decode(codes))
    return BuildPlan("cls-50-1000", texts, tuple(int(v) for v in SPACE.cost(codes).macs), {}, seed)


def write_records(plan: BuildPlan, store: Folder) -> None:
    """A record for each unit, as a training leaves them."""
    rng = np.random.default_rng(0)
    for unit, text in zip(plan.units, plan.architectures, strict=True):
        top1 = float(rng.normal(82, 2))
        rows = [
            RecordedEvaluation(100 * e, 5.0 * e, {"top1": top1 * e / EPOCHS, "top5": 95.0})
            for e in range(1, EPOCHS + 1)
        ]
        record = TrainingRecord(
            unit=unit,
            setting=plan.setting,
            architecture=text,
            code=list(SPACE.parse(text).code),
            seed=1,
            metrics={"top1": top1, "top5": 95.0},
            evaluations=rows,
            cost={"params": 1, "macs": 1, "macs_at_size": 1},
            seconds=3600.0,
            state=DONE,
            worker={"host": f"node{int(unit) % 64}"},
            device={"name": "gpu"},
            versions={"torch": "2"},
            finished="2026-01-01T00:00:00+00:00",
        )
        path = store.path(f"units/{unit}")
        path.mkdir(parents=True)
        (path / "0.lease").write_text("{}")
        (path / RECORD).write_text(json.dumps(record.as_json()))


def main() -> int:
    """Print both tables; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, nargs="+", metavar="FOLDER", help="builds whose durations are kept")
    options = parser.parse_args()
    if options.record:
        record_durations(options.record)
        return 0
    started = time.process_time()
    result = simulate()
    real = time.process_time() - started
    overhead = result["files"] / result["training"]
    show(
        f"{MODELS:,} models, {WORKERS} workers, virtual clock, {LATENCY * 1e3:.0f} ms an operation of the file system",
        ("", "measured", "bar"),
        [
            ("overhead a model (file system), share of its training", f"{overhead:.3%}", f"{OVERHEAD_BAR:.0%}"),
            ("work lost since the last checkpoint", f"{result['lost'] / result['training']:.2%}", ""),
            ("preemptions", f"{result['preemptions']:.0f}", ""),
            ("given up after two failed attempts, all of them listed", f"{result['given up']:.0f}", ""),
            ("operations a model", f"{result['operations'] / MODELS:.1f}", ""),
            (
                "end, against all trainings at once on 64 workers without a fault",
                f"{result['end'] / result['even']:.3f}x",
                "",
            ),
            ("our own processor time a model", f"{1e3 * real / MODELS:.2f} ms", ""),
        ],
    )
    merging, memory = merge_all()
    return int(overhead > OVERHEAD_BAR or merging > MERGE_BAR or memory > MEMORY_BAR)


def merge_all() -> tuple[float, float]:
    """Seconds of processor time and MiB of merging records on a real disk."""
    from ncp.campaign.merge import merge, write_table
    from ncp.campaign.status import read_units, summarise

    with tempfile.TemporaryDirectory() as root:
        plan, store = make_plan(MODELS), Folder(Path(root) / "build")
        write_records(plan, store)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        started, busy = time.perf_counter(), time.process_time()
        units = read_units(plan, store)
        summarise(plan, units)
        read = time.perf_counter() - started
        write_table(plan, store, merge(plan, units))
        merged, busy = time.perf_counter() - started, time.process_time() - busy
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 - before
    show(
        f"merging {MODELS:,} records of {EPOCHS} evaluations each",
        ("", "measured", "bar"),
        [
            ("reading all units (the status)", f"{read:.1f} s", ""),
            ("reading, merging, checking, writing", f"{merged:.1f} s", ""),
            ("the same in processor time", f"{busy:.1f} s", f"{MERGE_BAR:.0f} s"),
            ("peak memory above the start", f"{memory:.0f} MiB", f"{MEMORY_BAR:.0f} MiB"),
        ],
    )
    return busy, memory


if __name__ == "__main__":
    sys.exit(main())
