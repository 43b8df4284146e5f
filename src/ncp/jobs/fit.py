"""Fit a predictor to a table: ``ncp fit setting=seg source=NCP/data``."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from ncp import files as files_
from ncp import progress, runs
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.benchmark.table import Table
    from ncp.predictors.protocols import Outcome as Fit


log = logging.getLogger(__name__)


@dataclass
class Options:
    """``conf/fit.yaml``, where each is explained."""

    setting: str | None = None
    source: str | None = None
    protocol: str = "honest"
    folds: Annotated[int, Meta(ge=2)] = 5
    seed: Annotated[int, Meta(ge=0)] = 0
    out: str | None = None
    predictor: dict[str, Any] = field(default_factory=lambda: {"family": "auto"})


@dataclass
class Outcome:
    """What was fitted, by setting, and name -> file of what was written."""

    fits: dict[str, Fit]
    files: dict[str, Path]


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Fit a predictor to the architectures of a benchmark table and measure its errors on rows it did not see.

    Args:
        options: of the fit.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for an unknown setting or family, or a table that is missing or cannot be fitted.
    """
    from ncp.predictors import protocols
    from ncp.predictors.rows import from_table
    from ncp.report import predictor as report

    if options.setting is None:
        raise UserError("which table? give setting=NAME, such as setting=seg, or setting=all for the paper's nine")
    folder = runs.made(folder, "fit")
    if options.out is not None:  # before what may take long
        files_.made_folder(options.out, "out")
    family, own = family_of(options.predictor)
    fits: dict[str, Fit] = {}
    files: dict[str, Path] = {}
    found = tables(options.setting, options.source)
    several = len(found) > 1
    while found:
        # no table stays: some have a million rows
        rows = from_table(found.pop(0), costs=protocols.learns_costs(family))
        name = rows.setting
        if rows.as_fractions():
            log.warning(
                "no %s of %s is above 1: are these fractions? Tables hold percent points, and so will the predictor say them",
                rows.metrics[0], name,
            )  # fmt: skip
        with progress.bar(f"{name}, {len(rows):,} rows") as tell:
            fits[name] = protocols.run(
                rows,
                family,
                progress=tell,
                protocol=options.protocol,
                seed=options.seed,
                folds=options.folds,
                options=own,
            )
        written = report.write_fit(fits[name], folder / name if several else folder, options.out)
        files |= {name: written["predictor"]} if several else written
    files["result"] = runs.write_result(folder, report.summary(fits, asdict(options), runs.seconds()))
    return Outcome(fits, files)


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print the table of errors and the files."""
    from ncp.report import predictor as report

    report.show(outcome.fits, outcome.files)


def family_of(predictor: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The family and its options from the configuration group ``predictor``; null stands for the code's own default."""
    options = {key: value for key, value in predictor.items() if key != "family" and value is not None}
    return str(predictor["family"]), options


def tables(setting: str, source: str | Path | None) -> list[Table]:
    """The tables to fit on.

    Args:
        setting: a setting's name, or ``all`` for the paper's nine.
        source: the release's folder, a folder of tables or one table's file; None for the store of imported tables.

    Raises:
        UserError: for an unknown setting, or a table that is missing or cannot be read.
    """
    from ncp import benchmark
    from ncp.benchmark import settings, transnas

    names = list(settings.PAPER) if setting == "all" else [settings.get(setting).name]
    if source is None:
        return [benchmark.load(name) for name in names]
    path = Path(source).expanduser()
    if not path.exists():
        raise UserError(f"source '{source}' does not exist; give a table's file or a folder of tables")
    if names[0].startswith("transnas-") and transnas.sources(path) and names[0] not in _tables_at(path):
        command = runs.invocation("benchmark")
        raise UserError(
            f"'{source}' holds the files of TransNAS-Bench-101, not tables: import them once with {command} action=import "
            f"source={shlex.quote(str(source))}, then leave source out"
        )
    if path.is_file():
        if len(names) > 1:
            raise UserError(f"source '{source}' is one table, but setting=all needs a folder of them")
        return [_read(path, names[0])]
    found = _tables_at(path)
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"'{source}' holds no table of {', '.join(missing)}; it holds {', '.join(found) or 'none'}")
    return [_read(found[name], name) for name in names]


def _tables_at(path: Path) -> dict[str, Path]:
    """The tables of a folder; none of a file."""
    from ncp.benchmark import importing

    return importing.sources(path) if path.is_dir() else {}


def _read(path: Path, name: str) -> Table:
    from ncp.benchmark import importing

    with progress.bar(f"reading {name}") as tell:
        return importing.import_file(path, name, tell)
