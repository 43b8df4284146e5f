"""Frames of videos with what a network sees in them, for people: classes as colours, or the likeliest classes as bars.

All frames of a video have one size, whatever is seen in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from ncp import terminal
from ncp.report import letters, style
from ncp.report.predictions import FONT, NARROW, Colour, as_rgb, blended, colour_key

MOST = 24  # classes in a key of colours
LEAST = 320  # pixels of a page with bars
LINE = 24  # pixels of a bar's line
_SHARE = 0.34  # of the width, for the bars' words


def segments(
    image_CHW: np.ndarray, labels_HW: np.ndarray, palette: Sequence[Colour], names: Sequence[str]
) -> np.ndarray:
    """``(h, w, 3)`` uint8: a frame under its classes' colours, and below it the colours of all classes (:data:`MOST` at most).

    Args:
        image_CHW: numbers 0..255.
        labels_HW: class numbers, of the same size.
        palette: a colour for each class.
        names: of the classes.
    """
    mixed = blended(image_CHW, labels_HW, palette)
    key = _key(tuple(tuple(colour) for colour in palette[:MOST]), tuple(names[:MOST]), mixed.shape[1])
    page = np.full((mixed.shape[0] + key.shape[0], max(mixed.shape[1], key.shape[1]), 3), 255, dtype=np.uint8)
    page[: mixed.shape[0], : mixed.shape[1]] = mixed
    page[mixed.shape[0] :, : key.shape[1]] = key
    return page


@lru_cache(maxsize=8)
def _key(palette: tuple[Colour, ...], names: tuple[str, ...], width: int) -> np.ndarray:
    entries = [(colour, terminal.shorten(name, 24)) for colour, name in zip(palette, names, strict=True)]
    return np.asarray(colour_key(entries, width))


def guesses(
    image_CHW: np.ndarray, classes: Sequence[str], probabilities: Sequence[float], note: str = ""
) -> np.ndarray:
    """``(h, w, 3)`` uint8: a frame, and below it bars of some classes.

    Args:
        image_CHW: numbers 0..255.
        classes: names, a bar each.
        probabilities: of each, 0..1.
        note: a line above the bars.
    """
    photo = as_rgb(image_CHW)
    photo = photo.repeat(zoom := max(1, NARROW // photo.shape[1]), 0).repeat(zoom, 1)
    height, width = photo.shape[:2]
    unit = max(FONT, width // 64)
    line = round(LINE * unit / FONT)
    page = Image.new("RGB", (max(width, LEAST), height + line * (len(classes) + 1) + line // 3), "white")
    page.paste(Image.fromarray(photo), (0, 0))
    pen = ImageDraw.Draw(page)
    font, [note, *names] = letters.for_pillow([note, *classes], unit)
    pen.text((unit, height + line // 4), note, fill=style.GREY, font=font)
    start, full = round(_SHARE * page.width), round((1 - _SHARE) * page.width) - 5 * unit
    for row, (name, value) in enumerate(zip(names, probabilities, strict=True), start=1):
        y = height + row * line + line // 5
        name = terminal.shorten(name, 22)
        pen.text((start - unit - pen.textlength(name, font=font), y), name, fill=style.INK, font=font)
        end = start + round(full * value)
        pen.rectangle(
            (start, y, max(start, end), y + unit + 2), fill=style.BLUE if value == max(probabilities) else style.SKY
        )
        pen.text((end + unit // 2, y), f"{value:.0%}", fill=style.GREY, font=font)
    return np.asarray(page)
