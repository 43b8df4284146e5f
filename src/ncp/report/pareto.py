"""Many searches in one picture: predicted metric against cost, with the front of those that no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ncp.report import style


def front(cost: Sequence[float], gain: Sequence[float]) -> list[int]:
    """Indices of the points that no other point beats in both (lower cost, higher gain), by rising cost.

    >>> front([3, 1, 2, 2], [9, 5, 4, 7])
    [1, 3, 0]
    """
    order = sorted(range(len(cost)), key=lambda i: (cost[i], -gain[i]))
    out: list[int] = []
    for i in order:
        if not out or gain[i] > gain[out[-1]]:
            out.append(i)
    return out


def pareto_figure(points: Sequence[Mapping[str, Any]], title: str, subtitle: str = "") -> Figure:
    """One panel for each metric over the multiply-adds.

    Args:
        points: per search ``label``, ``macs`` and ``metrics`` (name -> percent). Metrics that no search has are left out,
            searches without a metric are left out of its panel.
    """
    names = list(dict.fromkeys(name for point in points for name in point["metrics"]))
    width, height = max(8.0, 5.6 * len(names)), 4.8
    fig = style.figure(width, height, title, subtitle)
    grid = fig.add_gridspec(
        1, len(names), left=0.7 / width, right=1 - 0.5 / width, wspace=0.3, top=1 - 0.85 / height, bottom=0.6 / height
    )
    for column, name in enumerate(names):
        ax = fig.add_subplot(grid[0, column])
        style.dress(ax, f"Predicted {name.replace('.', ' ')}", "%", "multiply-adds, billions")
        have = [p for p in points if p["metrics"].get(name) is not None]
        x = np.array([p["macs"] / 1e9 for p in have])
        y = np.array([p["metrics"][name] for p in have])
        best = front(x.tolist(), y.tolist())
        ax.plot(x[best], y[best], color=style.BLUE, linewidth=1.4, zorder=1)
        ax.scatter(x, y, s=34, color=[style.BLUE if i in best else style.GREY for i in range(len(have))], zorder=2)
        middle = (x.min() + x.max()) / 2
        for i, point in enumerate(have):
            left = x[i] > middle  # labels point inwards, where there is room
            ax.annotate(
                point["label"], (x[i], y[i]), xytext=(-6 if left else 6, 7 if left else -9), textcoords="offset points",
                size=8, color=style.INK if i in best else style.GREY, ha="right" if left else "left",
            )  # fmt: skip
        ax.margins(0.14)
    return fig
