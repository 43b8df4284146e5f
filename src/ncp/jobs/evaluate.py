"""Evaluate a checkpoint: ``ncp evaluate ckpt_path=...``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncp import runs
from ncp.jobs.train import Outcome, conclude, show

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
    from ncp.tasks import run as tasks

    return conclude(tasks.restore(options, runs.made(folder, "evaluate")))
