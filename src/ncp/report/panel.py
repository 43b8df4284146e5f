"""Small multiples without ``Axes``: lines in a rectangle of a figure, a quiet grid, names at the lines' ends.

A dozen ``Axes`` with their ticks and layout take most of a second, which every search would pay; this takes a quarter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.transforms import Affine2D, ScaledTranslation

from ncp.report import style

POINT = 1 / 72  # inch


class Panel:
    """A rectangle of a figure with its own data coordinates.

    Args:
        fig: the figure.
        box: left, bottom, width, height in inches.
        x, y: limits of the data.
        title: above the panel, with the unit of y in it.
        y_ticks: where grid lines and their numbers are.
        x_ticks: likewise below the panel; ``x_name`` stands beneath them.
    """

    def __init__(
        self,
        fig: Figure,
        box: tuple[float, float, float, float],
        x: tuple[float, float],
        y: tuple[float, float],
        title: str,
        y_ticks: Sequence[float],
        x_ticks: Sequence[float] = (),
        x_name: str = "",
    ) -> None:
        x, y = (ends if ends[1] > ends[0] else (ends[0] - 0.5, ends[0] + 0.5) for ends in (x, y))  # all values alike
        self.fig, self.x, self.y, self.height = fig, x, y, box[3]
        left, bottom, width, height = box
        self.data = (
            Affine2D()
            .translate(-x[0], -y[0])
            .scale(width / (x[1] - x[0]), height / (y[1] - y[0]))
            .translate(left, bottom)
            + fig.dpi_scale_trans
        )
        lines = LineCollection(
            [[(x[0], tick), (x[1], tick)] for tick in y_ticks],
            colors=style.FAINT, linewidths=0.8, transform=self.data, zorder=0,
        )  # fmt: skip
        fig.add_artist(lines)
        self._text(x[0], y[1], title, (0, 6), style.INK, 9.5, va="bottom")
        for tick in y_ticks:
            self._text(x[0], tick, f"{tick:g}", (-4, 0), style.GREY, 8, ha="right", va="center")
        for tick in x_ticks:
            self._text(tick, y[0], f"{tick:g}", (0, -4), style.GREY, 8, ha="center", va="top")
        if x_name:
            self._text((x[0] + x[1]) / 2, y[0], x_name, (0, -16), style.GREY, 8.5, ha="center", va="top")

    def _text(
        self, x: float, y: float, text: str, shift: tuple[float, float], colour: object, size: float,
        ha: str = "left", va: str = "center",
    ) -> None:  # fmt: skip
        place = self.data + ScaledTranslation(shift[0] * POINT, shift[1] * POINT, self.fig.dpi_scale_trans)
        self.fig.text(x, y, text, transform=place, color=colour, size=size, ha=ha, va=va)

    def line(self, x: np.ndarray, y: np.ndarray, colour: str, width: float = 1.6, steps: bool = False) -> None:
        """A line, or a staircase that keeps each value until the next."""
        style_: Any = "steps-post" if steps else "default"
        self.fig.add_artist(Line2D(x, y, color=colour, linewidth=width, drawstyle=style_, transform=self.data))

    def band(self, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str) -> None:
        """A pale band between two lines."""
        corners = np.concatenate([np.stack([x, low], 1), np.stack([x, high], 1)[::-1]])
        self.fig.add_artist(
            Polygon(corners, facecolor=colour, alpha=0.16, linewidth=0, transform=self.data, zorder=0.5)
        )

    def span(self, start: float, end: float) -> None:
        """A grey background between two values of x."""
        low, high = self.y
        corners = np.array([(start, low), (end, low), (end, high), (start, high)])
        self.fig.add_artist(Polygon(corners, facecolor="#F1F1F1", linewidth=0, transform=self.data, zorder=-1))

    def dot(self, x: float, y: float, colour: str, size: float = 4.5) -> None:
        """A dot."""
        self.fig.add_artist(
            Line2D([x], [y], marker="o", color=colour, markersize=size, linestyle="", transform=self.data, zorder=3)
        )

    def ends(self, ends: Iterable[tuple[float, str, str]], size: float = 8) -> None:
        """Write the lines' names to the right of the panel in their colours, moved apart where two would overlap.

        ``ends`` holds ``(y, name, colour)`` of each line.
        """
        wanted = sorted(ends, key=lambda end: end[0])
        low, high = self.y
        gap = size * 1.35 * POINT / self.height * (high - low)
        heights = spread([y for y, _, _ in wanted], gap, high + gap / 2)
        for height, (_, name, colour) in zip(heights, wanted, strict=True):
            self._text(self.x[1], height, name, (6, 0), style.dark(colour), size)


def spread(wanted: Sequence[float], gap: float, top: float) -> list[float]:
    """Rising positions near the wanted (rising) ones, at least ``gap`` apart and not above ``top``.

    >>> spread([1, 1, 5], gap=2, top=6)
    [1, 3, 5]
    >>> spread([4, 6, 6], gap=2, top=6)
    [2, 4, 6]
    """
    out = list(wanted)
    for i in range(1, len(out)):
        out[i] = max(out[i], out[i - 1] + gap)
    limit = top
    for i in reversed(range(len(out))):
        out[i] = min(out[i], limit)
        limit = out[i] - gap
    return out


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About ``count`` round numbers within the limits.

    >>> nice_ticks(0, 2.2)
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    span = max(high - low, 1e-9) / count
    power = 10.0 ** np.floor(np.log10(span))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= span * 0.8)
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [float(np.round(i * step, 10)) for i in range(first, last + 1)]
