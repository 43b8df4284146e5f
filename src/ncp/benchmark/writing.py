"""A table as a file: Parquet or safetensors with its provenance inside, or CSV. Whole or not at all.

Parquet and CSV are written in parts of some thousand rows, so that memory does not grow with the table; a safetensors file takes
a second copy of its numbers.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import files, tensorfile

if TYPE_CHECKING:
    from ncp.benchmark.table import Table

FORMAT = "ncp-table-1"
KEY = b"ncp"
ENDING = ".table.safetensors"
ADVICE = "choose another folder"
PART = 2**16


def metadata(table: Table) -> str:
    """JSON with the format, the setting and the provenance of a table."""
    content = {"format": FORMAT, "setting": table.setting.described(), "provenance": asdict(table.provenance)}
    return json.dumps(content)


def write(table: Table, path: str | Path) -> Path:
    """Write one table as Parquet, complete or not at all. Raises ``UserError`` where it cannot be written."""
    from pyarrow import parquet

    path = Path(path).expanduser()
    contents = _contents(table)
    first = next(contents)
    how: dict[str, Any] = {"compression": "zstd", "use_dictionary": ["flags"], "write_statistics": False}
    how["write_page_checksum"] = True
    with files.writing(path, ADVICE) as temporary, parquet.ParquetWriter(temporary, first.schema, **how) as writer:
        for content in chain([first], contents):
            writer.write_table(content)
    return path


def _contents(table: Table) -> Iterator[Any]:
    """Arrow tables of some thousand rows."""
    import pyarrow as pa

    about = {KEY: metadata(table).encode()}
    for part in _parts(table):
        arrays: dict[str, Any] = {"architecture": table.space.texts(table.codes[part])}
        arrays |= {label: table.codes[part, i].astype(np.int16) for i, label in enumerate(table.space.labels)}
        arrays |= {name: values[part] for name, values in table.columns.items()}
        arrays |= {"exact_macs": table.macs[part], "exact_params": table.params[part]}
        columns = {name: pa.array(values) for name, values in arrays.items()}
        columns["flags"] = pa.array(_flag_texts(table, part), pa.string()).dictionary_encode()
        yield pa.table(columns).replace_schema_metadata(about)


def write_safetensors(table: Table, path: str | Path) -> Path:
    """Write one table for installations without pyarrow (:mod:`ncp.benchmark.light`), complete or not at all.

    Raises:
        UserError: where it cannot be written.
    """
    names = {"columns": list(table.columns), "flags": list(table.flags)}
    arrays = {
        "codes": table.codes.astype(np.int16),
        "columns": np.stack([*table.columns.values()]),
        "flags": np.stack([*table.flags.values()]) if table.flags else np.empty((0, len(table)), dtype=bool),
    }
    texts = {KEY.decode(): metadata(table), "names": json.dumps(names)}
    return tensorfile.write(Path(path).expanduser(), arrays, texts, "the rows of this table", finite=False)


def write_csv(table: Table, path: str | Path) -> Path:
    """Write one table as CSV: the architecture as text, then all columns but the single dimensions."""
    path = Path(path).expanduser()
    with files.writing(path, ADVICE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["architecture", *table.columns, "exact_macs", "exact_params", "flags"])
        for part in _parts(table):
            columns = [
                table.space.texts(table.codes[part]),
                *(["" if np.isnan(v) else repr(v) for v in values[part].tolist()] for values in table.columns.values()),
                table.macs[part].tolist(),
                table.params[part].tolist(),
                _flag_texts(table, part),
            ]
            writer.writerows(zip(*columns, strict=True))
    return path


def _parts(table: Table) -> Iterator[slice]:
    """At least one, so that an empty table has its columns too."""
    return (slice(start, start + PART) for start in range(0, max(1, len(table)), PART))


def _flag_texts(table: Table, part: slice) -> list[str]:
    texts = [""] * len(table.codes[part])
    for name, mask in table.flags.items():
        for row in np.flatnonzero(mask[part]).tolist():
            texts[row] = f"{texts[row]} {name}".strip()
    return texts
