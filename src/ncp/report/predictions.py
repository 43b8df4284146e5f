"""Pictures of predictions for people: overlays, pages of likeliest classes, scores of a video's clips, bird's-eye views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ncp import terminal
from ncp.numeric import several
from ncp.report import letters, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Colour = tuple[int, int, int]
STRENGTH = 0.55  # of the classes' colours over an image
SMALLEST = 0.002  # share of an image from which a class is named
NARROW = 480  # pixels: what is not half as wide is drawn enlarged
FONT = 13  # pixels of the key's letters, more below large images
PAGE = 8  # images of a page
# pixels of a page: a cell's width, its image's height and greatest width, the words, a bar of 100 %, a bar's line, the head
CELL, SIDE, WIDEST, WORDS, FULL, BAR, HEAD = 560, 130, 170, 150, 150, 26, 64
MOST_CLIPS = 12  # of which a picture stands above a video's scores


def overlay(
    image_CHW: np.ndarray, labels_HW: np.ndarray, palette: Sequence[Colour], names: Sequence[str]
) -> Image.Image:
    """An image under its classes' colours, and below it which class has which colour and how much of the image.

    Args:
        image_CHW: numbers 0..255, of any number of channels.
        labels_HW: class numbers, of the same size.
        palette: a colour for each class.
        names: of the classes.
    """
    mixed = blended(image_CHW, labels_HW, palette)
    numbers, counts = np.unique(labels_HW, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shares = [(int(numbers[i]), counts[i] / labels_HW.size) for i in order if counts[i] >= SMALLEST * labels_HW.size]
    key = colour_key(
        [(palette[k], f"{terminal.shorten(names[k], 24)} {share:.1%}") for k, share in shares], mixed.shape[1]
    )
    page = Image.new("RGB", (max(key.width, mixed.shape[1]), mixed.shape[0] + key.height), "white")
    page.paste(Image.fromarray(mixed), (0, 0))
    page.paste(key, (0, mixed.shape[0]))
    return page


def blended(image_CHW: np.ndarray, labels_HW: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """``(h, w, 3)`` uint8: an image under its classes' colours, small ones enlarged."""
    colours = Image.fromarray(np.array(palette, dtype=np.uint8)[labels_HW])
    mixed = np.asarray(Image.blend(Image.fromarray(as_rgb(image_CHW)), colours, STRENGTH))
    return mixed.repeat(zoom := max(1, NARROW // mixed.shape[1]), 0).repeat(zoom, 1)


def colour_key(entries: Sequence[tuple[Colour, str]], width: int) -> Image.Image:
    """Colours with words, in as many lines as they need; as wide as the widest word at least."""
    unit = max(FONT, width // 64)
    font, words = letters.for_pillow([text for _, text in entries], unit)
    swatch, gap, line = unit - 1, unit + 1, round(1.7 * unit)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    sizes = [2 * gap + swatch + round(pen.textlength(text, font=font)) for text in words]
    width = max(width, gap + max(sizes, default=0))
    places, x, y = [], gap // 2, gap // 3
    for size in sizes:
        if x > gap // 2 and x + size > width:
            x, y = gap // 2, y + line
        places.append((x, y))
        x += size
    key = Image.new("RGB", (width, y + line), "white")
    pen = ImageDraw.Draw(key)
    for (colour, _), text, (x, y) in zip(entries, words, places, strict=True):
        pen.rectangle((x, y + unit // 4, x + swatch, y + unit // 4 + swatch), fill=colour, outline=style.GREY)
        pen.text((x + swatch + gap // 2, y + unit // 8), text, fill=style.INK, font=font)
    return key


def as_rgb(image_CHW: np.ndarray) -> np.ndarray:
    """``(H, W, 3)`` uint8 of an image's first three channels, or of its only one."""
    planes = image_CHW[:3] if len(image_CHW) >= 3 else np.repeat(image_CHW[:1], 3, axis=0)
    return np.ascontiguousarray(planes.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


class Guess(NamedTuple):
    """An image with its likeliest classes: a picture ``(h, w, 3)``, what it is called, names and probabilities."""

    picture: np.ndarray
    name: str
    classes: Sequence[str]
    probabilities: Sequence[float]


def page(guesses: Sequence[Guess], title: str, subtitle: str = "") -> Image.Image:
    """Up to ``PAGE`` images, each with bars of its likeliest classes, in two columns.

    Drawn with Pillow: a page of matplotlib's takes longer than a network's look at its images.
    """
    most = max(len(guess.classes) for guess in guesses)
    tall = max(SIDE, most * BAR) + 42
    columns = min(2, len(guesses))
    paper = Image.new("RGB", (columns * CELL, HEAD + tall * -(-len(guesses) // columns)), "white")
    pen = ImageDraw.Draw(paper)
    for text, place, fill, size in ((title, (14, 10), style.INK, 18), (subtitle[:110], (14, 34), style.GREY, FONT)):
        font, [shown] = letters.for_pillow([text], size)
        pen.text(place, shown, fill=fill, font=font)
    for i, guess in enumerate(guesses):
        _guess(paper, pen, guess, (i % columns * CELL + 14, HEAD + i // columns * tall))
    return paper


def _guess(paper: Image.Image, pen: ImageDraw.ImageDraw, guess: Guess, place: tuple[int, int]) -> None:
    """One image of a page, with its name above and its bars beside it."""
    left, top = place
    font, [name] = letters.for_pillow([guess.name], 12)
    pen.text((left, top), terminal.shorten(name, 32), fill=style.GREY, font=font)
    height, width = guess.picture.shape[:2]
    zoom = min(SIDE / height, WIDEST / width)
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    how = Image.Resampling.NEAREST if zoom > 2 else Image.Resampling.BILINEAR
    paper.paste(Image.fromarray(guess.picture).resize(size, how), (left, top + 20))
    start = left + WIDEST + WORDS
    font, classes = letters.for_pillow(guess.classes, FONT)
    for row, (name, value) in enumerate(zip(classes, guess.probabilities, strict=True)):
        y = top + 20 + row * BAR
        name = _fitting(pen, name, font, WORDS - 16)
        pen.text((start - 8 - pen.textlength(name, font=font), y + 3), name, fill=style.INK, font=font)
        end = start + round(FULL * value)
        pen.rectangle((start, y + 3, max(start, end), y + BAR - 7), fill=style.BLUE if row == 0 else style.SKY)
        pen.text((end + 6, y + 3), f"{value:.1%}", fill=style.GREY, font=font)


def _fitting(pen: ImageDraw.ImageDraw, name: str, font: Any, width: float) -> str:
    """A name shortened until it is no wider than so many pixels."""
    most, short = 20, terminal.shorten(name, 20)
    while most > 3 and pen.textlength(short, font=font) > width:
        most -= 1
        short = terminal.shorten(name, most)
    return short


def clips(
    thumbs: Sequence[np.ndarray],
    frames_KT: np.ndarray,
    scores_KN: np.ndarray,
    chosen: Sequence[int],
    names: Sequence[str],
    name: str,
    total: int,
) -> Figure:
    """A video's clips from left to right: a frame of each, and what it looks like to the network, a line for each class.

    Args:
        thumbs: a picture ``(h, w, 3)`` of each clip.
        frames_KT: the numbers of the clips' frames.
        scores_KN: probabilities.
        chosen: classes that are shown, best first.
        names: of the classes.
        name: of the video.
        total: its frames.
    """
    count = len(thumbs)
    shown = np.unique(np.linspace(0, count - 1, min(count, MOST_CLIPS)).round().astype(int))
    cell = min(1.3, max(0.9, 9.0 / len(shown)))
    words, right = 1.9, 0.9
    wide = max(cell * len(shown), 2.2)
    width, rows = max(words + wide + right, 6.4), len(chosen)
    thumb = wide / len(shown) * min(1.4, thumbs[0].shape[0] / thumbs[0].shape[1])
    height = 0.72 + thumb + 0.3 + 0.3 * rows + 0.5
    mean = scores_KN.mean(0)
    best = int(chosen[0])
    title = f"{terminal.shorten(names[best], 30)}, {mean[best]:.1%}"
    fig = style.figure(
        width, height, title, f"{terminal.shorten(name, 60)}: {several(total, 'frame')}, {several(count, 'clip')}"
    )
    for place, k in enumerate(shown):
        box = (words + place * wide / len(shown), 0.5 + 0.3 * rows + 0.3, wide / len(shown) - 0.04, thumb)
        ax = fig.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        ax.imshow(thumbs[k], interpolation="nearest")
        ax.set_axis_off()
        ax.set_title(f"{frames_KT[k].min()}-{frames_KT[k].max()}", size=7.5, color=style.GREY, pad=2)
    ax = fig.add_axes((words / width, 0.5 / height, wide / width, 0.3 * rows / height))
    table = scores_KN[:, list(chosen)].T
    ax.imshow(table, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    if count <= MOST_CLIPS:
        for (row, k), value in np.ndenumerate(table):
            ax.text(
                k, row, f"{value:.2f}", ha="center", va="center", size=8, color="white" if value > 0.55 else style.INK
            )
    ax.set_yticks(range(rows), [terminal.shorten(names[k], 24) for k in chosen], size=8.5, color=style.INK)
    ax.set_xticks([])
    ax.set_xlabel(
        "clips over time, shaded by probability" + ("; right: the video's" if count > 1 else ""),
        size=8,
        color=style.GREY,
    )
    ax.tick_params(length=0, pad=4)
    for side in ax.spines.values():
        side.set_color(style.FAINT)
    if count > 1:
        for row, k in enumerate(chosen):
            ax.text(count - 0.4, row, f"{mean[k]:.1%}", va="center", ha="left", size=8.5, color=style.INK)
    return fig


def scene(
    points_P4: np.ndarray,
    boxes_K7: np.ndarray,
    labels_K: np.ndarray,
    scores_K: np.ndarray,
    names: Sequence[str],
    limits: Sequence[float],
    lowest: float,
    title: str,
) -> Figure:
    """A scene from above with the boxes found, of scores from ``lowest`` on; arguments as in :func:`ncp.report.bev.scene`."""
    from ncp.report import bev

    shown = scores_K >= lowest
    one = {
        "points": points_P4,
        "true": np.zeros((0, 7)),
        "found": boxes_K7[shown],
        "scores": scores_K[shown],
        "names": [names[int(k)] for k in labels_K[shown]],
    }
    count = int(shown.sum())
    left = len(scores_K) - count
    words = f"{count} box{'es' * (count != 1)}" + (f", {left} of lower scores not drawn" if left else "")
    return bev.draw([one], limits, title, words, columns=1, side=6.0, lowest=lowest, labelled=False)
