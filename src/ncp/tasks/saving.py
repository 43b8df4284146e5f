"""When a training writes checkpoints, and which of them stay."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from ncp import scratch, signals
from ncp.errors import UserError
from ncp.tasks.base import Task
from ncp.tasks.position import Plan, Position

log = logging.getLogger(__name__)
KEEP = ("paper", "last", "none")
CHECKPOINTS, LAST = "checkpoints", "last.ckpt"
# seconds without a checkpoint: a kill loses minutes at any speed
LONGEST = 600.0
# seconds, about, after which several processes ask each other whether a signal came
BETWEEN = 5.0


class Checkpoints(Callback):
    """Full checkpoints (weights, optimiser, position), each written beside its place and then renamed.

    ``last.ckpt`` every ``save_every`` steps, after ten minutes without one, when SIGUSR1 asks for it, and at the end;
    with ``keep=paper`` also ``step-<n>.ckpt`` at the recipe's steps.
    Where an evaluation falls on the same step it comes first, so that a resumed run need not repeat it.

    Args:
        folder: of the checkpoints.
        keep: ``paper``, ``last`` (the newest only) or ``none`` (nothing is written, a killed run starts anew).
        requeue: after the checkpoint that SIGUSR1 asked for SLURM is told to run the job again.
    """

    def __init__(self, folder: Path, keep: str = "paper", requeue: bool = False) -> None:
        if keep not in KEEP:
            raise UserError(f"keep must be one of {', '.join(KEEP)}, given was '{keep}'")
        self.folder, self.keep, self.requeue = folder, keep, requeue
        self._saved, self._at = -1, time.monotonic()
        # when the processes asked each other last (step, time), and from which step on they do again
        self._asked, self._ask_at = (0, self._at), 0

    def kept_at(self, plan: Plan, step: int) -> str | None:
        """Where the checkpoint of a step is kept, relative to the run folder; None for one that is not."""
        kept = self.keep == "paper" and plan.due(step).keep
        return f"{self.folder.name}/step-{step:06d}.ckpt" if kept else None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The time without a checkpoint begins."""
        self._at = time.monotonic()
        self._asked, self._ask_at = (trainer.global_step, self._at), 0
        pl_module.kept_at = functools.partial(self.kept_at, pl_module.plan)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After every step, unless an evaluation follows."""
        place = Position.reached(trainer, pl_module.plan)
        if place.passes == 0 and not (trainer.enable_validation and pl_module.plan.due(place.step).evaluate):
            self._save_if_due(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """After an evaluation within the training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save_if_due(trainer, pl_module)

    def _save_if_due(self, trainer: pl.Trainer, task: Task) -> None:
        step = trainer.global_step
        if self.keep == "none" or task.quick or step == self._saved:
            return
        kept = self.kept_at(task.plan, step)
        asked, overdue = self._wanted(trainer)
        if not (kept or task.plan.due(step).save or asked or overdue):
            return
        task.check_finite()
        task.check_weights()
        task.average_buffers()
        self._saved, self._at = step, time.monotonic()
        last = self.folder / LAST
        own = self.folder.parent / kept if kept else last
        trainer.save_checkpoint(own)
        if trainer.is_global_zero and own != last:
            _link(own, last)
        task.last_good = str(last)
        if asked:
            signals.checkpoint_written()
            if trainer.is_global_zero:
                log.info("a signal asked for a checkpoint: %s is of step %d", last, step)
                if self.requeue:
                    _requeue()

    def _wanted(self, trainer: pl.Trainer) -> tuple[bool, bool]:
        """Whether a signal, and whether the clock, wants a checkpoint. Of several processes any one may have got the signal:
        they ask each other every few seconds, at steps on which they agreed the time before."""
        asked, overdue = signals.checkpoint_wanted(), time.monotonic() - self._at > LONGEST
        if trainer.world_size == 1:
            return asked, overdue
        step, now = trainer.global_step, time.monotonic()
        if step < self._ask_at:
            return False, False
        seconds = (now - self._asked[1]) / max(1, step - self._asked[0])
        steps = max(1, min(1000, int(BETWEEN / max(seconds, 1e-3))))
        told = torch.tensor([asked, overdue, steps], dtype=torch.int64, device=trainer.strategy.root_device)
        any_asked, any_overdue, agreed = trainer.strategy.reduce(told, reduce_op="max").tolist()  # type: ignore[union-attr]
        self._asked, self._ask_at = (step, now), step + agreed
        return bool(any_asked), bool(any_overdue)


def _requeue() -> None:
    """Ask SLURM to run this job again, which goes on from the checkpoint."""
    job, array = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_ARRAY_JOB_ID")
    if array:
        job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}"
    if job:
        try:
            subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, timeout=60)
            log.info("SLURM runs job %s again", job)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("SLURM was not told to run job %s again: %s", job, error)


def _link(source: Path, target: Path) -> None:
    """A second name for a file that will not be changed any more; a copy where the file system has no such names."""
    with scratch.folder_beside(target) as place:  # a link is made where nothing is
        made = place / "new"
        try:
            os.link(source, made)
        except OSError:
            import shutil

            shutil.copyfile(source, made)
        os.replace(made, target)
