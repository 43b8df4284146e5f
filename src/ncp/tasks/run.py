"""Trainings and evaluations as ``src/train.py``, ``src/evaluate.py`` and the builder of benchmarks run them."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from ncp import signals
from ncp.data.base import DataModule
from ncp.errors import UserError
from ncp.spaces import cost
from ncp.spaces.multires import Architecture
from ncp.tasks.base import CHECKPOINT_KEY, Task
from ncp.tasks.callbacks import LAST, History, Throughput
from ncp.tasks.ledger import FILE as LEDGER
from ncp.tasks.ledger import Ledger
from ncp.tasks.parts import (
    BASELINES,
    CHECKPOINTS,
    choose_architecture,
    make_data,
    make_task,
    make_trainer,
    plain,
    read_checkpoint,
)
from ncp.tasks.position import resumed
from ncp.tasks.processes import Siblings, agree

log = logging.getLogger(__name__)
HISTORY = "metrics.csv"


@dataclass
class Run:
    """All parts of a training."""

    config: DictConfig
    folder: Path
    data: DataModule
    architecture: Architecture | str
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


def assemble(config: DictConfig, folder: Path) -> Run:
    """Make all parts of a training."""
    data = make_data(config)
    data.describe(folder)
    architecture = choose_architecture(plain(config.arch))
    task = make_task(config, data, architecture)
    history, throughput = History(folder / HISTORY), Throughput()
    trainer = make_trainer(config, folder, task, history, throughput)
    facts = {"architecture": str(architecture), **costs(task, data, architecture), "seed": int(config.seed)}
    for logger in trainer.loggers:
        logger.log_hyperparams(facts)
    return Run(config, folder, data, architecture, task, trainer, history, throughput)


def fit(run: Run) -> None:
    """Train, from the newest checkpoint where there is one to continue.

    Raises:
        UserError: where the checkpoint cannot be continued, the training fails for the user's reasons, or another process fails.
        KeyboardInterrupt: for a signal to end (:mod:`ncp.signals`).
    """
    found = find_checkpoint(run)
    started = time.perf_counter()
    with signals.handled(), run.siblings:
        checkpoint = agree(run.trainer, found)
        take_up(run, checkpoint)
        try:
            run.trainer.fit(run.task, run.data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # Lightning's translation of an interrupt
            raise signals.interruption() from None
        except RuntimeError as error:
            signals.check_after(error)
            raise _does_not_fit(error, run) or error from None
    run.seconds = time.perf_counter() - started


def take_up(run: Run, checkpoint: Path | None) -> None:
    """Let figures and evaluations end where a checkpoint is (None: begin anew)."""
    if checkpoint is None:
        if run.trainer.is_global_zero:
            run.history.path.unlink(missing_ok=True)
            run.task.ledger.rewrite()
        return
    step = int(read_checkpoint(checkpoint)[CHECKPOINT_KEY]["step"])
    log.info("continuing at step %d of %d from %s", step, run.task.plan.steps, checkpoint)
    run.task.last_good = str(checkpoint)
    run.task.ledger.load(step, checkpoint.parent.parent)
    if run.trainer.is_global_zero:
        run.history.truncate(step)
        run.task.ledger.rewrite()


def restore(config: DictConfig, folder: Path) -> Run:
    """Make all parts again from a checkpoint (``config.ckpt_path``), with the weights in it.

    What ``config.data`` and ``config.task`` give (root, write_results, ...) takes the place of the training's own; the trainer is
    the new configuration's.

    Raises:
        UserError: when the file is no checkpoint, or the data has other classes than the training's.
    """
    path = Path(config.ckpt_path)
    content = read_checkpoint(path)
    about = content[CHECKPOINT_KEY]
    changes = {
        part: {key: value for key, value in plain(config.get(part) or {}).items() if value is not None}
        for part in ("data", "task")
    }
    merged: Any = OmegaConf.merge(about["config"], changes)
    merged.trainer, merged.logger = config.trainer, config.logger
    merged.keep, merged.pretrained, merged.ckpt_path = "none", None, str(path)
    data = make_data(merged)
    if list(data.classes) != about["classes"]:
        raise UserError(f"'{path}' was trained on other classes than this data has; give the training's data.root")
    # the written-out text, since "random" or a file may mean another architecture today
    text = about["architecture"]
    architecture = text if merged.arch.kind in BASELINES else Architecture.parse(text)
    # an evaluation has no batch that its devices would have to share
    task = make_task(OmegaConf.merge(merged, {"trainer": {"devices": 1, "num_nodes": 1}}), data, architecture)  # type: ignore[arg-type]
    task.restored_step = int(about["step"])
    network = {k.removeprefix("network."): v for k, v in content["state_dict"].items() if k.startswith("network.")}
    task.network.load_state_dict(network)
    history, throughput = History(folder / HISTORY), Throughput()
    trainer = make_trainer(merged, folder, task, history, throughput)
    return Run(merged, folder, data, architecture, task, trainer, history, throughput, checkpoint=path)


def find_checkpoint(run: Run) -> Path | None:
    """The checkpoint that ``ckpt_path`` means: of this folder (auto), a path, or none; checked against the network."""
    wanted = run.config.get("ckpt_path")
    path = run.folder / CHECKPOINTS / LAST
    if not wanted or (wanted == "auto" and not path.is_file()):
        return None
    path = path if wanted == "auto" else Path(wanted)
    content = read_checkpoint(path)
    theirs, ours = content[CHECKPOINT_KEY], run.task.about
    for what in ("task", "architecture"):
        if theirs.get(what) != ours[what]:
            raise UserError(
                f"the checkpoint '{path}' is of {what} {theirs.get(what)}, this run is of {ours[what]}; give the "
                f"checkpoint's own {what}, or another checkpoint"
            )
    resumed(theirs, run.task.plan, str(path))
    return path


def evaluate(run: Run) -> dict[str, float]:
    """The scores on the whole validation set; those of the last step where they are there already."""
    if run.task.latest_step != run.task.plan.steps or run.checkpoint is not None:
        started = time.perf_counter()
        with signals.handled(), run.siblings:
            try:
                run.trainer.validate(run.task, run.data, verbose=False)
            except SystemExit:
                raise signals.interruption() from None
        run.seconds_evaluation = time.perf_counter() - started
    run.siblings.wait()
    return dict(run.task.latest)


def costs(task: Task, data: DataModule, architecture: Architecture | str) -> dict[str, Any]:
    """Parameters of this network and its multiply-adds: in the project's unit, the paper's, and at the evaluation's size."""
    params = sum(p.numel() for p in task.network.parameters())
    size = data.eval_size or data.size
    out: dict[str, Any] = {"params": params, "size": list(size)}
    if isinstance(architecture, Architecture):
        out["macs"] = int(cost.count(architecture).macs)
        out["flops_g"] = float(cost.paper_units(architecture)[0])
    out["macs_at_size"] = task.macs(architecture, data)
    return out


def summarise(run: Run, metrics: Mapping[str, float]) -> dict[str, Any]:
    """The content of ``result.json`` (docs/result.md)."""
    last = run.checkpoint or run.folder / CHECKPOINTS / LAST
    text = str(run.architecture)
    images = len(run.data.val_set)  # type: ignore[arg-type]
    code = list(run.architecture.code) if isinstance(run.architecture, Architecture) else None
    return {
        "task": run.task.name,
        "main_metric": run.task.main_metric,
        "metrics": dict(metrics),
        "images_per_second": run.throughput.images_per_second,
        "eval_images_per_second": images / run.seconds_evaluation if run.seconds_evaluation else None,
        "data_wait_share": run.throughput.wait_share,
        "peak_memory_mb": peak_memory_mb(),
        "architecture": {"text": text, "code": code},
        "cost": costs(run.task, run.data, run.architecture),
        "data": {"name": type(run.data).__name__, "builtin": run.data.builtin, "classes": len(run.data.classes)},
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
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text:
        policy = run.task.plan.policy
        size = policy.per_device
        other = "grad_checkpointing" in run.task.model_options(run.architecture)
        return UserError(
            f"a batch of {size} per device does not fit into memory; set recipe.per_device={max(1, size // 2)} (the total "
            f"batch of {policy.total} is kept by accumulation)" + (" or model.grad_checkpointing=true" if other else "")
        )
    return None
