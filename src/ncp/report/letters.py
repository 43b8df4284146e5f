"""Letters that the pictures' own font lacks, such as Chinese ones in the names of classes.

They are drawn with an installed font that has them. Where there is none the letter is written as its number (``\\u6570``), as in
a terminal that lacks it: two names stay two names, and nothing is said on stderr.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from matplotlib import font_manager, get_data_path
from PIL import ImageFont

from ncp.files import printable

OWN = str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
"""Has accents, Greek, Cyrillic, Arabic, Hebrew and more; Pillow's own has not."""
_USUAL = "0123456789.%…-"
_EMPTY = ("lastresort", "blank")  # fonts whose letters are boxes


def drawable(text: str) -> str:
    """``text`` without control characters and with numbers for letters that no installed font has."""
    shown = printable(text)
    return _numbered(shown, [letter for letter in missing(shown) if family_of(letter) is None])


def plain(text: str) -> str:
    """``text`` in letters of the own font alone."""
    shown = printable(text)
    return _numbered(shown, missing(shown))


def missing(text: str) -> list[str]:
    """The letters that the own font lacks, in their order; line ends and tabs are none."""
    own = _letters(OWN)
    return [letter for letter in dict.fromkeys(text) if ord(letter) not in own and letter not in "\n\t"]


def families(text: str) -> list[str]:
    """The installed fonts that have what the own one lacks."""
    found = (family_of(letter) for letter in missing(text))
    return list(dict.fromkeys(name for name in found if name is not None))


@lru_cache(maxsize=4096)
def family_of(letter: str) -> str | None:
    """The name of an installed font that has a letter."""
    return next((name for name, path in _installed() if ord(letter) in _letters(path)), None)


def for_pillow(texts: Sequence[str], pixels: int) -> tuple[Any, list[str]]:
    """A font for all texts together, and the texts as it can draw them: Pillow takes all letters from one."""
    lacking = missing("".join(map(printable, texts)))
    if lacking:
        needed = {ord(letter) for text in (*texts, _USUAL) for letter in printable(text) if letter not in "\n\t"}
        for _, path in _installed():
            if needed <= _letters(path):
                return _font(path, pixels), [printable(text) for text in texts]
    return _font(OWN, pixels), [plain(text) for text in texts]


@lru_cache(maxsize=64)
def _font(path: str, pixels: int) -> Any:
    return ImageFont.truetype(path, pixels)


def _numbered(text: str, letters: Iterable[str]) -> str:
    for letter in letters:
        text = text.replace(letter, letter.encode("ascii", "backslashreplace").decode())
    return text


@cache
def _installed() -> list[tuple[str, str]]:
    """Names and files of the upright fonts that a text can be drawn with, those for many scripts first."""
    found: dict[str, str] = {}
    for entry in font_manager.fontManager.ttflist:
        usual = entry.style == "normal" and entry.weight in (400, "normal", "regular", "book")
        if usual and not any(word in entry.name.lower().replace(" ", "") for word in _EMPTY):
            found.setdefault(entry.name, entry.fname)
    broad = ("CJK", "Noto Sans", "WenQuanYi", "Fallback", "Unicode", "Gothic", "Hei")
    return sorted(found.items(), key=lambda item: (not any(word in item[0] for word in broad), item[0]))


@cache
def _letters(path: str) -> frozenset[int]:
    """The numbers of the letters of a font; none of one that cannot be drawn in any size."""
    try:
        font = font_manager.get_font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()
