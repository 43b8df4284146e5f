"""What a look at a data set shows: a table, its balance, and a picture of samples with their labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import terminal
from ncp.commandline import command_line
from ncp.data.folder.files import spread
from ncp.errors import UserError
from ncp.files import printable
from ncp.numeric import several
from ncp.report import style
from ncp.report.images import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ncp.data.folder.files import OwnData
    from ncp.data.folder.look import Look
    from ncp.data.folder.suggest import Suggestion

MOST_KINDS = 6
MOST_CLASSES = 20  # in the terminal and in a picture
WHAT = {"cls": "images", "seg": "images that hold it", "video": "videos", "det3d": "objects"}
SHARE = {"seg": "of pixels"}
SPLITS = {"train": "training", "val": "validation"}


def write(data: OwnData, found: Look, folder: Path, samples: int) -> dict[str, Path]:
    """Draw ``samples.png`` and ``classes.png``; those that can be drawn."""
    out = {}
    if any(found.counts.get("train", {}).values()):
        out["classes"] = style.save(balance(found), folder / "classes.png")
    if samples and found.total and found.classes:
        try:
            figure = picture(data, found, samples)
        except UserError:  # told among the problems
            return out
        if figure is not None:
            out["samples"] = style.save(figure, folder / "samples.png")
    return out


def show(found: Look, suggestion: Suggestion, files: dict[str, Path]) -> None:
    """Print the set: splits, classes, sizes, facts, warnings, problems, and what it suggests."""
    table = terminal.table(f"{found.task}: {found.root}", boxed=True)
    for name in (
        "class",
        *(f"{SPLITS[s]} {WHAT[found.task]}" for s in SPLITS),
        f"share {SHARE.get(found.task, '')}".strip(),
    ):
        table.add_column(name, justify="left" if name == "class" else "right")
    order = sorted(found.classes, key=lambda name: -found.shares.get(name, 0.0))
    left_out = len(order) - MOST_CLASSES
    kept = order if left_out <= 0 else [*order[: MOST_CLASSES // 2], *order[-MOST_CLASSES // 2 :]]
    for number, name in enumerate(kept):
        if left_out > 0 and number == MOST_CLASSES // 2:
            table.add_row(f"... {left_out} more", "", "", "")
        counts = [f"{found.counts.get(split, {}).get(name, 0):,}" for split in SPLITS]
        table.add_row(terminal.shorten(name, 40), *counts, f"{100 * found.shares.get(name, 0.0):.2f} %")
    if found.classes:
        terminal.console().print(table)
    about = rows(found)
    terminal.fields(about, width=2 + max(map(len, about), default=10))
    for title, lines in (("note", found.notes), ("warning", found.warnings), ("suggested", suggestion.why)):
        for line in lines:
            terminal.fields({f"{title}:": line}, width=12)
    for path in files.values():
        terminal.say(terminal.relative(path))


def rows(found: Look) -> dict[str, str]:
    """What is told in a line each."""
    out = {}
    for split, name in SPLITS.items():
        if split in found.files:
            looked = found.looked.get(split, 0)
            whole = "all read" if looked == found.files[split] else f"{looked:,} of them read; look=all reads all"
            whole = whole if looked else "none read"  # something else was wrong before
            out[f"{name}:"] = f"{several(found.files[split], 'file')} ({whole})"
    if found.sizes:
        sides = np.array(list(found.sizes))
        (low, narrow), (high, wide) = sides.min(0), sides.max(0)
        middle = found.middle()
        extent = f"{low}x{narrow}"
        if len(sides) > 1:
            extent = f"{low} to {high} high, {narrow} to {wide} wide, median {middle[0]}x{middle[1]}"
        out["sizes:"] = f"{extent} pixels ({len(sides)} different)" if len(sides) > 1 else f"{extent} pixels"
    if found.kinds:
        more = f", {len(found.kinds) - MOST_KINDS} more kinds" if len(found.kinds) > MOST_KINDS else ""
        listed = (f"{printable(kind)} ({number:,})" for kind, number in found.kinds.most_common(MOST_KINDS))
        out["kinds:"] = ", ".join(listed) + more
    if "channels" in found.facts:
        out["channels:"] = f"{found.facts['channels']}{', read as RGB' if found.facts['photographs'] else ''}"
    for name, value in found.facts.items():
        # anchors are told among the notes
        if name not in ("reading", "channels", "photographs") and not name.startswith("anchor of"):
            out[f"{name}:"] = f"{value:.1%}" if isinstance(value, float) and 0 <= value <= 1 else str(value)
    for kind, names in found.unmatched.items():
        out[f"lone {kind}s:"] = f"{len(names):,}, first {printable(names[0])}"
    return out


def show_setting(name: str, path: Path) -> None:
    """Print the setting and how to go on from it."""
    terminal.say("")
    terminal.say(path.read_text(encoding="utf-8").rstrip())
    terminal.say("")
    place = terminal.relative(path.parent.parent)
    terminal.fields(
        {
            "try it:": command_line("train", "--config-dir", place, setting=name, arch="narrow", debug="tiny"),
            "train:": command_line("train", "--config-dir", place, setting=name),
            "build:": command_line("build", "--config-dir", place, setting=name, count=40),
        }
    )


def balance(found: Look) -> Figure:
    """Bars of the classes by split, the commonest first."""
    order = sorted(found.classes, key=lambda name: -found.counts["train"].get(name, 0))[: 2 * MOST_CLASSES]
    height = 1.3 + 0.24 * len(order)
    more = f", the {len(order)} commonest of {len(found.classes)}" if len(order) < len(found.classes) else ""
    what = WHAT[found.task]
    fig = style.figure(
        7.2, height, f"Classes: {what} by split{more}", "those that were read" if found.task == "seg" else ""
    )
    ax = fig.subplots()
    fig.subplots_adjust(left=0.26, right=0.97, top=1 - 0.75 / height, bottom=0.42 / height)
    at = np.arange(len(order))
    for number, (split, colour) in enumerate((("train", style.BLUE), ("val", style.ORANGE))):
        values = [found.counts.get(split, {}).get(name, 0) for name in order]
        ax.barh(at + 0.4 * number - 0.2, values, 0.38, color=colour, label=SPLITS[split])
    ax.set_yticks(at, [terminal.shorten(name, 26) for name in order], size=8)
    ax.invert_yaxis()
    style.dress(ax, "", "", what)
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", color=style.FAINT, linewidth=0.8)
    ax.legend(
        frameon=False,
        fontsize=8,
        labelcolor=style.INK,
        ncols=2,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.2,
    )
    return fig


def picture(data: Any, found: Look, wanted: int) -> Figure | None:
    """Training samples with their labels drawn; None where no set could be made."""
    if not hasattr(data, "val_set"):
        data.make_sets()
    draw = {"cls": _classification, "seg": _segmentation, "video": _videos, "det3d": _scenes}[found.task]
    return draw(data, found, wanted)


def _chosen(labels: np.ndarray | None, count: int, wanted: int) -> list[int]:
    """Samples spread over the set; of labelled ones the classes in turns."""
    if labels is None:
        return spread(count, wanted)
    firsts = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    turns = [int(group[turn]) for turn in range(max(map(len, firsts))) for group in firsts if turn < len(group)]
    return turns[:wanted]


def _classification(data: Any, found: Look, wanted: int) -> Figure:
    from ncp.data.folder.reading import scaled_photo

    labels = data.labels["train"]
    chosen = _chosen(labels, len(labels), wanted)
    columns = min(4, len(chosen))
    lines = -(-len(chosen) // columns)
    height = 1.95 * lines + 0.75
    fig = style.figure(max(1.9 * columns + 0.2, 6.0), height, "Training images with their classes", found.root)
    axes = fig.subplots(lines, columns, squeeze=False)
    fig.subplots_adjust(left=0.02, right=0.98, top=1 - 0.85 / height, bottom=0.02, wspace=0.06, hspace=0.2)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, item in zip(axes.flat, chosen, strict=False):
        ax.imshow(shown(scaled_photo(data.reading, Path(data.train_set.paths[item]))), interpolation="nearest")
        ax.set_title(terminal.shorten(str(data.classes[labels[item]]), 24), size=9, color=style.INK, pad=3)
    return fig


def _segmentation(data: Any, found: Look, wanted: int) -> Figure:
    from matplotlib.patches import Patch

    pairs = data.train_set.pairs
    chosen = _chosen(None, len(pairs), wanted)
    palette = np.full((256, 3), 255, dtype=np.uint8)
    palette[: len(data.palette)] = data.palette
    samples = [pairs[item] for item in chosen]
    count = -(-len(samples) // 2)
    tall = 2.6 * samples[0][1].shape[0] / samples[0][1].shape[1]
    keys = list(range(min(len(data.classes), 24)))
    lines = -(-len(keys) // 6)
    height = tall * count + 0.9 + 0.25 * lines
    fig = style.figure(10.4, height, "Training images with their masks (white: not counted)", found.root)
    axes = fig.subplots(count, 4, squeeze=False)
    fig.subplots_adjust(
        left=0.02, right=0.98, top=1 - 0.72 / height, bottom=(0.15 + 0.25 * lines) / height, wspace=0.03, hspace=0.06
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for row, (image, label) in zip(axes.reshape(-1, 2), samples, strict=False):
        photo, colours = shown(image), palette[label.numpy()]
        for ax, pixels in zip(row, (photo, (0.35 * photo + 0.65 * colours).astype(np.uint8)), strict=True):
            ax.imshow(pixels, interpolation="nearest")
    patches = [Patch(facecolor=palette[k] / 255, label=terminal.shorten(str(data.classes[k]), 18)) for k in keys]
    fig.legend(handles=patches, loc="lower center", ncols=6, frameon=False, fontsize=8, labelcolor=style.INK)
    return fig


def _videos(data: Any, found: Look, wanted: int) -> Figure:
    from ncp.data.base import Key

    labels = data.train_set.labels
    chosen = _chosen(labels, len(labels), min(wanted, 6))
    samples = [data.train_set[Key(-1, item)] for item in chosen]
    frames = min(6, samples[0]["image"].shape[1])
    height = 1.15 * len(samples) + 0.8
    fig = style.figure(8.0, height, "Training videos with their classes", found.root)
    axes = fig.subplots(len(samples), frames, squeeze=False)
    fig.subplots_adjust(left=0.24, right=0.985, top=1 - 0.75 / height, bottom=0.02, wspace=0.05, hspace=0.06)
    for row, item, sample in zip(axes, chosen, samples, strict=True):
        for ax, frame in zip(row, sample["image"][0], strict=False):
            ax.imshow(shown(frame), interpolation="nearest")
            ax.set_axis_off()
        name = terminal.shorten(str(data.classes[int(labels[item])]), 24)
        row[0].text(-0.12, 0.5, name, transform=row[0].transAxes, ha="right", va="center", size=9, color=style.INK)
    return fig


def _scenes(data: Any, found: Look, wanted: int) -> Figure:
    from ncp.data.base import Key
    from ncp.report import bev

    frames = data.train_set
    scenes = []
    for item in _chosen(None, len(frames), min(wanted, 8)):
        sample = frames[Key(-1, item)]
        scenes.append(
            {
                "points": sample["points"].numpy(),
                "true": sample["boxes"].numpy(),
                "labels": sample["labels"].numpy(),
                "found": np.zeros((0, 7)),
                "title": f"frame {frames.frames[item].name}, {several(len(sample['boxes']), 'object')}",
            }
        )
    title, classes = "Training frames with their labels", [str(name) for name in data.classes]
    return bev.draw(scenes, data.limits, title, found.root, found_too=False, classes=classes)
