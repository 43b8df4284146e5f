"""Search an architecture: ``ncp search objectives=[cls,seg]``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from ncp import progress, runs
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.search.result import Result

USUAL = ("cls", "seg")
Count = Annotated[int, Meta(ge=1)]


@dataclass
class Options:
    """``conf/search.yaml`` and ``conf/strategy``; the arguments of :func:`ncp.search.search` under the same names."""

    objectives: Any = None
    setting: str | None = None
    strategy: str = "robust"
    start: Any = None
    starts: Count | None = None
    iterations: Count = 70
    budget: dict[str, Any] = field(default_factory=dict)
    floor: dict[str, Any] = field(default_factory=dict)
    lam: float = 0.5
    fixed: list[str] = field(default_factory=list)
    bounds: dict[str, Any] = field(default_factory=dict)
    multiple_of: Count | None = None
    relations: list[str] = field(default_factory=list)
    latency: Any = None
    latency_trust: bool = False
    size: list[int] | None = None
    batch: Count = 1
    dtype: str = "fp32"
    combine: str = "sum"
    cost: str = "auto"
    kappa: float = 1.0
    queries: Count | None = None
    seed: Annotated[int, Meta(ge=0)] = 0
    predictors: Any = None
    judge: Any = None
    force: bool = False
    propagation: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What was found, and name -> file of what was written."""

    result: Result
    files: dict[str, Path]


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Search one architecture for one or several tasks, with predictors fitted on the NAS-Bench-MR benchmark.

    Args:
        options: of the search.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for anything that does not exist or cannot be met.
    """
    from ncp.report import search as report
    from ncp.search import search

    folder = runs.made(folder, "search")
    given = {
        name: value for name, value in vars(options).items() if name not in ("predictors", "propagation", "setting")
    }
    given["objectives"] = wanted(options)
    with progress.bar("search", after=1.0) as tell:
        result = search(**given, predictor=options.predictors, options=options.propagation, progress=tell)
    return Outcome(result, report.write_search(result, folder, asdict(options), runs.seconds))


def wanted(options: Options) -> Any:
    """The objectives: those that are given, else the setting's main metric; both together are refused."""
    if options.setting is not None and options.objectives is not None:
        raise UserError(f"setting={options.setting} is short for objectives=[{options.setting}]; give one of the two")
    return [options.setting] if options.setting is not None else options.objectives or list(USUAL)


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print the table, the drawing and the files; ``brief`` for one of many searches."""
    from ncp.report import search as report

    report.show(outcome.result, outcome.files, brief=brief)
