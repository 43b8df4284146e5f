"""The learning curve of a fit as a picture and a table: what more trainings would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncp import terminal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ncp.predictors.curve import Curve, Point


def curve_figure(curve: Curve, setting: str) -> Figure:
    """Error and expected loss of the search against the number of trainings, in two panels."""
    from ncp.report import style

    width, height = 7.6, 3.5
    fig = style.figure(width, height, f"{setting}: what more trainings would bring", curve.sentence)
    grid = fig.add_gridspec(1, 2, left=0.075, right=0.98, top=1 - 0.95 / height, bottom=0.5 / height, wspace=0.2)
    error, loss = fig.add_subplot(grid[0]), fig.add_subplot(grid[1])
    style.dress(error, f"mean absolute error of {curve.metric}", "points", "trainings")
    measured = [p for p in curve.points if p.measured]
    _line(error, measured, [p.error for p in measured], style.BLUE, "measured", filled=True)
    ahead = [p for p in curve.points if p.rows >= curve.now]  # a line from what there is to what would come
    _line(error, ahead, [p.error for p in ahead], style.BLUE, "expected", filled=False)
    style.dress(loss, "expected loss of the search", "points", "trainings")
    there = [p for p in curve.points if p.rows <= curve.now]
    _line(loss, there, [p.loss for p in there], style.ORANGE, "with parts of the rows", filled=True)
    _line(loss, ahead, [p.loss for p in ahead], style.ORANGE, "with more rows", filled=False)
    for ax in (error, loss):
        ax.set_ylim(0, 1.08 * ax.get_ylim()[1])
        ax.set_xlim(left=0)
        ax.axvline(curve.now, color=style.FAINT, linewidth=1.2, zorder=0)
        ax.legend(frameon=False, fontsize=8, labelcolor=style.GREY, loc="lower left")
    return fig


def _line(ax: Axes, points: list[Point], values: list[float], colour: str, label: str, filled: bool) -> None:
    """A line; one that is not filled begins at a point that another line has marked already."""
    ax.plot(
        [p.rows for p in points],
        values,
        color=colour,
        linewidth=1.6,
        linestyle="-" if filled else "--",
        marker="o",
        markersize=5,
        markevery=(0 if filled else 1, 1),
        markerfacecolor=colour if filled else "white",
        label=label,
    )


def curve_table(curve: Curve) -> Any:
    """A rich table of the points."""
    table = terminal.table(f"Learning curve of {curve.metric}, percent points")
    for name in ("trainings", "mean absolute error", "", "expected loss of the search"):
        table.add_column(name, justify="left" if not name else "right", header_style="dim")
    for p in curve.points:
        how = "measured" if p.measured else "expected"
        table.add_row(
            f"{p.rows:,}", f"{p.error:.2f}", how, f"{p.loss:.2f}", style="bold" if p.rows == curve.now else None
        )
    return table
