"""Pictures of rooms with all their labels, a row each: what the seven tasks of TransNAS-Bench-101 are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import terminal
from ncp.data.base import Key
from ncp.report import style
from ncp.report.images import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ncp.data.views import ViewData

ROW = 1.78  # inches
OBJECTS = 5  # that are named of a room
GAP = 0.12  # between the pieces of a puzzle, as a share of a piece
TITLES = {
    "autoencoder": "image",
    "segmentsemantic": "semantic classes",
    "normal": "surface normals",
    "room_layout": "layout from above (m)",
    "class_object": "objects, share of area",
    "jigsaw": "jigsaw",
}
DRAWN = ("autoencoder", "segmentsemantic", "normal", "room_layout", "class_object", "jigsaw")


def picture(data: ViewData, items: Sequence[int]) -> Figure:
    """Training views with their labels.

    Args:
        data: a prepared set with several labels.
        items: which views.
    """
    labels = [name for name in DRAWN if name in data.labels or name == "autoencoder"]
    keys = list(range(len(data.palette))) if "segmentsemantic" in labels else []
    lines = -(-len(keys) // 9)
    height = ROW * len(items) + 1.05 + 0.24 * lines
    fig = style.figure(1.78 * len(labels) + 0.3, height, "Rooms with their labels", data.source)
    axes = fig.subplots(len(items), len(labels), squeeze=False)
    fig.subplots_adjust(
        left=0.01, right=0.99, top=1 - 1.0 / height, bottom=(0.1 + 0.24 * lines) / height, wspace=0.07, hspace=0.16
    )
    for number, (row, item) in enumerate(zip(axes, items, strict=True)):
        sample = data.train_set[Key(-1, item)]
        for ax, name in zip(row, labels, strict=True):
            _draw(ax, name, sample, data)
            if number == 0:
                ax.text(
                    0, 1.13, TITLES[name], transform=ax.transAxes, size=9, color=style.INK, weight="bold", va="bottom"
                )
    if keys:
        legend(fig, data.palette, data.names("segmentsemantic"), keys)
    return fig


def legend(
    fig: Figure, palette: Sequence[Sequence[int]], names: Sequence[str], keys: Sequence[int], columns: int = 9
) -> None:
    """Which colour is which semantic class, below the pictures."""
    from matplotlib.patches import Patch

    colours = [(red / 255, green / 255, blue / 255) for red, green, blue in palette]
    patches = [Patch(facecolor=colours[k], label=terminal.shorten(str(names[k]), 18)) for k in keys]
    fig.legend(handles=patches, loc="lower center", ncols=columns, frameon=False, fontsize=8, labelcolor=style.INK)


def _draw(ax: Axes, name: str, sample: dict[str, Any], data: ViewData) -> None:
    ax.set_axis_off()
    label = sample["label"]
    if name == "autoencoder":
        ax.imshow(shown(sample["image"]), interpolation="nearest")
        if "class_scene" in label:
            _name(ax, str(data.names("class_scene")[int(label["class_scene"].argmax())]))
    elif name == "segmentsemantic":
        palette = np.full((256, 3), 255, dtype=np.uint8)
        palette[: len(data.palette)] = data.palette
        ax.imshow(palette[label[name].numpy()], interpolation="nearest")
    elif name == "normal":
        low, high = data.normal_range
        ax.imshow(((label[name].numpy().transpose(1, 2, 0) - low) / (high - low)).clip(0, 1), interpolation="nearest")
    elif name == "room_layout":
        plan(ax, data.layout_numbers(label[name].numpy()))
    elif name == "class_object":
        _bars(ax, label[name].numpy(), data.names(name))
    else:
        ax.imshow(puzzle(sample["tiles"].numpy()), interpolation="nearest")
        _name(ax, f"permutation {int(label[name])} of {len(data.names(name)):,}")


def _name(ax: Axes, text: str) -> None:
    ax.set_title(text, size=8.5, color=style.GREY, loc="left", pad=2)


def puzzle(tiles_9CHW: np.ndarray) -> np.ndarray:
    """``(H, W, 3)`` uint8: the tiles in three rows, white between them."""
    side = tiles_9CHW.shape[-1]
    gap = max(1, round(side * GAP))
    out = np.full((3 * side + 2 * gap, 3 * side + 2 * gap, 3), 255, dtype=np.uint8)
    for i, tile in enumerate(tiles_9CHW):
        top, left = (i // 3) * (side + gap), (i % 3) * (side + gap)
        out[top : top + side, left : left + side] = tile.transpose(1, 2, 0)
    return out


def plan(ax: Axes, numbers_9: np.ndarray, found_9: np.ndarray | None = None) -> None:
    """A room from above, with the camera where it stands and looks, and what a network takes the room for."""
    from matplotlib.patches import Polygon, Wedge

    corners, angle = outline(numbers_9)
    ax.add_patch(Polygon(corners, closed=True, facecolor=style.FAINT, edgecolor=style.BLUE, linewidth=1.8))
    reach = 0.25 * float(np.ptp(corners, axis=0).max())
    if found_9 is not None:
        found, _ = outline(found_9)
        ax.add_patch(Polygon(found, closed=True, fill=False, edgecolor=style.VERMILION, linewidth=1.8, linestyle="--"))
        corners = np.concatenate([corners, found])
    ax.add_patch(Wedge((0, 0), reach, 60, 120, facecolor=style.ORANGE, alpha=0.8))
    ax.plot([0], [0], marker="o", markersize=4, color=style.INK)
    ax.set_aspect("equal")
    middle, half = (corners.min(0) + corners.max(0)) / 2, float(np.ptp(corners, axis=0).max()) / 2 * 1.06
    ax.set_xlim(middle[0] - half, middle[0] + half)
    ax.set_ylim(middle[1] - half, middle[1] + half)
    length, width, height = numbers_9[6:]
    _name(ax, f"{length:.1f} x {width:.1f} x {height:.1f}, {math.degrees(angle):+.0f}°")


def outline(numbers_9: np.ndarray) -> tuple[np.ndarray, float]:
    """``(4, 2)`` corners of a layout's floor in metres to the right of and ahead of the camera, and by what angle the room is
    turned to the left of where the camera looks (see :mod:`ncp.data.indoor.scenes`; a small roll is left out)."""
    right, up, back = numbers_9[:3]
    tilt = numbers_9[3] - math.pi / 2  # of the camera: up is positive
    ahead = -back * math.cos(tilt) - up * math.sin(tilt)
    angle = -(numbers_9[5] + math.pi / 2)
    along = np.array([-math.sin(angle), math.cos(angle)])  # the room's x axis, right and ahead
    aside = np.array([-along[1], along[0]])
    half = numbers_9[6:8] / 2
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return np.array([right, ahead]) + signs[:, :1] * half[0] * along + signs[:, 1:] * half[1] * aside, angle


def _bars(ax: Axes, shares: np.ndarray, names: Sequence[str]) -> None:
    order = [int(k) for k in np.argsort(-shares)[:OBJECTS] if shares[k] > 0]
    for row, k in enumerate(order):
        ax.barh(row, shares[k], height=0.38, color=style.BLUE, left=0)
        text = f"{terminal.shorten(str(names[k]), 20)}  {100 * shares[k]:.0f}%"
        ax.text(0, row - 0.32, text, size=8, color=style.INK, va="bottom")
    ax.set_xlim(0, 1.02)
    ax.set_ylim(OBJECTS - 0.4, -0.85)
