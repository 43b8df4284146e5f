"""Pictures of how tasks go together and how early ranks are settled (the supplement of TransNAS-Bench-101, Figures 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ncp.benchmark.relations import Convergence, Relations
from ncp.report import style

COLUMNS = 4


def relations_figure(found: Relations, title: str) -> Figure:
    """A dot an architecture for each pair of tasks, below the diagonal of tasks; above each the rank correlation."""
    m = len(found.labels) - 1
    width, height = 0.75 + 1.75 * m, 1.15 + 1.55 * m
    under = f"{len(found.values):,} architectures, a dot each; in each panel Spearman's rank correlation; better is right and up"
    fig = style.figure(width, height, title, under)
    grid = fig.add_gridspec(
        m,
        m,
        left=0.72 / width,
        right=1 - 0.1 / width,
        top=1 - 0.75 / height,
        bottom=0.5 / height,
        wspace=0.12,
        hspace=0.14,
    )
    limits = [_limits(column) for column in found.values.T]
    for x, y in found.pairs:
        ax = fig.add_subplot(grid[y - 1, x])
        ax.scatter(
            found.values[:, x], found.values[:, y], s=2.5, color=style.BLUE, alpha=0.2, linewidths=0, rasterized=True
        )
        ax.text(0.04, 0.95, f"{found.spearman[x, y]:.2f}", transform=ax.transAxes, va="top", size=9, color=style.INK)
        ax.set_xlim(*limits[x])
        ax.set_ylim(*limits[y])
        ax.tick_params(labelsize=6.5, colors=style.GREY, length=2, pad=1.5)
        for side in ax.spines.values():
            side.set_color(style.FAINT)
        if y == m:
            ax.set_xlabel(found.labels[x], size=8, color=style.INK)
        else:
            ax.set_xticklabels([])
        if x == 0:
            ax.set_ylabel(found.labels[y], size=8, color=style.INK)
        else:
            ax.set_yticklabels([])
    return fig


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low or 1.0)
    return low - room, high + room


def convergence_figure(found: Sequence[Convergence], title: str) -> Figure:
    """A panel a metric's part (validation, test): rank correlation with the epoch before, a line a setting."""
    parts = list(dict.fromkeys(_part(each.metric) for each in found))
    width, height = 0.6 + 4.2 * len(parts), 4.1
    fig = style.figure(width, height, title, "Spearman's rank correlation between one epoch and the one before")
    grid = fig.add_gridspec(
        1, len(parts), left=0.55 / width, right=1 - 0.15 / width, top=1 - 0.95 / height, bottom=1.0 / height
    )
    for i, part in enumerate(parts):
        ax = fig.add_subplot(grid[0, i])
        style.dress(ax, part, x_label="epoch")
        for number, each in enumerate(each for each in found if _part(each.metric) == part):
            dash = "solid" if number < len(style.CYCLE) else (0, (4, 2))
            name = each.setting.rpartition("/")[2]
            ax.plot(
                each.epochs, each.spearman, color=style.CYCLE[number % len(style.CYCLE)], linestyle=dash, label=name
            )
        ax.set_ylim(top=1.02)
    handles, labels = fig.axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower left", ncols=4, frameon=False, fontsize=8, bbox_to_anchor=(0.03, 0))
    return fig


def _part(metric: str) -> str:
    return {"valid": "validation", "test": "test", "train": "training"}.get(metric.partition("_")[0], "validation")


def pairs(found: Relations) -> list[list[str]]:
    """A row a pair."""
    head = [["Setting", "With", "Spearman", "Kendall", "Architectures"]]
    return head + [
        [
            found.settings[i],
            found.settings[j],
            f"{found.spearman[i, j]:.3f}",
            f"{found.kendall[i, j]:.3f}",
            f"{len(found.values):,}",
        ]
        for i, j in found.pairs
    ]


def epochs(found: Sequence[Convergence]) -> list[list[str]]:
    """A row a setting, metric and epoch."""
    head = [["Setting", "Metric", "Epoch", "Spearman", "Kendall"]]
    return head + [
        [each.setting, each.metric, str(int(epoch)), f"{a:.4f}", f"{b:.4f}"]
        for each in found
        for epoch, a, b in zip(each.epochs, each.spearman, each.kendall, strict=True)
    ]
