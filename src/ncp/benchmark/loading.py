"""Open a table, or several: by a setting's name, a file or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ncp import files, runs
from ncp.benchmark import importing, settings
from ncp.benchmark import store as store_
from ncp.benchmark.collection import Benchmark
from ncp.benchmark.table import Table
from ncp.errors import UserError


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
        return _load_folder(store_.folder() if store is None else Path(store).expanduser())
    name = settings.full_name(path_or_name)
    if name in settings.SETTINGS:
        path = store_.file_of(name, store)
        if path is None:
            place = store_.path_of(name, store).parent
            raise UserError(f"no table of '{name}' in '{place}'; {_advice(name)}")
        return importing.import_file(path, name)
    path = Path(path_or_name).expanduser()
    if path.is_dir():
        return _load_folder(path)
    if not path.exists():
        short = ", ".join(settings.SHORT)
        raise UserError(
            f"'{path_or_name}' is neither a file or folder nor a setting; settings are {settings.listed()}; "
            f"in short {short}"
        )
    return importing.import_file(path)


def _load_folder(path: Path) -> Benchmark:
    tables: dict[str, Table] = {}
    for file in store_.tables_in(path):
        table = importing.import_file(file)
        if table.name in tables:
            raise UserError(f"'{files.printable(path)}' holds two tables of {table.name}; one is '{file.name}'")
        tables[table.name] = table
    if tables:
        return Benchmark(tables, str(path))
    if not importing.sources(path):
        raise UserError(f"no tables in '{path}'; {_advice()}")
    return importing.read_all(path)


def _advice(name: str = "") -> str:
    command = f"{runs.invocation('benchmark')} action=import"
    if name.startswith("transnas-"):
        return f"import them once with: {command} source=<the file of TransNAS-Bench-101, or a folder of CSV files from it>"
    return f"import the release once with: {command} source=<clone of the release>/data"
