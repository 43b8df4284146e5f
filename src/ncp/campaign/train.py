"""One unit: from a claimed architecture to its record. The training itself is :mod:`ncp.tasks.run`'s."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ncp import signals, spaces
from ncp.benchmark import settings
from ncp.campaign import records
from ncp.campaign.options import BuildOptions, StopRule
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import DONE, STOPPED, RecordedEvaluation, TrainingRecord
from ncp.campaign.states import folder
from ncp.campaign.store import Folder, Unusable
from ncp.campaign.units import Claim, Worker
from ncp.data.base import DataModule
from ncp.errors import UserError
from ncp.tasks import ledger as ledgers
from ncp.tasks import parts
from ncp.tasks import run as tasks
from ncp.tasks.callbacks import History, Throughput
from ncp.tasks.options import Callbacks, TrainOptions
from ncp.tasks.saving import CHECKPOINTS, LAST

NEXT_SEED = 1_000_003  # added to the seed after a NaN
# finished trainings' main metric at a step, for early stopping
Peers = Callable[[int], Sequence[float]]


class Superseded(Exception):
    """Another worker has this unit now."""


class Heart(threading.Thread):
    """Shows every ``beat`` seconds that this worker lives, until :meth:`stop`; ``lost`` says that another one took over."""

    def __init__(self, worker: Worker, claim: Claim, beat: float) -> None:
        super().__init__(daemon=True, name=f"heart-{claim.name}")
        self.worker, self.claim, self.beat = worker, claim, beat
        self.lost = False
        self._over = threading.Event()

    def run(self) -> None:
        """A file system that does not answer is asked again at the next beat."""
        while not self._over.wait(self.beat):
            with contextlib.suppress(OSError, UserError):
                if not self.worker.beat(self.claim):
                    self.lost = True
                    return

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self.join()


class Watch(pl.Callback):
    """Stops a training that another worker took over, and, where that is asked for, one without hope."""

    def __init__(self, heart: Heart, stop: StopRule | None, peers: Peers, sign: float = 1.0) -> None:
        self.heart, self.rule, self.peers, self.sign = heart, stop, peers, sign
        self.reason = ""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
        """Between two steps."""
        if self.heart.lost:
            raise Superseded

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Compare with those that finished, at the same step."""
        step, steps = trainer.global_step, pl_module.plan.steps
        if self.rule is None or trainer.state.fn != "fit" or step >= steps or step < self.rule.at * steps:
            return
        values = sorted(self.sign * value for value in self.peers(step))
        name = pl_module.main_metric
        mine = pl_module.latest.get(name)
        if mine is None or len(values) < self.rule.least:
            return
        limit = values[int(self.rule.share * len(values))]
        if self.sign * mine < limit:
            where, side = ("lowest", "under") if self.sign > 0 else ("highest", "over")
            self.reason = (
                f"{name} {settings.figure_text(name, mine)} at step {step} of {steps} is among the {where} "
                f"{self.rule.share:.0%} of {len(values)} finished trainings ({side} "
                f"{settings.figure_text(name, self.sign * limit)})"
            )
            trainer.should_stop = True


@dataclass
class Bench:
    """What a worker keeps between trainings.

    Attributes:
        options: the build's.
        plan, store, worker: of the build.
        peers: see ``Watch``.
    """

    options: BuildOptions
    plan: BuildPlan
    store: Folder
    worker: Worker
    peers: Peers = lambda step: ()
    _data: dict[int, DataModule] = field(default_factory=dict)

    def data(self, seed: int) -> DataModule:
        """The data set, made once: its user's mistakes come before the first training, not as 2,500 failed ones."""
        if seed not in self._data:
            self._data.clear()
            self._data[seed] = parts.make_data(self.options.training(seed=seed))
        return self._data[seed]


def train(bench: Bench, claim: Claim) -> TrainingRecord | None:
    """Train a claimed unit and publish what became of it.

    Returns:
        The record; None where the attempt failed, or another worker has taken the unit over.

    Raises:
        KeyboardInterrupt, SystemExit: for a signal to end; the worker still holds the unit.
    """
    options = unit_options(bench.options, bench.plan, claim)
    place = bench.store.path(f"{folder(claim.name)}/{claim.generation}")
    heart = Heart(bench.worker, claim, bench.options.build.beat)
    started, earlier = time.perf_counter(), earlier_seconds(bench, claim)
    heart.start()
    try:
        take_up(bench.store, claim, place)
        record = run(bench, claim, options, place, heart, earlier)
        if not bench.worker.record(claim, record.as_json()):
            return None
    except Superseded:
        return None
    except Exception as error:
        signals.check_after(error)
        seconds = time.perf_counter() - started + earlier
        bench.worker.fail(claim, records.failure(error, options.seed, bench.worker.me, seconds))
        shutil.rmtree(place / CHECKPOINTS, ignore_errors=True)
        return None
    finally:
        heart.stop()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    tidy(bench, claim)
    return record


def run(bench: Bench, claim: Claim, options: TrainOptions, place: Path, heart: Heart, earlier: float) -> TrainingRecord:
    """The training and its record."""
    reset_peak_memory()
    data = bench.data(options.seed)
    text = bench.plan.architectures[claim.unit]
    setting = settings.get(bench.plan.setting)
    architecture = spaces.of_text(spaces.get(setting.space), text)
    task = parts.make_task(options, data, architecture)
    history, throughput = History(place / tasks.HISTORY), Throughput()
    trainer = parts.make_trainer(options, place, task, history, throughput)
    watch = Watch(heart, bench.options.build.stop, bench.peers, setting.sign(setting.main))
    trainer.callbacks.append(watch)  # type: ignore[attr-defined]
    unit = tasks.Run(options, place, data, architecture, task, trainer, history, throughput)
    tasks.fit(unit)
    if heart.lost:
        raise Superseded
    if not watch.reason:
        tasks.evaluate(unit)
    metrics = task.measured()
    records.check_metrics(metrics, setting)
    last = place / CHECKPOINTS / LAST
    kept = bench.options.keep != "none" and last.is_file()
    return TrainingRecord(
        unit=claim.name,
        setting=bench.plan.setting,
        architecture=text,
        code=list(architecture.code),
        state=STOPPED if watch.reason else DONE,
        reason=watch.reason,
        seed=options.seed,
        metrics=metrics,
        evaluations=[RecordedEvaluation(e.step, float(e.epoch), dict(e.metrics)) for e in task.ledger],
        cost=tasks.costs(task, data, architecture),
        steps=trainer.global_step,
        seconds=unit.seconds + unit.seconds_evaluation + earlier,
        images_per_second=throughput.images_per_second,
        peak_memory_mb=peak_memory_mb(),
        generation=claim.generation,
        lost=claim.lost,
        failures=claim.failures,
        worker=dict(bench.worker.me),
        device=device(trainer),
        dataset=data.source if data.builtin else "",
        min_overlap=tasks.overlaps(data).get("min_overlap", {}),
        versions=records.versions(),
        finished=records.now(),
        checkpoint=str(last.relative_to(bench.store.root)) if kept else None,
    )


def unit_options(options: BuildOptions, plan: BuildPlan, claim: Claim) -> TrainOptions:
    """The options of one training, after what earlier attempts failed of (``records.RULES``)."""
    kinds = [failure.get("kind") for failure in claim.failures]
    recipe = dict(options.recipe)
    if halvings := kinds.count("memory"):
        most = int(recipe.get("per_device") or recipe["batch"])
        recipe["per_device"] = max(1, most >> halvings)
    return options.training(
        arch={"kind": "code", "code": plan.architectures[claim.unit]},
        seed=plan.seed + NEXT_SEED * kinds.count("nan"),
        ckpt_path="auto",
        keep="last" if options.keep == "none" else options.keep,
        callbacks=Callbacks(progress=False),
        pretrained=_pretrained(options.pretrained, plan.architectures[claim.unit]),
        recipe=recipe,
    )


def _pretrained(where: str | None, text: str) -> str | None:
    """A checkpoint; of a build's folder that of the same architecture."""
    if where is None or not Path(where).is_dir():
        return where
    from ncp.campaign import plan as plans
    from ncp.campaign import reading

    store = Folder(where, reading=True)
    other = plans.read(store)
    if text in other.architectures:
        record = reading.read(other, store, other.architectures.index(text))
        if record and record.checkpoint:
            return str(store.path(record.checkpoint))
    raise UserError(f"pretrained='{where}' holds no checkpoint of {text}; build there with keep=last")


def take_up(store: Folder, claim: Claim, place: Path) -> None:
    """Give this attempt the newest checkpoint of those that were interrupted, and the figures up to then."""
    store.folder(f"{folder(claim.name)}/{claim.generation}/{CHECKPOINTS}")
    place.mkdir(parents=True, exist_ok=True)
    for generation in claim.resume:
        try:
            old = store.folder(f"{folder(claim.name)}/{generation}/{CHECKPOINTS}").parent
        except Unusable:
            continue
        checkpoint, new = old / CHECKPOINTS / LAST, place / CHECKPOINTS / LAST
        if checkpoint.is_file() and not new.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            for name in (tasks.HISTORY, ledgers.FILE):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(old / name, place / name)
            try:
                # a complete file that nobody changes: checkpoints are replaced, not written over
                os.link(checkpoint, new)
            except OSError:
                shutil.copy2(checkpoint, new)
            return


def progress(store: Folder, name: str, generation: int) -> int:
    """When a generation's checkpoint was written, 0 for none: grows with every checkpoint."""
    path = store.path(f"{folder(name)}/{generation}") / CHECKPOINTS / LAST
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def earlier_seconds(bench: Bench, claim: Claim) -> float:
    """What the interrupted attempts that this one goes on from took, by their leases."""
    from ncp.campaign import leases

    return sum(leases.seconds_held(bench.store, claim.name, generation, time.time()) for generation in claim.resume)


def tidy(bench: Bench, claim: Claim) -> None:
    """Remove what interrupted attempts left, and the checkpoints that are not kept."""
    for generation in range(claim.generation):
        shutil.rmtree(bench.store.path(f"{folder(claim.name)}/{generation}"), ignore_errors=True)
    if bench.options.keep == "none":
        shutil.rmtree(bench.store.path(f"{folder(claim.name)}/{claim.generation}"), ignore_errors=True)


def device(trainer: pl.Trainer) -> dict[str, Any]:
    """What computed."""
    gpu = torch.cuda.is_available() and trainer.strategy.root_device.type == "cuda"
    name = torch.cuda.get_device_name() if gpu else "cpu"
    return {
        "name": name,
        "count": trainer.world_size,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
    }


def reset_peak_memory() -> None:
    """Let the peak begin anew, so that it is this training's and not that of the one before."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """MiB since :func:`reset_peak_memory`: of the GPU where one is used, else of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_reserved() / 2**20
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
    return tasks.peak_memory_mb()
