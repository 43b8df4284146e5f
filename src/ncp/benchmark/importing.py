"""From other people's files to tables: the release's pickles, Parquet, CSV. No row disappears without a reason.

A row is refused when its architecture or its main metric cannot be used: a code outside of the space, a code and a list of
blocks that differ, a metric that is missing, not a number or outside of 0..100. A row that can be used but is doubtful is
kept and carries a flag (see ``table.FLAGS`` and :mod:`ncp.benchmark.checks`).
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, numeric, spaces
from ncp.benchmark import checks, light, readers, settings, store, transnas
from ncp.benchmark.collection import Benchmark
from ncp.benchmark.index import RowIndex
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import Provenance, Refusal, Table
from ncp.errors import UserError
from ncp.metrics.kitti_names import labelled
from ncp.progress import Progress, part

MAX_REFUSED = 100_000
"""Rows that may be refused before a file is: it is then a table of something else."""
PICKLE = "trainval.pkl"  # the release's one file a setting
# keys of a row that describe the architecture, in whatever form
_ARCHITECTURE = (
    "architecture", "code", "text", "embedding", "input_channel", "inverted_residual_setting", "network_setting", "last_channel",
)  # fmt: skip
_DERIVED = ("exact_macs", "exact_params", "flags", "flops_input")  # of our own exports: computed anew
_MAX_NAME = 200
_MAX_ITEMS = 500  # numbers and lists in all that describes one architecture; those of the release have about 200


def import_release(
    source: str | Path,
    store_folder: str | Path | None = None,
    only: Sequence[str] = (),
    progress: Progress | None = None,
) -> Benchmark:
    """Import ``<source>/<setting>/trainval.pkl`` (or ``<setting>.parquet``, ``<setting>.csv``) into the store.

    So are the files of TransNAS-Bench-101 (see :mod:`ncp.benchmark.transnas`), which become fourteen tables.

    Args:
        source: the release's folder ``data``, or the folder above it, or a single file.
        store_folder: where the tables go; default ``ncp.benchmark.store.folder()``.
        only: settings to import; default all that are there.
        progress: told how far it is.

    Returns:
        The tables that were imported; each one's ``provenance`` says which rows were refused and why.

    Raises:
        UserError: when nothing is found, or a file cannot be used (the others are imported all the same).
    """
    wanted = {settings.get(name).name for name in only}
    place = Path(source).expanduser()
    if found_here := transnas.sources(place):
        return _import_transnas(found_here, place, store_folder, wanted, progress)
    if len(wanted) == 1 and place.is_file():  # what the user says counts more than the file's name
        found = dict.fromkeys(wanted, place)
    else:
        found = {n: p for n, p in sources(place).items() if not wanted or n in wanted}
    absent = wanted - set(found)
    if absent or not found:
        raise UserError(
            f"'{source}' holds no table{' of ' + ', '.join(sorted(absent)) if absent else ''}; expected are "
            f"<setting>/{PICKLE}, <setting>.parquet or <setting>.csv with a setting's name, such as seg/{PICKLE}; or of "
            "TransNAS-Bench-101 its own file (.pth) or CSV files such as best_over_epochs.csv.gz"
        )
    tables: dict[str, Table] = {}
    mistakes = []
    for number, (name, path) in enumerate(found.items()):
        try:
            tables[name] = import_file(path, name, part(progress, number, len(found), name))
        except UserError as error:
            mistakes.append(str(error))
            continue
        try:
            _check_overlap(tables[name], store.file_of(name, store_folder))
        except UserError as error:
            del tables[name]
            mistakes.append(str(error))
            continue
        store.put(tables[name], store_folder, name)
    if mistakes:
        rest = f"; imported were {', '.join(tables)}" if tables else ""
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        raise UserError(f"{mistakes[0]}{more}{rest}")
    return Benchmark(tables, str(source))


def _check_overlap(table: Table, path: Path | None) -> None:
    """Refuse to put a table in the place of one whose figures have the same names and are other metrics."""
    if not table.setting.min_overlap or path is None:
        return
    try:
        old = store.read(path)
    except UserError:  # damaged, or not to be read here: it is replaced
        return
    if old is not None and old.setting.min_overlap not in ({}, table.setting.min_overlap):
        new, there = (labelled(table.main, t.setting.min_overlap) for t in (table, old))
        raise UserError(
            f"this table of {table.name} holds {new}, the one in '{files.printable(path.parent)}' {there}: give it a folder of "
            "its own with store=FOLDER"
        )


def _import_transnas(
    paths: Sequence[Path], place: Path, store_folder: str | Path | None, wanted: set[str], progress: Progress | None
) -> Benchmark:
    """The tables of TransNAS-Bench-101 that these files hold together."""
    read = transnas.read(paths)
    names = [name for name in settings.SETTINGS if name in read and (not wanted or name in wanted)]
    if absent := wanted - set(names):
        raise UserError(
            f"'{files.printable(place)}' holds no table of {', '.join(sorted(absent))}; it has {', '.join(read)}"
        )
    source = files.printable(Path(*(paths[0] if len(paths) == 1 else place).parts[-2:]))
    digest = hashlib.sha256("".join(_digest(path) for path in paths).encode()).hexdigest()
    digest = _digest(paths[0]) if len(paths) == 1 else digest
    tables = {}
    for number, name in enumerate(names):
        tell = part(progress, number, len(names), name)
        tables[name] = _collect(transnas.batches(read[name]), settings.get(name), source, digest, tell)
    for name, table in tables.items():  # all of them or, where one cannot be read, none
        store.put(table, store_folder, name)
    return Benchmark(tables, str(place))


def sources(path: Path) -> dict[str, Path]:
    """Setting -> file of every table under ``path``, in the settings' order."""
    if path.is_file():
        setting = _setting_of(path)
        return {setting.name: path}
    for root in (path, path / "data"):
        found: dict[str, Path] = {}
        for name in settings.SETTINGS:
            stem = files.safe_file(name)
            places = (
                root / name / PICKLE,
                root / f"{stem}.parquet",
                root / f"{stem}{light.ENDING}",
                root / f"{stem}.csv",
            )
            found.update((name, file) for file in reversed(places) if file.is_file())
        if found:
            return found
    own = path / PICKLE
    return {path.name: own} if path.name in settings.SETTINGS and own.is_file() else {}


def read_all(path: Path) -> Benchmark:
    """All tables under ``path``, imported in memory."""
    return Benchmark({name: import_file(file, name) for name, file in sources(path).items()}, str(path))


def import_file(path: str | Path, setting: str | Setting | None = None, progress: Progress | None = None) -> Table:
    """One table from a release pickle, a CSV file, or a file of tables (Parquet, ``.table.safetensors``).

    Args:
        path: the file; its name (``seg.csv``) or its folder's (``seg/trainval.pkl``) gives the setting unless stated.
        setting: a setting's name, or one of your own; it counts more than what the file says of itself.
        progress: told how far it is.

    Raises:
        UserError: when the file cannot be read, or none of its rows can be used.
    """
    path = Path(path).expanduser()
    if isinstance(setting, str):
        setting = settings.get(setting)
    if path.name.endswith((".parquet", light.ENDING)) and (own := store.read(path, setting)) is not None:
        return own
    setting = setting or _setting_of(path)
    source, digest = str(Path(*path.parts[-2:])), _digest(path)
    return _collect(readers.batches(path), setting, files.printable(source), digest, progress)


def _digest(path: Path) -> str:
    try:
        with files.open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read '{files.printable(path)}': {error.strerror or error}") from None


def _setting_of(path: Path) -> Setting:
    name = path.parent.name if path.name == PICKLE else path.stem
    if name not in settings.SETTINGS:
        raise UserError(
            f"cannot tell the setting of '{files.printable(path)}': call it <setting>{path.suffix} or "
            f"<setting>/{PICKLE} with one of {settings.listed()}"
        )
    return settings.SETTINGS[name]


def from_rows(rows: Iterable[Any], setting: Setting | str, source: str = "", sha256: str = "") -> Table:
    """A table from mappings, one a row: an architecture in any form, the setting's metrics, and other numbers.

    An architecture is ``architecture`` (text), ``code``, ``embedding`` with or without the release's list of blocks, or
    one key per dimension. Other numeric keys become columns (``top1@50``, ``car/3d/moderate/AP40``, ``seed``, ...).

    Raises:
        UserError: when no row can be used.
    """
    setting = settings.get(setting) if isinstance(setting, str) else setting
    return _collect(readers.from_rows(list(rows)), setting, source, sha256, None)


def _collect(
    batches: Iterable[readers.Batch], setting: Setting, source: str, sha256: str, progress: Progress | None
) -> Table:
    """The table of all rows that can be used; a column's numbers are all that is kept of a row."""
    space = spaces.get(setting.space)
    what = source or "the source"
    skip = frozenset((*_ARCHITECTURE, *_DERIVED, *space.labels))
    codes, columns = array("i"), _Columns(setting.metrics, what)
    refused: list[Refusal] = []
    number = 0
    for done, rows in batches:
        for row in rows:
            try:
                code, values = _row(row, setting, space, skip)
                columns.add(values)
                codes.extend(code)
            except _Refuse as error:
                refused.append(Refusal(number, files.printable(error)[:300]))
            number += 1
        if len(refused) > MAX_REFUSED:
            raise UserError(
                f"{what}: more than {MAX_REFUSED:,} rows cannot be used as {setting.name}; the first: {refused[0].reason}"
            )
        if progress is not None:
            progress(done, f"{number:,} rows")
    if not codes:
        reason = f"; the first: {refused[0].reason}" if refused else ""
        raise UserError(f"{what} has no row that can be used as {setting.name}{reason}")
    date = datetime.now(UTC).isoformat(timespec="seconds")
    found, ignored = columns.finish()
    provenance = Provenance(source, sha256, date, number, tuple(refused), {}, ignored)
    codes_ND = np.frombuffer(codes, dtype=np.intc).reshape(-1, space.dim).astype(np.int64)
    return _checked(setting, space, codes_ND, found, provenance)


class _Refuse(UserError):
    """This one row cannot be used."""


class _Columns:
    """Columns of numbers that grow by a row at a time; one that a row lacks is filled with NaN."""

    def __init__(self, metrics: Sequence[str], what: str) -> None:
        self.names = dict.fromkeys(metrics)  # in order of their first appearance
        self.numbers: dict[str, array[float]] = {name: array("d") for name in metrics}
        self.metrics, self.what, self.rows = tuple(metrics), what, 0

    def add(self, values: Mapping[str, Any]) -> None:
        """One row. Raises ``UserError`` where there are too many columns."""
        for name, value in values.items():
            number = _number(value)
            column = self.numbers.get(name)
            if column is None:
                self.names[name] = None
                if math.isnan(number):
                    continue
                column = self.numbers[name] = array("d")
                readers.check_size(0, len(self.names), self.what)
            if len(column) < self.rows:
                column.extend([math.nan] * (self.rows - len(column)))
            column.append(number)
        self.rows += 1

    def finish(self) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """Column by name, all of one length, and the names of those that hold no number."""
        readers.check_size(self.rows, len(self.numbers), self.what)
        out: dict[str, np.ndarray] = {}
        for name in self.names:
            if name in self.numbers:
                numbers = self.numbers.pop(name)
                out[name] = np.full(self.rows, np.nan)
                out[name][: len(numbers)] = numbers
        return out, tuple(name for name in self.names if name not in out)


def _row(
    row: Any, setting: Setting, space: spaces.Space[Any], skip: frozenset[str]
) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Code of one row of the source, and its values but those to ``skip``. Raises ``_Refuse`` when it cannot be used."""
    if isinstance(row, readers.Unreadable):
        raise _Refuse(row.reason)
    if not isinstance(row, Mapping):
        raise _Refuse(f"a row is a mapping from names to values, this one is {files.kind_of(row)}")
    if len(row) > readers.MAX_COLUMNS:
        raise _Refuse(f"it has {len(row):,} values; rows of up to {readers.MAX_COLUMNS:,} are read")
    if not all(isinstance(key, str) and len(key) <= _MAX_NAME for key in row):
        raise _Refuse(f"a row is a mapping from names to values; names are text of at most {_MAX_NAME} characters")
    budget = [_MAX_ITEMS]
    given = {key: _plain(row[key], key, budget) for key in _ARCHITECTURE if row.get(key) is not None}
    if all(label in row for label in space.labels):
        given["code"] = [_number(row[label]) for label in space.labels]
    if not given:
        raise _Refuse(
            "a mapping that describes an architecture needs one of: architecture, code, text, embedding, or all of "
            f"{space.labels[0]} ... {space.labels[-1]}; this one has {_names(row)}"
        )
    if isinstance(text := given.pop("architecture", None), str):
        given["text"] = text
    elif text is not None:
        given.setdefault("code", text)
    try:
        code: tuple[int, ...] = space.parse(given).code
    except UserError as error:
        raise _Refuse(str(error)) from None
    values: dict[str, Any] = {}
    for key, value in row.items():
        if key in skip:
            continue
        name = str(readers.RENAMED.get(key, key))
        if name in values:
            raise _Refuse(f"it holds {name} twice, in two spellings")
        values[name] = value
    if setting.main not in values:
        raise _Refuse(f"{setting.main} is missing; the row has {_names(row)}")
    main, (low, high) = _number(values[setting.main]), setting.range(setting.main)
    if not low <= main <= high:
        shown = files.shown(values[setting.main], 40)
        raise _Refuse(f"{setting.main} must be in {low:g}..{high:g}, given was {shown}")
    return code, values


def _names(row: Mapping[str, Any]) -> str:
    """The first names of a row that have a value, for a message."""
    names = [files.shown(name, 30) for name, value in row.items() if value is not None]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"


def _plain(value: Any, key: str, budget: list[int], depth: int = 0) -> Any:
    """Text, a number, or short nested lists of numbers; anything else is refused before it is looked at further."""
    if isinstance(value, np.ndarray) and value.size <= 1000:
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        budget[0] -= len(value)
        if depth > 2 or budget[0] < 0:
            raise _Refuse(f"'{key}' is nested deeper or is longer than any architecture")
        return [_plain(item, key, budget, depth + 1) for item in value]
    if (isinstance(value, str) and len(value) <= 1000) or isinstance(value, (int, float, np.number)):
        return value
    if isinstance(value, str):
        raise _Refuse(f"'{key}' has {len(value):,} characters; no architecture is so long")
    raise _Refuse(f"'{key}' holds {files.kind_of(value)}; an architecture is numbers or text")


def _number(value: Any) -> float:
    """A float, NaN for anything that is not a finite number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, str, np.number)):
        return math.nan
    try:
        number = numeric.of_text(value) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _checked(
    setting: Setting,
    space: spaces.Space[Any],
    codes_ND: np.ndarray,
    columns: dict[str, np.ndarray],
    provenance: Provenance,
) -> Table:
    """The table with its flags."""
    n = len(codes_ND)
    flags: dict[str, np.ndarray] = {}
    rules: dict[str, str] = {}

    def flag(name: str, mask: np.ndarray, rule: str) -> None:
        if mask.any():
            flags[name], rules[name] = mask, f"{rule} ({int(mask.sum())} of {n:,} rows)"

    unusable = np.zeros(n, dtype=bool)
    for name in columns:
        base = name.partition("@")[0]
        if name != setting.main and (base in setting.metrics or "/" in base):
            low, high = setting.range(name)
            outside = ~((columns[name] >= low) & (columns[name] <= high))
            unusable |= outside if name in setting.metrics else outside & ~np.isnan(columns[name])
            columns[name][outside] = np.nan
    flag("metric", unusable, "a metric other than the main one is missing or outside of its range")

    group = None
    if "flops" in columns and "params" in columns:
        check = checks.check_cost(setting, space, codes_ND, columns["flops"], columns["params"])
        flag("cost", check.wrong, "recorded flops or params differ from the exact count in the table's convention")
        if check.size is not None:
            columns["flops_input"], group = check.size.astype(np.float64), check.size
    main = columns[setting.main]
    failed = main < (-math.inf if setting.failed_below is None else setting.failed_below)
    flag("failed", failed, f"{setting.main} under {setting.failed_below}")
    looked_at = setting.space == "multires"  # elsewhere far values are no batch: a cell without a convolution fails
    if (
        looked_at
        and (batch := checks.shifted_batch(space, codes_ND, np.where(failed, np.nan, main), group)) is not None
    ):
        rule = f"a batch {batch.shift:.1f} points off, {batch.share:.0%} of the rows of its convention"
        flag("suspect", batch.rows, f"{rule}: see ncp.benchmark.checks.shifted_batch")
    flag("repeat", ~RowIndex(codes_ND).first(), "an earlier row has the same architecture")
    return Table(setting, codes_ND, columns, flags, replace(provenance, rules=rules))
