"""Evaluate a checkpoint: ``ncp evaluate ckpt_path=...``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncp import runs
from ncp.jobs.train import Outcome, show

__all__ = ["Options", "Outcome", "run", "show"]


@dataclass
class Options:
    """``conf/evaluate.yaml``, where each is explained."""

    ckpt_path: str
    data: dict[str, Any] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=lambda: {"kind": "csv"})


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Evaluate a training's checkpoint on its validation set.

    Args:
        options: which checkpoint, and what differs from its training's data and task.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: when the file is no checkpoint, or the data has other classes than the training's.
    """
    from ncp.report import training as report
    from ncp.tasks import run as tasks

    folder = runs.made(folder, "evaluate")
    restored = tasks.restore(options, folder)
    metrics = tasks.evaluate(restored)
    outcome = Outcome(metrics, folder)
    if restored.trainer.is_global_zero:
        outcome.result = tasks.summarise(restored, metrics)
        runs.write_result(folder, outcome.result)
        outcome.files = report.write_per_class(outcome.result, folder) + report.draw(restored)
    return outcome
