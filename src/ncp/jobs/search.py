"""Search an architecture: ``ncp search objectives=[cls,seg]``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from ncp import progress, runs
from ncp.errors import UserError, needed

if TYPE_CHECKING:
    from ncp.search.result import Result

USUAL = ("cls", "seg")
APART = (
    "predictors",
    "propagation",
    "setting",
    "verify",
)  # options that are no arguments of a search under their names
Count = Annotated[int, Meta(ge=1, le=10**9)]


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
    latency_margin: float = 1.0
    verify: Any = "auto"
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
    if options.verify not in ("auto", True, False):
        raise UserError(f"verify is auto, true or false, given was {options.verify!r}")
    given = {name: value for name, value in vars(options).items() if name not in APART}
    given["objectives"] = wanted(options)
    given |= {"predictor": options.predictors, "options": options.propagation}
    with progress.bar("search", after=1.0) as tell:
        result = search(**given, progress=tell)
    result = verified(result, options, lambda models: search(**{**given, "latency": models}))
    return Outcome(result, report.write_search(result, folder, asdict(options), runs.seconds))


def verified(result: Result, options: Options, again: Callable[[list[Any]], Result]) -> Result:
    """The result, measured where limits of milliseconds are of this machine (``verify=auto``) or must be (``true``).

    Args:
        result: of the search.
        options: of it.
        again: the same search with other latency models.

    Raises:
        UserError: with ``verify=true`` where no limit is of this machine, or it cannot be used.
    """
    timed = [limit for limit in result.budget.others if limit.quantity.model is not None] if result.budget else []
    if not options.verify or (not timed and options.verify == "auto"):
        return result
    from ncp.latency.here import is_here

    here = [limit for limit in timed if limit.quantity.model is not None and is_here(limit.quantity.model.card)]
    if options.verify is True and not here:
        raise UserError(
            "verify=true measures where a limit of milliseconds is of this machine; none is: use verify=auto"
        )
    timers: dict[str, Callable[[Any], float]] = {}
    for limit in here:
        assert limit.quantity.model is not None
        try:
            needed("torch")
            from ncp.latency.machine import of_card
            from ncp.latency.measuring import median_time

            runner = of_card(limit.quantity.model.card).runner
        except UserError as error:
            if options.verify is True:
                raise
            note = f"budget.{limit.name} was not measured here: {error}"
            result = replace(result, notes=(*result.notes, note))
            continue
        timers[limit.name] = partial(_timed, runner, median_time)
    if not timers:
        return result
    from ncp.search.verify import BEST, ROUNDS, settle

    done, most = 0, 2 * BEST * ROUNDS * len(timers)
    with progress.bar("measure", after=1.0) as tell:

        def counted(timer: Callable[[Any], float], architecture: Any) -> float:
            nonlocal done
            done += 1
            tell(done / (most + 1), f"network {done} of at most {most}")
            return timer(architecture)

        return settle(result, {name: partial(counted, timer) for name, timer in timers.items()}, again, options.lam)


def _timed(runner: Callable[[Any], Any], median: Callable[[Any, float], float], architecture: Any) -> float:
    return median(runner(architecture), 2.0)


def wanted(options: Options) -> Any:
    """The objectives: those that are given, else the setting's main metric; both together are refused."""
    if options.setting is not None and options.objectives is not None:
        raise UserError(f"setting={options.setting} is short for objectives=[{options.setting}]; give one of the two")
    if options.setting is not None:
        return [options.setting]
    return list(USUAL) if options.objectives is None else options.objectives


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print the table, the drawing and the files; ``brief`` for one of many searches."""
    from ncp.report import search as report

    report.show(outcome.result, outcome.files, brief=brief)
