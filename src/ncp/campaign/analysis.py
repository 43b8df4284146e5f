"""The paper's Figure 5 on a built table: how early a training's rank is known, and what its metrics agree on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ncp import benchmark
from ncp.benchmark import settings, statistics
from ncp.benchmark.statistics import Correlation, Rankings
from ncp.benchmark.table import Table
from ncp.errors import UserError

Figure = Correlation | Rankings | str  # a text says why there is none


def figure5(table: Table, proxy: Table | None = None) -> dict[str, Figure]:
    """Figures 5 a, b and c, or for each the reason why the table cannot give it.

    Args:
        table: merged from a build, or any other with metrics by epoch.
        proxy: a table of another setting (cls-10c beside cls-50-1000), whose final metric stands beside the epochs in 5 a.
    """
    makers: dict[str, Callable[[], Figure]] = {
        "5a": lambda: _by_epoch(table, proxy),
        "5b": lambda: statistics.figure5b(table),
        "5c": lambda: statistics.figure5c(table),
    }
    out: dict[str, Figure] = {}
    for name, make in makers.items():
        try:
            out[name] = make()
        except UserError as error:
            out[name] = str(error)
    return out


def _by_epoch(table: Table, proxy: Table | None) -> Correlation:
    main = table.main
    if len(table.epochs) == 1 and np.array_equal(table.column(f"{main}@{table.epochs[0]}"), table.column(main)):
        raise UserError(
            "the trainings were evaluated by one epoch only, their last; Figure 5 (a) needs more (longer trainings)"
        )
    return statistics.figure5a(table) if proxy is None else with_proxy(table, proxy)


def with_proxy(table: Table, proxy: Table) -> Correlation:
    """Figure 5 a with a proxy's final metric: a short training with a schedule of its own is not an epoch of a long one.

    Over the architectures that both tables hold.

    Raises:
        UserError: for a table without epochs, or tables that share fewer than three architectures.
    """
    main = table.main
    epochs = [epoch for epoch in table.epochs if f"{main}@{epoch}" in table.columns]
    if not epochs:
        statistics.figure5a(table)  # raises, saying what is missing
    columns = [(table.name, f"{main}@{epoch}") for epoch in epochs] + [(proxy.name, proxy.main), (table.name, main)]
    _, values_NM = benchmark.Benchmark({table.name: table, proxy.name: proxy}).aligned(columns)
    labels = (*(f"{main}@{epoch}" for epoch in epochs), f"{proxy.name} {proxy.main}", main)
    return Correlation(labels, np.asarray(statistics.spearman(values_NM)), len(values_NM), "all")


def load(where: str | Path, setting: str | None = None) -> Table:
    """A table: a file, or the merged one in a build's folder.

    Raises:
        UserError: where there is none.
    """
    path = Path(where).expanduser()
    if not path.is_dir():
        return benchmark.load(path)  # type: ignore[no-any-return]
    names = [setting] if setting else [name for name in settings.SETTINGS if (path / f"{name}.parquet").is_file()]
    if not names or not (path / f"{names[0]}.parquet").is_file():
        raise UserError(f"'{where}' holds no merged table yet; write it with action=merge build.dir={where}")
    return benchmark.load(path / f"{names[0]}.parquet")  # type: ignore[no-any-return]
