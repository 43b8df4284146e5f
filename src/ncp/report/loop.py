"""The page at the end of the loop: what was sampled, how well the predictors know it, and how the found one compares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncp import terminal
from ncp.files import write_text

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ncp.campaign.loop import Loop

_MARKS = {"found": "D", "default": "s", "best sampled": "^"}


def write_page(loop: Loop, folder: Path) -> dict[str, Path]:
    """``loop.png`` and ``loop.md``."""
    from ncp.report import style

    files = {"picture": style.save(loop_figure(loop), folder / "loop.png"), "page": folder / "loop.md"}
    write_text(files["page"], page(loop))
    return files


def loop_figure(loop: Loop) -> Figure:
    """A panel a setting: metric over cost, sampled and compared."""
    from ncp.report import style

    fig = style.figure(4.6 * len(loop.names), 4.2, "The loop: sampled, predicted, found, trained", _subtitle(loop))
    for i, name in enumerate(loop.names):
        ax = fig.add_subplot(1, len(loop.names), i + 1)
        _panel(ax, loop, name)
    handles, labels = fig.axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, fontsize=8.5, frameon=False, loc="lower center", ncols=len(labels))
    fig.subplots_adjust(left=0.07, right=0.98, top=0.79, bottom=0.21, wspace=0.2)
    return fig


def _panel(ax: Axes, loop: Loop, name: str) -> None:
    from ncp.report import style

    table = loop.tables[name]
    style.dress(ax, f"{name}: {table.main}", "%", "million multiply-adds at 128 x 128")
    ax.scatter(table.macs / 1e6, table.column(table.main), s=14, color=style.GREY, alpha=0.6, label="sampled")
    colours = {"found": style.VERMILION, "default": style.BLUE, "best sampled": style.GREEN}
    for candidate, scores in loop.scores.items():
        values, macs = scores[name], loop.macs[candidate] / 1e6
        ax.scatter([macs] * len(values), values, s=22, marker=_MARKS[candidate], color=colours[candidate], alpha=0.5)
        mean, std = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
        ax.errorbar(macs, mean, std, fmt=_MARKS[candidate], color=colours[candidate], ms=8, capsize=3, label=candidate)
    ax.scatter(
        loop.macs["found"] / 1e6, loop.predicted[name], s=70, marker="o", facecolors="none", edgecolors=style.VERMILION,
        label="found, predicted",
    )  # fmt: skip
    ax.axvline(loop.limit / 1e6, color=style.GREY, lw=1, ls=":", zorder=0)
    top = ax.get_ylim()[1]
    ax.text(loop.limit / 1e6, top, " limit", size=8, color=style.GREY, va="top")


def _subtitle(loop: Loop) -> str:
    sampled = max(len(table) for table in loop.tables.values())
    repeats = len(next(iter(loop.scores["found"].values())))
    again = "once" if repeats == 1 else f"{repeats} times (mean and deviation)"
    return f"{sampled} architectures trained in each setting, the compared ones {again}; {_time(loop)}"


def _time(loop: Loop) -> str:
    total, processor = (sum(of.values()) / 60 for of in (loop.seconds, loop.cpu_seconds))
    return f"{total:.1f} minutes, {processor:.1f} of processor time"


def verdict(loop: Loop, name: str) -> str:
    """In words how the found architecture does against the others, by the noise of its own repetitions."""
    found = loop.scores["found"][name]
    words = []
    for other in ("default", "best sampled"):
        values = loop.scores[other][name]
        gap = found.mean() - values.mean()
        if len(found) < 2:
            words.append(f"{gap:+.2f} against the {other} (one training each, the noise is not known)")
            continue
        noise = ((found.var(ddof=1) + values.var(ddof=1)) / len(found)) ** 0.5
        sure = "won" if gap > 2 * noise else "lost" if gap < -2 * noise else "too close to call"
        words.append(f"{gap:+.2f} against the {other} (standard error {noise:.2f}: {sure})")
    return f"{name}: " + ", ".join(words)


def page(loop: Loop) -> str:
    """Markdown: what came of it, then every step with its picture, command and time."""
    lines = ["# The loop, closed", "", _subtitle(loop), "", "![](loop.png)", "", *_comparison(loop), ""]
    lines += ["All within the multiply-adds of the default code; trained with seeds that the sample did not have.", ""]
    lines += [f"- {terminal.markdown(verdict(loop, name))}" for name in loop.names]
    lines += ["", "## 1. Sample and train", "", *_sampled(loop), "", *_commands(loop, "build")]
    lines += ["## 2. Fit the predictors", "", *_fitted(loop), "", *_commands(loop, "fit")]
    lines += ["## 3. Search one architecture for all", "", f"Found: `{loop.candidates['found'].text}`", ""]
    lines += _commands(loop, "search")
    lines += ["## 4. Train it, and those to compare it with", "", *_commands(loop, "compare")]
    lines += ["## Time", "", "| step | seconds | processor seconds |", "| --- | --: | --: |"]
    lines += [f"| {step} | {loop.seconds[step]:.0f} | {loop.cpu_seconds[step]:.0f} |" for step in loop.commands]
    return "\n".join(lines) + "\n"


def _comparison(loop: Loop) -> list[str]:
    mains = [terminal.markdown(f"{name}: {loop.tables[name].main}") for name in loop.names]
    lines = ["| architecture | M MACs | " + " | ".join(mains) + " |", "| --- | --: |" + " --: |" * len(mains)]
    for candidate, scores in loop.scores.items():
        cells = [_cell(scores[name]) for name in loop.names]
        name = terminal.markdown(candidate)
        lines.append(f"| {name} | {loop.macs[candidate] / 1e6:.1f} | " + " | ".join(cells) + " |")
    cells = [f"{loop.predicted[name]:.2f}" for name in loop.names]
    return [*lines, f"| found, as predicted | {loop.macs['found'] / 1e6:.1f} | " + " | ".join(cells) + " |"]


def _sampled(loop: Loop) -> list[str]:
    out = []
    for name, table in loop.tables.items():
        values = table.column(table.main)
        out.append(
            f"- {terminal.markdown(name)}: {len(table)} architectures, {table.main} {values.min():.2f} to {values.max():.2f}"
        )
    return out


def _fitted(loop: Loop) -> list[str]:
    return [
        f"- {terminal.markdown(name)}, on rows it did not see: mean absolute error {loop.errors[name]['mae']:.2f}, "
        f"Kendall's tau {loop.errors[name].get('kendall', float('nan')):.2f}"
        for name in loop.names
    ]


def _commands(loop: Loop, kind: str) -> list[str]:
    """Pictures and commands of the steps of a kind."""
    steps = [step for step in loop.commands if step.split()[0] == kind]
    pictures = [f"![{step}]({loop.pictures[step]})" for step in steps if step in loop.pictures]
    return [
        *(line for picture in pictures for line in (picture, "")),
        "```bash",
        *(loop.commands[s] for s in steps),
        "```",
        "",
    ]


def _cell(values: np.ndarray) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


def show(loop: Loop, files: dict[str, Path]) -> None:
    """The comparison as a table, and where the page is."""
    table = terminal.table("Trained anew, within the cost of the default code", boxed=True)
    table.add_column("architecture")
    table.add_column("M MACs", justify="right")
    for name in loop.names:
        table.add_column(f"{name} {loop.tables[name].main}", justify="right")
    for candidate, scores in loop.scores.items():
        table.add_row(candidate, f"{loop.macs[candidate] / 1e6:.1f}", *(_cell(scores[name]) for name in loop.names))
    terminal.console().print(table)
    for name in loop.names:
        terminal.say(verdict(loop, name))
    page, picture = (terminal.relative(files[name]) for name in ("page", "picture"))
    terminal.say(f"{_time(loop)}; page: {page}; picture: {picture}")
