"""What a search did, step by step: pictures like the paper's Figure 3 (one search) and Figure 9 (several).

Both are drawn from the table of a trajectory (``Trajectory.to_table()``, or ``trajectory.csv`` read back), so that a figure
can be made again from a run folder alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ncp import spaces
from ncp.report import style

Table = Mapping[str, np.ndarray]
COLUMNS = 4
_WIDTH, _ROW_HEIGHT, _HEAD, _FOOT = 12.0, 2.0, 0.85, 0.7  # inches


def figure(
    table: Table, space: spaces.Space[Any], metrics: Sequence[str], chosen: int, title: str, subtitle: str = ""
) -> Figure:
    """One search: predicted metrics, cost, and the dimensions of the code in the space's groups, over the iterations.

    Args:
        table: columns ``step``, ``macs``, ``params``, ``continuous.<metric>``, ``continuous.std.<metric>``,
            ``rounded.<metric>``, ``code.<dimension>`` and ``rounded.<dimension>``, one row a step.
        space: whose groups and labels the panels show.
        metrics: the objectives' names, ``setting.metric``.
        chosen: the row of the architecture that the search returned.
        title: what was searched for.
        subtitle: a second line in small type.
    """
    rows = 1 + -(-len(space.groups) // COLUMNS)
    height = rows * _ROW_HEIGHT + _HEAD + _FOOT
    fig = style.figure(_WIDTH, height, title, subtitle)
    grid = fig.add_gridspec(
        rows, COLUMNS, left=0.05, right=0.95, wspace=0.42, hspace=0.42, top=1 - _HEAD / height, bottom=_FOOT / height
    )
    x = np.asarray(table["step"], dtype=float)
    top = [fig.add_subplot(grid[0, :2])] if len(metrics) != 2 else [fig.add_subplot(grid[0, i]) for i in (0, 1)]
    _metric_panels(top, table, x, metrics, chosen)
    for column, (key, name, unit, scale) in enumerate(
        (("macs", "Multiply-adds", "billions", 1e9), ("params", "Parameters", "millions", 1e6)), start=2
    ):
        ax = fig.add_subplot(grid[0, column])
        _cost_panel(ax, x, np.asarray(table[key], dtype=float) / scale, chosen, name, unit)
        top.append(ax)
    bottom = [fig.add_subplot(grid[1 + i // COLUMNS, i % COLUMNS]) for i in range(len(space.groups))]
    for ax, (name, indices) in zip(bottom, space.groups.items(), strict=True):
        _code_panel(ax, table, x, space, name, indices, chosen)
    later = _later_phase(table)
    for ax in (*top, *bottom):
        if later is not None:
            ax.axvspan(later[0] - 0.5, x[-1] + 0.5, color=style.FAINT, alpha=0.6, linewidth=0, zorder=0)
    for ax in bottom[-COLUMNS:]:
        ax.set_xlabel("iteration", size=8.5, color=style.GREY, labelpad=2)
    legend = (
        "lines: the continuous code    dots: the architecture returned    band: ± 1 standard deviation of the predictor"
    )
    legend += f"    grey: {later[1]}" if later else ""
    fig.text(0.988, 0.014, legend, size=8.5, color=style.GREY, ha="right")
    return fig


class Search(NamedTuple):
    """One search for :func:`transfer`: its name, its table (see :func:`figure`), its metrics and the row it returned."""

    name: str
    table: Table
    metrics: Sequence[str]
    chosen: int


def transfer(searches: Sequence[Search], space: spaces.Space[Any], title: str, subtitle: str = "") -> Figure:
    """Several searches side by side, one column each: metric, cost and the groups of dimensions (Figure 9)."""
    groups = space.groups
    columns = len(searches)
    width, height = max(6.5, 3.3 * columns), 1.5 * (len(groups) + 2) + _HEAD + _FOOT
    fig = style.figure(width, height, title, subtitle)
    grid = fig.add_gridspec(
        len(groups) + 2, columns, left=0.4 / width, right=1 - 0.75 / width, wspace=0.38, hspace=0.45,
        top=1 - 1.15 / height, bottom=_FOOT / height,
    )  # fmt: skip
    for column, (name, table, metrics, chosen) in enumerate(searches):
        x = np.asarray(table["step"], dtype=float)
        ax = fig.add_subplot(grid[0, column])
        _metric_panels([ax], table, x, metrics, chosen)
        ax.text(0, 1.25, name, transform=ax.transAxes, size=11, weight="bold", color=style.INK)
        macs = np.asarray(table["macs"], dtype=float) / 1e9
        _cost_panel(fig.add_subplot(grid[1, column]), x, macs, chosen, "Multiply-adds", "billions")
        for row, (group, indices) in enumerate(groups.items(), start=2):
            ax = fig.add_subplot(grid[row, column])
            _code_panel(ax, table, x, space, group, indices, chosen)
        ax.set_xlabel("iteration", size=8.5, color=style.GREY, labelpad=2)
    return fig


def _metric_panels(axes: Sequence[Axes], table: Table, x: np.ndarray, metrics: Sequence[str], chosen: int) -> None:
    """A panel for each of one or two metrics; more share one, as changes from the start."""
    if len(axes) == len(metrics):
        for ax, name, colour in zip(axes, metrics, style.CYCLE, strict=False):
            y, std = _metric(table, name)
            style.dress(ax, f"Predicted {name.replace('.', ' ')}", "%")
            ax.fill_between(x, y - std, y + std, color=colour, alpha=0.16, linewidth=0)
            ax.plot(x, y, color=colour, linewidth=1.8)
            found = _found(table, name, chosen)
            ax.plot(x[chosen], found, "o", color=colour, markersize=5)
            ax.margins(x=0.01, y=0.1)
            style.label_ends(ax, [(found, f"{found:.1f}", colour)], x[-1])
        return
    (ax,) = axes
    style.dress(ax, "Predicted metrics, change from the start", "% points")
    ends = []
    for name, colour in zip(metrics, style.CYCLE * 4, strict=False):
        y, _ = _metric(table, name)
        ax.plot(x, y - y[0], color=colour, linewidth=1.8)
        found = _found(table, name, chosen)
        ax.plot(x[chosen], found - y[0], "o", color=colour, markersize=5)
        ends.append((found - y[0], f"{name} {found:.1f}", colour))
    ax.margins(x=0.01, y=0.1)
    style.label_ends(ax, ends, x[-1])


def _metric(table: Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    y = np.asarray(table[f"continuous.{name}"], dtype=float)
    return y, np.asarray(table.get(f"continuous.std.{name}", np.zeros_like(y)), dtype=float)


def _found(table: Table, name: str, chosen: int) -> float:
    """The prediction for the architecture that was returned, which is a rounded code."""
    return float(table[f"rounded.{name}"][chosen])


def _cost_panel(ax: Axes, x: np.ndarray, y: np.ndarray, chosen: int, name: str, unit: str) -> None:
    style.dress(ax, name, unit)
    ax.plot(x, y, color=style.COST, linewidth=1.8, drawstyle="steps-post")
    ax.plot(x[chosen], y[chosen], "o", color=style.COST, markersize=5)
    ax.margins(x=0.01)
    ax.set_ylim(0, max(y.max() * 1.12, 1e-9))
    style.label_ends(ax, [(y[chosen], f"{y[chosen]:.2f}", style.COST)], x[-1])


def _code_panel(
    ax: Axes, table: Table, x: np.ndarray, space: spaces.Space[Any], name: str, indices: Sequence[int], chosen: int
) -> None:
    """The dimensions of one group: continuous values as lines, the rounded one that was returned as a dot and a number."""
    style.dress(ax, name)
    ends = []
    for i, colour in zip(indices, style.CYCLE * 4, strict=False):
        label = space.labels[i]
        rounded = float(table[f"rounded.{label}"][chosen])
        ax.plot(x, np.asarray(table[f"code.{label}"], dtype=float), color=colour, linewidth=1.5)
        ax.plot(x[chosen], rounded, "o", color=colour, markersize=4)
        ends.append((rounded, f"{label} {rounded:g}", colour))
    low, high = min(space.lower[list(indices)]), max(space.upper[list(indices)])
    pad = 0.06 * (high - low)
    ax.set_ylim(low - pad, high + pad)
    ax.margins(x=0.01)
    if high - low <= 4:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        ax.set_yticks([low, (low + high) / 2 // 8 * 8, high])
    style.label_ends(ax, ends, x[-1], gap=0.115)


def _later_phase(table: Table) -> tuple[float, str] | None:
    """The step at which something else than propagation takes over, such as the polish among neighbours, and its name."""
    phase = np.asarray(table.get("phase", []), dtype=str)
    later = np.flatnonzero(phase != phase[0]) if len(phase) else np.array([], dtype=int)
    return (float(table["step"][later[0]]), str(phase[later[0]])) if len(later) else None
