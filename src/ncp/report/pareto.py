"""Many searches in one picture: predicted metric against cost, with the front of those that no other one beats."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncp.benchmark import settings
from ncp.benchmark.ranking import front
from ncp.report import style
from ncp.report.labels import label_points


def pareto_figure(points: Sequence[Mapping[str, Any]], title: str, subtitle: str = "") -> Figure:
    """One panel for each metric over the multiply-adds; of two metrics another one with the one against the other.

    Names of points are moved apart, those of the front first; what finds no room has none.

    Args:
        points: per search ``label``, ``macs`` and ``metrics`` (name -> number), and where they differ from the usual
            ``lower`` (names of metrics of which less is better) and ``kept`` (whether it keeps its limits). Metrics that no
            search has are left out, searches without a metric are left out of its panel.
    """
    names = list(dict.fromkeys(name for point in points for name in point["metrics"]))
    panels = len(names) + (len(names) == 2)
    width, height = max(8.0, 5.6 * panels), 4.8
    fig = style.figure(width, height, title, subtitle)
    grid = fig.add_gridspec(
        1, panels, left=0.7 / width, right=1 - 0.5 / width, wspace=0.3, top=1 - 0.85 / height, bottom=0.6 / height
    )
    lower = {name for point in points for name in point.get("lower", ())}
    for column, name in enumerate(names):
        ax = fig.add_subplot(grid[0, column])
        style.dress(ax, f"Predicted {_words(name)}", _unit(name), "multiply-adds, billions")
        have = [p for p in points if p["metrics"].get(name) is not None]
        _scatter(
            ax, have, [p["macs"] / 1e9 for p in have], [p["metrics"][name] for p in have], 1, -1 if name in lower else 1
        )
    if len(names) == 2:
        first, second = names
        ax = fig.add_subplot(grid[0, 2])
        across = ", ".join(filter(None, (f"predicted {_words(first)}", _unit(first))))
        style.dress(ax, f"Predicted {_words(second)}", _unit(second), across)
        have = [p for p in points if all(p["metrics"].get(name) is not None for name in names)]
        x, y = ([p["metrics"][name] for p in have] for name in names)
        _scatter(ax, have, x, y, 1 if first in lower else -1, -1 if second in lower else 1)
    return fig


def _scatter(
    ax: Axes, points: Sequence[Mapping[str, Any]], x: Sequence[float], y: Sequence[float], dear: int, good: int
) -> None:
    """Points, their front and their names; ``dear`` is -1 where a larger x is better, ``good`` -1 where a smaller y is."""
    kept = [i for i, point in enumerate(points) if point.get("kept", True)]
    best = [kept[i] for i in front([dear * x[i] for i in kept], [good * y[i] for i in kept])]
    ax.plot([x[i] for i in best], [y[i] for i in best], color=style.BLUE, linewidth=1.4, zorder=1)
    colours = [style.BLUE if i in best else style.GREY for i in range(len(points))]
    faces = [colour if i in kept else "white" for i, colour in enumerate(colours)]
    ax.scatter(x, y, s=34, color=faces, edgecolors=colours, zorder=2)
    ax.margins(0.14)
    ax.autoscale_view()
    # from the top down, so that of two close points the upper one has the upper name
    order = sorted(range(len(points)), key=lambda i: (i not in best, -y[i]))
    label_points(
        ax, [x[i] for i in order], [y[i] for i in order], [points[i]["label"] for i in order],
        [style.INK if i in best else style.GREY for i in order],
    )  # fmt: skip


def _words(name: str) -> str:
    return re.sub(r"\.(?!\d)", " ", name)  # the dot of a number stays


def _unit(name: str) -> str:
    recorded = {"flops": "billions", "params": "millions"}.get(name.rpartition(".")[2])
    return recorded or settings.unit(name)
