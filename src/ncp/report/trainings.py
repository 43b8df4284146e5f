"""After a multirun of trainings (or evaluations): one table of all jobs, those that failed too."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ncp import files, runs, terminal
from ncp.benchmark import settings
from ncp.commandline import command_line
from ncp.errors import UserError
from ncp.metrics.kitti_names import labelled
from ncp.numeric import several
from ncp.report.sweep import distinct
from ncp.results import Training

TABLE_FILE = "trainings.csv"


@dataclass(frozen=True)
class TrainingJob:
    """One job of a multirun.

    Attributes:
        number: of the job, the name of its folder.
        label: the overrides in which the jobs differ.
        state: one of :data:`ncp.runs.STATES`, or ``unknown``.
        training: what its result says, where there is one.
        images_per_second: of the training.
        reason: why it failed, or why its result cannot be read.
    """

    number: str
    label: str
    state: str
    training: Training | None = None
    images_per_second: float | None = None
    reason: str = ""


class TrainingsTable(Callback):
    """Hydra calls this around a multirun; the jobs themselves may have run on other machines."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write ``trainings.csv`` into the multirun's folder and print the table."""
        try:
            summarise(Path(config.hydra.sweep.dir))
        except OSError as error:
            warnings.warn(f"the summary of the multirun could not be written: {error}", stacklevel=2)


def summarise(folder: Path) -> list[TrainingJob]:
    """Collect the jobs under a multirun's folder, write and print their table."""
    jobs = collect(folder)
    if jobs:
        path = files.write_text(folder / TABLE_FILE, as_csv(jobs))
        show(jobs, path)
    return jobs


def collect(folder: Path) -> list[TrainingJob]:
    """All jobs that began, by number; a damaged file makes a job's line shorter, nothing else."""
    places = runs.jobs(folder)
    labels = distinct([runs.state(place).get("overrides", []) for place in places])
    return [_job(place, label) for place, label in zip(places, labels, strict=True)]


def _job(place: Path, label: str) -> TrainingJob:
    about = runs.state(place)
    if about.get("state") == "continued" and "continued_in" in about:
        place_of_result = Path(about["continued_in"])  # an earlier run's folder, in which it went on
        about = runs.state(place_of_result)
    else:
        place_of_result = place
    state = about.get("state") if about.get("state") in runs.STATES else "unknown"
    training, speed, reason = None, None, str(about.get("error") or "")
    path = place_of_result / runs.RESULT_FILE
    if path.exists():
        where = f"'{files.printable(path)}'"
        try:
            content = files.read_json(path, dict[str, Any])
            training = files.checked(content, Training, where)
            speed = files.checked(content.get("images_per_second"), float | None, where)
        except UserError as error:
            reason = str(error)
    return TrainingJob(place.name, label or place.name, str(state), training, speed, reason)


def as_csv(jobs: Sequence[TrainingJob]) -> str:
    """One row a job: its overrides, state, all metrics, costs, images a second, the architecture."""
    trained = [job.training for job in jobs if job.training]
    names = list(dict.fromkeys(name for training in trained for name in training.metrics))
    rows: list[list[Any]] = [
        ["job", "overrides", "state", *names, "macs", "macs_at_size", "params", "images_per_second", "text", "reason"]
    ]
    for job in jobs:
        t = job.training
        metrics = [None if t is None else t.metrics.get(name) for name in names]
        cost = [None] * 3 if t is None else [t.cost.macs, t.cost.macs_at_size, t.cost.params]
        text = None if t is None else t.architecture.text
        rows.append([job.number, job.label, job.state, *metrics, *cost, job.images_per_second, text, job.reason])
    return terminal.csv_text(rows)


def show(jobs: Sequence[TrainingJob], path: Path) -> None:
    """Print the main metrics, cost, speed and state of each job, the best of each metric in bold."""
    mains = list(dict.fromkeys(main for job in jobs if (main := _main(job))))
    title = several(len(jobs), "training")
    table = terminal.table(title, "bold: the best of a metric" if len(jobs) > 1 and mains else "")
    table.add_column("training", header_style="dim", no_wrap=True)
    units = {main: settings.unit(_objective(job)) for job in jobs if (main := _main(job))}
    for name in (
        *(f"{main}{units[main] and f', {units[main]}'}" for main in mains),
        "multiply-adds, G",
        "params, M",
        "images/s",
    ):
        table.add_column(name, justify="right", header_style="dim")
    table.add_column("state", header_style="dim", overflow="fold")
    signs = {main: settings.sign(_objective(job)) for job in jobs if (main := _main(job))}
    best = {
        main: max(
            (v for job in jobs if (v := _value(job, main)) is not None), default=None, key=lambda v: signs[main] * v
        )
        for main in mains
    }
    for job in jobs:
        values = [_value(job, main) for main in mains]
        cells = ["" if value is None else f"{value:.2f}" for value in values]
        cost = job.training.cost if job.training else None
        cells.append("" if cost is None or cost.macs is None else f"{cost.macs / 1e9:.3f}")
        cells.append("" if cost is None else f"{cost.params / 1e6:.3f}")
        cells.append("" if job.images_per_second is None else f"{job.images_per_second:.3g}")
        state = job.state if not job.reason else f"{job.state}: {terminal.shorten(job.reason, 100)}"
        first = any(value is not None and value == best[main] for value, main in zip(values, mains, strict=True))
        table.add_row(job.label, *cells, state, style="bold" if first and len(jobs) > 1 else None)
    out = terminal.console()
    out.print()
    out.print(table)
    terminal.say(terminal.relative(path), style="dim")
    terminal.fields({"compare them:": command_line("report", runs=[terminal.relative(path.parent)])})


def _main(job: TrainingJob) -> str:
    """A training's setting and main metric, with its overlap; empty where there is none."""
    t = job.training
    return "" if t is None else f"{t.measures} {labelled(t.main_metric, t.min_overlap)}"


def _objective(job: TrainingJob) -> str:
    """``setting.metric`` of a training's main metric."""
    assert job.training is not None
    return f"{job.training.measures}.{job.training.main_metric}"


def _value(job: TrainingJob, main: str) -> float | None:
    return job.training.metrics.get(job.training.main_metric) if job.training and _main(job) == main else None
