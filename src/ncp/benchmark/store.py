"""Tables on disk: one file a setting, with its provenance inside, in one folder.

The default folder is ``$NCP_DATA/benchmark``, or ``benchmark`` in the cache (:func:`ncp.files.cache_folder`) without it.
Files are Parquet, which any Parquet reader opens; their columns are described in :mod:`ncp.benchmark.table`, and the schema's
metadata holds, under the key ``ncp``, JSON with the setting and the provenance. Where pyarrow is not installed tables are kept as
safetensors files (:mod:`ncp.benchmark.light`), which are read everywhere.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, spaces
from ncp.benchmark import light, readers, stored
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import FLAGS, Table
from ncp.benchmark.writing import KEY, write, write_csv, write_safetensors
from ncp.errors import UserError, needed

__all__ = ["file_of", "folder", "path_of", "put", "read", "tables_in", "write", "write_csv"]

_NOT_METRICS = ("architecture", "exact_macs", "exact_params", "flags")  # written for other readers, not read back


def folder() -> Path:
    """Where imported tables live by default."""
    root = os.environ.get("NCP_DATA")
    return Path(root).expanduser() / "benchmark" if root else files.cache_folder("benchmark")


def path_of(setting: str, store: str | Path | None = None) -> Path:
    """The Parquet file of a setting's table in ``store`` (default: :func:`folder`)."""
    name = files.safe_file(setting, "setting's name")
    return (folder() if store is None else Path(store).expanduser()) / f"{name}.parquet"


def file_of(setting: str, store: str | Path | None = None) -> Path | None:
    """The file that holds a setting's table in ``store``; None where there is none. Of two, the one that can be read here."""
    here = [path for path in _places(setting, store) if path.exists()]
    return here[0] if here else None


def tables_in(place: Path) -> list[Path]:
    """All files of tables in a folder; those with a point in front are being written."""
    return sorted((*place.glob("[!.]*.parquet"), *place.glob(f"[!.]*{light.ENDING}")))


def put(table: Table, store: str | Path | None = None, setting: str | None = None) -> Path:
    """Write a table into ``store``, in the place of an older one of its setting; its file.

    Raises:
        UserError: where it cannot be written.
    """
    first, second = _places(setting or table.name, store)
    (write_safetensors if light.is_light(first) else write)(table, first)
    second.unlink(missing_ok=True)  # it would be read where the first cannot be
    return first


def _places(setting: str, store: str | Path | None) -> tuple[Path, Path]:
    """Where a setting's table may be, first as it is kept in this installation."""
    path = path_of(setting, store)
    other = path.with_name(f"{path.stem}{light.ENDING}")
    return (path, other) if find_spec("pyarrow") is not None else (other, path)


def read(path: str | Path, setting: Setting | None = None) -> Table | None:
    """A table that :func:`write` or :func:`put` wrote; None when the Parquet file is someone else's.

    Args:
        path: of the file.
        setting: what the table is of; unless given, what the file says, which a name of ours overrules (the file may
            describe settings of its own, not ours).

    Raises:
        UserError: when the file is missing or damaged, its rows are no longer valid, or they lack the setting's metrics; for
            Parquet where pyarrow is not installed.
    """
    return light.read(path, setting) if light.is_light(Path(path)) else _read_parquet(path, setting)


def _read_parquet(path: str | Path, setting: Setting | None) -> Table | None:
    pa: Any = needed("pyarrow")
    from pyarrow import parquet

    shown = files.printable(path)
    try:
        with parquet.ParquetFile(files.regular(path, readers.MAX_FILE), page_checksum_verification=True) as file:
            schema = file.schema_arrow
            raw = (schema.metadata or {}).get(KEY)
            if raw is None:
                return None
            chosen, provenance = stored.read_metadata(raw, setting, f"'{shown}'")
            readers.check_size(file.metadata.num_rows, len(schema.names), f"'{shown}'")
            readers.check_names(schema.names, f"'{shown}'")
            readers.check_values(file.metadata, f"'{shown}'")
            names = [n for n in schema.names if n not in _NOT_METRICS[:-1]]
            _check_types(schema, names, chosen, shown)
            content = file.read(columns=names, use_threads=False)
        labels = spaces.get(chosen.space).labels
        codes = np.stack([_numbers(content[label]) for label in labels], axis=1)
        columns = {n: _numbers(content[n]) for n in content.column_names if n not in labels and n != "flags"}
        return stored.checked(chosen, codes, columns, _flags(content["flags"]), provenance, shown)
    except FileNotFoundError:
        raise UserError(f"no table at '{shown}'") from None
    except UserError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"'{shown}' is not a readable table ({files.first_line(error)}); import it again") from None


def _check_types(schema: Any, names: list[str], setting: Setting, shown: str) -> None:
    """Before anything is read: all columns are there, and they are numbers."""
    from pyarrow import types

    labels = spaces.get(setting.space).labels
    missing = [n for n in (*labels, *setting.metrics, "flags") if n not in names]
    if missing:
        raise UserError(f"'{shown}' has no column '{missing[0]}', which a table of {setting.name} needs")
    for name in names:
        kind = schema.field(name).type
        if name == "flags":
            good = types.is_dictionary(kind) and types.is_string(kind.value_type)
        else:
            good = types.is_integer(kind) or (name not in labels and types.is_floating(kind))
        if not good:
            raise UserError(
                f"'{shown}' is not a readable table (column '{files.shown(name)}' is {kind}); import it again"
            )


def _numbers(column: Any) -> np.ndarray:
    """A column without nulls. Arrow's own ``to_numpy`` would import pandas, half a second, where that is installed."""
    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    if array.null_count:
        raise ValueError("a column has holes")
    return np.from_dlpack(array)


def _flags(column: Any) -> dict[str, np.ndarray]:
    if not len(column):
        return {}
    chunk = column.combine_chunks()
    texts = [(text or "")[:1000].split() for text in chunk.dictionary.to_pylist()]
    index = _numbers(chunk.indices)
    present = [name for name in FLAGS if any(name in text for text in texts)]
    return {name: np.array([name in text for text in texts])[index] for name in present}
