"""A table as a safetensors file, for an installation without pyarrow: the same rows, columns, flags and provenance.

Three arrays: ``codes`` ``(N, D)`` int16, ``columns`` ``(C, N)`` float64 (NaN where there is no number) and ``flags`` ``(F, N)``
bool. The metadata hold the names of columns and flags, and under ``ncp`` what a Parquet file of ours holds there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta

from ncp import files, spaces, tensorfile
from ncp.benchmark import readers, stored
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import FLAGS, Table
from ncp.benchmark.writing import ENDING, write_safetensors
from ncp.errors import UserError

__all__ = ["ENDING", "is_light", "read", "write_safetensors"]

TYPES = ("I16", "F64", "BOOL")
KINDS = {"codes": "i", "columns": "f", "flags": "b"}
_Texts = Annotated[tuple[str, ...], Meta(max_length=readers.MAX_COLUMNS)]


@dataclass
class _Names:
    """Of the rows of both arrays."""

    columns: _Texts
    flags: _Texts


def is_light(path: Path) -> bool:
    """Whether a file is called as such tables are."""
    return path.name.endswith(ENDING)


def read(path: str | Path, setting: Setting | None = None) -> Table:
    """A table that :func:`write_safetensors` wrote.

    Args:
        path: of the file.
        setting: what the table is of; unless given, what the file says, which a name of ours overrules.

    Raises:
        UserError: when the file is missing or damaged, is no table, its rows are no longer valid, or they lack a metric.
    """
    shown = files.printable(path)
    head = tensorfile.head(path, readers.MAX_FILE, TYPES)
    if not {"ncp", "names"} <= head.metadata.keys():
        raise UserError(f"'{shown}' is a safetensors file but no table of trained architectures")
    chosen, provenance = stored.read_metadata(head.metadata["ncp"], setting, f"'{shown}'")
    names = files.checked(
        files.parse_json(head.metadata["names"], f"the names in '{shown}'"), _Names, f"the names in '{shown}'"
    )
    rows = next(iter(head.shapes.get("codes", ())), 0)
    readers.check_size(rows, len(names.columns) + spaces.get(chosen.space).dim, f"'{shown}'")
    readers.check_names(names.columns, f"'{shown}'")
    if missing := [name for name in chosen.metrics if name not in names.columns]:
        raise UserError(f"'{shown}' has no column '{missing[0]}', which a table of {chosen.name} needs")
    if len(set(names.flags)) < len(names.flags) or not set(names.flags) <= set(FLAGS):
        raise UserError(f"'{shown}' has flags that this version does not know; import it again")
    wanted = {
        "codes": (rows, spaces.get(chosen.space).dim),
        "columns": (len(names.columns), rows),
        "flags": (len(names.flags), rows),
    }
    tensorfile.check_shapes(head.shapes, wanted, f"the rows in '{shown}' are not those that it describes")
    arrays = tensorfile.arrays(path, finite=False)
    if any(arrays[name].dtype.kind != kind for name, kind in KINDS.items()):
        raise UserError(f"'{shown}' holds its rows as other numbers than a table's; import it again")
    columns = dict(zip(names.columns, arrays["columns"], strict=True))
    flags = dict(zip(names.flags, arrays["flags"], strict=True))
    return stored.checked(chosen, arrays["codes"].astype(np.int64), columns, flags, provenance, shown)
