"""Strategies side by side: each spends the same number of evaluations, from many seeds, on one ground after the other.

Shape suffixes: R seeds, Q evaluations, N rows of a table, K objectives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark.table import Table
from ncp.errors import UserError
from ncp.progress import Progress
from ncp.search.querying.ground import Ground, Neighbours, OpenGround, TableGround
from ncp.search.querying.strategies import make

FIRST = 30
"""Evaluations of a strategy's first run, which does not count: what is made once for all is made in it."""


@dataclass
class Problem:
    """What is searched for, and what is told about what was found.

    Attributes:
        name: the objectives, joined.
        ground: where it is asked.
        metrics: ``setting.metric`` -> a function from handles to values.
        signs: ``setting.metric`` of the objectives -> 1 where more is better, -1 where less is.
        ranks: ``(N,)`` the rank of each row by fitness, 1 the best, ties sharing the smallest; None where not all are known.
        ranks_K: ``(N, K)`` likewise by each objective.
        best: the largest fitness there is, or that a search knows of which may look at everything; None where it is not known.
    """

    name: str
    ground: Ground
    metrics: Mapping[str, Callable[[np.ndarray], np.ndarray]]
    signs: Mapping[str, float]
    ranks: np.ndarray | None = None
    ranks_K: np.ndarray | None = None
    best: float | None = None


@dataclass
class Runs:
    """What one strategy did on one problem.

    Attributes:
        asked: ``(R, Q)`` handles in order.
        fitness: ``(R, Q)`` theirs.
        seconds: a run, on average.
        spent: evaluations that it needed before, on other tasks (of a strategy that brings something along).
    """

    problem: Problem
    strategy: str
    seeds: tuple[int, ...]
    asked: np.ndarray
    fitness: np.ndarray
    seconds: float
    spent: int = 0

    @cached_property
    def found(self) -> np.ndarray:
        """``(R,)`` the best handle of each run, the first of equal ones."""
        out: np.ndarray = self.asked[np.arange(len(self.asked)), self.fitness.argmax(1)]
        return out

    @cached_property
    def so_far(self) -> np.ndarray:
        """``(R, Q)`` the best fitness after each evaluation."""
        out: np.ndarray = np.maximum.accumulate(self.fitness, axis=1)
        return out

    @cached_property
    def rank(self) -> np.ndarray | None:
        """``(R,)`` of what was found, where ranks are known."""
        return None if self.problem.ranks is None else self.problem.ranks[self.found]

    def value(self, metric: str) -> np.ndarray:
        """``(R,)`` a metric of what was found; NaN where nothing within the limits was."""
        return np.where(self.kept, self.problem.metrics[metric](self.found), np.nan)

    @cached_property
    def kept(self) -> np.ndarray:
        """``(R,)`` bool: whether what was found keeps the limits."""
        return self.problem.ground.kept(self.found)


@dataclass
class Comparison:
    """All runs, by problem and strategy."""

    queries: int
    runs: list[Runs] = field(default_factory=list)

    @property
    def problems(self) -> list[Problem]:
        """In order, each once."""
        return list({id(run.problem): run.problem for run in self.runs}.values())

    @property
    def strategies(self) -> list[str]:
        """In order, each once."""
        return list(dict.fromkeys(run.strategy for run in self.runs))

    def of(self, problem: Problem, strategy: str) -> Runs:
        """The runs of a strategy on a problem."""
        return next(run for run in self.runs if run.problem is problem and run.strategy == strategy)


def run(
    problems: Sequence[Problem],
    strategies: Sequence[str],
    queries: int = 50,
    seeds: int = 20,
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Run every strategy on every problem.

    Args:
        problems: see :func:`on_tables` and :func:`on_predictors`.
        strategies: their names, see :data:`ncp.search.querying.strategies.STRATEGIES`.
        queries: evaluations a run.
        seeds: runs; those of seed ``s`` are the same whatever the number of runs.
        seed: the first one.
        options: strategy -> options of its own.
        progress: told the part done (0..1) and a line about it.

    Raises:
        UserError: for an unknown strategy or option, or one that these problems cannot serve.
    """
    made = {name: make(name, (options or {}).get(name)) for name in strategies}
    unknown = set(options or {}) - set(made)
    if unknown:
        raise UserError(f"options are given for {', '.join(sorted(unknown))}, which is not among the strategies")
    numbers = tuple(range(seed, seed + seeds))
    out, done = Comparison(queries), 0
    for name, strategy in made.items():  # packages are imported, the neighbours of a table's rows found
        if progress is not None:
            progress(0.0, f"{name}, a first run that does not count")
        for problem in problems[:1]:
            strategy.run(problem.ground, min(queries, FIRST), [np.random.default_rng(seed)])
    for problem in problems:
        for name, strategy in made.items():
            if progress is not None:
                progress(done / (len(problems) * len(made)), f"{problem.name}, {name}")
            generators = [np.random.default_rng([number, len(name), *name.encode()]) for number in numbers]
            began = time.perf_counter()
            asked = strategy.run(problem.ground, queries, generators)
            seconds = (time.perf_counter() - began) / seeds
            assert asked.shape == (seeds, queries), (name, asked.shape)
            fitness = problem.ground.fitness(asked)
            out.runs.append(Runs(problem, name, numbers, asked, fitness, seconds, getattr(strategy, "spent", 0)))
            done += 1
    return out


def on_tables(
    tables: Sequence[Table],
    metrics: Sequence[str],
    known: Sequence[tuple[Table, str]] = (),
    rows: str = "all",
    budget: Mapping[str, float] | None = None,
) -> Problem:
    """One problem over the rows that all tables hold: a metric of each is to be raised (or lowered), by its rank.

    Of one table the fitness is the metric, of several minus the mean rank over all rows, which a search in earnest would not know
    and a comparison may use.

    Args:
        tables: of one space.
        metrics: one of each table.
        known: tables of that space and metrics that strategies may look at without asking.
        rows: ``all``, or ``clean`` (see :meth:`ncp.benchmark.table.Table.rows`).
        budget: ``macs`` and ``params`` at most; rows above are left out.

    Raises:
        UserError: where they are of several spaces or share no row.
    """
    from scipy.stats import rankdata

    names = {table.setting.space for table in tables}
    if len(names) > 1:
        raise UserError(f"objectives of one comparison share one space; given were {', '.join(sorted(names))}")
    space = tables[0].space
    codes, columns = _within(space, budget or {}, *_aligned(tables, metrics, rows))
    signs = {f"{t.name}.{m}": t.setting.sign(m) for t, m in zip(tables, metrics, strict=True)}
    values = np.stack([columns[name] * sign for name, sign in signs.items()], axis=1)
    ranks = np.stack([rankdata(-value, method="min") for value in values.T], axis=1)
    fitness = values[:, 0] if len(tables) == 1 else -ranks.mean(1)
    beside = {f"{t.name}.{m}": t.setting.sign(m) * _filled(_found(t, m, codes)) for t, m in known}
    ground = TableGround(space, codes, fitness, "+".join(t.name for t in tables), beside, _steps(space, codes))
    reader = {name: (lambda handles, column=column: column[handles]) for name, column in columns.items()}
    return Problem(ground.name, ground, reader, signs, rankdata(-fitness, method="min"), ranks, float(fitness.max()))


def _within(
    space: spaces.Space[Any], budget: Mapping[str, float], codes: np.ndarray, columns: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The rows that keep limits of exact cost."""
    if not budget:
        return codes, columns
    cost = space.cost(codes)
    kept = np.logical_and.reduce([np.asarray(getattr(cost, name)) <= value for name, value in budget.items()])
    if kept.sum() < 2:
        raise UserError(f"{kept.sum()} rows of the table keep the budget; give a larger one")
    return codes[kept], {name: column[kept] for name, column in columns.items()}


def _aligned(tables: Sequence[Table], metrics: Sequence[str], rows: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Codes, each once, of rows with all these metrics; and all main metrics of the tables by ``setting.metric``."""
    first = tables[0]
    usable = first.rows(rows) & ~first.flagged("repeat")
    codes = first.codes[usable]
    wanted = {f"{t.name}.{m}": _found(t, m, codes) for t, m in zip(tables, metrics, strict=True)}
    whole = np.logical_and.reduce([np.isfinite(column) for column in wanted.values()])
    if whole.sum() < 2:
        raise UserError(
            f"a comparison needs two architectures or more that have {', '.join(wanted)}, there are {whole.sum()}"
        )
    more = {f"{t.name}.{m}": _found(t, m, codes) for t in tables for m in t.metrics}
    return codes[whole], {name: column[whole] for name, column in {**wanted, **more}.items()}


def _found(table: Table, metric: str, codes: np.ndarray) -> np.ndarray:
    """A column of a table for other codes; NaN where it lacks them."""
    rows = table.index.find(codes)
    out: np.ndarray = np.where(rows >= 0, table.column(metric)[rows], np.nan)
    return out


def _filled(column: np.ndarray) -> np.ndarray:
    """With the middle of what is known in place of what is not, which says neither good nor bad."""
    there = np.isfinite(column)
    return np.where(there, column, np.median(column[there]) if there.any() else 0.0)


_STEPS: dict[tuple[str, int, int], Neighbours] = {}


def _steps(space: spaces.Space[Any], codes: np.ndarray) -> Neighbours:
    """Tables of one space often hold the same architectures: what is one step away is worked out once."""
    key = (space.name, len(codes), hash(codes.tobytes()))
    if key not in _STEPS or not np.array_equal(_STEPS[key].codes, codes):
        _STEPS[key] = Neighbours(space, codes)
    return _STEPS[key]


def on_predictors(
    predictors: Mapping[str, Any],
    metrics: Mapping[str, str],
    signs: Mapping[str, float],
    budget: Mapping[str, float] | None = None,
    known_best: bool = False,
) -> Problem:
    """One problem over a whole space, answered by predictors: a metric is to be raised, of several the mean, standardised.

    Args:
        predictors: setting -> predictor, all of one space.
        metrics: setting -> metric.
        signs: setting -> 1 where more is better, -1 where less is.
        budget: ``macs`` and ``params`` at most.
        known_best: whether what the default search finds with these very predictors is told as the best there is.
    """
    space = next(iter(predictors.values())).space
    if any(predictor.space.name != space.name for predictor in predictors.values()):
        raise UserError("objectives of one comparison share one space")

    several = len(predictors) > 1  # of one the fitness stays in the metric's unit

    def answer(codes: np.ndarray) -> np.ndarray:
        total = np.zeros(len(codes))
        for setting, predictor in predictors.items():
            i = predictor.metrics.index(metrics[setting])
            mean, std = (float(predictor.output_mean[i]), float(predictor.output_std[i])) if several else (0.0, 1.0)
            value = predictor.predict(codes.astype(np.float64))[metrics[setting]]
            total += signs[setting] * (value - mean) / std / len(predictors)
        return total

    ground = _bounded(space, answer, "+".join(predictors), budget)
    reader = {
        f"{setting}.{name}": _reader(ground, predictor, name)
        for setting, predictor in predictors.items()
        for name in predictor.metrics
    }
    best = _best(predictors, metrics, signs, budget, answer) if known_best else None
    return Problem(ground.name, ground, reader, {f"{s}.{metrics[s]}": signs[s] for s in predictors}, best=best)


def _bounded(
    space: spaces.Space[Any], answer: Callable[[np.ndarray], np.ndarray], name: str, budget: Mapping[str, float] | None
) -> OpenGround:
    """The whole space, or what of it keeps limits of cost."""
    from ncp.search.limits import Budget, Region, parse_costs
    from ncp.search.querying.bounded import BoundedGround

    costs = parse_costs(budget)
    if not costs:
        return OpenGround(space, answer, name)
    limits = Budget(Region(space), **costs)
    limits.check_reachable()
    ground = BoundedGround(limits, answer, name)
    some = ground.codes(ground.draw(300, np.random.default_rng(0)))
    return BoundedGround(limits, answer, name, lowest=float(answer(some).min()) - 1)


def _best(
    predictors: Mapping[str, Any],
    metrics: Mapping[str, str],
    signs: Mapping[str, float],
    budget: Mapping[str, float] | None,
    answer: Callable[[np.ndarray], np.ndarray],
) -> float:
    """What a search reaches that may follow the gradient of the ground itself."""
    from ncp.search import search

    wanted = [
        {"metric": f"{s}.{metrics[s]}", "weight": 1.0, "direction": "max" if signs[s] > 0 else "min"}
        for s in predictors
    ]
    found = search(wanted, budget=budget, lam=0.0, kappa=0.0, predictor=dict(predictors), force=True)
    return float(answer(np.array([found.architecture.code]))[0])


def _reader(ground: OpenGround, predictor: Any, name: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda handles: np.asarray(predictor.predict(ground.codes(handles).astype(np.float64))[name])
