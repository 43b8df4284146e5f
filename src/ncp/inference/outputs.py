"""What is left of a prediction for programs: label pictures, KITTI files, CSV and JSON lines, in one folder and nowhere else."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ncp import files, terminal
from ncp.errors import UserError
from ncp.inference.inputs import Input
from ncp.inference.loading import Failed

log = logging.getLogger(__name__)
LINES, TABLE = "predictions.jsonl", "predictions.csv"
SIGNIFICANT = 6  # digits of probabilities and scores


class Results:
    """The folder of results.

    Attributes:
        out: its path.
        failed: inputs that could not be used, with the reason.
        tables: further CSV files, name -> rows; the first row names the columns.
        kinds: folders below it that hold results of these inputs.

    Args:
        out: of the folder.
        inputs: all that is looked at; none of them is ever written to.

    Raises:
        UserError: where ``out`` is a file or cannot be made.
    """

    def __init__(self, out: Path, inputs: Sequence[Input]) -> None:
        self.out = files.made_folder(out, "out")
        self._kept = {os.path.realpath(one.path) for one in inputs}
        self._names = {one.name.casefold() for one in inputs}
        self.lines: list[dict[str, Any]] = []
        self.tables: dict[str, list[Sequence[Any]]] = {}
        self.failed: dict[Path, str] = {}
        self.kinds: set[str] = set()
        self._worked: set[Path] = set()

    @property
    def worked(self) -> int:
        """Inputs of which there is a result."""
        return len(self._worked)

    def fail(self, failed: Failed) -> None:
        """Tell once that an input cannot be used."""
        if failed.input.path not in self.failed:
            reason = failed.reason
            self.failed[failed.input.path] = reason
            self.lines.append({"file": failed.input.shown, "error": reason})
            shown = files.printable(failed.input.path)
            log.warning("left out: %s", reason if shown in reason else f"'{shown}': {reason}")

    def add(self, given: Input, line: Mapping[str, Any], rows: Sequence[Sequence[Any]] = ()) -> None:
        """A result: its JSON line without the file, and its rows of the table likewise."""
        self._worked.add(given.path)
        shown = given.shown
        self.lines.append({"file": shown, **line})
        self.tables.setdefault(TABLE, []).extend([shown, *row] for row in rows)

    def frame_name(self, given: Input, frame: int) -> str:
        """A name for the results of a frame of a video that nothing else has."""
        name = f"{given.name}/{frame:06d}"
        while name.casefold() in self._names:
            name += "-frame"
        self._names.add(name.casefold())
        return name

    def place(self, kind: str, name: str, ending: str) -> Path:
        """Where a file of an input's results goes: ``OUT/KIND/NAME.ENDING``.

        Raises:
            UserError: where that is one of the inputs.
        """
        path = self.out / kind / f"{name}.{ending}"
        assert ".." not in Path(name).parts
        assert not Path(name).is_absolute()
        if os.path.realpath(path) in self._kept:
            raise UserError(f"'{files.printable(path)}' is an input; give another out=FOLDER")
        if kind != ".":
            self.kinds.add(kind)
        return path

    def write(self, path: Path, make: Callable[[Path], object]) -> str:
        """Let ``make`` write a file, whole or not at all; its path below the folder."""
        with files.writing(path, "give another out=FOLDER") as scratch:
            make(scratch)
        return path.relative_to(self.out).as_posix()

    def close(self, heads: Mapping[str, Sequence[str]]) -> list[Path]:
        """Write lines and tables; ``heads`` names the columns of each, behind the file."""
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines)
        written = {LINES: text.encode("utf-8", "backslashreplace")}
        for name, columns in heads.items():
            table = terminal.csv_text([["file", *columns], *self.tables.get(name, [])])
            written[name] = table.encode("utf-8", "backslashreplace")
        for name, content in written.items():
            self.write(self.place(".", name.rpartition(".")[0], name.rpartition(".")[2]), _writer(content))
        return [self.out / name for name in written]


def _writer(content: bytes) -> Callable[[Path], object]:
    return lambda scratch: scratch.write_bytes(content)


def rounded(value: float) -> float:
    """A probability or a score with as many digits as mean something."""
    return float(f"{float(value):.{SIGNIFICANT}g}")


def label_picture(labels_HW: np.ndarray, palette: Sequence[tuple[int, int, int]]) -> Image.Image:
    """Class numbers as a PNG holds them: indices of a palette, or 16-bit grey where there are more than 256 classes."""
    if len(palette) > 256:
        return Image.fromarray(labels_HW.astype(np.uint16))
    picture = Image.fromarray(labels_HW.astype(np.uint8), mode="P")
    picture.putpalette([number for colour in palette for number in colour])
    return picture
