"""Small multiples: lines in a rectangle of a sheet, a quiet grid, names at the lines' ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ncp.report.canvas import POINT, Canvas
from ncp.report.palette import FAINT, GREY, INK, Colour, dark, pale


class Panel:
    """A rectangle of a sheet with its own data coordinates.

    Args:
        fig: the sheet.
        box: left, bottom, width, height in inches.
        x, y: limits of the data.
        title: above the panel, with the unit of y in it.
        y_ticks: where grid lines and their numbers are.
        x_ticks: likewise below the panel; ``x_name`` stands beneath them.
    """

    def __init__(
        self,
        fig: Canvas,
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
        self._scale = np.array([width / (x[1] - x[0]), height / (y[1] - y[0])])
        self._shift = np.array([left, bottom]) - self._scale * [x[0], y[0]]
        for tick in y_ticks:
            self.fig.line(self._at([x[0], x[1]], [tick, tick]), FAINT, 0.8, layer=0.6)
        self._text(x[0], y[1], title, (0, 6), INK, 9.5, va="bottom")
        for tick in y_ticks:
            self._text(x[0], tick, f"{tick:g}", (-4, 0), GREY, 8, ha="right")
        for tick in x_ticks:
            self._text(tick, y[0], f"{tick:g}", (0, -4), GREY, 8, ha="center", va="top")
        if x_name:
            self._text((x[0] + x[1]) / 2, y[0], x_name, (0, -16), GREY, 8.5, ha="center", va="top")

    def _at(self, x: np.ndarray | Sequence[float], y: np.ndarray | Sequence[float]) -> np.ndarray:
        """``(n, 2)`` places on the sheet."""
        return np.asarray(np.stack([x, y], 1) * self._scale + self._shift)

    def _text(
        self, x: float, y: float, text: str, shift: tuple[float, float], colour: Colour, size: float,
        ha: str = "left", va: str = "center",
    ) -> None:  # fmt: skip
        [place] = (self._at([x], [y]) + np.multiply(shift, POINT)).tolist()
        self.fig.text(place[0], place[1], text, colour, size, ha=ha, va=va)

    def line(self, x: np.ndarray, y: np.ndarray, colour: Colour, width: float = 1.6, steps: bool = False) -> None:
        """A line, or a staircase that keeps each value until the next."""
        if steps:
            x, y = np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]
        self.fig.line(self._at(x, y), colour, width)

    def band(self, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: Colour) -> None:
        """A pale band between two lines."""
        corners = np.concatenate([self._at(x, low), self._at(x, high)[::-1]])
        self.fig.area(corners, pale(colour, 0.16), layer=0.5)

    def span(self, start: float, end: float) -> None:
        """A grey background between two values of x."""
        low, high = self.y
        self.fig.area(self._at([start, end, end, start], [low, low, high, high]), "#F1F1F1", layer=-1)

    def dot(self, x: float, y: float, colour: Colour, size: float = 4.5) -> None:
        """A dot."""
        [place] = self._at([x], [y]).tolist()
        self.fig.dot(place[0], place[1], colour, size + 1)

    def ends(self, ends: Iterable[tuple[float, str, Colour]], size: float = 8) -> None:
        """Write the lines' names to the right of the panel in their colours, moved apart where two would overlap.

        ``ends`` holds ``(y, name, colour)`` of each line.
        """
        wanted = sorted(ends, key=lambda end: end[0])
        low, high = self.y
        gap = size * 1.35 * POINT / self.height * (high - low)
        heights = spread([y for y, _, _ in wanted], gap, high + gap / 2)
        for height, (_, name, colour) in zip(heights, wanted, strict=True):
            self._text(self.x[1], height, name, (6, 0), dark(colour), size)


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
