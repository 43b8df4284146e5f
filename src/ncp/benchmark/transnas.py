"""The tables of TransNAS-Bench-101: the benchmark's own file, and CSV files that others exported from it.

Both become rows of fourteen settings, one a space and task. A value without a suffix is the best over the epochs, which is what
searches are judged by; the last epoch's has ``:final``, those of all epochs ``@0``, ``@1``, ... (only the benchmark's own file
holds them). Of quantities of which less is better the exported "best" is the largest, as the benchmark's own code computes it:
it is kept under ``:largest`` and never taken for the best.

The benchmark's own file is what ``torch.save`` wrote, a dictionary of plain values. It is read by the machine of
:mod:`ncp.benchmark.pickles`, which runs nothing.

Source of the files' layout: the public code of Duan et al., CVPR 2021 (``api/api.py``), and the heads of the CSV files.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ncp import files
from ncp.benchmark import archives, pickles, readers
from ncp.errors import UserError

SPACES = ("macro", "micro")  # in the benchmark's order
TASKS = ("class_scene", "class_object", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder")
"""In the benchmark's order."""
MAX_OFFICIAL = 2**30
"""Bytes of the benchmark's own file."""
MAX_EPOCHS = 60
_CSV = re.compile(r"(best_over_epochs|final_epoch_(?:micro|macro)|micro_inference_time_ms)\.csv(?:\.gz)?")
_OFFICIAL = (".pth", ".pt")
_TIME = re.compile(r"(\d{1,4}):([0-5]?\d):([0-5]?\d)")
_BATCH = 200

Rows = Mapping[str, Mapping[str, Any]]  # architecture -> column -> value


def setting_name(space: str, task: str) -> str:
    """The setting of a space (``micro`` or ``macro``) and a task."""
    return f"transnas-{space}/{task}"


def sources(place: Path) -> list[Path]:
    """The files of this benchmark at a place: itself, or those in the folder; none where it is something else."""
    if place.is_dir():
        return sorted(path for path in place.iterdir() if _ours(path))
    return [place] if _ours(place) else []


def _ours(path: Path) -> bool:
    return path.suffix in _OFFICIAL or _CSV.fullmatch(path.name) is not None


def read(paths: Sequence[Path]) -> dict[str, Sequence[dict[str, Any]]]:
    """Setting -> rows with ``text`` and columns, from all files together; of its own file made when asked for.

    Raises:
        UserError: for a file that cannot be read or is not one of this benchmark, naming it.
    """
    official = [path for path in paths if path.suffix in _OFFICIAL]
    if len(official) > 1:
        raise UserError(f"'{files.printable(official[0].parent)}' holds several official files; give one as source=")
    if official:  # it holds all that the others do
        return _from_official(official[0])
    merged: dict[str, dict[str, dict[str, Any]]] = {}
    for path in paths:
        for setting, rows in _from_csv(path).items():
            known = merged.setdefault(setting, {})
            for text, columns in rows.items():
                known.setdefault(text, {"text": text}).update(columns)
    return {setting: list(rows.values()) for setting, rows in merged.items()}


# ---- CSV files


def _from_csv(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    match = _CSV.fullmatch(path.name)
    assert match is not None, path
    kind, where = match[1], f"'{files.printable(path)}'"
    out: dict[str, dict[str, dict[str, Any]]] = {}
    seen: set[tuple[str, str]] = set()
    for _, rows in readers.batches(path):
        for number, row in enumerate(rows):
            if isinstance(row, readers.Unreadable):
                raise UserError(f"{where}: row {number + 1} cannot be used: {row.reason}")
            text = row.get("arch")
            space = row.get("space") or ("macro" if str(text).endswith("-basic") else "micro")
            if not isinstance(text, str) or space not in SPACES:
                raise UserError(f"{where}: row {number + 1} names no architecture (arch) and space (micro, macro)")
            if (space, text) in seen:
                raise UserError(
                    f"{where}: row {number + 1} names {files.shown(text)} again; an architecture has one row"
                )
            seen.add((space, text))
            for name, value in row.items():
                task, colon, metric = name.partition(":")
                if colon and task in TASKS:
                    column = _column(kind, metric)
                    out.setdefault(setting_name(space, task), {}).setdefault(text, {})[column] = value
    if not out:
        raise UserError(f"{where} has no columns named TASK:METRIC with one of the tasks {', '.join(TASKS)}")
    return out


def _column(kind: str, metric: str) -> str:
    """The column's name here."""
    if kind == "micro_inference_time_ms":
        return "inference_time"
    if kind != "best_over_epochs":
        return f"{metric}:final"
    return f"{metric}:largest" if is_loss(metric) else metric


def is_loss(metric: str) -> bool:
    """Whether less of a metric is better, by its name: of ``train_loss`` and ``valid_l1_loss``, but not of ``valid_neg_loss``.

    >>> is_loss("valid_l1_loss"), is_loss("valid_neg_loss"), is_loss("time_elapsed")
    (True, False, False)
    """
    return metric.endswith("_loss") and not metric.endswith("neg_loss")


# ---- the benchmark's own file


class OfficialRows(Sequence[dict[str, Any]]):
    """Rows with all that the file holds: curves, their best values, information about the networks.

    A row of a few hundred numbers takes much more room than what it is made from.
    """

    def __init__(self, results: dict[str, Any], task: str, where: str) -> None:
        self.results, self.task, self.where = results, task, where
        self.texts = [text for text, result in results.items() if task in result]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        text = self.texts[i]
        where = f"{self.where}, {files.shown(text)}, {self.task}"
        return {"text": text, **_official_row(self.results[text][self.task], where)}


def _from_official(path: Path) -> dict[str, Sequence[dict[str, Any]]]:
    where = f"'{files.printable(path)}'"
    content = _load(path)
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, dict) or not all(isinstance(data.get(space), dict) for space in SPACES):
        raise UserError(f"{where} is not the file of TransNAS-Bench-101: it has no data of macro and micro")
    out: dict[str, Sequence[dict[str, Any]]] = {}
    for space in SPACES:
        for text, result in data[space].items():
            if not isinstance(text, str) or not isinstance(result, dict):
                raise UserError(f"{where}: data.{space} maps architectures to results, not '{files.shown(text)}'")
        for task in TASKS:
            if rows := OfficialRows(data[space], task, where):
                out[setting_name(space, task)] = rows
    if not out:
        raise UserError(f"{where} has no results of the tasks {', '.join(TASKS)}")
    return out


def _official_row(result: Any, where: str) -> dict[str, Any]:
    metrics = result.get("metrics") if isinstance(result, dict) else None
    if not isinstance(metrics, dict):
        raise UserError(f"{where}: a result needs metrics, name -> values by epoch")
    row: dict[str, Any] = {}
    for metric, values in metrics.items():
        curve = _curve(values, f"{where}: {files.shown(metric)}")
        if not isinstance(metric, str) or "@" in metric or ":" in metric or not curve:
            continue
        known = [value for value in curve if not math.isnan(value)]
        if known:
            row[metric] = min(known) if is_loss(metric) else max(known)
        row.update((f"{metric}@{epoch}", value) for epoch, value in enumerate(curve))
    information = result.get("model_info")
    for name, value in information.items() if isinstance(information, dict) else ():
        if isinstance(name, str) and name not in row:
            row[name] = value
    return row


def _curve(values: Any, where: str) -> list[float]:
    """Numbers by epoch; times as seconds."""
    if not isinstance(values, (list, tuple, array)):
        values = [values]
    if len(values) > MAX_EPOCHS:
        raise UserError(f"{where} has {len(values):,} epochs; at most {MAX_EPOCHS} are read")
    return [_value(value) for value in values]


def _value(value: Any) -> float:
    if isinstance(value, str):
        match = _TIME.fullmatch(value)
        return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]) if match else math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    return float(value)


def _load(path: Path) -> Any:
    """The values that ``torch.save`` wrote, in its format of today (an archive) or in the earlier one (pickles in a row)."""
    shown = files.printable(path)
    with files.open_regular(path, MAX_OFFICIAL) as file:
        start = file.read(4)
    if start[:2] == b"PK":
        return pickles.parse(archives.read(path, "a file of torch", MAX_OFFICIAL, MAX_OFFICIAL)[0], shown, _Machine)
    data = files.read_bytes(path, MAX_OFFICIAL)
    position = 0
    values: list[Any] = []
    while position < len(data) and len(values) < 5:  # a number, a version, the system, the values, and keys of storages
        made: list[_Machine] = []

        def machine(given: bytes, made: list[_Machine] = made) -> _Machine:
            made.append(_Machine(given))
            return made[0]

        values.append(pickles.parse(data[position:] if position else data, shown, machine))
        position += made[0].at + 1
        if len(values) == 1 and isinstance(values[0], dict):  # pickled without torch
            return values[0]
    if len(values) < 4:
        raise UserError(f"'{shown}' is no file that torch wrote, or it is cut off; fetch it again")
    return values[3]


class _Machine(pickles.PickleMachine):
    """Keeps lists of floats as arrays: fifteen million numbers in an eighth of the memory."""


def _append(m: Any) -> None:
    """What is left over when a long list was cut into parts: one more item."""
    if m.stack[-2:] and m.stack[-2].__class__ is array:
        _extend(m, m.stack[-2], [m.pop()])
    else:
        pickles.append(m)


def _extend(m: Any, target: array[float], items: list[Any]) -> None:
    """A later part of a list that began with floats: pickles give long ones in parts of a thousand."""
    if not all(item.__class__ is float for item in items):
        raise pickles.Refused("a list that begins with real numbers and goes on with something else")
    m.left += len(items) * _REFUND
    target.extend(items)


def _appends(m: Any) -> None:
    items = m.since_mark()
    if m.stack[-1].__class__ is array:
        _extend(m, m.stack[-1], items)
        return
    target = m.top(list)
    if not target and items and all(item.__class__ is float for item in items):
        packed = array("d", items)
        m.left += len(items) * _REFUND
        m.stack[-1] = packed
        if m.memo and m.memo[last := next(reversed(m.memo))] is target:
            m.memo[last] = packed
        return
    m.spend(16 * len(items))
    target.extend(items)


def _long(m: Any) -> None:
    """A whole number; the one by which torch's earlier format is known has ten bytes."""
    if (size := m.byte()) > 10:
        raise pickles.Refused(f"an integer of {size} bytes")
    m.new(int.from_bytes(m.take(size), "little", signed=True))


_REFUND = 24 + 16 - 8  # of a float that was counted when it was made
_Machine.handlers = {**pickles.PickleMachine.handlers, ord("a"): _append, ord("e"): _appends, 0x8A: _long}


def batches(rows: Sequence[dict[str, Any]]) -> Iterator[readers.Batch]:
    """Rows as readers give them."""
    for start in range(0, len(rows), _BATCH):
        yield min(1.0, (start + _BATCH) / len(rows)), rows[start : start + _BATCH]
