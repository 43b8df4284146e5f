"""Bird's-eye pictures of LiDAR scenes: points, true boxes, found boxes; the sensor at the bottom, forward is up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import terminal
from ncp.metrics.boxes import BEV_OF_7, corners_bev
from ncp.metrics.kitti_names import in_words
from ncp.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ncp.tasks.run import Run

TRUE, FOUND = style.GREEN, style.VERMILION
SHOWN = 0.3  # lowest score that is drawn
_APART = 0.06  # of the width: texts nearer to each other would overlap


def scene(
    ax: Axes,
    points_P4: np.ndarray,
    true_K7: np.ndarray,
    found_M7: np.ndarray,
    scores_M: np.ndarray | None = None,
    names: Sequence[str] = (),
    limits: Sequence[float] = (0.0, -39.68, -3.0, 69.12, 39.68, 1.0),
    true_labels_K: Sequence[int] | None = None,
) -> None:
    """Draw one scene.

    Args:
        ax: where.
        points_P4: x, y, z, ... in metres (LiDAR frame); higher ones are darker.
        true_K7, found_M7: boxes (x, y, z, length, width, height, yaw); a line from the centre shows where the front is.
        scores_M: of the found boxes, best first; written beside them where there is room.
        names: of the found boxes' classes.
        limits: x, y, z from and to.
        true_labels_K: numbers of the true boxes' classes, each drawn in a colour of its own; None: all alike.
    """
    order = np.argsort(points_P4[:, 2]) if len(points_P4) else slice(0)
    height = np.clip((points_P4[order, 2] - limits[2]) / (limits[5] - limits[2]), 0, 1)
    size = 2.2 * min(1.0, 25 / (limits[4] - limits[1])) ** 1.2
    ax.scatter(
        -points_P4[order, 1], points_P4[order, 0], c=0.82 - 0.75 * height, s=size, cmap="gray", vmin=0, vmax=1, lw=0
    )
    for colour, some_K in _by_colour(len(true_K7), true_labels_K):
        _boxes(ax, true_K7[some_K], colour, 2.4)
    _boxes(ax, found_M7, FOUND, 1.1)
    written: list[tuple[float, float]] = []
    for k in range(len(found_M7)):
        text = f"{names[k][:3] if len(names) else ''} {scores_M[k]:.2f}" if scores_M is not None else ""
        place = (-found_M7[k, 1] + 0.01 * (limits[4] - limits[1]), found_M7[k, 0])
        if any(np.hypot(place[0] - x, place[1] - y) < _APART * (limits[4] - limits[1]) for x, y in written):
            continue  # a better one is written there already
        written.append(place)
        ax.annotate(text.strip(), place, size=6.5, color=style.dark(FOUND), clip_on=True)
    ax.set_xlim(-limits[4], -limits[1])
    ax.set_ylim(limits[0], limits[3])
    ax.set_aspect("equal")
    ax.tick_params(labelsize=7, colors=style.GREY, length=2, pad=2)
    for side in ax.spines.values():
        side.set_color(style.FAINT)


def _by_colour(count: int, labels_K: Sequence[int] | None) -> list[tuple[str, np.ndarray]]:
    """Which of so many boxes have which colour."""
    if labels_K is None:
        return [(TRUE, np.arange(count))]
    labels = np.asarray(labels_K)
    return [(colour_of(int(label)), np.flatnonzero(labels == label)) for label in np.unique(labels)]


def colour_of(label: int) -> str:
    """Of a class; those of more than there are colours begin anew."""
    return style.CYCLE[label % len(style.CYCLE)]


def _boxes(ax: Axes, boxes_K7: np.ndarray, colour: str, width: float) -> None:
    """Outlines with a line from the centre through the front; x is drawn upwards, y to the left."""
    from matplotlib.collections import LineCollection

    if len(boxes_K7) == 0:
        return
    boxes = np.asarray(boxes_K7, dtype=np.float64)
    x, y = corners_bev(boxes[:, list(BEV_OF_7)])
    outline = np.stack([-y, x], -1)[:, [0, 1, 2, 3, 0]]
    reach = boxes[:, 3] * 0.65
    front = np.stack([-(boxes[:, 1] + reach * np.sin(boxes[:, 6])), boxes[:, 0] + reach * np.cos(boxes[:, 6])], -1)
    ticks = np.stack([np.stack([-boxes[:, 1], boxes[:, 0]], -1), front], 1)
    ax.add_collection(LineCollection([*outline, *ticks], colors=colour, linewidths=width))


def draw(
    scenes: Sequence[dict[str, Any]],
    limits: Sequence[float],
    title: str,
    subtitle: str = "",
    columns: int = 4,
    side: float = 2.9,
    lowest: float = SHOWN,
    labelled: bool = True,
    found_too: bool = True,
    classes: Sequence[str] = (),
) -> Figure:
    """Scenes side by side; each is ``{points, true, found, scores, names, title}`` as in :func:`scene`, with ``labels`` where
    the classes of the true boxes are shown.

    Args:
        scenes: what is drawn.
        limits: see :func:`scene`.
        title, subtitle: above them.
        columns: scenes beside each other.
        side: width of a scene in inches.
        lowest: score from which boxes were drawn.
        labelled, found_too: whether scenes have labels, and boxes that a network found.
        classes: their names, which the legend tells where each has a colour of its own.
    """
    from matplotlib.lines import Line2D

    columns = max(1, min(columns, len(scenes)))
    lines = -(-len(scenes) // columns)
    tall = side * (limits[3] - limits[0]) / (limits[4] - limits[1])
    width, height = columns * (side + 0.35) + 0.3, lines * (tall + 0.5) + 1.15
    fig = style.figure(max(width, 6.0), height, title, subtitle)
    axes = fig.subplots(lines, columns, squeeze=False)
    fig.subplots_adjust(left=0.05, right=0.985, top=1 - 0.85 / height, bottom=0.62 / height, wspace=0.12, hspace=0.22)
    for ax in axes.flat[len(scenes) :]:
        ax.set_visible(False)
    for ax, one in zip(axes.flat, scenes, strict=False):
        scene(
            ax,
            one["points"],
            one["true"],
            one["found"],
            one.get("scores"),
            one.get("names", ()),
            limits,
            one.get("labels"),
        )
        ax.set_title(one.get("title", ""), loc="left", size=8.5, color=style.INK, pad=3)
    axes[0, 0].set_ylabel("forward (m)", size=8, color=style.GREY)
    marks = [
        Line2D([], [], color=TRUE, linewidth=2.4, label="labelled"),
        Line2D([], [], color=FOUND, linewidth=1.1, label=f"found, score from {lowest:g}"),
        Line2D(
            [], [], color=style.GREY, marker=".", linestyle="", markersize=3, label="LiDAR points, high ones darker"
        ),
    ]
    marks = [mark for mark, there in zip(marks, (labelled and not classes, found_too, True), strict=True) if there]
    marks = [*_classes(classes), *marks]
    beside = 2 * columns if classes else 3
    fig.legend(handles=marks, loc="lower center", ncols=beside, frameon=False, fontsize=8, labelcolor=style.INK)
    return fig


def _classes(names: Sequence[str]) -> list[Any]:
    """A line of the legend for each colour; classes that share one stand together."""
    from matplotlib.lines import Line2D

    by_colour: dict[str, list[str]] = {}
    for label, name in enumerate(names):
        by_colour.setdefault(colour_of(label), []).append(terminal.shorten(name, 16))
    return [Line2D([], [], color=c, linewidth=2.4, label=", ".join(some[:4])) for c, some in by_colour.items()]


def detection_picture(run: Run) -> Figure:
    """Some validation scenes of a finished training, with what is labelled and what was found."""
    import torch

    from ncp.data.base import Key
    from ncp.data.kitti import collate, frames_of

    data: Any = run.data
    frames = frames_of(data.val_set)
    wanted = min(len(frames), run.options.callbacks.picture_samples)
    task: Any = run.task.cpu().float().eval()
    scenes = []
    for i in np.linspace(0, len(frames) - 1, wanted).astype(int).tolist():
        item = frames[Key(-1, i)]
        with torch.no_grad():
            found = task.predict(collate([item]))[0]
        shown = found.scores >= SHOWN
        scenes.append(
            {
                "points": item["points"].numpy(),
                "true": item["boxes"].numpy(),
                "found": found.boxes[shown].numpy(),
                "scores": found.scores[shown].numpy(),
                "names": [data.classes[k] for k in found.labels[shown].tolist()],
                "title": f"frame {frames.frames[i].name}",
            }
        )
    name = in_words("moderate", data.min_overlap)
    figure = f"{name}: {run.task.latest.get('moderate', float('nan')):.1f}% on the whole validation set"
    return draw(scenes, data.limits, f"3D detection: {figure}", str(run.architecture))
