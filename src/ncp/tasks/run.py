"""Trainings and evaluations as ``src/train.py``, ``src/evaluate.py`` and the builder of benchmarks run them."""

from __future__ import annotations

import copy
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
import torch

from ncp import files, signals, spaces
from ncp.card import ROOMS
from ncp.data.base import DataModule, Key
from ncp.errors import UserError, no_memory
from ncp.spaces import AnyArchitecture, cost
from ncp.spaces.multires import Architecture
from ncp.tasks import checkpoint, resuming
from ncp.tasks.architectures import BASELINES, of_own_text
from ncp.tasks.base import Task
from ncp.tasks.callbacks import History, Throughput
from ncp.tasks.checkpoint import read_checkpoint
from ncp.tasks.ledger import FILE as LEDGER
from ncp.tasks.ledger import Ledger
from ncp.tasks.options import TrainOptions
from ncp.tasks.parts import (
    check,
    choose_architecture,
    make_data,
    make_task,
    make_trainer,
    task_class,
)
from ncp.tasks.processes import Siblings, agree
from ncp.tasks.saving import CHECKPOINTS, LAST
from ncp.tasks.segmentation import Segmentation

__all__ = ["Run", "assemble", "evaluate", "fit", "read_checkpoint", "restore", "summarise"]

log = logging.getLogger(__name__)
HISTORY = "metrics.csv"


@dataclass
class Run:
    """All parts of a training."""

    options: TrainOptions
    folder: Path
    data: DataModule
    architecture: AnyArchitecture | str
    task: Task
    trainer: pl.Trainer
    history: History
    throughput: Throughput
    seconds: float = 0.0
    seconds_evaluation: float = 0.0  # of an evaluation outside of the training
    checkpoint: Path | None = None  # of a restored run
    siblings: Siblings = field(init=False)

    def __post_init__(self) -> None:
        self.task.ledger = Ledger(self.folder / LEDGER)
        self.siblings = Siblings(self.trainer, self.folder)


def assemble(options: TrainOptions, folder: Path) -> Run:
    """Make all parts of a training."""
    check(options)  # before data is read, which may take long
    data = make_data(options)
    data.describe(folder)
    architecture = choose_architecture(options)
    task = make_task(options, data, architecture)
    history, throughput = History(folder / HISTORY), Throughput()
    trainer = make_trainer(options, folder, task, history, throughput)
    # what trainings are told apart by: a sweep may vary any part of the recipe and the data
    facts = {
        "architecture": str(architecture),
        **costs(task, data, architecture),
        "seed": options.seed,
        **overlaps(data),
    }
    plain = options.plain()
    facts |= {part: plain[part] for part in ("task", "recipe", "data", "arch", "trainer")}
    for logger in trainer.loggers:
        logger.log_hyperparams(facts)
    return Run(options, folder, data, architecture, task, trainer, history, throughput)


def fit(run: Run) -> None:
    """Train, from the newest checkpoint where there is one to continue.

    Raises:
        UserError: where the checkpoint cannot be continued, the training fails for the user's reasons, or another process fails.
        KeyboardInterrupt: for a signal to end (:mod:`ncp.signals`).
    """
    found = find_checkpoint(run)
    started = time.perf_counter()
    with signals.handled(), run.siblings:
        path, step = agree(run.trainer, found)
        take_up(run, path, step)
        try:
            run.trainer.fit(run.task, run.data, ckpt_path=path, weights_only=True)
        except SystemExit as leaving:
            raise translated(leaving) from None
        except RuntimeError as error:
            signals.check_after(error)
            raise _does_not_fit(error, run) or error from None
    run.seconds = time.perf_counter() - started


def translated(leaving: SystemExit) -> BaseException:
    """Lightning makes ``SystemExit(1)`` of an interrupt; another exit is somebody else's."""
    return signals.interruption() if leaving.code == 1 else leaving


def take_up(run: Run, path: Path | None, step: int) -> None:
    """Let figures and evaluations end where a checkpoint is, at ``step`` (None: begin anew)."""
    if path is None:
        if run.trainer.is_global_zero:
            run.history.path.unlink(missing_ok=True)
            run.task.ledger.rewrite()
        return
    log.info("continuing at step %d of %d from %s", step, run.task.plan.steps, path)
    run.task.last_good = str(path)
    run.task.ledger.load(step, path.parent.parent)
    if run.trainer.is_global_zero:
        run.history.truncate(step)
        run.task.ledger.rewrite()


class Restoring(Protocol):
    """What :func:`restore` is told (``conf/evaluate.yaml``)."""

    ckpt_path: str
    data: dict[str, Any]
    task: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any]


def restore(given: Restoring, folder: Path) -> Run:
    """Make all parts again from a checkpoint (``given.ckpt_path``), with the weights in it.

    What ``given.data`` and ``given.task`` say (root, write_results, ...) takes the place of the training's own; the trainer is
    the new one.

    Raises:
        UserError: when the file is no checkpoint, or the data has other classes than the training's.
    """
    found = checkpoint.read(given.ckpt_path)
    with found.blamed():
        return _restored(found, given, folder)


def _restored(found: checkpoint.Checkpoint, given: Restoring, folder: Path) -> Run:
    path, own, options = found.path, found.own, copy.deepcopy(found.options)
    if options.data.get("cache") and not Path(str(options.data["cache"])).is_dir():
        del options.data["cache"]  # nothing new is made where a file says
    for part, changes in ((options.data, given.data), (options.task, given.task)):
        merge_into(part, changes)
    precision = options.trainer.get("precision", "auto")
    options.trainer, options.logger = dict(given.trainer), given.logger
    if options.trainer.get("precision", "auto") == "auto":  # as it was trained
        options.trainer["precision"] = precision
    options.keep, options.pretrained, options.ckpt_path = "none", None, str(path)
    if task_class(options).name != own.task:
        raise UserError(
            f"it is of task {files.shown(own.task)}, but its configuration is of {task_class(options).name}"
        )
    data = make_data(options)
    if list(data.classes) != own.classes:
        raise UserError(f"{found.where} was trained on other classes than this data has; give the training's data.root")
    # the written-out text, since "random" or a file may mean another architecture today
    baseline = options.arch.get("kind") in BASELINES
    architecture = own.architecture if baseline else of_own_text(own.architecture)
    # an evaluation has no batch that its devices would have to share
    alone = replace(options, trainer={**options.trainer, "devices": 1, "num_nodes": 1})
    task = make_task(alone, data, architecture)
    task.restored_step = own.step
    found.check_network(task.network)
    task.network.load_state_dict(found.weights())
    history, throughput = History(folder / HISTORY), Throughput()
    trainer = make_trainer(options, folder, task, history, throughput)
    return Run(options, folder, data, architecture, task, trainer, history, throughput, checkpoint=path)


def merge_into(part: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Set what ``changes`` say, into dictionaries too; null changes nothing."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(part.get(key), dict):
            merge_into(part[key], value)
        elif value is not None:
            part[key] = value


def find_checkpoint(run: Run) -> tuple[Path | None, int]:
    """The checkpoint that ``ckpt_path`` means, checked against the network, and its step: of this folder (auto), a path, none."""
    wanted = run.options.ckpt_path
    path = run.folder / CHECKPOINTS / LAST
    if not wanted or (wanted == "auto" and not path.is_file()):
        return None, 0
    found = checkpoint.read(path if wanted == "auto" else wanted)
    resuming.check(found, run.task)
    return found.path, found.own.step


def evaluate(run: Run) -> dict[str, float]:
    """The scores on the whole validation set; those of the last step where they are there already."""
    # of a training that had ended before, the classes' own scores are not kept
    lacking = isinstance(run.task, Segmentation) and not run.task.per_class
    if run.task.latest_step != run.task.plan.steps or lacking or run.checkpoint is not None:
        started = time.perf_counter()
        with signals.handled(), run.siblings:
            try:
                run.trainer.validate(run.task, run.data, verbose=False)
            except SystemExit as leaving:
                raise translated(leaving) from None
        run.seconds_evaluation = time.perf_counter() - started
    run.siblings.wait()
    return dict(run.task.latest)


def costs(task: Task, data: DataModule, architecture: AnyArchitecture | str) -> dict[str, Any]:
    """Parameters of this network and its multiply-adds: in the project's unit, the paper's, and at the evaluation's size."""
    params = sum(p.numel() for p in task.network.parameters())
    sizes = evaluation_sizes(task, data)
    size = max(sizes, key=lambda one: (sizes[one], one))
    out: dict[str, Any] = {"params": params, "size": list(size), "sizes": len(sizes)}
    out |= {"head": task.name, "classes": len(data.classes)}
    if not isinstance(architecture, (str, Architecture)):
        counted = spaces.get(spaces.of_form(architecture)).cost(np.array([architecture.code]))
        out["macs"], out["params_in_tables"] = int(counted.macs[0]), int(counted.params[0])
    if task.name in ROOMS:
        encoder: Any = task.network.backbone
        out["params_encoder"] = sum(p.numel() for p in encoder.parameters())
    if isinstance(architecture, Architecture):
        out["macs"] = int(cost.count(architecture).macs)
        out["flops_g"] = float(cost.paper_units(architecture)[0])
    out["macs_at_size"] = task.macs(architecture, data, size)
    return out


def evaluation_sizes(task: Task, data: DataModule) -> Mapping[tuple[int, int], int]:
    """(height, width) of evaluation inputs -> how many there are: as they were seen, else as some images are, else as planned.

    Only segmentation keeps its images as they are; a set's images may be smaller than those it is known for.
    """
    if not isinstance(task, Segmentation) or data.builtin:
        return {data.eval_size or data.size: 1}
    if task.sizes:
        return task.sizes
    images: Any = data.val_set
    some = {round(i * (len(images) - 1) / 3) for i in range(4)}
    return Counter(tuple(images[Key(-1, i)]["image"].shape[-2:]) for i in some)


def overlaps(data: DataModule) -> dict[str, dict[str, float]]:
    """``min_overlap`` of a detection set, by class: what its figures count as found; nothing of other sets."""
    overlap = getattr(data, "min_overlap", None)
    return {} if overlap is None else {"min_overlap": dict(overlap)}


def summarise(run: Run, metrics: Mapping[str, float]) -> dict[str, Any]:
    """The content of ``result.json`` (docs/result.md)."""
    last = run.checkpoint or run.folder / CHECKPOINTS / LAST
    text = str(run.architecture)
    images = len(run.data.val_set)  # type: ignore[arg-type]
    code = None if isinstance(run.architecture, str) else list(run.architecture.code)
    return {
        "setting": run.options.setting,
        "task": run.task.name,
        "main_metric": run.task.main_metric,
        "metrics": dict(metrics),
        "per_class": dict(run.task.per_class) if isinstance(run.task, Segmentation) else None,
        **overlaps(run.data),
        "images_per_second": run.throughput.images_per_second,
        "eval_images_per_second": images / run.seconds_evaluation if run.seconds_evaluation else None,
        "data_wait_share": run.throughput.wait_share,
        "peak_memory_mb": peak_memory_mb(),
        "space": spaces.of_form(run.architecture),
        "architecture": {"text": text, "code": code},
        "cost": costs(run.task, run.data, run.architecture),
        "data": {"name": run.data.known_as, "builtin": run.data.builtin, "classes": len(run.data.classes)},
        "steps": run.task.plan.steps,
        "seconds": {"training": run.seconds},
        "checkpoint": str(last) if last.is_file() else None,
    }


def peak_memory_mb() -> float:
    """Peak memory of the GPU where one is used, else of this process, in MiB."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    import resource
    import sys

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _does_not_fit(error: RuntimeError, run: Run) -> UserError | None:
    if no_memory(error):
        policy = run.task.plan.policy
        size = policy.per_device
        other = "grad_checkpointing" in run.task.model_options(run.architecture)
        return UserError(
            f"a batch of {size} per device does not fit into memory; set recipe.per_device={max(1, size // 2)} (the total "
            f"batch of {policy.total} is kept by accumulation)" + (" or model.grad_checkpointing=true" if other else "")
        )
    return None
