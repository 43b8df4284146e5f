"""What a build shows: how far it is, and what its table holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncp import files, terminal
from ncp.commandline import command_line
from ncp.metrics.kitti_names import labelled
from ncp.numeric import several
from ncp.terminal import console, relative

if TYPE_CHECKING:
    from ncp.campaign.merge import Merged
    from ncp.campaign.plan import BuildPlan
    from ncp.campaign.status import RoundStatus, Status

_WORDS = {
    "done": "trained",
    "stopped": "stopped early",
    "failed": "failed for good",
    "damaged": "record damaged, will be trained again",
    "blocked": "left out: no folder in its place",
    "running": "running now",
    "silent": "silent, will be taken over",
    "left": "left",
    "unchosen": "to be chosen in later rounds",
}

FEW = 500  # rows of which the fifth that an honest test takes tells little
_SHOWN = 10  # lines about what blocks
_FIGURES = {"5a": "rank correlation between epochs", "5b": "ranks by metric", "5c": "ranks by class and view"}


def track(units: Iterable[int], total: int) -> Iterator[int]:
    """Go through ``units`` under a progress bar, where a person looks at a terminal."""
    with terminal.Progress("Reading the build", total) as bar:
        for done, unit in enumerate(units, start=1):
            yield unit
            bar.tell(done)


def show_status(plan: BuildPlan, status: Status, folder: Path, blockers: Sequence[str] = ()) -> None:
    """A table and a bar, and what stands in the way (see :func:`ncp.campaign.status.blockers`)."""
    from rich.progress_bar import ProgressBar

    table = terminal.table(f"Build {plan.setting}-{plan.hash}: {several(status.total, 'architecture')}", boxed=True)
    table.add_column("")
    table.add_column("models", justify="right")
    table.add_column("share", justify="right")
    for state, words in _WORDS.items():
        count = status.counts.get(state, 0)
        if count or state in ("done", "failed", "running", "left"):
            table.add_row(words, f"{count:,}", f"{count / status.total:.1%}")
    out = console()
    out.print(table)
    out.print(ProgressBar(total=1.0, completed=status.share, width=min(60, out.width - 30)), end=" ")
    out.print(f"{status.share:.1%} of the cost")
    speed = "not known yet" if status.per_hour is None else f"{status.per_hour:,.1f} models an hour"
    out.print(f"speed: {speed}; expected end: {_end(status)}; {status.hours:.2f} hours of training recorded")
    if status.reasons:
        reasons = ", ".join(f"{files.printable(kind)} {count}" for kind, count in status.reasons.items())
        out.print(f"attempts that failed: {reasons}", markup=False)
    for line in blockers[:_SHOWN]:
        out.print(files.printable(line), markup=False)
    if len(blockers) > _SHOWN:
        out.print(f"... and {len(blockers) - _SHOWN:,} more like these")
    if status.counts["running"] or status.counts["silent"]:
        out.print("to free what a dead worker holds: action=release (units=NUMBER also where it seems to live)")
    out.print(f"folder: {relative(folder)}", markup=False)


def show_rounds(rounds: Sequence[RoundStatus], plan: BuildPlan) -> None:
    """What each round of a build that grows came to."""
    from ncp.benchmark import settings

    total = len(plan.growth.sizes) if plan.growth is not None else len(rounds)
    table = terminal.table(f"{len(rounds)} of {several(total, 'round')} chosen", boxed=True)
    for name in ("round", "architectures", "trained", f"best {settings.get(plan.setting).main}"):
        table.add_column(name, justify="right")
    for one in rounds:
        best = "" if one.best is None else f"{one.best:.2f}"
        table.add_row(str(one.number), f"{one.units:,}", f"{one.done:,}", best)
    console().print(table)


def show_released(freed: Sequence[str]) -> None:
    """Which units were handed back."""
    some = ", ".join(freed[:_SHOWN]) + (", ..." if len(freed) > _SHOWN else "")
    console().print(
        f"freed: {some}" if freed else "nothing to free: no unit is held by a worker that is silent or gone"
    )


def _end(status: Status) -> str:
    if status.finished:
        return "reached"
    if status.seconds_left is None:
        return "not known yet"
    return f"{terminal.clock(status.seconds_left)} (in {terminal.duration(status.seconds_left)})"


def show_merged(merged: Merged, file: Path, best: int = 3) -> None:
    """The table in a few lines, and the command that goes on from it."""
    from ncp.predictors.few import LEAST

    table, out = merged.table, console()
    values = table.column(table.main)
    main = labelled(table.main, table.setting.min_overlap)
    found = f"{several(len(table), 'row')}, {main} {values.min():.2f} to {values.max():.2f}"
    out.print(f"table: {relative(file)}: {found}", markup=False)
    for record in table.best(k=best):
        out.print(
            f"  {main} {record.metrics[table.main]:6.2f}  {record.macs / 1e6:8.1f} M MACs  {record.architecture.text}"
        )
    for anomaly in merged.anomalies:
        out.print(f"suspect: {anomaly.rule}, {several(int(anomaly.rows.sum()), 'row')}", markup=False)
    if len(table) >= LEAST:
        # of few rows none is spared for a test
        how = {"protocol": "all-rows"} if len(table) < FEW else {}
        out.print(f"next: {command_line('fit', setting=table.name, source=relative(file.parent), **how)}", markup=False)


def write_figures(figures: Mapping[str, Any], setting: str, folder: Path) -> list[Path]:
    """Those of the paper's Figure 5 that there are, as pictures; their paths."""
    from ncp.benchmark.statistics import Correlation
    from ncp.report import benchmark, style

    files = []
    for name, content in figures.items():
        if isinstance(content, str):
            continue
        title = f"{setting}: {_FIGURES[name]}"
        one = isinstance(content, Correlation)
        picture = benchmark.correlation_figure(content, title) if one else benchmark.rankings_figure(content, title)
        files.append(style.save(picture, folder / f"figure{name}.png"))
    return files


def show_figures(figures: Mapping[str, Any]) -> None:
    """Each figure's rank correlations, or why there is none."""
    from ncp.report import benchmark

    out = console()
    for name, content in figures.items():
        if isinstance(content, str):
            out.print(f"Figure {name} ({_FIGURES[name]}): {content}", markup=False)
        else:
            rows = benchmark.correlation(getattr(content, "correlation", content))
            out.print(benchmark.as_rich(rows, f"Figure {name}: {_FIGURES[name]}"))


def result(
    plan: BuildPlan,
    status: Mapping[str, Any],
    folder: Path,
    files: Sequence[Path],
    rounds: Sequence[RoundStatus] = (),
) -> dict[str, Any]:
    """The content of ``result.json``."""
    grown = {"rounds": [asdict(one) for one in rounds]} if rounds else {}
    return grown | {
        "setting": plan.setting,
        "plan": plan.hash,
        "build": str(folder),
        "status": dict(status),
        "table": [str(file) for file in files],
    }
