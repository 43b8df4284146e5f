"""What is told beside the steps: the history of all figures, throughput, the progress bar."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers.logger import Logger

from ncp import delimited, files, terminal
from ncp.benchmark.settings import figure_text
from ncp.tasks.base import Task
from ncp.tasks.position import Position

log = logging.getLogger(__name__)
HISTORY = 2**28
"""Bytes that a ``metrics.csv`` may have."""


class History(Logger):
    """All figures as rows ``step,metric,value`` of ``metrics.csv``; the curves are drawn from it.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.newest: dict[str, float] = {}

    @property
    def name(self) -> str:
        """As Lightning wants it."""
        return "history"

    @property
    def version(self) -> str:
        """As Lightning wants it."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run folder holds the configuration."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append rows; they are on disk when this returns."""
        self.newest.update(metrics)
        with open(self.path, "a", newline="") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(("step", "metric", "value"))
            writer.writerows((step, key, repr(float(value))) for key, value in metrics.items())

    def truncate(self, step: int) -> None:
        """Drop what lies behind ``step`` (a resumed run writes it again) and a row that was cut off."""
        if self.path.is_file():
            text = io.StringIO(newline="")
            writer = csv.writer(text)
            writer.writerow(("step", "metric", "value"))
            for at, key, value in read_history(self.path):
                if at <= step:
                    writer.writerow((at, key, repr(value)))
                    self.newest[key] = value
            files.write_text(self.path, text.getvalue())


def read_history(path: Path) -> list[tuple[int, str, float]]:
    """The complete rows of a ``metrics.csv``."""
    out = []
    for line in files.read_text(path, HISTORY).splitlines():
        with contextlib.suppress(ValueError, csv.Error):  # cut off within a number or a quote
            row = delimited.fields(line)
            if len(row) == 3 and row[0].isdecimal():
                out.append((int(row[0]), row[1], float(row[2])))
    return out


class Throughput(Callback):
    """Training images per second, without the first steps, evaluations and checkpoints; the share of waiting for data."""

    def __init__(self, skip: int = 2) -> None:
        self.skip = skip
        self.images, self.seconds, self.waiting = 0, 0.0, 0.0
        self._seen = 0
        self._end: float | None = None
        self._start = 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """The batch is here."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A step is done."""
        now = time.perf_counter()
        self._seen += 1
        if self._end is not None and self._seen > self.skip:
            self.seconds += now - self._end
            self.waiting += self._start - self._end
            self.images += pl_module.plan.policy.per_device * trainer.world_size
        self._end = now

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """What comes is not training."""
        self._end = None

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Neither is writing."""
        self._end = None

    @property
    def images_per_second(self) -> float | None:
        """None where the training was too short to tell."""
        return self.images / self.seconds if self.seconds > 0 else None

    @property
    def wait_share(self) -> float | None:
        """Share of the time in which the step waited for data."""
        return self.waiting / self.seconds if self.seconds > 0 else None


class StepsBar(Callback):
    """A rich progress bar in a terminal, a line at every record elsewhere.

    Args:
        history: whose newest figures are shown.
        throughput: whose rate is shown.
    """

    def __init__(self, history: History, throughput: Throughput) -> None:
        self.history, self.throughput = history, throughput
        self._bar: terminal.Progress | None = None
        self._shown = 0
        self._loss: float | None = None  # of the newest step that was shown
        self._began = (0, 0.0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Open the bar where somebody looks at it."""
        self._shown, self._began = trainer.global_step, (trainer.global_step, time.monotonic())
        if trainer.is_global_zero and sys.stderr.isatty():
            self._bar = terminal.Progress("Training", pl_module.plan.steps, trainer.global_step, transient=False)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Show the step and the newest figures."""
        plan = pl_module.plan
        place = Position.reached(trainer, plan)
        step = place.step
        if self._bar is not None:
            self._bar.tell(step, self._figures(pl_module))
        elif trainer.is_global_zero and place.passes == 0 and step != self._shown:
            every = min(plan.log_every, max(1, plan.steps // 4))  # a short training says something too
            if step % every == 0 or step == plan.steps:
                self._shown = step
                self._loss = float(outputs["loss"]) * plan.policy.accumulate if outputs else None
                left = self._left(step, plan.steps)
                log.info("step %d of %d: %s%s", step, plan.steps, self._figures(pl_module), left)

    def _left(self, step: int, steps: int) -> str:
        """When the end is expected, where that is more than a minute away."""
        first, began = self._began
        seconds = (time.monotonic() - began) / max(1, step - first) * (steps - step)
        return f", end expected at {terminal.clock(seconds)}" if seconds > 60 else ""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Say how the evaluation went."""
        if trainer.state.fn == "fit" and trainer.is_global_zero and self._bar is None and not trainer.sanity_checking:
            figures = ", ".join(
                f"{pl_module.in_words(key)} {figure_text(key, value)}"
                for key, value in list(pl_module.latest.items())[:6]
            )
            log.info("evaluation at step %d: %s", trainer.global_step, figures)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Close the bar."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _figures(self, task: Task) -> str:
        newest: Mapping[str, float] = self.history.newest
        parts = []
        loss = newest.get("train/loss") if self._loss is None else self._loss
        if loss is not None:
            parts.append(f"loss {loss:.3f}, rate {task.rate_at(max(0, task.step - 1)):.4f}")
        if task.main_metric in task.latest:
            parts.append(
                f"{task.in_words(task.main_metric)} {figure_text(task.main_metric, task.latest[task.main_metric])}"
            )
        if self.throughput.images_per_second:
            parts.append(f"{self.throughput.images_per_second:.3g} images/s")
        return ", ".join(parts)
