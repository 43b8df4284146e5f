"""``measured.csv``: every time that was measured, and which of a network's times counts.

A reference network is timed between the others. Where its time before or after a network is not its usual one, the machine was
doing something else, and that network's time says little: it is measured again, and the look with a steady reference counts.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, spaces
from ncp.errors import UserError

logger = logging.getLogger(__name__)
MEASURED = "measured.csv"
STEADY = 0.06
"""How far (in logarithms) the reference beside a network may be from its median for that look to be taken as it is."""
LONGEST = 1e9
"""Milliseconds that no network takes."""
KINDS = ("fit", "check", "reference")
_MACHINE = "machine,"  # the beginning of the line that says of which one all times are


@dataclass
class Row:
    """One measurement: what it was for, the network's text, its median milliseconds."""

    kind: str
    text: str
    milliseconds: float


@dataclass(frozen=True)
class Look:
    """The measurement of a network that counts.

    Attributes:
        row: itself.
        off: how far the reference beside it was from its median, in logarithms; the larger of before and after.
        beside: places in the log of the reference before and after it.
        number: of looks at this network.
    """

    row: Row
    off: float
    beside: tuple[int, ...]
    number: int


class Log:
    """What was measured until now, of an earlier process too, in order.

    A line that is cut off, or holds no architecture of the space or no time that a network takes, is left out, and its network
    measured again.

    Args:
        path: of the file.
        space: of the architectures.
        machine: what is measured, in one line; None to take the times as they are.

    Raises:
        UserError: where the file's times are of another machine, or of other networks on it.
    """

    def __init__(self, path: Path, space: spaces.Space[Any], machine: str | None = None) -> None:
        self.path, self.space = path, space
        text = files.read_text(path, 2**24) if os.path.lexists(path) else ""
        whole, newline, cut = text.rpartition("\n")  # a number that was cut would be another one
        if cut:
            files.write_text(path, whole + newline)
        self.rows: list[Row] = []
        lines = whole.splitlines()
        if machine is not None:
            self._check(lines, machine)
        for line in lines:
            if line.startswith(_MACHINE):
                continue
            row = self._row(line)
            if row is None:
                logger.warning("'%s': a line is left out, and its network measured again: %s", path, files.shown(line))
                continue
            self.rows.append(row)

    def _check(self, lines: list[str], machine: str) -> None:
        """Write down what is measured, or refuse times of something else."""
        there = next((line.removeprefix(_MACHINE) for line in lines if line.startswith(_MACHINE)), None)
        if there not in (None, machine):
            raise UserError(
                f"'{files.printable(self.path)}' holds times of {files.shown(there)}, and {machine} is to be measured; give "
                "another folder, or the options of then"
            )
        if not lines:
            files.write_text(self.path, f"{_MACHINE}{machine}\n")

    def _row(self, line: str) -> Row | None:
        kind, _, rest = line.partition(",")
        text, _, milliseconds = rest.partition(",")
        try:
            architecture = spaces.of_text(self.space, text)  # opens no file, whatever it says
            row = Row(kind, architecture.text, float(milliseconds))
        except ValueError:  # a UserError too
            return None
        return row if kind in KINDS and 0 < row.milliseconds < LONGEST else None

    def add(self, row: Row) -> None:
        """Write a row down at once."""
        self.rows.append(row)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{row.kind},{row.text},{row.milliseconds!r}\n")

    def references(self) -> list[int]:
        """Places of the reference's rows."""
        return [i for i, row in enumerate(self.rows) if row.kind == "reference"]

    def counted(self) -> list[Look]:
        """Of every network one look, in the order of their first: the newest beside a steady reference, else the steadiest."""
        places = self.references()
        times = np.log([self.rows[i].milliseconds for i in places])
        far = np.abs(times - np.median(times)) if places else times
        found: dict[tuple[str, str], Look] = {}
        for i, row in enumerate(self.rows):
            if row.kind == "reference":
                continue
            near = bisect(places, i)
            beside = slice(max(near - 1, 0), near + 1)
            off = float(far[beside].max(initial=0.0))
            key = (row.kind, row.text)
            before = found.get(key)
            look = Look(row, off, tuple(places[beside]), 1 if before is None else before.number + 1)
            worse = before is not None and max(off, STEADY) > max(before.off, STEADY)
            found[key] = Look(before.row, before.off, before.beside, look.number) if before and worse else look
        return list(found.values())

    def of(self, kind: str) -> list[Row]:
        """The looks that count of networks of one kind (``fit``, ``check``), in order."""
        return [look.row for look in self.counted() if look.row.kind == kind]
