"""Tables on disk: one Parquet file a setting, with its provenance inside, in one folder.

The default folder is ``$NCP_DATA/benchmark``, or ``~/.cache/ncp/benchmark`` where that variable is not set. Any Parquet
reader opens the files; their columns are described in :mod:`ncp.benchmark.table`, and the schema's metadata holds, under
the key ``ncp``, JSON with the setting and the provenance.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ncp.benchmark import settings
from ncp.benchmark.collection import Benchmark
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import FLAGS, Provenance, Refusal, Table
from ncp.errors import UserError

FORMAT = "ncp-table-1"
_KEY = b"ncp"
_NOT_METRICS = ("architecture", "exact_macs", "exact_params", "flags")  # written for other readers, not read back


def folder() -> Path:
    """Where imported tables live by default."""
    root = os.environ.get("NCP_DATA")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "ncp") / "benchmark"


def path_of(setting: str, store: str | Path | None = None) -> Path:
    """The file of a setting's table in ``store`` (default: :func:`folder`)."""
    return (folder() if store is None else Path(store).expanduser()) / f"{setting}.parquet"


def write(table: Table, path: str | Path) -> Path:
    """Write one table as Parquet, complete or not at all. Raises ``UserError`` where it cannot be written."""
    import pyarrow as pa
    from pyarrow import parquet

    arrays: dict[str, Any] = {"architecture": [table.space.parse(c).text for c in table.codes.tolist()]}
    arrays |= {label: table.codes[:, i].astype(np.int16) for i, label in enumerate(table.space.labels)}
    arrays |= table.columns
    arrays |= {"exact_macs": table.macs, "exact_params": table.params}
    columns = {name: pa.array(values) for name, values in arrays.items()}
    columns["flags"] = pa.array(_flag_texts(table)).dictionary_encode()
    metadata = {"format": FORMAT, "setting": table.setting.described(), "provenance": asdict(table.provenance)}
    content = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(metadata).encode()})
    path = Path(path).expanduser()
    with _new_file(path) as temporary:
        parquet.write_table(
            content,
            temporary,
            compression="zstd",
            use_dictionary=["flags"],
            write_statistics=False,
            write_page_checksum=True,
        )
    return path


def write_csv(table: Table, path: str | Path) -> Path:
    """Write one table as CSV: the architecture as text, then all columns but the single dimensions."""
    columns = {
        "architecture": [table.space.parse(c).text for c in table.codes.tolist()],
        **{n: ["" if np.isnan(v) else repr(v) for v in values.tolist()] for n, values in table.columns.items()},
        "exact_macs": table.macs.tolist(),
        "exact_params": table.params.tolist(),
        "flags": _flag_texts(table),
    }
    path = Path(path).expanduser()
    with _new_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def _flag_texts(table: Table) -> list[str]:
    texts = [""] * len(table)
    for name, mask in table.flags.items():
        for row in np.flatnonzero(mask).tolist():
            texts[row] = f"{texts[row]} {name}".strip()
    return texts


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its place when the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror or error}; choose another folder") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read(path: str | Path) -> Table | None:
    """A table that :func:`write` wrote; None when the Parquet file is someone else's.

    Raises:
        UserError: when the file is missing or damaged, or its rows are no longer valid.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            metadata = _metadata(file.schema_arrow.metadata, path)
            if metadata is None:
                return None
            names = [n for n in file.schema_arrow.names if n not in _NOT_METRICS[:-1]]
            content = file.read(columns=names, use_threads=False)
        setting = Setting(**{**metadata["setting"], "metrics": tuple(metadata["setting"]["metrics"])})
        return _table(content, setting, _provenance(metadata["provenance"]))
    except FileNotFoundError:
        raise UserError(f"no table at '{path}'") from None
    except UserError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"'{path}' is not a readable table ({_first_line(error)}); import it again") from None


def _metadata(raw: dict[bytes, bytes] | None, path: str | Path) -> dict[str, Any] | None:
    if not raw or _KEY not in raw:
        return None
    metadata: dict[str, Any] = json.loads(raw[_KEY])
    if metadata.get("format") != FORMAT:
        raise UserError(f"'{path}' has the table format '{metadata.get('format')}', this version reads '{FORMAT}'")
    return metadata


def _provenance(fields: dict[str, Any]) -> Provenance:
    refused = tuple(Refusal(**r) for r in fields["refused"])
    return Provenance(**{**fields, "refused": refused, "ignored": tuple(fields["ignored"])})


def _table(content: Any, setting: Setting, provenance: Provenance) -> Table:
    from ncp import spaces

    space = spaces.get(setting.space)
    codes = np.stack([_numbers(content[label]) for label in space.labels], axis=1)
    if not np.array_equal(space.round(codes), codes):
        raise UserError(f"the table of {setting.name} holds codes outside of the space; import it again")
    others = [n for n in content.column_names if n not in space.labels and n != "flags"]
    table = Table(setting, codes, {n: _numbers(content[n]) for n in others}, _flags(content["flags"]), provenance)
    main = table.column(setting.main)
    if not ((main >= 0) & (main <= 100)).all():
        raise UserError(f"the table of {setting.name} holds impossible values of {setting.main}; import it again")
    return table


def _numbers(column: Any) -> np.ndarray:
    """A column without nulls. Arrow's own ``to_numpy`` would import pandas, half a second, where that is installed."""
    return np.from_dlpack(column.combine_chunks() if hasattr(column, "combine_chunks") else column)


def _flags(column: Any) -> dict[str, np.ndarray]:
    if not len(column):
        return {}
    chunk = column.combine_chunks()
    texts = [text.split() for text in chunk.dictionary.to_pylist()]
    index = _numbers(chunk.indices)
    present = [name for name in FLAGS if any(name in text for text in texts)]
    return {name: np.array([name in text for text in texts])[index] for name in present}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def load(path_or_name: str | Path | None = None, store: str | Path | None = None) -> Any:
    """Open a table, or several.

    Args:
        path_or_name: the name of a setting (``seg``, ``cls-50-1000``, ``cls``, ...), looked up in the store; the path of a
            Parquet, CSV or release pickle file: a :class:`Table`. A folder of tables, or of the release: a
            :class:`Benchmark`. None: all tables of the store.
        store: folder of imported tables; default :func:`folder`.

    Files that are not in our own format are imported in memory, which takes up to a second or two each.

    Raises:
        UserError: when there is no such table, with the command that imports it; when a file is damaged or hostile.
    """
    if path_or_name is None:
        return _load_folder(folder() if store is None else Path(store).expanduser())
    name = settings.SHORT.get(str(path_or_name), str(path_or_name))
    if name in settings.SETTINGS:
        path = path_of(name, store)
        if not path.exists():
            raise UserError(f"no table of '{name}' in '{path.parent}'; {_advice()}")
        return _own(path)
    path = Path(path_or_name).expanduser()
    if path.is_dir():
        return _load_folder(path)
    if not path.exists():
        short = ", ".join(settings.SHORT)
        raise UserError(
            f"'{path_or_name}' is neither a file or folder nor a setting; settings are {', '.join(settings.SETTINGS)}, "
            f"in short {short}"
        )
    return _own(path)


def _own(path: Path) -> Table:
    table = read(path) if path.suffix == ".parquet" else None
    if table is None:
        from ncp.benchmark import importing

        return importing.import_file(path)
    return table


def _load_folder(path: Path) -> Benchmark:
    files = sorted(path.glob("*.parquet"))
    if files:
        tables = [_own(file) for file in files]
        return Benchmark({table.name: table for table in tables}, str(path))
    from ncp.benchmark import importing

    if not importing.sources(path):
        raise UserError(f"no tables in '{path}'; {_advice()}")
    return importing.read_all(path)


def _advice() -> str:
    return "import the release once with: python -m src.benchmark action=import source=<clone of the release>/data"
