"""How pictures with axes look: the palette, one type size, a quiet grid.

``matplotlib.figure.Figure`` only: pyplot would add half a second and a global state to every command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from ncp.files import replacing
from ncp.report import letters
from ncp.report.canvas import DPI, Canvas
from ncp.report.palette import (
    BLUE,
    COST,
    CYCLE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    dark,
)  # fmt: skip

__all__ = [
    "BLUE", "COST", "CYCLE", "DPI", "FAINT", "GREEN", "GREY", "INK", "ORANGE", "PURPLE", "SKY", "VERMILION", "LiteralFigure",
    "dark", "dress", "figure", "literal_label", "save", "text_width",
]  # fmt: skip


class LiteralFigure(Figure):
    """A figure whose texts are drawn as they are: names of classes and files are no formulas, hold no control characters, and
    may be in any letters (:mod:`ncp.report.letters`)."""

    def draw(self, renderer: Any) -> None:
        """As ever, after all texts were made literal."""
        numbers = {id(text) for ax in self.axes for axis in (ax.xaxis, ax.yaxis) for text in _own_texts(axis)}
        for text in self.findobj(Text):
            if id(text) not in numbers:
                literal_label(text)
        super().draw(renderer)


def literal_label(text: Any) -> Any:
    """A matplotlib text that is drawn as it is: ``$`` begins no formula, control characters are shown, and letters that the own
    font lacks come from another one. Returns it."""
    text.set_parse_math(False)
    if (shown := letters.drawable(text.get_text())) != text.get_text():
        text.set_text(shown)
    _add_families(text, letters.families(shown))
    return text


def _add_families(text: Any, more: list[str]) -> None:
    own = text.get_fontfamily()
    if new := [name for name in more if name not in own]:
        text.set_fontfamily([*own, *new])


def _own_texts(axis: Any) -> list[Any]:
    """The numbers at an axis that matplotlib writes itself, powers of ten as formulas. Labels that were given: none."""
    formatter: Any = axis.get_major_formatter()
    if isinstance(formatter, FuncFormatter):  # it writes the labels anew at every drawing
        if not isinstance(formatter.func, _Shown):
            formatter.func = _Shown(formatter.func)
        return []
    if isinstance(formatter, FixedFormatter):
        formatter.seq = [letters.drawable(label) for label in formatter.seq]
        for label in _labels(axis):
            _add_families(label, letters.families("".join(formatter.seq)))
        return []
    return _labels(axis)


def _labels(axis: Any) -> list[Any]:
    return [
        label for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()) for label in (tick.label1, tick.label2)
    ]


class _Shown:
    """A function that labels ticks, in letters of the own font."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *place: Any) -> str:
        return letters.plain(self.function(*place))


def figure(width: float, height: float, title: str, subtitle: str = "") -> Figure:
    """An empty figure of ``width`` x ``height`` inches with a title at the top left."""
    fig = LiteralFigure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(fig)
    fig.text(0.012, 1 - 0.12 / height, title, size=13, weight="bold", color=INK, va="top")
    if subtitle:
        fig.text(0.012, 1 - 0.38 / height, subtitle, size=9.5, color=GREY, va="top")
    return fig


def text_width(text: str, size: float) -> float:
    """How wide a text in letters of ``size`` points is drawn, in inches."""
    fig = figure(1, 1, "")
    return float(literal_label(fig.text(0, 0, text, size=size)).get_window_extent().width) / DPI


def dress(ax: Axes, title: str, unit: str = "", x_label: str = "") -> None:
    """Title with the unit of the y axis, and a quiet grid."""
    ax.set_title(f"{title} ({unit})" if unit else title, loc="left", size=9.5, color=INK, pad=4)
    ax.set_xlabel(x_label, size=8.5, color=GREY, labelpad=2)
    ax.tick_params(labelsize=8, colors=GREY, length=2, pad=2)
    ax.grid(axis="y", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(FAINT)


def save(fig: Figure | Canvas, path: Path) -> Path:
    """Write a PNG, whole or not at all, and return its path."""
    if isinstance(fig, Canvas):
        return fig.save(path)
    with replacing(path) as scratch:
        fig.savefig(scratch, dpi=DPI)
    return path
