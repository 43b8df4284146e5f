"""Names beside points of a plot, moved apart; what finds no room is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ncp.report.style import literal_label

# distances from the point in points, and how far the name reaches beyond it to the left (0: right of the point, 1: left)
_PLACES = [
    (reach, dx, dy)
    for far in (1.0, 2.2, 3.6)
    for reach, dx, dy in (
        *((0.0, 6.0, 3.0 * far), (0.0, 6.0, -11.0 * far), (1.0, -6.0, 3.0 * far), (1.0, -6.0, -11.0 * far)),
        *((0.5, 0.0, 7.0 * far), (0.5, 0.0, -16.0 * far)),
    )
]
_MARK = 4.0  # half a mark, in points
_FAR = 18.0  # points from a mark from where a name wants a line to it
_LEFT, _RIGHT = 2.0, 22.0  # how far names may leave the panel, which has numbers at its left


def label_points(
    ax: Axes,
    x: Sequence[float],
    y: Sequence[float],
    names: Sequence[str],
    colours: Sequence[str],
    size: float = 8,
    radii: Sequence[float] | None = None,
    avoid: np.ndarray | None = None,
    leaders: bool = False,
) -> int:
    """Write names beside their points, in the order given, where they overlap neither another name nor a point.

    The limits of the axes must be final. Returns how many found room.

    Args:
        ax: where.
        x, y, names, colours: of the points; those with an empty name are kept free of other names.
        size: of the letters in points.
        radii: of the points' marks in points of the page; None for small ones.
        avoid: ``(N, 2)`` further places to keep free, such as along a line.
        leaders: whether a fine line leads from a name that is far from its point to it.
    """
    figure = ax.figure
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    unit = figure.dpi / 72
    at = ax.transData.transform(np.column_stack([x, y])) if len(names) else np.zeros((0, 2))
    halves = [max(_MARK, radius) * unit for radius in radii] if radii is not None else [_MARK * unit] * len(at)
    marks = [(px - h, py - h, px + h, py + h) for (px, py), h in zip(at, halves, strict=True)]
    if avoid is not None:
        marks += [(px - unit, py - unit, px + unit, py + unit) for px, py in ax.transData.transform(avoid)]
    frame = ax.get_window_extent(renderer)
    written: list[tuple[float, float, float, float]] = []
    for xy, (px, py), half, name, colour in zip(zip(x, y, strict=True), at, halves, names, colours, strict=True):
        if not name:
            continue
        text = ax.annotate(name, xy, xytext=(0, 0), textcoords="offset points", size=size, color=colour, va="bottom")
        literal_label(text)
        extent = text.get_window_extent(renderer)
        for reach, dx, dy in _PLACES:
            beyond = half - _MARK * unit
            left = px + dx * unit - reach * extent.width + np.sign(dx) * beyond
            low = py + dy * unit + (np.sign(dy) * beyond if reach == 0.5 else 0)
            box = (left, low, left + extent.width, low + extent.height)
            inside = frame.x0 - _LEFT * unit <= box[0] and box[2] <= frame.x1 + _RIGHT * unit
            inside = inside and frame.y0 <= box[1] and box[3] <= frame.y1
            if inside and not any(_overlap(box, other) for other in (*written, *marks)):
                shift = (left - px) / unit, (low - py) / unit
                text.set_position(shift)
                if leaders and abs(shift[1]) > _FAR:
                    text.remove()
                    line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": half / unit}
                    leader = ax.annotate(
                        name,
                        xy,
                        xytext=shift,
                        textcoords="offset points",
                        size=size,
                        color=colour,
                        va="bottom",
                        arrowprops=line,
                    )
                    literal_label(leader)
                written.append(box)
                break
        else:
            text.remove()
    return len(written)


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
