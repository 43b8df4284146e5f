"""Pictures of what networks make of rooms, for the seven tasks of :mod:`ncp.tasks.scenes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ncp import terminal
from ncp.benchmark import settings
from ncp.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ncp.tasks.run import Run

SIDE = 2.1  # inches of an image
UNKNOWN = 255  # grey of pixels without a label
KEYS = 6  # classes in a line of a key


class Seen(NamedTuple):
    """An evaluation sample: image ``(H, W, 3)`` uint8 (of a jigsaw its tiles, ``(9, h, w, 3)``), target, prediction."""

    image: np.ndarray
    target: np.ndarray
    predicted: np.ndarray


def looked_at(run: Run) -> list[Seen]:
    """Some evaluation samples spread over the set, with what the network makes of each, on the CPU."""
    import torch
    from torch.utils.data import default_collate

    from ncp.data.base import Key
    from ncp.tasks.scenes.base import images_of, targets_of

    data: Any = run.data.val_set
    task: Any = run.task.cpu().float().eval()
    out = []
    for i in np.linspace(0, len(data) - 1, min(len(data), run.options.callbacks.picture_samples)):
        batch = default_collate([data[Key(-1, int(i))]])
        image, target = images_of(batch)[0], targets_of(batch, task.name)[0]
        if image.dtype != torch.uint8:  # normalised already
            shape = (-1, 1, 1)
            levels = image * torch.tensor(task.std).view(shape) + torch.tensor(task.mean).view(shape)
            image = (255 * levels).clamp(0, 255).to(torch.uint8)
        out.append(Seen(image.movedim(-3, -1).numpy(), target.numpy(), task.predict(batch)[0].numpy()))
    return out


def headed(run: Run, what: str, width: float, height: float) -> Figure:
    """A figure with the task's main metric over the set in its title."""
    task = run.task
    value = task.latest.get(task.main_metric, float("nan"))
    figure = settings.figure_text(f"{run.options.setting or task.name}.{task.main_metric}", value)
    name = task.in_words(task.main_metric).removeprefix(task.prefix)
    told = "the figure is of the whole validation set"  # below the title, which a narrow figure would cut off
    room = max(round(11.5 * width) - len(told) - 2, 12)
    return style.figure(
        width, height, f"{what}: {name} {figure}", f"{terminal.shorten(str(run.architecture), room)}; {told}"
    )


def in_columns(
    run: Run, what: str, titles: Sequence[str], rows: Sequence[Sequence[np.ndarray]], below: float = 0.0
) -> Figure:
    """A row of pictures for each sample, under common titles; ``below`` inches stay free for a key."""
    width, height = max(6.4, SIDE * len(titles) + 0.3), SIDE * len(rows) + 1.0 + below
    figure = headed(run, what, width, height)
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    bottom = (0.1 + below) / height
    figure.subplots_adjust(left=0.02, right=0.98, top=1 - 0.85 / height, bottom=bottom, wspace=0.04, hspace=0.05)
    for row, (line, pictures) in enumerate(zip(axes, rows, strict=True)):
        for ax, picture, title in zip(line, pictures, titles, strict=True):
            ax.imshow(picture, interpolation="nearest")
            ax.set_axis_off()
            if row == 0:
                ax.set_title(title, loc="left", size=9.5, color=style.INK, pad=4)
    return figure


def coloured(numbers_CHW: np.ndarray, low: float, high: float) -> np.ndarray:
    """``(H, W, 3)`` uint8 of numbers from ``low`` to ``high``: images as they are, normals as colours."""
    out: np.ndarray = (255 * (numbers_CHW - low) / (high - low)).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return out


def tiled(tiles_Phw3: np.ndarray, gap: int = 1) -> np.ndarray:
    """Nine tiles as one picture, with white lines between them."""
    framed = np.pad(tiles_Phw3, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255)
    return np.concatenate([np.concatenate(list(framed[i : i + 3]), axis=1) for i in (0, 3, 6)], axis=0)


def images_picture(run: Run) -> Figure:
    """Image, target, and what was made."""
    span: Any = getattr(run.task, "range", (-1.0, 1.0))
    rows = [(seen.image, coloured(seen.target, *span), coloured(seen.predicted, *span)) for seen in looked_at(run)]
    what, target = ("Surface normals", "normals") if run.task.name == "normal" else ("Autoencoding", "target")
    figure = in_columns(run, what, ("image", target, "prediction"), rows, 0.25 * (target == "normals"))
    if target == "normals":
        words = "red: faces right; green: faces up; blue: faces the camera; dark: the opposite"
        figure.text(0.02, 0.012, words, size=8, color=style.GREY)
    return figure


def segmentation_picture(run: Run) -> Figure:
    """Image, label and prediction."""
    palette = np.full((256, 3), UNKNOWN, dtype=np.uint8)
    known: Any = getattr(run.data, "palette", ())
    palette[: len(known)] = np.array(known, dtype=np.uint8).reshape(-1, 3)
    from ncp.report import rooms

    all_seen = looked_at(run)
    rows = [(seen.image, palette[seen.target], palette[seen.predicted]) for seen in all_seen]
    shown = np.unique([np.stack([seen.target, seen.predicted]) for seen in all_seen])
    keys = [int(k) for k in shown if k < min(len(known), len(run.data.classes))]
    lines = -(-len(keys) // KEYS)
    figure = in_columns(run, "Segmentation", ("image", "label", "prediction"), rows, 0.26 * lines)
    if keys:
        rooms.legend(figure, known, run.data.classes, keys, KEYS)
    return figure


def jigsaw_picture(run: Run) -> Figure:
    """The tiles as they came, and as the network and the truth put them."""
    puzzles: Any = getattr(run.data, "puzzles", None)
    rows = []
    for seen in looked_at(run):
        places = [np.arange(9) if puzzles is None else puzzles[int(number)] for number in (seen.predicted, seen.target)]
        sorted_tiles = []
        for order in places:
            tiles = np.empty_like(seen.image)
            tiles[order] = seen.image
            sorted_tiles.append(tiled(tiles))
        rows.append((tiled(seen.image), *sorted_tiles))
    return in_columns(run, "Jigsaw", ("tiles as they come", "as the network puts them", "right"), rows)


def classes_picture(run: Run) -> Figure:
    """Images with the likeliest class, and the right one where it is another."""
    all_seen, classes = looked_at(run), run.data.classes
    width = max(SIDE * len(all_seen) + 0.3, 6.4)
    figure = headed(run, "Objects" if run.task.name == "class_object" else "Scenes", width, 3.2)
    axes = figure.subplots(1, len(all_seen), squeeze=False)[0]
    figure.subplots_adjust(left=0.02, right=0.98, top=0.7, bottom=0.03, wspace=0.1)
    for ax, seen in zip(axes, all_seen, strict=True):
        predicted, right = int(seen.predicted), int(seen.target.argmax())
        ax.imshow(seen.image, interpolation="nearest")
        ax.set_axis_off()
        names = [terminal.shorten(str(classes[number]), 24) for number in (predicted, right)]
        text = names[0] if predicted == right else f"seen: {names[0]}\nright: {names[1]}"
        ax.set_title(text, size=9.5, color=style.dark(style.GREEN if predicted == right else style.VERMILION))
    return figure


def layout_picture(run: Run) -> Figure:
    """Images, the rooms from above as they are and as the network takes them to be, and the nine numbers of both."""
    from ncp.report import rooms

    all_seen, names = looked_at(run), [terminal.shorten(str(name), 16) for name in run.data.classes]
    in_metres: Any = getattr(run.data, "layout_numbers", None)
    plans = [] if in_metres is None else ["room from above (m)"]
    titles = ["image", *plans, "its nine numbers, standardised"]
    height = 2.1 * len(all_seen) + 1.4
    figure = headed(run, "Room layout", 5.4 + 2.2 * len(plans), height)
    widths = (1, *(1.0 for _ in plans), 1.9)
    axes = figure.subplots(len(all_seen), len(titles), squeeze=False, width_ratios=widths)
    figure.subplots_adjust(left=0.02, right=0.98, top=1 - 1.15 / height, bottom=0.75 / height, wspace=0.12, hspace=0.2)
    for row, (line, seen) in enumerate(zip(axes, all_seen, strict=True), 1):
        line[0].imshow(seen.image, interpolation="nearest")
        line[0].set_axis_off()
        if plans:
            line[1].set_axis_off()
            rooms.plan(line[1], in_metres(seen.target), in_metres(seen.predicted))
        places = np.arange(len(seen.target))
        style.dress(line[-1], "", "")
        line[-1].plot(places, seen.target, "o", color=style.BLUE, markersize=5, label="true")
        line[-1].plot(places, seen.predicted, "x", color=style.VERMILION, markersize=6, label="predicted")
        line[-1].axhline(0, color=style.FAINT, linewidth=0.8)
        line[-1].set_xticks(
            places, names if row == len(all_seen) else [""] * len(places), rotation=30, ha="right", size=8
        )
    for ax, title in zip(axes[0], titles, strict=True):
        ax.text(0, 1.14, title, transform=ax.transAxes, size=9.5, color=style.INK, va="bottom")
    axes[0][-1].legend(frameon=False, fontsize=8, loc="upper right", labelcolor=style.INK, ncols=2)
    return figure


PICTURES: dict[str, Callable[[Any], Any]] = {
    "class_object": classes_picture,
    "class_scene": classes_picture,
    "room_layout": layout_picture,
    "jigsaw": jigsaw_picture,
    "segmentsemantic": segmentation_picture,
    "normal": images_picture,
    "autoencoder": images_picture,
}
