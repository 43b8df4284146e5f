"""A search over the cloud of all cells of NAS-Bench-201 (the paper's Figure 6), and what the number of rows does for it.

Shape suffixes: N cells, T steps of a walk.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncp.report import style


def walk_figure(
    macs_N: np.ndarray,
    accuracy_N: np.ndarray,
    path_T2: np.ndarray,
    title: str,
    subtitle: str = "",
    limit: float | None = None,
    label: str = "True accuracy on ImageNet16-120",
    unit: str = "%",
    logarithmic: bool = False,
) -> Figure:
    """All cells as a cloud, and a walk through it as a numbered path; 0 is the start.

    Args:
        macs_N, accuracy_N: every cell's multiply-adds in millions and true accuracy in percent.
        path_T2: accuracy and multiply-adds (the same units) of the walk's steps; steps that stay in place share a label.
        title, subtitle: above the picture.
        limit: a limit of the multiply-adds in millions, drawn as a line.
        label, unit: what is measured; the unit stands in the picture's labels too.
        logarithmic: whether the multiply-adds are drawn so.
    """
    fig = style.figure(8.2, 5.2, title, subtitle)
    ax = fig.add_axes((0.075, 0.1, 0.9, 0.71))
    style.dress(ax, label, unit, "multiply-adds, millions")
    ax.scatter(macs_N, accuracy_N, s=7, color=style.SKY, alpha=0.25, linewidth=0, zorder=1, rasterized=True)
    if limit is not None:
        ax.axvline(limit, color=style.GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
    _path(ax, np.asarray(path_T2, dtype=np.float64), unit)
    if logarithmic:
        ax.set_xscale("log")
    room = 0.05 * float(np.ptp(accuracy_N))
    ax.set_ylim(float(min(accuracy_N.min(), path_T2[:, 0].min())) - room, float(accuracy_N.max()) + 2 * room)
    return fig


def _path(ax: Axes, path_T2: np.ndarray, unit: str) -> None:
    accuracy, macs = path_T2.T
    for t in range(len(path_T2) - 1):
        if (path_T2[t] != path_T2[t + 1]).any():
            ax.annotate(
                "", (macs[t + 1], accuracy[t + 1]), (macs[t], accuracy[t]), zorder=3,
                arrowprops={"arrowstyle": "-|>", "color": style.VERMILION, "linewidth": 1.6, "shrinkA": 7, "shrinkB": 7},
            )  # fmt: skip
    last = len(path_T2) - 1
    for t, label in labels(path_T2):
        colour = style.GREEN if last in label else style.VERMILION
        ax.scatter(macs[t], accuracy[t], s=190, color=colour, edgecolor="white", linewidth=1.2, zorder=4)
        ax.text(macs[t], accuracy[t], str(label[0]), size=8.5, weight="bold", color="white", ha="center", va="center",
                zorder=5)  # fmt: skip
        if len(label) > 1 or last in label or label[0] == 0:
            steps = f"steps {label[0]} to {label[-1]}: " if len(label) > 1 else ""
            ax.annotate(
                f"{steps}{accuracy[t]:.2f}{unit and ' ' + unit} at {macs[t]:,.2f} M", (macs[t], accuracy[t]), xytext=(0, 11),
                textcoords="offset points", size=8.5, color=style.INK, ha="center", zorder=5,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            )  # fmt: skip


def labels(path_T2: np.ndarray) -> list[tuple[int, list[int]]]:
    """The places of a path in the order they are come to: a step that is there, and the steps in a row that stay there.

    >>> labels(np.array([[1, 9], [2, 8], [2, 8], [1, 9]]))
    [(0, [0]), (1, [1, 2]), (3, [3])]
    """
    out: list[tuple[int, list[int]]] = []
    for t, point in enumerate(path_T2):
        if out and (point == path_T2[out[-1][0]]).all():
            out[-1][1].append(t)
        else:
            out.append((t, [t]))
    return out


def rows_figure(
    rows: Sequence[int], found: Sequence[np.ndarray], title: str, subtitle: str = "", bar: float | None = None
) -> Figure:
    """Where searches end against the number of rows that their predictor was fitted on.

    Args:
        rows: numbers of rows, rising.
        found: for each of them ``(subsets, 2)`` true accuracy in percent and multiply-adds in millions, one line per
            random subset.
        title, subtitle: above the picture.
        bar: an accuracy to compare with, drawn as a line.
    """
    fig = style.figure(7.2, 4.2, title, subtitle)
    ax = fig.add_axes((0.085, 0.13, 0.885, 0.64))
    style.dress(ax, "True accuracy, median of the searches", "%", "rows that the predictor was fitted on")
    medians = [float(np.median(f[:, 0])) for f in found]
    for n, f in zip(rows, found, strict=True):
        ax.scatter(np.full(len(f), n), f[:, 0], s=22, color=style.SKY, linewidth=0, zorder=2)
    ax.plot(rows, medians, color=style.BLUE, linewidth=1.8, marker="o", markersize=4, zorder=3)
    if bar is not None:
        ax.axhline(bar, color=style.VERMILION, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        ax.text(rows[0], bar, f"the paper's run, {bar:g}", size=8, color=style.dark(style.VERMILION), va="bottom")
    ax.set_xscale("log")
    ax.set_xticks(list(rows), [f"{n:,}" for n in rows])
    ax.minorticks_off()
    ax.margins(0.06, 0.12)
    return fig
