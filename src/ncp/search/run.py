"""The one function of this part: from objectives to an architecture."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ncp import spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.predictors.base import Predictor
from ncp.search.limits import Budget, Region, parse_costs, parse_floors
from ncp.search.objectives import (
    LEARNED_COST,
    Objective,
    Objectives,
    load_predictors,
    parse_objectives,
    read_predictors,
)
from ncp.search.strategies import make, preferred_family
from ncp.search.trajectory import Trajectory, predict


@dataclass
class Result:
    """What a search found.

    Attributes:
        architecture: the best architecture by the strategy's own criterion.
        predicted: setting -> metric -> prediction in the metric's unit, of all settings asked for.
        std: the same for the standard deviation of a training's result around the prediction.
        macs, params: exact cost in the space's standard setting.
        start: the architecture from which the best walk started; ``start_predicted``, ``start_std``, ``start_macs``,
            ``start_params`` describe it likewise.
        last: the architecture of the best walk's last step.
        trajectory: every step.
        reason: why the search stopped.
        seconds: wall time of the search, without loading predictors.
        strategy, objectives: what was run.
    """

    architecture: Any
    predicted: dict[str, dict[str, float]]
    std: dict[str, dict[str, float]]
    macs: int
    params: int
    start: Any
    start_predicted: dict[str, dict[str, float]]
    start_std: dict[str, dict[str, float]]
    start_macs: int
    start_params: int
    last: Any
    trajectory: Trajectory = field(repr=False)
    reason: str = ""
    seconds: float = 0.0
    strategy: str = ""
    objectives: tuple[Objective, ...] = ()


def search(
    objectives: Any,
    strategy: str = "robust",
    start: Any = None,
    starts: int | None = None,
    iterations: int = 70,
    budget: Mapping[str, Any] | None = None,
    floor: Mapping[str, Any] | None = None,
    lam: float = 0.5,
    fixed: Sequence[str] = (),
    bounds: Mapping[str, Any] | None = None,
    combine: str = "sum",
    cost: str = "auto",
    kappa: float = 1.0,
    queries: int | None = None,
    seed: int = 0,
    predictor: str | Mapping[str, Predictor | str | Path] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Result:
    """Search one architecture for one or several objectives.

    Args:
        objectives: settings or their metrics: ``["cls", "seg"]``, ``["seg.mAcc"]``,
            ``[{"metric": "seg.mAcc", "weight": 0.5, "direction": "max"}]``.
        strategy: its name, see ``ncp.search.strategies.STRATEGIES``.
        start: an architecture in any form the space reads, a ``Result``, or None for the space's default.
        starts: how many starts move at once (None: the strategy's own number); those after the first are drawn with ``seed``.
        iterations: updates of a propagation.
        budget: ``{"macs": 1.0e9, "params": 5e6}``: upper limits of exact cost that the architecture keeps.
        floor: ``{"seg": {"mIoU": 77}}`` or ``{"seg.mIoU": 77}``: lower limits of predicted metrics that it keeps.
        lam: lambda, the weight of cost in the trade-off (used where no limit is given, see ``ncp.search.criterion``).
        fixed: dimensions that keep the start's value.
        bounds: dimension -> ``[lower, upper]``, narrower than the space's.
        combine: how the gradients of objectives are put together: ``sum`` (eq. 7) or ``mean``.
        cost: ``exact``, ``learned`` (the predictors' own ``flops``) or ``auto``: what the strategy prefers and can have.
        kappa: how many of its standard deviations a prediction is distrusted by (strategies that weigh doubt).
        queries: how many codes a baseline may ask about.
        seed: of all random numbers.
        predictor: a family of bundled predictors (``default``, ``paper``), a mapping setting -> predictor or its file (short
            names of settings too), or None for the family that belongs to the strategy.
        options: further options of the strategy, such as ``{"loss": "l1", "targets": "fixed"}``.

    Raises:
        UserError: for anything that does not exist or cannot be met, naming what is allowed or reachable.
    """
    problem = prepare(
        objectives, strategy, start, starts, budget, floor, fixed, bounds, combine, cost, queries, seed, predictor
    )
    began = time.perf_counter()
    runner = make(strategy, lam, iterations, kappa, options)
    with one_thread():
        codes = problem.starts(starts if starts is not None else runner.starts)
        trajectory = runner.run(problem.objectives, codes, problem.budget, problem.rng)
        seconds = time.perf_counter() - began
        return _result(problem.objectives, trajectory, strategy, seconds)


@dataclass
class Problem:
    """What every search needs: objectives with predictors, the first start, the limits, a generator of random numbers."""

    objectives: Objectives
    origin: np.ndarray
    budget: Budget
    rng: np.random.Generator

    def starts(self, n: int) -> np.ndarray:
        """``(n, D)`` codes of the region: the given start, then random ones."""
        region = self.budget.region
        first = region.round(self.origin[None]).astype(np.float64)
        return np.concatenate([first, region.sample(n - 1, self.rng)])


def prepare(
    objectives: Any,
    strategy: str,
    start: Any = None,
    starts: int | None = None,
    budget: Mapping[str, Any] | None = None,
    floor: Mapping[str, Any] | None = None,
    fixed: Sequence[str] = (),
    bounds: Mapping[str, Any] | None = None,
    combine: str = "sum",
    cost: str = "auto",
    queries: int | None = None,
    seed: int = 0,
    predictor: str | Mapping[str, Predictor | str | Path] | None = None,
) -> Problem:
    """Read and check the arguments of :func:`search`; raises ``UserError`` for anything wrong with them."""
    if starts is not None and starts < 1:
        raise UserError(f"starts must be at least 1, given was {starts}")
    family = preferred_family(strategy)
    given = read_predictors(predictor) if isinstance(predictor, Mapping) else predictor or family
    own = given if isinstance(given, dict) else None
    floors = parse_floors(floor, own)
    items = parse_objectives(objectives or [f.name for f in floors], own)
    costs = parse_costs(budget)
    needed = [o.setting for o in items] + [f.setting for f in floors]
    predictors = load_predictors(needed, given)
    goals = Objectives(
        items,
        predictors,
        cost=_cost(cost, family, items, predictors),
        combine=combine,
        floors=[(f.setting, f.metric, f.value) for f in floors],
    )
    origin = _start(goals.space, start)
    limits = Budget(Region(goals.space, origin, fixed, bounds), floors=floors, queries=queries, **costs)
    limits.check_reachable()
    return Problem(goals, origin, limits, np.random.default_rng(seed))


@contextmanager
def one_thread() -> Iterator[None]:
    """A search is many small operations: handing them to more threads costs more than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _start(space: spaces.Space[Any], start: Any) -> np.ndarray:
    if start is None:
        return space.encode([space.default()])[0]
    if isinstance(start, Result):
        start = start.architecture
    return space.encode([space.parse(start)])[0]


def _cost(cost: str, family: str, items: Sequence[Objective], predictors: Mapping[str, Predictor]) -> str:
    """``auto`` is the learned cost for the paper's own strategies where all predictors have one and the same."""
    if cost != "auto":
        return cost
    used = {o.setting for o in items}
    tasks = {settings.SETTINGS[n].task == "det3d" for n in used if n in settings.SETTINGS}
    able = all(LEARNED_COST in predictors[name].metrics for name in used) and len(tasks) < 2
    return "learned" if family == "paper" and able else "exact"


def _result(goals: Objectives, trajectory: Trajectory, strategy: str, seconds: float) -> Result:
    space = goals.space
    walk = trajectory.walk
    codes = np.stack([trajectory.best_code, walk.rounded[0], trajectory.last_code]).astype(np.int64)
    best, first, last = space.decode(codes)
    mean, std = predict(goals, codes[:2], noise=True)
    cost = space.cost(codes[:2])

    def table(values: Mapping[str, np.ndarray], row: int) -> dict[str, dict[str, float]]:
        return {
            setting: {metric: float(values[f"{setting}.{metric}"][row]) for metric in p.metrics}
            for setting, p in goals.predictors.items()
        }

    return Result(
        architecture=best,
        predicted=table(mean, 0),
        std=table(std, 0),
        macs=int(cost.macs[0]),
        params=int(cost.params[0]),
        start=first,
        start_predicted=table(mean, 1),
        start_std=table(std, 1),
        start_macs=int(cost.macs[1]),
        start_params=int(cost.params[1]),
        last=last,
        trajectory=trajectory,
        reason=trajectory.reason,
        seconds=seconds,
        strategy=strategy,
        objectives=goals.items,
    )
