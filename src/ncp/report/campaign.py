"""What a build shows: how far it is, and what its table holds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncp import terminal
from ncp.commandline import command_line
from ncp.terminal import console, relative

if TYPE_CHECKING:
    from ncp.campaign.merge import Merged
    from ncp.campaign.plan import Plan
    from ncp.campaign.status import Status

_WORDS = {
    "done": "trained",
    "stopped": "stopped early",
    "failed": "failed for good",
    "running": "running now",
    "silent": "silent, will be taken over",
    "left": "left",
}

_FIGURES = {"5a": "rank correlation between epochs", "5b": "ranks by metric", "5c": "ranks by class and view"}


def show_status(plan: Plan, status: Status, folder: Path) -> None:
    """A table and a bar."""
    from rich.progress_bar import ProgressBar

    table = terminal.table(f"Build {plan.setting}-{plan.hash}: {status.total:,} architectures", boxed=True)
    table.add_column("")
    table.add_column("models", justify="right")
    table.add_column("share", justify="right")
    for state, words in _WORDS.items():
        count = status.counts[state]
        if count or state in ("done", "failed", "running", "left"):
            table.add_row(words, f"{count:,}", f"{count / status.total:.1%}")
    out = console()
    out.print(table)
    out.print(ProgressBar(total=1.0, completed=status.share, width=min(60, out.width - 30)), end=" ")
    out.print(f"{status.share:.1%} of the cost")
    speed = "not known yet" if status.per_hour is None else f"{status.per_hour:,.1f} models an hour"
    out.print(f"speed: {speed}; expected end: {_end(status)}; {status.hours:.2f} hours of training recorded")
    if status.reasons:
        out.print("attempts that failed: " + ", ".join(f"{kind} {count}" for kind, count in status.reasons.items()))
    out.print(f"folder: {relative(folder)}")


def _end(status: Status) -> str:
    if status.finished:
        return "reached"
    if status.seconds_left is None:
        return "not known yet"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + status.seconds_left))
    return f"{when} (in {status.seconds_left / 3600:.1f} h)"


def show_merged(merged: Merged, file: Path, best: int = 3) -> None:
    """The table in a few lines, and the command that goes on from it."""
    table, out = merged.table, console()
    values = table.column(table.main)
    out.print(f"table: {relative(file)}: {len(table):,} rows, {table.main} {values.min():.2f} to {values.max():.2f}")
    for record in table.best(k=best):
        out.print(
            f"  {table.main} {record.metrics[table.main]:6.2f}  {record.macs / 1e6:8.1f} M MACs  {record.architecture.text}"
        )
    for anomaly in merged.anomalies:
        out.print(f"suspect: {anomaly.rule}, {int(anomaly.rows.sum())} rows")
    if len(table) >= 20:
        out.print(f"next: {command_line('fit', setting=table.name, source=relative(file.parent))}")


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
            out.print(f"Figure {name} ({_FIGURES[name]}): {content}")
        else:
            rows = benchmark.correlation(getattr(content, "correlation", content))
            out.print(benchmark.as_rich(rows, f"Figure {name}: {_FIGURES[name]}"))


def result(plan: Plan, status: Mapping[str, Any], folder: Path, files: Sequence[Path]) -> dict[str, Any]:
    """The content of ``result.json``."""
    return {
        "setting": plan.setting,
        "plan": plan.hash,
        "build": str(folder),
        "status": dict(status),
        "table": [str(file) for file in files],
    }
