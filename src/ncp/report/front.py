"""The front over two or three quantities as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncp.numeric import several
from ncp.report import style
from ncp.report.latency import logarithmic

if TYPE_CHECKING:
    from ncp.search.trade import Trade


def figure(front: Trade) -> Figure:
    """One panel a pair of quantities with all architectures of the front; the proposed one is marked."""
    count = len(front.axes)
    pairs = [(1, 0)] if count == 2 else [(1, 0), (2, 0), (2, 1)]
    width, height = max(6.4, 4.6 * len(pairs)), 4.6
    names = ", ".join(axis.words for axis in front.axes)
    fig = style.figure(
        width,
        height,
        f"What {front.axes[0].words} costs",
        f"{several(len(front), 'architecture')} that none beats in {names}",
    )
    grid = fig.add_gridspec(1, len(pairs), left=0.75 / width, right=1 - 0.35 / width, wspace=0.3, top=0.78, bottom=0.13)
    for column, (x, y) in enumerate(pairs):
        _panel(fig.add_subplot(grid[0, column]), front, x, y)
    return fig


def _panel(ax: Axes, front: Trade, x: int, y: int) -> None:
    a, b = front.axes[x], front.axes[y]
    style.dress(ax, f"{b.words[:1].upper()}{b.words[1:]}", b.unit, ", ".join(filter(None, (a.words, a.unit))))
    xs, ys = front.values[:, x] / a.scale, front.values[:, y] / b.scale
    if len(front.axes) == 2:
        order = xs.argsort()
        ax.plot(xs[order], ys[order], color=style.BLUE, linewidth=1.2, zorder=1)
    ax.scatter(xs, ys, s=18, color=style.BLUE, linewidth=0, zorder=2)
    i = front.chosen
    ax.scatter(xs[i], ys[i], s=90, facecolor="none", edgecolor=style.VERMILION, linewidth=2, zorder=3)
    here = " ".join(f"{ys[i]:.4g} {b.unit} at {xs[i]:.4g} {a.unit}".split())
    ax.annotate(
        here, (xs[i], ys[i]), xytext=(10, -14), textcoords="offset points", size=8.5, color=style.dark(style.VERMILION)
    )
    ax.margins(0.1)
    for axis, quantity in ((ax.xaxis, a), (ax.yaxis, b)):
        if quantity.sign < 0:  # costs spread over orders of magnitude
            logarithmic(axis)
