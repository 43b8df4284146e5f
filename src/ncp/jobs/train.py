"""Train an architecture: ``ncp train task=seg arch=random``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncp import runs
from ncp.tasks.options import TrainOptions as Options

if TYPE_CHECKING:
    from ncp.tasks.run import Run

__all__ = ["Options", "Outcome", "run", "show"]


@dataclass
class Outcome:
    """What a training or an evaluation ended with.

    Attributes:
        metrics: in percent points.
        folder: the run's.
        result: the content of ``result.json``; empty on ranks other than the first.
        files: pictures.
    """

    metrics: dict[str, float]
    folder: Path
    result: dict[str, Any] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Train one architecture on one task, evaluate it, and leave checkpoints, figures and pictures in the run folder.

    Args:
        options: what to train, on what, how.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for options that do not fit together, data that cannot be read, a loss that is not finite.
    """
    from ncp.tasks import run as tasks

    training = tasks.assemble(options, runs.made(folder, "train"))
    tasks.fit(training)
    return conclude(training, options.callbacks.pictures)


def conclude(training: Run, pictures: bool = True) -> Outcome:
    """Evaluate what was trained or restored, and leave the result and pictures in its folder."""
    from ncp.report import training as report
    from ncp.tasks import run as tasks

    outcome = Outcome(tasks.evaluate(training), training.folder)
    if training.trainer.is_global_zero:
        outcome.result = tasks.summarise(training, outcome.metrics)
        runs.write_result(training.folder, outcome.result)
        outcome.files = report.write_per_class(outcome.result, training.folder)
        outcome.files += report.draw(training) if pictures else []
    return outcome


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print the table of a finished training or evaluation; nothing on ranks other than the first."""
    from ncp.report import training as report

    if outcome.result:
        report.show(outcome.result, outcome.folder, outcome.files)
