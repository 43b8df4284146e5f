"""One number of a training, as the API of TransNAS-Bench-101 asks for it: best over the epochs, last, all, or an epoch's.

A quirk of that API: its ``best`` is the largest value of any metric, of a loss too. Here ``best`` is the best, and the API's
figure of a loss is had by name, as ``largest``.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from ncp.benchmark.table import Table
from ncp.errors import UserError
from ncp.numeric import shown

MODES = ("best", "largest", "final", "list")


def checked(mode: Any) -> str | int:
    """One of :data:`MODES`, or an epoch. Raises ``UserError`` for anything else."""
    if isinstance(mode, str) and mode in MODES:
        return mode
    if isinstance(mode, numbers.Integral) and not isinstance(mode, bool):
        return int(mode)
    raise UserError(f"mode is one of {', '.join(MODES)} or an epoch, given was {shown(mode)}")


def values(table: Table, metric: str, mode: str | int) -> np.ndarray:
    """``(N,)`` values of all rows, or ``(N, epochs)`` with ``mode="list"``; NaN where a row has none.

    Args:
        table: of one setting.
        metric: its name without suffix, such as ``valid_top1``.
        mode: one of :data:`MODES`, or an epoch, counted from 0; -1 is the last one.

    Raises:
        UserError: for an unknown metric or mode, or one that the table's source does not tell, naming what it tells.
    """
    mode = checked(mode)
    epochs = [epoch for epoch in table.epochs if f"{metric}@{epoch}" in table.columns]
    if metric not in (known := metrics(table)):
        raise UserError(f"the table of {table.name} has no metric '{metric}'; it has {', '.join(known)}")
    if mode == "list":
        return _curves(table, metric, epochs)
    if isinstance(mode, int):
        epoch = epochs[mode] if epochs and -len(epochs) <= mode < 0 else mode
        if epoch not in epochs:
            raise _untold(table, metric, f"values after epoch {mode}")
        return table.columns[f"{metric}@{epoch}"]
    smaller = table.setting.sign(metric) < 0
    column = {"best": metric, "final": f"{metric}:final", "largest": f"{metric}:largest" if smaller else metric}[mode]
    if column in table.columns:
        return table.columns[column]
    if not epochs:
        raise _untold(table, metric, {"best": "best values", "final": "last values", "largest": "largest values"}[mode])
    curves = _curves(table, metric, epochs)
    if mode == "final":
        return np.asarray(curves[:, -1])
    over = np.fmin if smaller and mode == "best" else np.fmax  # both pass over NaN
    return np.asarray(over.reduce(curves, axis=1))


def metrics(table: Table) -> tuple[str, ...]:
    """The metrics of which a table tells anything, without suffixes."""
    return tuple(dict.fromkeys(name.partition("@")[0].partition(":")[0] for name in table.columns))


def told(table: Table, metric: str) -> list[str]:
    """Which of ``best``, ``final`` and ``largest`` a table has of a metric in columns of their own."""
    return [name for name in ("best", "final", "largest") if _has(table, metric, name)]


def value(table: Table, architecture: Any, metric: str, mode: str | int) -> Any:
    """The value of one architecture: a number, or a list of numbers with ``mode="list"``.

    Raises:
        UserError: as :func:`values` does, and for an architecture that is malformed or not in the table.
    """
    row = table.query(architecture).row
    found = values(table, metric, mode)[row]
    return found.tolist() if mode == "list" else float(found)


def _curves(table: Table, metric: str, epochs: list[int]) -> np.ndarray:
    if not epochs:
        raise _untold(table, metric, "values by epoch")
    return np.stack([table.columns[f"{metric}@{epoch}"] for epoch in epochs], axis=1)


def _untold(table: Table, metric: str, what: str) -> UserError:
    rest = f"; of its epochs are there {', '.join(map(str, table.epochs))}" if table.epochs else ""
    return UserError(
        f"the table of {table.name} has no {what} of {metric} ({table.provenance.source or 'its source'} holds "
        f"{', '.join(told(table, metric)) or 'none'}{rest}); the benchmark's own file has all of them"
    )


def _has(table: Table, metric: str, mode: str) -> bool:
    smaller = table.setting.sign(metric) < 0
    return {
        "best": metric in table.columns,
        "final": f"{metric}:final" in table.columns,
        "largest": f"{metric}:largest" in table.columns or (metric in table.columns and not smaller),
    }[mode]
