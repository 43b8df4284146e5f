"""What a search did, step by step: pictures like the paper's Figure 3 (one search) and Figure 9 (several).

Both are drawn from the table of a trajectory (``Trajectory.to_table()``, or ``trajectory.csv`` read back), so that a figure
can be made again from a run folder alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.metrics.kitti_names import labelled_objective
from ncp.report.canvas import POINT, Canvas, Words, sheet
from ncp.report.palette import COST, CYCLE, GREY, INK
from ncp.report.panel import Panel, nice_ticks

Table = Mapping[str, np.ndarray]
COLUMNS = 4
WIDTH = 12.0  # inches, as all lengths here
_HEAD, _FOOT = 0.6, 0.72
_LEFT, _RIGHT, _BETWEEN = 0.42, 0.78, 0.2  # room for numbers left of a panel, for names right of it, between both
_PANEL, _ABOVE, _BELOW = 1.45, 0.32, 0.24


class DrawnWalk(NamedTuple):
    """One search: its name, the table of its trajectory, the names of its objectives and the row that it returned; by class
    the overlaps of its settings of detection.

    The table has one row a step and the columns ``step``, ``macs``, ``params``, ``continuous.<metric>``,
    ``continuous.std.<metric>``, ``rounded.<metric>``, ``code.<dimension>`` and ``rounded.<dimension>``.
    """

    name: str
    table: Table
    metrics: Sequence[str]
    chosen: int
    min_overlap: Mapping[str, Mapping[str, float]] = {}

    @property
    def steps(self) -> np.ndarray:
        """``(T,)`` the steps' numbers."""
        return np.asarray(self.table["step"], dtype=float)

    def metric(self, name: str) -> tuple[np.ndarray, np.ndarray, float]:
        """Prediction and its deviation ``(T,)`` at the continuous codes, and the prediction for what was returned."""
        y = np.asarray(self.table[f"continuous.{name}"], dtype=float)
        std = np.asarray(self.table.get(f"continuous.std.{name}", np.zeros_like(y)), dtype=float)
        return y, std, float(self.table[f"rounded.{name}"][self.chosen])

    @property
    def later_phase(self) -> tuple[float, str] | None:
        """The step at which something else takes over from propagation, such as a polish, and its name."""
        phase = np.asarray(self.table.get("phase", []), dtype=str)
        later = np.flatnonzero(phase != phase[0]) if len(phase) else np.array([], dtype=int)
        return (float(self.steps[later[0]]), str(phase[later[0]])) if len(later) else None


class _Grid:
    """Where panels lie: rows and columns from the top left; ``right`` inches beside each are for names."""

    def __init__(
        self, fig: Canvas, columns: int, search: DrawnWalk, right: float, head: float = _HEAD,
        panel_height: float = _PANEL,
    ) -> None:  # fmt: skip
        self.fig, self.search, self.panel_height, self.right = fig, search, panel_height, right
        width, self.height = fig.width, fig.height
        self.gap = right + _BETWEEN
        self.panel = (width - _LEFT - right - self.gap * (columns - 1)) / columns
        self.head = head
        x = search.steps
        self.x = (float(x[0]), float(max(x[-1], x[0] + 1)))

    def left(self, column: int) -> float:
        """Where the panels of a column begin."""
        return _LEFT + column * (self.panel + self.gap)

    def add(
        self, row: int, column: int, y: tuple[float, float], title: str, ticks: Sequence[float], span: int = 1,
        last: bool = False, names: float = 0,
    ) -> Panel:  # fmt: skip
        """A panel; in the last row with the iterations below. ``names`` inches at its right are left free for long names."""
        left = self.left(column)
        bottom = self.height - self.head - (row + 1) * (_ABOVE + self.panel_height) - row * _BELOW
        box = (left, bottom, self.panel * span + self.gap * (span - 1) - names, self.panel_height)
        x_ticks = nice_ticks(*self.x) if last else []
        panel = Panel(self.fig, box, self.x, y, title, ticks, x_ticks, "iteration" if last else "")
        if (later := self.search.later_phase) is not None:
            panel.span(later[0] - 0.5, self.x[1])
        return panel


def _height(rows: int, head: float = _HEAD, panel_height: float = _PANEL) -> float:
    return head + rows * (_ABOVE + panel_height) + (rows - 1) * _BELOW + _FOOT


def search_figure(search: DrawnWalk, space: spaces.Space[Any], title: str, subtitle: str = "") -> Canvas:
    """One search: predicted metrics, cost, and the dimensions of the code in the space's groups, over the iterations."""
    rows = 1 + -(-len(space.groups) // COLUMNS)
    fig = sheet(WIDTH, _height(rows), title, subtitle)
    grid = _Grid(fig, COLUMNS, search, _room_for_dimensions(space))
    if len(search.metrics) == 2:
        for i, (name, colour) in enumerate(zip(search.metrics, CYCLE, strict=False)):
            _metric(grid, 0, i, name, colour)
    elif len(search.metrics) == 1:
        _metric(grid, 0, 0, search.metrics[0], CYCLE[0], span=2)
    else:
        _changes(grid, 0, 0, span=2)
    _cost(grid, 0, 2, "macs", "Multiply-adds (billions)", 1e9)
    _cost(grid, 0, 3, *_fourth(search))
    for i, (name, indices) in enumerate(space.groups.items()):
        _dimensions(grid, 1 + i // COLUMNS, i % COLUMNS, space, name, indices, last=i + COLUMNS >= len(space.groups))
    fig.text(0.988 * WIDTH, 0.16, _legend(search), GREY, 8.5, ha="right")
    return fig


def _fourth(search: DrawnWalk) -> tuple[str, str, float]:
    """What the last panel of costs shows: what was asked for beside multiply-adds, else parameters."""
    if "latency_ms" in search.table:
        return "latency_ms", "Latency (ms)", 1.0
    if "memory_mb" in search.table:
        return "memory_mb", "Peak memory (MiB)", 1.0
    return "params", "Parameters (millions)", 1e6


def transfer_figure(searches: Sequence[DrawnWalk], space: spaces.Space[Any], title: str, subtitle: str = "") -> Canvas:
    """Several searches side by side, one column each: metric, cost and the groups of dimensions (Figure 9)."""
    rows, head, panel_height = len(space.groups) + 2, _HEAD + 0.32, 1.1
    panels = max(2, len(searches))
    right = _room_for_dimensions(space)
    width = _LEFT + right + panels * 2.1 + (panels - 1) * (right + _BETWEEN)
    fig = sheet(width, _height(rows, head, panel_height), title, subtitle)
    for column, search in enumerate(searches):
        grid = _Grid(fig, panels, search, right, head, panel_height)
        fig.text(grid.left(column), grid.height - (head - 0.06), search.name, INK, 11, bold=True)
        if len(search.metrics) == 1:
            _metric(grid, 0, column, search.metrics[0], CYCLE[0])
        else:
            _changes(grid, 0, column)
        _cost(grid, 1, column, "macs", "Multiply-adds (billions)", 1e9)
        for row, (name, indices) in enumerate(space.groups.items(), start=2):
            _dimensions(grid, row, column, space, name, indices, last=row == rows - 1)
    return fig


def _metric(grid: _Grid, row: int, column: int, name: str, colour: str, span: int = 1) -> None:
    """One predicted metric with a band of one standard deviation."""
    search = grid.search
    y, std, found = search.metric(name)
    low, high = min((y - std).min(), found), max((y + std).max(), found)
    pad = max(0.06 * (high - low), 0.05)
    limits = (float(low - pad), float(high + pad))
    shown = labelled_objective(name, [search.min_overlap]).replace(".", " ", 1)
    unit = settings.unit(name)
    panel = grid.add(row, column, limits, f"Predicted {shown}{f' ({unit})' if unit else ''}", nice_ticks(*limits), span)
    panel.band(search.steps, y - std, y + std, colour)
    panel.line(search.steps, y, colour)
    panel.dot(search.steps[search.chosen], found, colour)
    panel.ends([(found, f"{found:.1f}", colour)])


def _changes(grid: _Grid, row: int, column: int, span: int = 1) -> None:
    """Several predicted metrics in one panel, as changes from the start."""
    search = grid.search
    found = {name: search.metric(name) for name in search.metrics}
    every = np.concatenate([np.append(y - y[0], best - y[0]) for y, _, best in found.values()])
    pad = max(0.06 * (every.max() - every.min()), 0.05)
    limits = (float(every.min() - pad), float(every.max() + pad))
    points = " (% points)" if {settings.unit(name) for name in found} == {"%"} else ""
    shown = [f"{name.partition('.')[0]} {best:.1f}" for name, (_, _, best) in found.items()]
    names = max(0.55, _room(shown) - grid.right)
    panel = grid.add(row, column, limits, f"Predicted metrics, change{points}", nice_ticks(*limits), span, names=names)
    ends = []
    for (y, _, best), text, colour in zip(found.values(), shown, CYCLE * 4, strict=False):
        panel.line(search.steps, y - y[0], colour)
        panel.dot(search.steps[search.chosen], best - y[0], colour)
        ends.append((best - y[0], text, colour))
    panel.ends(ends)


def _cost(grid: _Grid, row: int, column: int, key: str, title: str, unit: float) -> None:
    """Exact cost of the rounded architecture at every step."""
    search = grid.search
    y = np.asarray(search.table[key], dtype=float) / unit
    limits = (0.0, float(y.max() * 1.1))
    panel = grid.add(row, column, limits, title, nice_ticks(*limits))
    panel.line(search.steps, y, COST, steps=True)
    panel.dot(search.steps[search.chosen], y[search.chosen], COST)
    panel.ends([(y[search.chosen], f"{y[search.chosen]:.2f}", COST)])


def _dimensions(
    grid: _Grid, row: int, column: int, space: spaces.Space[Any], name: str, indices: Sequence[int], last: bool
) -> None:
    """The dimensions of one group: continuous values as lines, what was returned as a dot and a number."""
    search, which = grid.search, list(indices)
    low, high = float(min(space.lower[which])), float(max(space.upper[which]))
    pad = 0.07 * (high - low)
    ticks = [low + i for i in range(int(high - low) + 1)] if high - low <= 4 else [low, (low + high) // 16 * 8, high]
    panel = grid.add(row, column, (low - pad, high + pad), name, ticks, last=last)
    ends = []
    options = _options(space, which)
    for place, (i, colour) in enumerate(zip(which, CYCLE * 4, strict=False)):
        label = space.labels[i]
        rounded = float(search.table[f"rounded.{label}"][search.chosen])
        panel.line(search.steps, np.asarray(search.table[f"code.{label}"], dtype=float), colour, 1.4)
        panel.dot(search.steps[search.chosen], rounded, colour, 4)
        ends.append((rounded, options[place] if options else f"{label} {rounded:g}", colour))
    panel.ends(ends)


def _options(space: spaces.Space[Any], which: Sequence[int]) -> list[str]:
    """The options' names alone, where the dimensions of a group are the options of one choice, which its title names."""
    words = [space.labels[i].split(" ", 1) for i in which]
    one_choice = len({position for position, *_ in words}) == 1 and all(len(parts) == 2 for parts in words)
    return [option for _, option in words] if one_choice else []


def _room_for_dimensions(space: spaces.Space[Any]) -> float:
    """Inches beside a panel for the longest name that stands at a line of a dimension."""
    options = [option for which in space.groups.values() for option in _options(space, which)]
    return max(_RIGHT, _room(options))


def _room(names: Sequence[str]) -> float:
    """Inches for the longest of the names at the ends of lines, with some air on both sides."""
    return max((Words(0, 0, name, INK, 8).extent()[1] for name in names), default=0.0) + 10 * POINT


def _legend(search: DrawnWalk) -> str:
    parts = ["lines: the continuous code", "dots: the architecture returned"]
    if any(search.metric(name)[1].any() for name in search.metrics):
        parts.append("band: ± 1 standard deviation of the predictor")
    if search.later_phase is not None:
        parts.append(f"grey: {search.later_phase[1]}")
    return "    ".join(parts)
