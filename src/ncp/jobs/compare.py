"""Compare strategies: ``ncp compare objectives=[seg] strategies=[random,rea,rounds] source=predictor``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from ncp import benchmark, progress, runs
from ncp.benchmark import settings
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.benchmark.table import Table
    from ncp.search.objectives import Objective
    from ncp.search.querying.compare import Comparison, Problem

ALL = "/all"


@dataclass
class Options:
    """``conf/compare.yaml``, where each is explained."""

    objectives: Any = field(default_factory=list)
    each: bool = False
    strategies: list[str] = field(default_factory=lambda: ["random", "rea", "rounds"])
    source: Literal["table", "predictor", "exact"] = "table"
    budget: dict[str, Any] = field(default_factory=dict)
    queries: Annotated[int, Meta(ge=2, le=10_000)] = 50
    seeds: Annotated[int, Meta(ge=1, le=100_000)] = 20
    seed: Annotated[int, Meta(ge=0)] = 0
    rows: Literal["all", "clean"] = "all"
    store: str | None = None
    predictors: Any = None
    known: list[str] | None = None
    strategy: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Outcome:
    """All runs, and name -> file of what was written."""

    comparison: Comparison
    files: dict[str, Path]


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Compare strategies that get the same number of evaluations, on tables of trained architectures or on predictors.

    Args:
        options: of the comparison.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for anything that does not exist, or objectives that do not go together.
    """
    from ncp.report import strategies as report
    from ncp.search.querying import compare
    from ncp.search.querying.strategies import STRATEGIES
    from ncp.search.run import one_thread

    if not options.strategies or len(set(options.strategies)) < len(options.strategies):
        raise UserError(f"strategies is a list of different ones of {', '.join(STRATEGIES)}")
    problems = _problems(options)
    folder = runs.made(folder, "compare")
    with progress.bar("compare", after=1.0) as tell, one_thread():
        found = compare.run(
            problems, options.strategies, options.queries, options.seeds, options.seed, options.strategy, tell
        )
    return Outcome(found, report.write(found, folder, asdict(options)))


def show(outcome: Outcome, brief: bool = False) -> None:
    """Print the table and the files."""
    from ncp.report import strategies as report

    report.show(outcome.comparison, outcome.files.values())


def _problems(options: Options) -> list[Problem]:
    """One for all objectives together, or one for each."""
    from ncp.search.judges import read_predictors
    from ncp.search.objectives import parse_objectives

    given = options.objectives if isinstance(options.objectives, list) else [options.objectives]
    spread = [name for value in given for name in _spread(value)]
    objectives = parse_objectives(spread)
    if any(objective.weight != 1 for objective in objectives):
        raise UserError("a comparison counts all its objectives alike; leave weight out")
    if isinstance(options.predictors, dict):  # each file once, whatever the number of problems
        options = replace(options, predictors=read_predictors(options.predictors))
    groups = [[objective] for objective in objectives] if options.each else [list(objectives)]
    make = {"table": _on_table, "predictor": _on_predictor, "exact": _on_exact}[options.source]
    problems = [make(group, options) for group in groups]
    for problem, group in zip(problems, groups, strict=True):
        problem.ground.guide = _guide(group, options)
    return problems


def _limits(options: Options) -> dict[str, float]:
    from ncp.search.limits import parse_costs

    return {name: float(value) for name, value in parse_costs(options.budget).items()}


def _guide(objectives: Sequence[Objective], options: Options) -> Any:
    """What leads the strategies that follow predictors; None where there are none of these settings."""
    from ncp.search.querying.guided import Guide

    own = options.predictors if isinstance(options.predictors, dict) else None
    if own is None and not all(objective.setting in settings.PAPER for objective in objectives):
        return None
    return Guide(tuple(objective.name for objective in objectives), _limits(options), own)


def _spread(value: Any) -> list[Any]:
    """``GROUP/all`` stands for all settings of a group."""
    if not isinstance(value, str) or not value.endswith(ALL):
        return [value]
    group = value.removesuffix(ALL)
    found = [name for name in settings.SETTINGS if name.startswith(f"{group}/")]
    if not found:
        groups = dict.fromkeys(name.partition("/")[0] for name in settings.SETTINGS if "/" in name)
        raise UserError(f"there is no group of settings '{group}'; there are {', '.join(groups)}")
    return list(found)


def _on_table(objectives: Sequence[Objective], options: Options) -> Problem:
    from ncp.search.querying import compare

    tables = [benchmark.load(objective.setting, options.store) for objective in objectives]
    if any(objective.direction != ("max" if table.setting.sign(objective.metric) > 0 else "min")
           for objective, table in zip(objectives, tables, strict=True)):  # fmt: skip
        raise UserError("a comparison on tables takes each metric in the direction in which it is better")
    known = [(table, table.main) for table in _known(objectives, tables, options)]
    return compare.on_tables(
        tables, [objective.metric for objective in objectives], known, options.rows, _limits(options)
    )


def _known(objectives: Sequence[Objective], tables: Sequence[Table], options: Options) -> list[Table]:
    """Tables of other tasks in the same space that a strategy may look at: those named, or all that are imported."""
    wanted = {objective.setting for objective in objectives}
    if options.known is not None:
        names = [settings.get(name).name for name in options.known]
        if away := [name for name in names if settings.get(name).space != tables[0].setting.space]:
            raise UserError(f"known are settings of space '{tables[0].setting.space}', given was {', '.join(away)}")
        if shared := wanted & set(names):
            raise UserError(f"known may not hold an objective, given was {', '.join(sorted(shared))}")
        return [benchmark.load(name, options.store) for name in names]
    from ncp.benchmark.store import file_of
    from ncp.search.querying.strategies import LEARN_FROM_OTHERS

    if not set(options.strategies) & set(LEARN_FROM_OTHERS):
        return []
    space = tables[0].setting.space
    names = [n for n, setting in settings.SETTINGS.items() if setting.space == space and n not in wanted]
    place = Path(options.store).expanduser() if options.store else None
    there = [name for name in names if file_of(name, place) is not None]
    if not there:
        raise UserError(
            "there are no tables of other tasks that could be known; import them, or leave that strategy out"
        )
    return [benchmark.load(name, options.store) for name in there]


def _on_predictor(objectives: Sequence[Objective], options: Options) -> Problem:
    from ncp.search.judges import load_predictors
    from ncp.search.querying import compare

    if len({objective.setting for objective in objectives}) < len(objectives):
        raise UserError(
            "on predictors a comparison takes one metric of each setting; each=true searches them one by one"
        )
    predictors = load_predictors([objective.setting for objective in objectives], options.predictors or "default")
    return compare.on_predictors(
        predictors,
        {objective.setting: objective.metric for objective in objectives},
        {objective.setting: objective.sign for objective in objectives},
        _limits(options),
    )


def _on_exact(objectives: Sequence[Objective], options: Options) -> Problem:
    """On exact processes on all rows of the tables, which no strategy's own predictors are."""
    from ncp.predictors import exact
    from ncp.search.querying import compare

    if len({objective.setting for objective in objectives}) < len(objectives):
        raise UserError("source=exact takes one metric of each setting; each=true searches them one by one")
    judges = {o.setting: exact.of_table(benchmark.load(o.setting, options.store), o.metric) for o in objectives}
    metrics, signs = {o.setting: o.metric for o in objectives}, {o.setting: o.sign for o in objectives}
    return compare.on_predictors(judges, metrics, signs, _limits(options), known_best=True)
