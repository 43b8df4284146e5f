"""From other people's files to tables: the release's pickles, Parquet, CSV. No row disappears without a reason.

A row is refused when its architecture or its main metric cannot be used: a code outside of the space, a code and a list of
blocks that differ, a metric that is missing, not a number or outside of 0..100. A row that can be used but is doubtful is
kept and carries a flag (see ``table.FLAGS`` and :mod:`ncp.benchmark.checks`).
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import checks, pickles, settings, store
from ncp.benchmark.collection import Benchmark
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import Provenance, Refusal, Table
from ncp.errors import UserError

MAX_ROWS = 2_000_000
PICKLE = "trainval.pkl"  # the release's one file a setting
# keys of a row that describe the architecture, in whatever form
_ARCHITECTURE = (
    "architecture", "code", "text", "embedding", "input_channel", "inverted_residual_setting", "network_setting", "last_channel",
)  # fmt: skip
_DERIVED = ("exact_macs", "exact_params", "flags", "flops_input")  # of our own exports: computed anew
_RENAMED = {"Flops": "flops", "Params": "params"}  # nas-bench-201's spelling


def import_release(source: str | Path, store_folder: str | Path | None = None, only: Sequence[str] = ()) -> Benchmark:
    """Import ``<source>/<setting>/trainval.pkl`` (or ``<setting>.parquet``, ``<setting>.csv``) into the store.

    Args:
        source: the release's folder ``data``, or the folder above it, or a single file.
        store_folder: where the tables go; default ``ncp.benchmark.store.folder()``.
        only: settings to import; default all that are there.

    Returns:
        The tables that were imported; each one's ``provenance`` says which rows were refused and why.

    Raises:
        UserError: when nothing is found, or a file cannot be used (the others are imported all the same).
    """
    wanted = {settings.get(name).name for name in only}
    found = {n: p for n, p in sources(Path(source).expanduser()).items() if not wanted or n in wanted}
    absent = wanted - set(found)
    if absent or not found:
        raise UserError(
            f"'{source}' holds no table{' of ' + ', '.join(sorted(absent)) if absent else ''}; expected are "
            f"<setting>/{PICKLE}, <setting>.parquet or <setting>.csv with a setting's name, such as seg/{PICKLE}"
        )
    tables: dict[str, Table] = {}
    mistakes = []
    for name, path in found.items():
        try:
            tables[name] = import_file(path, name)
        except UserError as error:
            mistakes.append(str(error))
            continue
        store.write(tables[name], store.path_of(name, store_folder))
    if mistakes:
        rest = f"; imported were {', '.join(tables)}" if tables else ""
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        raise UserError(f"{mistakes[0]}{more}{rest}")
    return Benchmark(tables, str(source))


def sources(path: Path) -> dict[str, Path]:
    """Setting -> file of every table under ``path``, in the settings' order."""
    if path.is_file():
        setting = _setting_of(path)
        return {setting.name: path}
    for root in (path, path / "data"):
        found: dict[str, Path] = {}
        for name in settings.SETTINGS:
            files = (root / name / PICKLE, root / f"{name}.parquet", root / f"{name}.csv")
            found.update((name, file) for file in reversed(files) if file.is_file())
        if found:
            return found
    own = path / PICKLE
    return {path.name: own} if path.name in settings.SETTINGS and own.is_file() else {}


def read_all(path: Path) -> Benchmark:
    """All tables under ``path``, imported in memory."""
    return Benchmark({name: import_file(file, name) for name, file in sources(path).items()}, str(path))


def import_file(path: str | Path, setting: str | Setting | None = None) -> Table:
    """One table from a release pickle, a Parquet or a CSV file.

    Args:
        path: the file; its name (``seg.csv``) or its folder's (``seg/trainval.pkl``) gives the setting unless stated.
        setting: a setting's name, or one of your own.

    Raises:
        UserError: when the file cannot be read, or none of its rows can be used.
    """
    path = Path(path).expanduser()
    if setting is None:
        setting = _setting_of(path)
    elif isinstance(setting, str):
        setting = settings.get(setting)
    readers = {".pkl": _pickle_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
    if path.suffix not in readers:
        raise UserError(f"'{path}' is not one of {', '.join(readers)}")
    if path.suffix == ".parquet" and path.exists() and (own := store.read(path)) is not None:
        return own
    rows = readers[path.suffix](path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from None
    return from_rows(rows, setting, source=str(Path(*path.parts[-2:])), sha256=digest)


def _setting_of(path: Path) -> Setting:
    name = path.parent.name if path.name == PICKLE else path.stem
    if name not in settings.SETTINGS:
        raise UserError(
            f"cannot tell the setting of '{path}': call it <setting>{path.suffix} or <setting>/{PICKLE} with one of "
            f"{', '.join(settings.SETTINGS)}"
        )
    return settings.SETTINGS[name]


def _pickle_rows(path: Path) -> list[Any]:
    rows = pickles.read(path)
    if not isinstance(rows, list):
        raise UserError(f"'{path}' holds a {type(rows).__name__}; a table is a list of rows")
    return rows


def _csv_rows(path: Path) -> list[Any]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [{k: v for k, v in row.items() if k is not None and v != ""} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read the CSV file '{path}': {store._first_line(error)}") from None


def _parquet_rows(path: Path) -> list[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        rows: list[Any] = parquet.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"cannot read the Parquet file '{path}': {store._first_line(error)}") from None
    return rows


def from_rows(rows: Iterable[Any], setting: Setting | str, source: str = "", sha256: str = "") -> Table:
    """A table from mappings, one a row: an architecture in any form, the setting's metrics, and other numbers.

    An architecture is ``architecture`` (text), ``code``, ``embedding`` with or without the release's list of blocks, or
    one key per dimension. Other numeric keys become columns (``top1@50``, ``car/3d/moderate/AP40``, ``seed``, ...).

    Raises:
        UserError: when no row can be used.
    """
    setting = settings.get(setting) if isinstance(setting, str) else setting
    space = spaces.get(setting.space)
    rows = list(rows)
    if len(rows) > MAX_ROWS:
        raise UserError(f"{source or 'the source'} has {len(rows):,} rows; tables of up to {MAX_ROWS:,} are read")
    codes, kept, refused = [], [], []
    for number, row in enumerate(rows):
        try:
            code, values = _row(row, setting, space)
        except UserError as error:
            refused.append(Refusal(number, str(error)[:300]))
            continue
        codes.append(code)
        kept.append(values)
    if not kept:
        reason = f"; the first: {refused[0].reason}" if refused else ""
        raise UserError(f"{source or 'the source'} has no row that can be used as {setting.name}{reason}")
    names = list(dict.fromkeys([*setting.metrics, *(name for values in kept for name in values)]))
    columns, ignored = {}, []
    for name in names:
        column = np.array([_number(values.get(name)) for values in kept], dtype=np.float64)
        if np.isnan(column).all() and name not in setting.metrics:
            ignored.append(name)
        else:
            columns[name] = column
    provenance = Provenance(
        source, sha256, datetime.now(UTC).isoformat(timespec="seconds"), len(rows), tuple(refused), {}, tuple(ignored)
    )
    return _checked(setting, space, np.array(codes, dtype=np.int64), columns, provenance)


def _row(row: Any, setting: Setting, space: spaces.Space[Any]) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Code and other values of one row of the source; ``UserError`` when it cannot be used."""
    if not isinstance(row, Mapping) or not all(isinstance(key, str) for key in row):
        raise UserError(f"a row is a mapping from names to values, this one is a {type(row).__name__}")
    given = {key: _plain(row[key], key) for key in _ARCHITECTURE if row.get(key) is not None}
    if all(label in row for label in space.labels):
        given["code"] = [_number(row[label]) for label in space.labels]
    if isinstance(text := given.pop("architecture", None), str):
        given["text"] = text
    elif text is not None:
        given.setdefault("code", text)
    code: tuple[int, ...] = space.parse(given).code
    skip = {*_ARCHITECTURE, *_DERIVED, *space.labels}
    values = {_RENAMED.get(str(key), str(key)): value for key, value in row.items() if key not in skip}
    main = _number(values.get(setting.main))
    if setting.main not in values:
        raise UserError(f"{setting.main} is missing")
    if not 0 <= main <= 100:
        raise UserError(f"{setting.main} must be in 0..100, given was {str(values[setting.main])[:40]}")
    return code, values


def _plain(value: Any, key: str, depth: int = 0) -> Any:
    """Text, a number, or short nested lists of numbers; anything else is refused before it is looked at further."""
    if isinstance(value, np.ndarray) and value.size <= 1000:
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        if depth > 2 or len(value) > 100:
            raise UserError(f"'{key}' is nested deeper or is longer than any architecture")
        return [_plain(item, key, depth + 1) for item in value]
    if (isinstance(value, str) and len(value) <= 1000) or isinstance(value, (int, float, np.number)):
        return value
    raise UserError(f"'{key}' holds a {type(value).__name__}; an architecture is numbers or text")


def _number(value: Any) -> float:
    """A float, NaN for anything that is not a finite number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, str, np.number)):
        return math.nan
    try:
        number = float(value)
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
            outside = ~((columns[name] >= 0) & (columns[name] <= 100))
            unusable |= outside if name in setting.metrics else outside & ~np.isnan(columns[name])
            columns[name][outside] = np.nan
    flag("metric", unusable, "a metric other than the main one is missing or outside of 0..100")

    group = None
    if "flops" in columns and "params" in columns:
        check = checks.check_cost(setting, space, codes_ND, columns["flops"], columns["params"])
        flag("cost", check.wrong, "recorded flops or params differ from the exact count in the table's convention")
        if check.size is not None:
            columns["flops_input"], group = check.size.astype(np.float64), check.size
    main = columns[setting.main]
    failed = main < checks.FAILED_BELOW.get(setting.name, -1.0)
    flag("failed", failed, f"{setting.main} under {checks.FAILED_BELOW.get(setting.name)}")
    if (batch := checks.shifted_batch(space, codes_ND, np.where(failed, np.nan, main), group)) is not None:
        rule = f"a batch {batch.shift:.1f} points off, {batch.share:.0%} of the rows of its convention"
        flag("suspect", batch.rows, f"{rule}: see ncp.benchmark.checks.shifted_batch")
    first = np.zeros(n, dtype=bool)
    first[np.unique(codes_ND, axis=0, return_index=True)[1]] = True
    flag("repeat", ~first, "an earlier row has the same architecture")
    return Table(setting, codes_ND, columns, flags, replace(provenance, rules=rules))
