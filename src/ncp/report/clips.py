"""The picture of a video recognition: the frames of some clips in a row, with what the network takes them for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncp import terminal
from ncp.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 8  # frames of a clip that are shown


def video_picture(run: Any, samples: dict[str, Any], predictions: Any) -> Figure:
    """A row per clip, time from left to right.

    Args:
        run: a :class:`ncp.tasks.run.Run`.
        samples: of the evaluation, each value a list: ``image`` ``(K, T, 3, H, W)``, ``label``.
        predictions: a class number for each.
    """
    clips = [image[0] for image in samples["image"]]
    count, frames = len(clips), min(MOST, len(clips[0]))
    classes = run.data.classes
    metric = f"top-1 {run.task.latest.get('top1', float('nan')):.1f}% on the whole validation set"
    side, words = 1.1, 2.4
    width, height = words + side * frames + 0.2, side * count + 1.1
    fig = style.figure(max(width, 6.4), height, f"Video recognition: {metric}", str(run.architecture))
    axes = fig.subplots(count, frames, squeeze=False)
    fig.subplots_adjust(
        left=words / max(width, 6.4), right=0.985, top=1 - 0.95 / height, bottom=0.12 / height, wspace=0.06, hspace=0.06
    )
    for row, clip, label, predicted in zip(axes, clips, samples["label"], predictions, strict=True):
        right = int(predicted) == int(label)
        named, truth = (terminal.shorten(str(classes[int(k)]), 28) for k in (predicted, label))
        text = named if right else f"{named},\nnot {truth}" if int(label) >= 0 else "unreadable"
        for ax, frame in zip(row, clip, strict=False):
            ax.imshow(frame.permute(1, 2, 0).numpy(), interpolation="nearest")
            ax.set_axis_off()
        row[0].text(
            -0.12, 0.5, text, transform=row[0].transAxes, ha="right", va="center", size=9.5,
            color=style.dark(style.GREEN if right else style.VERMILION),
        )  # fmt: skip
    return fig
