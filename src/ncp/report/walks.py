"""The way of a search, read back from its ``trajectory.csv`` and checked, so that it can be drawn again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncp import delimited, files, spaces
from ncp.errors import UserError


def read(path: Path, space: spaces.Space[Any], names: Sequence[str], chosen: int) -> dict[str, np.ndarray]:
    """The columns of a ``trajectory.csv``, numbers where all values are numbers.

    Args:
        path: of the file.
        space: of the search.
        names: of its objectives, ``setting.metric``.
        chosen: the step that it returned.

    Raises:
        UserError: where a column is missing or is not of finite numbers, or the chosen step is not in it.
    """
    where = f"'{files.printable(path)}'"
    rows = [line.fields for line in delimited.lines(files.read_text(path), where)]
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        raise UserError(f"{where} is not the trajectory of a search: a header and equally long rows were expected")
    columns = {name: values for name, *values in zip(*rows, strict=True)}
    needed = ["step", "macs", "params", *(f"{kind}.{name}" for name in names for kind in ("continuous", "rounded"))]
    needed += [f"{kind}.{label}" for label in space.labels for kind in ("code", "rounded")]
    optional = [f"continuous.std.{name}" for name in names]
    out = {}
    for name in (*needed, *(name for name in optional if name in columns)):
        if name not in columns:
            raise UserError(f"{where} is not the trajectory of this search: it has no column '{files.shown(name)}'")
        out[name] = _numbers(columns[name], f"{where}, column '{files.shown(name)}'")
    if chosen >= len(rows) - 1:
        raise UserError(f"{where} has {len(rows) - 1} steps; the result names step {chosen}")
    if "phase" in columns:
        out["phase"] = np.array(columns["phase"])
    return out


def _numbers(texts: Sequence[str], where: str) -> np.ndarray:
    try:
        out = np.array([float(text) for text in texts])
    except ValueError:
        raise UserError(f"{where} holds something else than numbers") from None
    if not all(map(math.isfinite, out)) or np.abs(out).max() > 1e15:
        raise UserError(f"{where} holds numbers that are not finite or beyond all bounds")
    return out
