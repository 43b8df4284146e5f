"""Names beside points of a plot, moved apart; what finds no room is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

# distances from the point in points, and how far the name reaches beyond it to the left (0: right of the point, 1: left)
_PLACES = [
    (reach, dx, dy)
    for far in (1.0, 2.2, 3.6)
    for reach, dx, dy in (
        *((0.0, 6.0, 3.0 * far), (0.0, 6.0, -11.0 * far), (1.0, -6.0, 3.0 * far), (1.0, -6.0, -11.0 * far)),
        *((0.5, 0.0, 7.0 * far), (0.5, 0.0, -16.0 * far)),
    )
]
_MARK, _SIDE = 4.0, 22.0  # half a mark, and how far names may leave the panel to either side, in points


def label_points(
    ax: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], colours: Sequence[str], size: float = 8
) -> int:
    """Write names beside their points, in the order given, where they overlap neither another name nor a point.

    The limits of the axes must be final. Returns how many found room.
    """
    figure = ax.figure
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    unit = figure.dpi / 72
    at = ax.transData.transform(np.column_stack([x, y])) if len(names) else np.zeros((0, 2))
    marks = [(px - _MARK * unit, py - _MARK * unit, px + _MARK * unit, py + _MARK * unit) for px, py in at]
    frame = ax.get_window_extent(renderer)
    written: list[tuple[float, float, float, float]] = []
    for xy, (px, py), name, colour in zip(zip(x, y, strict=True), at, names, colours, strict=True):
        text = ax.annotate(name, xy, xytext=(0, 0), textcoords="offset points", size=size, color=colour, va="bottom")
        text.set_parse_math(False)
        extent = text.get_window_extent(renderer)
        for reach, dx, dy in _PLACES:
            left, low = px + dx * unit - reach * extent.width, py + dy * unit
            box = (left, low, left + extent.width, low + extent.height)
            inside = frame.x0 - _SIDE * unit <= box[0] and box[2] <= frame.x1 + _SIDE * unit
            inside = inside and frame.y0 <= box[1] and box[3] <= frame.y1
            if inside and not any(_overlap(box, other) for other in (*written, *marks)):
                text.set_position(((left - px) / unit, dy))
                written.append(box)
                break
        else:
            text.remove()
    return len(written)


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
