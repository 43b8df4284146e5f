"""A sheet for pictures that every command draws: lines, areas, dots and words, put on paper by Pillow.

Plotting libraries take longer to import than a search takes; the few forms that its picture needs are drawn here.
Places are in inches from the bottom left, sizes of lines and letters in points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp.files import printable, replacing
from ncp.report.palette import GREY, INK, Colour, parts

if TYPE_CHECKING:
    from PIL.Image import Image

DPI = 100
FINE = 3  # forms are drawn so many times as large, and then made small: their edges become smooth
POINT = 1 / 72  # inch
FONTS = Path(__file__).parent / "fonts"
# heights over the base line, as shares of the letters' size
_ALIGNED = {"top": 0.76, "center": 0.36, "baseline": 0.0, "bottom": -0.24}
_ANCHORS = {"left": "ls", "center": "ms", "right": "rs"}


@lru_cache(maxsize=32)
def font(pixels: float, bold: bool = False) -> Any:
    """Letters of DejaVu Sans, with accents, Greek, Cyrillic and more, which Pillow's own have not."""
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(FONTS / name), pixels, layout_engine=ImageFont.Layout.BASIC)


@dataclass(frozen=True)
class Words:
    """A line of text at a place."""

    x: float
    y: float
    text: str
    colour: Colour
    size: float
    bold: bool = False
    ha: str = "left"
    va: str = "baseline"

    @property
    def font(self) -> Any:
        """Its letters."""
        return font(self.size * POINT * DPI, self.bold)

    def extent(self) -> tuple[float, float]:
        """From where to where it reaches, in inches from the left."""
        width = self.font.getlength(self.text) / DPI
        left = self.x - width * {"left": 0.0, "center": 0.5, "right": 1.0}[self.ha]
        return left, left + width


@dataclass(frozen=True)
class Form:
    """A line, an area or dots: ``(n, 2)`` places, and its layer: of two forms the higher one covers the other."""

    kind: str
    places: np.ndarray
    colour: Colour
    width: float
    layer: float


@dataclass
class Canvas:
    """A white sheet of ``width`` x ``height`` inches.

    Attributes:
        words, forms: all that is on it, in the order in which it was put there.
    """

    width: float
    height: float
    words: list[Words] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)

    def text(
        self, x: float, y: float, text: str, colour: Colour, size: float, bold: bool = False, ha: str = "left",
        va: str = "baseline",
    ) -> None:  # fmt: skip
        """A line of text; what cannot be printed is shown."""
        self.words.append(Words(x, y, printable(text), colour, size, bold, ha, va))

    def line(self, places_N2: Any, colour: Colour, width: float, layer: float = 2.0) -> None:
        """A line through places, ``width`` points wide."""
        self.forms.append(Form("line", np.asarray(places_N2, dtype=np.float64), colour, width, layer))

    def area(self, places_N2: Any, colour: Colour, layer: float = 0.0) -> None:
        """What lies between places."""
        self.forms.append(Form("area", np.asarray(places_N2, dtype=np.float64), colour, 0.0, layer))

    def dot(self, x: float, y: float, colour: Colour, size: float) -> None:
        """A dot, ``size`` points wide."""
        self.forms.append(Form("dot", np.array([[x, y]]), colour, size, 3.0))

    def image(self) -> Image:
        """The sheet as it looks."""
        from PIL import Image, ImageDraw

        size = (round(self.width * DPI), round(self.height * DPI))
        image = Image.new("RGB", (size[0] * FINE, size[1] * FINE), "white")
        pen = ImageDraw.Draw(image)
        for form in sorted(self.forms, key=lambda form: form.layer):
            self._draw(pen, form)
        image = image.reduce(FINE)
        pen = ImageDraw.Draw(image)
        for words in self.words:
            letters = words.size * POINT * DPI
            place = (words.x * DPI, (self.height - words.y) * DPI + letters * _ALIGNED[words.va])
            pen.text(place, words.text, _rgb(words.colour), words.font, _ANCHORS[words.ha])
        return image

    def _draw(self, pen: Any, form: Form) -> None:
        scale, fill = DPI * FINE, _rgb(form.colour)
        at = form.places * [1, -1] + [0, self.height]
        places: Sequence[tuple[float, float]] = [(x, y) for x, y in (at * scale).tolist()]
        width = form.width * POINT * scale
        if form.kind == "line":
            pen.line(places, fill, max(1, round(width)), "curve")
        elif form.kind == "area":
            pen.polygon(places, fill)
        else:
            [(x, y)] = places
            pen.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill)

    def save(self, path: Path) -> Path:
        """Write a PNG, whole or not at all, and return its path."""
        with replacing(path) as scratch:
            self.image().save(scratch, "PNG", dpi=(DPI, DPI))
        return path


def sheet(width: float, height: float, title: str, subtitle: str = "") -> Canvas:
    """An empty sheet with a title at the top left."""
    made = Canvas(width, height)
    made.text(0.012 * width, height - 0.12, title, INK, 13, bold=True, va="top")
    if subtitle:
        made.text(0.012 * width, height - 0.38, subtitle, GREY, 9.5, va="top")
    return made


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in parts(colour))
    return red, green, blue
