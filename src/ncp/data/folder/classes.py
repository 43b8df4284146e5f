"""The file that says what a set's labels mean: of each class its number in the files, name, colour, and whether it is ignored.

CSV with a head (``id,name,colour,ignored``; ``color``, ``r,g,b`` and a missing ``id`` are understood too), or YAML: a list of
names, or of such rows. Colours are ``#rrggbb`` or ``r g b``. A set's own numbers may have gaps; the network's classes are the
rows that are not ignored, in the order of the file.
"""

from __future__ import annotations

import colorsys
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncp import delimited, files
from ncp.errors import UserError
from ncp.files import printable, read_text, read_yaml, write_text

NAMES = ("classes.csv", "classes.yaml", "classes.yml", "classes.txt")
"""What the file is called in a set's folder."""
MOST = 4_096
LARGEST = 65_535  # number in a mask
_LIMIT = 2**20
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")
_TRUE, _FALSE = ("1", "true", "yes", "y", "x"), ("", "0", "false", "no", "n", "none", "null")
_KEYS = ("id", "name", "colour", "ignored")
_ALIASES = {
    "color": "colour",
    "ignore": "ignored",
    "class": "name",
    "label": "name",
    "value": "id",
    "index": "id",
    "number": "id",
}

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Entry:
    """One row: the number in the files, the name, the colour (None: none given), and whether it is not counted."""

    id: int
    name: str
    colour: Colour | None = None
    ignored: bool = False


def read(path: Path) -> tuple[Entry, ...]:
    """The rows of a classes file.

    Raises:
        UserError: naming the file and the row, for what cannot be used.
    """
    rows, shown = _rows(path), printable(path)
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise UserError(
            f"the classes file '{shown}' lists no classes; it is a CSV (id,name,colour,ignored) or a YAML list"
        )
    if len(rows) > MOST:
        raise UserError(f"the classes file '{shown}' lists {len(rows):,} classes; at most {MOST:,} are read")
    entries = tuple(
        _entry(row, number, f"the classes file '{shown}', class {number + 1}") for number, row in enumerate(rows)
    )
    _check(entries, shown)
    return entries


def numbered(path: Path) -> bool:
    """Whether a classes file that can be read gives numbers itself."""
    return any(isinstance(row, Mapping) and "id" in _keyed(row) for row in _rows(path))


def _rows(path: Path) -> Any:
    """What the file lists, rows of any shape where it is one of classes."""
    if path.suffix.lower() in (".yaml", ".yml"):
        content = read_yaml(path)
        rows = content.get("classes") if isinstance(content, Mapping) and "classes" in content else content
    elif path.suffix.lower() == ".txt":
        rows = [
            line.strip() for line in read_text(path, _LIMIT).splitlines() if line.strip() and not line.startswith("#")
        ]
    else:
        rows = _csv_rows(path)
    if isinstance(rows, Mapping):  # id: name
        rows = [
            {"id": key, **value} if isinstance(value, Mapping) else {"id": key, "name": value}
            for key, value in rows.items()
        ]
    return rows


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    text, where = read_text(path, _LIMIT), f"the classes file '{printable(path)}'"
    delimiter = delimited.delimiter_of(text.lstrip("\r\n").partition("\n")[0])
    lines = [line.fields for line in delimited.lines(text, where, delimiter)]
    if not lines:
        return []
    head = [_ALIASES.get(cell.strip().lower(), cell.strip().lower()) for cell in lines[0]]
    if "name" not in head:
        raise UserError(
            f"{where} must begin with a line of its columns, such as id,name,colour,ignored; it "
            f"begins with '{files.shown(','.join(lines[0]))}'"
        )
    return [dict(zip(head, (cell.strip() for cell in line), strict=False)) for line in lines[1:]]


def _keyed(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {_ALIASES.get(str(key).lower(), str(key).lower()): value for key, value in row.items()}


def _entry(row: Any, number: int, where: str) -> Entry:
    if isinstance(row, (str, int)):
        row = {"name": str(row)}
    if not isinstance(row, Mapping):
        raise UserError(f"{where}: a class is a name or has the keys {', '.join(_KEYS)}")
    given = _keyed(row)
    name = str(given.get("name", "")).strip()
    if not name or len(name) > 200:
        raise UserError(f"{where} has no name")
    own = given.get("id", number)
    try:
        code = int(str(own).strip() or number)
    except ValueError:
        raise UserError(f"{where}: id must be a whole number, given was '{files.shown(own, 40)}'") from None
    if not 0 <= code <= LARGEST:
        raise UserError(f"{where}: id must be 0 to {LARGEST:,}, given was {code}")
    if {"r", "g", "b"} <= set(given):
        colour: Any = [given["r"], given["g"], given["b"]]
    else:
        colour = given.get("colour")
    ignored = str(given.get("ignored", "")).strip().lower()
    if ignored not in (*_TRUE, *_FALSE):
        raise UserError(f"{where}: ignored must be true or false, given was '{files.shown(ignored, 40)}'")
    return Entry(code, name, _colour(colour, where), ignored in _TRUE)


def _colour(value: Any, where: str) -> Colour | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and (found := _HEX.fullmatch(value.strip())):
        number = int(found[1], 16)
        return number >> 16, number >> 8 & 255, number & 255
    parts = re.findall(r"\d+", value) if isinstance(value, str) else list(value) if isinstance(value, Sequence) else []
    try:
        red, green, blue = (int(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        red = green = blue = -1
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise UserError(f"{where}: a colour is #rrggbb or three numbers 0 to 255, given was '{files.shown(value, 40)}'")
    return red, green, blue


def _check(entries: Sequence[Entry], shown: str) -> None:
    counted = [entry for entry in entries if not entry.ignored]
    for what, values in (
        ("the name", [entry.name for entry in counted]),
        ("the number", [entry.id for entry in entries]),
        ("the colour", [entry.colour for entry in entries if entry.colour]),
    ):
        twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
        if twice is not None:
            raise UserError(f"the classes file '{shown}' gives {what} {files.shown(str(twice))} twice")
    if len(counted) < 2:
        raise UserError(
            f"the classes file '{shown}' leaves {len(counted)} class that is not ignored; at least two are needed"
        )
    if len(counted) > 254:
        raise UserError(f"the classes file '{shown}' leaves {len(counted)} classes; a mask tells at most 254 apart")


def colours(entries: Sequence[Entry]) -> tuple[Colour, ...]:
    """A colour for each, those given and for the others one of its own."""
    return tuple(entry.colour or own_colour(i) for i, entry in enumerate(entries))


def own_colour(number: int) -> Colour:
    """Colours that differ, by the golden section of the circle."""
    red, green, blue = colorsys.hsv_to_rgb(
        (0.08 + number * 0.618034) % 1, 0.6 + 0.1 * (number % 4), 0.95 - 0.15 * (number % 3)
    )
    return round(255 * red), round(255 * green), round(255 * blue)


def hexadecimal(colour: Colour) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def write(path: Path, entries: Sequence[Entry]) -> Path:
    """Write a classes file (CSV) that :func:`read` reads."""
    rows = [
        _KEYS,
        *((e.id, e.name, hexadecimal(e.colour) if e.colour else "", str(e.ignored).lower()) for e in entries),
    ]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return write_text(path, buffer.getvalue())
