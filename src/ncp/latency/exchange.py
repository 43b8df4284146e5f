"""Measurements of other machines: networks to take there, and the times that come back.

A phone or a microcontroller needs no port of this project: ``export`` writes ONNX files and a table of them, somebody measures,
and ``read_measured`` takes the table back with a column of milliseconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ncp import delimited, files, numeric, spaces, terminal
from ncp.errors import UserError
from ncp.latency.fitting import MOST_ROWS
from ncp.latency.log import LONGEST

Rows = tuple[list[Any], list[float]]
"""Architectures and their milliseconds."""
LIMIT = 16 * 2**20
CODES = "codes.csv"
LEFT_OUT = ("reference", "noisy")  # kinds of rows


def network_file(place: int) -> str:
    """Name of the ONNX file of the architecture at ``place``, counted from 0: ``001.onnx`` is the first."""
    return f"{place + 1:03d}.onnx"


def write_codes(architectures: list[Any], folder: Path) -> Path:
    """``codes.csv``: file, code and an empty column for milliseconds."""
    rows = [("file", "code", "ms"), *((network_file(i), a.text, "") for i, a in enumerate(architectures))]
    return files.write_text(folder / CODES, terminal.csv_text(rows))


def read_measured(path: str | Path, space: spaces.Space[Any]) -> tuple[Rows, Rows]:
    """Architectures and milliseconds of a CSV with the columns ``code`` and ``ms``, or of two columns without a header.

    A semicolon or a tab may stand between columns. Rows without a time are left out. Of a table that a measurement wrote (with a
    column ``kind``) the networks that check the model come second, and what does not count (``reference`` and ``noisy``) is left
    out too; elsewhere the second part is empty.

    Raises:
        UserError: naming the line, for a code that is none of the space or a time that is no positive number.
    """
    shown = files.printable(Path(path))
    content = files.read_text(path, LIMIT)
    delimiter = delimited.delimiter_of(content.lstrip("\r\n").partition("\n")[0])
    lines = list(delimited.lines(content, f"'{shown}'", delimiter))
    if not lines:
        raise UserError(f"'{shown}' holds no measurements")
    if len(lines) > MOST_ROWS + 1:
        raise UserError(f"'{shown}' has {len(lines):,} lines; a latency model takes at most {MOST_ROWS:,} networks")
    header = [cell.strip().lower() for cell in lines[0].fields]
    if "code" in header and "ms" in header:
        columns = (header.index("code"), header.index("ms"))
        lines = lines[1:]
    elif len(header) == 2:
        columns = (0, 1)
    else:
        raise UserError(f"'{shown}' needs the columns code and ms, given were {files.shown(', '.join(header), 120)}")
    kinds = header.index("kind") if "kind" in header else None
    fitted: Rows = ([], [])
    held: Rows = ([], [])
    for number, line in lines:
        if (
            not max(columns) < len(line) <= len(header)
        ):  # one more is a decimal comma, whose number would be another one
            raise UserError(
                f"'{shown}', line {number} has {len(line)} columns of {len(header)}; it needs a code and its milliseconds, with "
                "a point for decimals"
            )
        code, text = line[columns[0]].strip().lstrip("'"), line[columns[1]].strip()
        kind = "" if kinds is None or kinds >= len(line) else line[kinds].strip().lower()
        if not text or kind in LEFT_OUT:
            continue
        architectures, times = held if kind == "check" else fitted
        try:
            # the text itself, whatever it looks like: no file is opened
            architectures.append(spaces.of_text(space, code))
        except UserError as error:
            raise UserError(f"'{shown}', line {number}: {error}") from None
        times.append(_milliseconds(text, f"'{shown}', line {number}"))
    return fitted, held


def _milliseconds(text: str, where: str) -> float:
    try:
        value = numeric.of_text(text)
    except ValueError:
        raise UserError(
            f"{where}: '{files.shown(text, 40)}' is no number of milliseconds; write it with a point for decimals"
        ) from None
    if not 0 < value < LONGEST:
        raise UserError(f"{where}: a time must be a finite, positive number of milliseconds, given was {value:g}")
    return value
