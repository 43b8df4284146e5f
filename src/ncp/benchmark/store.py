"""Tables on disk: one Parquet file a setting, with its provenance inside, in one folder.

The default folder is ``$NCP_DATA/benchmark``, or ``benchmark`` in the cache (:func:`ncp.files.cache_folder`) without it.
Any Parquet reader opens the files; their columns are described in :mod:`ncp.benchmark.table`, and the schema's metadata
holds, under the key ``ncp``, JSON with the setting and the provenance.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, spaces
from ncp.benchmark import readers, settings
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import FLAGS, Provenance, Table
from ncp.benchmark.writing import FORMAT, KEY, write, write_csv
from ncp.errors import UserError

__all__ = ["folder", "path_of", "read", "write", "write_csv"]

log = logging.getLogger(__name__)
_NOT_METRICS = ("architecture", "exact_macs", "exact_params", "flags")  # written for other readers, not read back


def folder() -> Path:
    """Where imported tables live by default."""
    root = os.environ.get("NCP_DATA")
    return Path(root).expanduser() / "benchmark" if root else files.cache_folder("benchmark")


def path_of(setting: str, store: str | Path | None = None) -> Path:
    """The file of a setting's table in ``store`` (default: :func:`folder`)."""
    name = files.safe_file(setting, "setting's name")
    return (folder() if store is None else Path(store).expanduser()) / f"{name}.parquet"


def read(path: str | Path, setting: Setting | None = None) -> Table | None:
    """A table that :func:`write` wrote; None when the Parquet file is someone else's.

    Args:
        path: of the file.
        setting: what the table is of; unless given, what the file says, which a name of ours overrules (the file may
            describe settings of its own, not ours).

    Raises:
        UserError: when the file is missing or damaged, its rows are no longer valid, or they lack the setting's metrics.
    """
    import pyarrow as pa
    from pyarrow import parquet

    shown = files.printable(path)
    try:
        with parquet.ParquetFile(files.regular(path, readers.MAX_FILE), page_checksum_verification=True) as file:
            schema = file.schema_arrow
            raw = (schema.metadata or {}).get(KEY)
            if raw is None:
                return None
            chosen, provenance = _metadata(raw, setting, f"'{shown}'")
            readers.check_size(file.metadata.num_rows, len(schema.names), f"'{shown}'")
            readers.check_names(schema.names, f"'{shown}'")
            readers.check_values(file.metadata, f"'{shown}'")
            names = [n for n in schema.names if n not in _NOT_METRICS[:-1]]
            _check_types(schema, names, chosen, shown)
            content = file.read(columns=names, use_threads=False)
        return _table(content, chosen, provenance, shown)
    except FileNotFoundError:
        raise UserError(f"no table at '{shown}'") from None
    except UserError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"'{shown}' is not a readable table ({files.first_line(error)}); import it again") from None


def _metadata(raw: bytes, given: Setting | None, where: str) -> tuple[Setting, Provenance]:
    """What the table is of (what the user says counts more than what the file says), and where its rows come from."""
    content = files.parse_json(raw, f"the metadata of {where}")
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise UserError(f"{where} has the table format '{files.shown(found)}', this version reads '{FORMAT}'")
    provenance = files.checked(content.get("provenance"), Provenance, f"the provenance in {where}")
    refused = tuple(replace(r, reason=files.printable(r.reason)) for r in provenance.refused)
    rules = {files.printable(name): files.printable(rule) for name, rule in provenance.rules.items()}
    ignored, source = tuple(map(files.printable, provenance.ignored)), files.printable(provenance.source)
    provenance = replace(provenance, source=source, refused=refused, rules=rules, ignored=ignored)
    stated = content.get("setting")
    if given is None:
        return _stated(stated, where), provenance
    name = stated.get("name") if isinstance(stated, dict) else None
    if name == given.name:  # what it was measured on is the file's to say
        theirs = _stated(stated, where)
        return replace(given, dataset=theirs.dataset, min_overlap=theirs.min_overlap), provenance
    log.warning("%s says that it is a table of '%s'; it is read as %s, as asked", where, files.shown(name), given.name)
    return given, provenance


def _stated(content: Any, where: str) -> Setting:
    """A setting that a file describes: its own, or exactly one of ours."""
    if isinstance(content, dict):
        files.safe_file(content.get("name"), f"setting's name in {where}")
    setting: Setting = files.checked(content, Setting, f"the setting in {where}")
    texts = (*setting.metrics, *setting.min_overlap, *(v for v in setting.described().values() if isinstance(v, str)))
    if any(not text.isprintable() or len(text) > 500 for text in texts):
        raise UserError(f"the setting in {where} has texts that are too long or hold control characters")
    if len(setting.metrics) > 100 or len(setting.min_overlap) > 100:
        raise UserError(f"the setting in {where} has more than 100 metrics or classes")
    spaces.get(setting.space)
    ours = settings.SETTINGS.get(setting.name)
    if ours is None:
        return replace(setting, real=None, builtin=None)  # how it is trained is no table's to say
    same = all(getattr(ours, name) == getattr(setting, name) for name in ("task", "metrics", "main", "space"))
    if not same:
        return ours
    # tables of earlier versions do not state it: ours holds for the data set that ours is of
    known = "min_overlap" in content or setting.dataset != ours.dataset
    return replace(ours, dataset=setting.dataset, min_overlap=setting.min_overlap if known else ours.min_overlap)


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


def _table(content: Any, setting: Setting, provenance: Provenance, shown: str) -> Table:
    space = spaces.get(setting.space)
    codes = np.stack([_numbers(content[label]) for label in space.labels], axis=1)
    for start in range(0, len(codes), 2**16):  # in parts: the check takes many times the memory of its codes
        part = codes[start : start + 2**16]
        if not np.array_equal(space.round(part), part):
            raise UserError(f"'{shown}' holds codes outside of the space of {setting.name}; import it again")
    columns = {n: _numbers(content[n]) for n in content.column_names if n not in space.labels and n != "flags"}
    if any(np.isinf(values).any() for values in columns.values()):
        raise UserError(f"'{shown}' holds numbers that are not finite; import it again")
    main, (low, high) = columns[setting.main], setting.range(setting.main)
    if not ((main >= low) & (main <= high)).all():
        raise UserError(f"'{shown}' holds impossible values of {setting.main}; import it again")
    return Table(setting, codes, columns, _flags(content["flags"]), provenance)


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
