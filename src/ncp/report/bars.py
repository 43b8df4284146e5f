"""Found architectures as bars, one row each and one bar a dimension: like the paper's Figure 8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ncp import spaces, terminal
from ncp.report import style


def dimensions_figure(
    architectures: Mapping[str, Any], space: spaces.Space[Any], title: str, subtitle: str = ""
) -> Figure:
    """One row of bars for each architecture.

    Every bar is drawn as a part of its dimension's range, with the value written above it, so that channels and numbers
    of blocks can stand side by side. Dimensions of one kind (the first words of the space's groups) share a colour.

    Args:
        architectures: name -> architecture of ``space``.
    """
    count = len(architectures)
    names = [terminal.shorten(name) for name in architectures]
    left = max(1.3, 0.095 * max(map(len, names)) + 0.2)  # inches
    width, height = max(9.0, 0.4 * space.dim + 0.3 + left), 1.15 * count + 1.05
    fig = style.figure(width, height, title, subtitle)
    grid = fig.add_gridspec(
        count, 1, left=left / width, right=0.99, top=1 - 0.7 / height, bottom=0.35 / height, hspace=0.3
    )
    x = np.arange(space.dim)
    kinds = {i: group.split(",")[0] for group, indices in space.groups.items() for i in indices}
    palette = dict(zip(dict.fromkeys(kinds.values()), style.CYCLE * space.dim, strict=False))
    colours = [palette[kinds[i]] for i in range(space.dim)]
    for row, (name, architecture) in enumerate(zip(names, architectures.values(), strict=True)):
        ax = fig.add_subplot(grid[row, 0])
        code = np.asarray(architecture.code, dtype=float)
        ax.bar(x, code / space.upper, color=colours, width=0.78)
        for i, value in enumerate(code):
            ax.text(i, value / space.upper[i] + 0.04, f"{value:g}", ha="center", size=7.5, color=style.INK)
        ax.set_ylim(0, 1.22)
        ax.set_xlim(-0.6, space.dim - 0.4)
        ax.set_yticks([])
        ax.set_ylabel(name, rotation=0, ha="right", va="center", size=10, color=style.INK, labelpad=8)
        ax.set_xticks(x, space.labels if row == count - 1 else [], size=7.5, color=style.GREY)
        ax.tick_params(length=0)
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
        ax.spines["bottom"].set_color(style.FAINT)
    right = 0.99
    for kind, colour in reversed(palette.items()):
        fig.text(right, 1 - 0.5 / height, f"■ {kind}", size=9, color=style.dark(colour), ha="right")
        right -= (0.085 * len(kind) + 0.4) / width
    return fig
