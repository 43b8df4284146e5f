"""Rows out of other people's files, a few thousand at a time, so that memory does not grow with the file.

A reader yields batches: the part of the file that is done (0..1) and rows. A row is a mapping from names to values, or an
:class:`Unreadable` with the reason why that row could not be read; nothing is passed over. What makes the whole file
unusable (a column that is there twice, more rows than :data:`MAX_ROWS`) is a ``UserError`` before any row is read.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ncp import delimited, files
from ncp.benchmark import pickles
from ncp.errors import UserError

MAX_ROWS = 2_000_000
MAX_COLUMNS = 1000
MAX_CELLS = 200_000_000
"""Numbers that a table may have: rows times columns, 1.6 GB."""
MAX_FILE = 8 * 2**30
"""Bytes of a file of rows: CSV, Parquet, safetensors."""
MAX_UNPACKED = 256 * 2**20
"""Bytes to which a ``.csv.gz`` may unpack."""
MAX_GROUP = 2 * 2**30
"""Bytes to which a row group of a Parquet file may unpack."""
MAX_LINE = 2**20
MAX_TEXT = 10_000
MAX_LIST = 500
BATCH = 4000
RENAMED = {"Flops": "flops", "Params": "params"}  # nas-bench-201's spelling


class Unreadable(NamedTuple):
    """A row that could not be read."""

    reason: str


Batch = tuple[float, Sequence[Any]]


def batches(path: Path) -> Iterator[Batch]:
    """The rows of a release pickle, a CSV or a Parquet file, by the ending of its name.

    Raises:
        UserError: for another ending, a file that cannot be read, or one that is too large for a table.
    """
    readers = {".pkl": from_pickle, ".csv": from_csv, ".csv.gz": from_csv, ".parquet": from_parquet}
    ending = ".csv.gz" if path.name.endswith(".csv.gz") else path.suffix
    if ending not in readers:
        raise UserError(f"'{files.printable(path)}' is not one of {', '.join(readers)}")
    return readers[ending](path)


def from_rows(rows: Sequence[Any]) -> Iterator[Batch]:
    """Rows that are in memory already."""
    check_size(len(rows), 0, "the source")
    for start in range(0, len(rows), BATCH):
        yield min(1.0, (start + BATCH) / len(rows)), rows[start : start + BATCH]


def check_size(rows: int, columns: int, what: str) -> None:
    """Raise ``UserError`` for more rows, columns or numbers than a table may have."""
    if rows > MAX_ROWS:
        raise UserError(f"{what} has {rows:,} rows; tables of up to {MAX_ROWS:,} are read")
    if columns > MAX_COLUMNS:
        raise UserError(f"{what} has {columns:,} columns; tables of up to {MAX_COLUMNS:,} are read")
    if rows * columns > MAX_CELLS:
        raise UserError(f"{what} has {rows:,} rows of {columns:,} columns; up to {MAX_CELLS:,} numbers are read")


def check_names(names: Sequence[str], what: str) -> None:
    """Raise ``UserError`` where two columns have one name, of which one would replace the other."""
    seen: set[str] = set()
    for name in names:
        ours = RENAMED.get(name, name)
        if ours in seen:
            raise UserError(f"{what} has two columns '{files.shown(ours)}'; rename or remove one of them")
        seen.add(ours)


def from_pickle(path: Path) -> Iterator[Batch]:
    """The list of rows in a pickle of the release; nothing in the file is run."""
    rows = pickles.read(path)
    if not isinstance(rows, list):
        raise UserError(f"'{files.printable(path)}' holds {files.kind_of(rows)}; a table is a list of rows")
    yield from from_rows(rows)


def from_csv(path: Path) -> Iterator[Batch]:
    """A CSV file whose first line names the columns: one line, one row. Empty fields are left out. Between the fields stands
    what the first line has most of: commas, semicolons or tabs.

    Every line is read by itself: a quote that is not closed spoils its own line and none after it.
    """
    what = f"the CSV file '{files.printable(path)}'"
    with _opened(path, what) as raw:
        size = max(1, raw.seek(0, io.SEEK_END))
        raw.seek(0)
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        lines = _lines(text)
        first = next(lines, "")
        delimiter = delimited.delimiter_of(first)
        head = _fields(first, delimiter)
        if isinstance(head, Unreadable):
            raise UserError(f"cannot read {what}: its first line {head.reason}")
        names = [name.strip() for name in head]
        check_size(0, len(names), what)
        check_names([name for name in names if name], what)
        count = 0
        while rows := [
            _row(line, names, delimiter) for line in islice((line for line in lines if line.strip()), BATCH)
        ]:
            count += len(rows)
            check_size(count, 0, what)
            yield min(1.0, raw.tell() / size), rows


def _opened(path: Path, what: str) -> Any:
    """The file, or what a ``.gz`` unpacks to, of which no more than ``MAX_UNPACKED`` bytes are made."""
    if path.suffix != ".gz":
        return files.open_regular(path, MAX_FILE)
    unpack = zlib.decompressobj(wbits=31)
    try:
        content = unpack.decompress(files.read_bytes(path, MAX_UNPACKED), MAX_UNPACKED + 1)
    except zlib.error as error:
        raise UserError(f"cannot read {what}: it is no gzip file, or damaged ({files.first_line(error)})") from None
    if len(content) > MAX_UNPACKED:
        raise UserError(f"{what} unpacks to more than {MAX_UNPACKED:,} bytes; give it unpacked")
    if not unpack.eof or unpack.unused_data:
        raise UserError(f"cannot read {what}: it is cut off, or something follows it; fetch it again")
    return io.BytesIO(content)


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines without their ends; of a line longer than ``MAX_LINE`` its beginning, which no row has."""
    while line := text.readline(MAX_LINE):
        rest = line
        while len(rest) == MAX_LINE and not rest.endswith(("\n", "\r")):
            rest = text.readline(MAX_LINE)
        yield line if len(line) == MAX_LINE else line.rstrip("\r\n")


def _fields(line: str, delimiter: str) -> list[str] | Unreadable:
    if len(line) == MAX_LINE:
        return Unreadable(f"is longer than {MAX_LINE:,} characters")
    try:
        line.encode()
        found = delimited.fields(line, delimiter)
    except UnicodeEncodeError:
        return Unreadable("is no UTF-8 text")
    except csv.Error as error:
        return Unreadable(f"has a stray quote or cannot be split ({error})")
    return found if found else Unreadable("is empty")


def _row(line: str, names: Sequence[str], delimiter: str) -> Any:
    fields = _fields(line, delimiter)
    if isinstance(fields, Unreadable):
        return Unreadable(f"the line {fields.reason}")
    if len(fields) != len(names):
        return Unreadable(f"the line has {len(fields)} fields, the first line {len(names)}")
    return {name: value for name, value in zip(names, fields, strict=True) if name and value != ""}


def from_parquet(path: Path) -> Iterator[Batch]:
    """A Parquet file; columns that are neither numbers, text nor lists of numbers come as ``None``."""
    import pyarrow as pa
    from pyarrow import parquet

    what = f"the Parquet file '{files.printable(path)}'"
    try:
        with parquet.ParquetFile(files.regular(path, MAX_FILE), page_checksum_verification=True) as file:
            schema = file.schema_arrow
            check_size(file.metadata.num_rows, len(schema.names), what)
            check_names(schema.names, what)
            used = [field.name for field in schema if _usable(field.type)]
            check_values(file.metadata, what)
            _check_lists(file, [field.name for field in schema if field.name in used and _is_list(field.type)], what)
            texts = [field.name for field in schema if field.name in used and _is_text(field.type)]
            left_out = dict.fromkeys(set(schema.names) - set(used))
            count = 0
            for batch in file.iter_batches(batch_size=BATCH, columns=used, use_threads=False):
                count += batch.num_rows
                check_size(count, 0, what)
                for name in texts:
                    _check_text(batch[name], name, what)
                rows: list[Mapping[str, Any]] = batch.to_pylist()
                yield count / max(1, file.metadata.num_rows), [{**row, **left_out} for row in rows]
    except UserError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UserError(f"cannot read {what}: {files.first_line(error)}") from None


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    inner = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(inner) or types.is_large_string(inner))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _check_lists(file: Any, names: list[str], what: str) -> None:
    """A list of one number repeated takes no room in a file, and all of it in memory: count before reading."""
    if not names:
        return
    # in a small buffer, and it refuses damaged descriptions of columns, for which the next lines would end the process
    file.scan_contents(names)
    paths = [file.schema.column(k).path for k in range(len(file.schema))]
    wanted = [k for k, path in enumerate(paths) if any(path.startswith(f"{name}.") for name in names)]
    for i in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(i)
        if any(group.column(k).num_values > MAX_LIST * max(1, group.num_rows) for k in wanted):
            raise UserError(f"{what} has lists of more than {MAX_LIST} numbers; no architecture has so many")


def _usable(kind: Any) -> bool:
    from pyarrow import types

    if _is_list(kind):
        return bool(types.is_integer(kind.value_type) or types.is_floating(kind.value_type))
    return bool(_is_text(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _check_text(column: Any, name: str, what: str) -> None:
    """Long text that is stored once and used in every row would be copied for each."""
    from pyarrow import compute

    longest = compute.max(compute.binary_length(getattr(column, "dictionary", column))).as_py()
    if longest is not None and longest > MAX_TEXT:
        raise UserError(f"{what} has text of {longest:,} bytes in '{files.shown(name)}'; at most {MAX_TEXT:,} are read")


def check_values(metadata: Any, what: str) -> None:
    """Raise ``UserError`` where a Parquet file says that its rows unpack to more than a table's may.

    Only the groups are asked: for a damaged description of a column pyarrow would end the whole process.
    """
    if any(metadata.row_group(i).total_byte_size > MAX_GROUP for i in range(metadata.num_row_groups)):
        raise UserError(f"{what} has row groups that unpack to more than {MAX_GROUP:,} bytes; write smaller ones")
