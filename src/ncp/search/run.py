"""The one function of this part: from objectives to an architecture."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.numeric import shown, whole
from ncp.predictors.answers import AnyPredictor
from ncp.progress import Progress
from ncp.search.judges import Given, PredictorPanel, check_skill, known_region, others_setting, panels, read_predictors
from ncp.search.limits import Budget, Region, other_limits, parse_costs, parse_floors
from ncp.search.objectives import LEARNED_COST, Objective, Objectives, parse_objectives
from ncp.search.quantities import Inference, check_trust, machines, of_other_task, together
from ncp.search.result import Candidate, Result, candidates
from ncp.search.starts import Starts, read_start
from ncp.search.strategies import make, preferred_family
from ncp.search.trajectory import Trajectory


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
    predictor: Given = None,
    options: Mapping[str, Any] | None = None,
    judge: Given = None,
    force: bool = False,
    progress: Progress | None = None,
    latency: Any = None,
    latency_trust: bool = False,
    latency_margin: float = 1.0,
    size: Sequence[int] | None = None,
    batch: int = 1,
    dtype: str = "fp32",
    multiple_of: int | None = None,
    relations: Any = (),
) -> Result:
    """Search one architecture for one or several objectives.

    Args:
        objectives: settings or their metrics: ``["cls", "seg"]``, ``["seg.mAcc"]``,
            ``[{"metric": "seg.mAcc", "weight": 0.5, "direction": "max"}]``.
        strategy: its name, see ``ncp.search.strategies.STRATEGIES``.
        start: an architecture in any form the space reads, a ``Result``, the run folder of a search, or None for the space's
            default. It is among the codes that move, and what is found is no worse than it where it keeps the limits.
        starts: how many starts move at once (None: the strategy's own number); those after the first are drawn with ``seed``.
        iterations: updates of a propagation.
        budget: ``{"macs": 1.0e9, "params": 5e6, "latency_ms": 20, "memory_mb": 64}``: upper limits that the architecture
            keeps: exact counts, milliseconds on the machine of ``latency`` (mean plus one standard deviation; of several
            machines a list), MiB of peak memory.
        floor: ``{"seg": {"mIoU": 77}}`` or ``{"seg.mIoU": 77}``: lower limits of predicted metrics that it keeps.
        lam: lambda, the weight of cost in the trade-off (used where no limit is given, see ``ncp.search.criterion``).
        fixed: dimensions that keep the start's value.
        bounds: dimension -> ``[lower, upper]``, narrower than the space's.
        combine: how the gradients of objectives are put together: ``sum`` (eq. 7) or ``mean``.
        cost: ``exact``, ``learned`` (the predictors' own ``flops``), ``latency`` (milliseconds on the machine of ``latency``)
            or ``auto``: what the strategy prefers and can have.
        kappa: how many of its standard deviations a prediction is distrusted by (strategies that weigh doubt).
        queries: how many codes a baseline may ask about.
        seed: of all random numbers.
        predictor: a family of bundled predictors (``default``, ``paper``), a mapping setting -> predictor or its file (short
            names of settings too), or None for the family that belongs to the strategy.
        options: further options of the strategy, such as ``{"loss": "l1", "targets": "fixed"}``.
        judge: who predicts the figures by which searches compare, named as ``predictor``; None for the predictors that are
            named there, else the default ones, whatever the strategy's own are.
        force: search even for a metric that its predictor has not learned, by its errors on rows that it did not see.
        progress: told the part done (0..1) and a line about it.
        latency: a latency file, or model, of the machine that the network is for; several in a list.
        latency_trust: take a file as a hard limit whose errors are above 10 %.
        latency_margin: standard deviations of the latency model that a limit keeps as its distance; 0 for the predicted
            milliseconds themselves, which about half of the networks keep.
        size, batch, dtype: of the input and the numbers, for peak memory; a latency file must be of the same size.
        multiple_of: what all numbers of channels are multiples of.
        relations: between dimensions, such as ``["c2_1<=c3_1", "n3_1=n4_1"]``.

    A search keeps to the bounds of the architectures that its predictors were fitted on, as their cards state them.

    Raises:
        UserError: for anything that does not exist or cannot be met, naming what is allowed or reachable.
    """
    problem = prepare(
        objectives, strategy, start=start, budget=budget, floor=floor, fixed=fixed, bounds=bounds, combine=combine,
        cost=cost, queries=queries, seed=seed, predictor=predictor, judge=judge, force=force, latency=latency,
        latency_trust=latency_trust, latency_margin=latency_margin, size=size, batch=batch, dtype=dtype,
        multiple_of=multiple_of, relations=relations,
    )  # fmt: skip
    began = time.perf_counter()
    runner = make(strategy, lam, iterations, kappa, options)
    with one_thread():
        codes = problem.starts(starts if starts is not None else runner.starts, progress)
        trajectory = runner.run(problem.objectives, codes, problem.budget, problem.rng)
        seconds = time.perf_counter() - began
        return _result(problem, trajectory, strategy, getattr(runner, "kappa", None), seconds)


@dataclass
class SearchProblem:
    """What every search needs: objectives with predictors, the first start, the limits, a generator of random numbers.

    Attributes:
        origin: ``(D,)`` code of the start as it was given, or of the space's default; ``given`` tells which.
        asked, judge: who predicts, and who judges.
        notes: what a reader of the result must know, in words.
    """

    objectives: Objectives
    origin: np.ndarray
    given: bool
    budget: Budget
    rng: np.random.Generator
    asked: PredictorPanel
    judge: PredictorPanel
    notes: tuple[str, ...] = ()

    def starts(self, n: int, progress: Progress | None = None) -> Starts:
        """``n`` codes of the region: the given start, then random ones. Raises ``UserError`` for less than one."""
        n = whole("starts", n, 1)
        return Starts(self.budget.region, self.origin, n, self.rng, self.given, progress)


def prepare(
    objectives: Any,
    strategy: str,
    *,
    start: Any = None,
    budget: Mapping[str, Any] | None = None,
    floor: Mapping[str, Any] | None = None,
    fixed: Sequence[str] = (),
    bounds: Mapping[str, Any] | None = None,
    combine: str = "sum",
    cost: str = "auto",
    queries: int | None = None,
    seed: int = 0,
    predictor: Given = None,
    judge: Given = None,
    force: bool = False,
    latency: Any = None,
    latency_trust: bool = False,
    latency_margin: float = 1.0,
    size: Any = None,
    batch: int = 1,
    dtype: str = "fp32",
    multiple_of: int | None = None,
    relations: Any = (),
) -> SearchProblem:
    """Read and check the arguments of :func:`search`; raises ``UserError`` for anything wrong with them."""
    if queries is not None:
        queries = whole("queries", queries, 1)
    rng = np.random.default_rng(whole("seed", seed, 0))
    for name, flag in (("force", force), ("latency_trust", latency_trust)):
        if not isinstance(flag, bool):
            raise UserError(f"{name} is true or false, given was {shown(flag)}")
    family = preferred_family(strategy)
    own = read_predictors(predictor) if isinstance(predictor, Mapping) else None
    floors = parse_floors(floor, own)
    items = parse_objectives(objectives or [f.name for f in floors], own)
    costs = parse_costs(budget)
    needed = [o.setting for o in items] + [f.setting for f in floors]
    _check_start(start, needed)
    asked, judging = panels(needed, predictor, own, family, judge)
    space = next(iter(asked.predictors.values())).space
    inference = Inference.read(size, batch, dtype)
    devices = machines(latency, space, inference, latency_margin)
    others, said = other_limits(costs, devices, space, needed, inference, trust=latency_trust)
    said += [note for note in (of_other_task(device, needed) for device in devices) if note]
    if cost == "latency":
        said += [note for note in (check_trust(device, latency_trust) for device in devices) if note]
    goals = Objectives(
        items,
        asked.predictors,
        cost=_cost(cost, family, items, asked.predictors),
        combine=combine,
        floors=[(f.setting, f.metric, f.value) for f in floors],
        charge=together(devices, space) if devices else None,
    )
    goals.quantities = tuple(dict.fromkeys([*devices, *(limit.quantity for limit in others)]))
    wanted = [(o.setting, o.metric) for o in items] + [(f.setting, f.metric) for f in floors]
    notes = (*check_skill(wanted, asked.predictors, force), *others_setting(asked.predictors), *dict.fromkeys(said))
    origin = read_start(goals.space, start)
    region = Region(goals.space, origin, fixed, bounds, known_region(asked.predictors), multiple_of, relations)
    exact = {name: costs[name] for name in ("macs", "params") if name in costs}
    limits = Budget(region, floors=floors, queries=queries, others=tuple(others), **exact)
    limits.check_reachable()
    return SearchProblem(goals, origin, start is not None, limits, rng, asked, judging, notes)


def _check_start(start: Any, names: Sequence[str]) -> None:
    """Refuse a start that cannot be in the settings' space, before predictors are looked for."""
    over = {settings.SETTINGS[name].space for name in names if name in settings.SETTINGS}
    if start is not None and len(over) == 1:
        read_start(spaces.get(over.pop()), start)


@contextmanager
def one_thread() -> Iterator[None]:
    """A search is many small operations: handing them to more threads costs more than it saves."""
    from threadpoolctl import threadpool_limits

    torch: Any = sys.modules.get("torch")  # where a predictor of one's own is asked
    threads = torch.get_num_threads() if torch is not None else 1
    with threadpool_limits(1, user_api="blas"):
        if threads > 1:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if threads > 1:
                torch.set_num_threads(threads)


def _cost(cost: str, family: str, items: Sequence[Objective], predictors: Mapping[str, AnyPredictor]) -> str:
    """``auto`` is the learned cost for the paper's own strategies where all predictors have one and the same."""
    if cost != "auto":
        return cost
    used = {o.setting for o in items}
    tasks = {settings.SETTINGS[n].task == "det3d" for n in used if n in settings.SETTINGS}
    able = all(LEARNED_COST in predictors[name].metrics for name in used) and len(tasks) < 2
    return "learned" if family == "paper" and able else "exact"


def _result(
    problem: SearchProblem, trajectory: Trajectory, strategy: str, kappa: float | None, seconds: float
) -> Result:
    space = problem.objectives.space
    default = space.encode([space.default()])[0]
    codes = np.stack([trajectory.best_code, problem.origin, default, trajectory.last_code, trajectory.least_code])
    found, before, by_default, last, best = candidates(problem.objectives, problem.asked, problem.judge, codes)
    return Result(
        found=found,
        before=before,
        default=by_default,
        last=last,
        best=best,
        trajectory=trajectory,
        reason=trajectory.reason,
        kept=not trajectory.broken,
        notes=(*problem.notes, *_outside(problem, before)),
        seconds=seconds,
        strategy=strategy,
        objectives=problem.objectives.items,
        kappa=kappa,
        predictor=problem.asked.names,
        judge=problem.judge.names,
        budget=problem.budget,
        panels=(problem.asked, problem.judge),
    )


def _outside(problem: SearchProblem, before: Candidate) -> list[str]:
    """What to say of a start that lies elsewhere than the search may go."""
    start = "the start" if problem.given else "the default code"
    notes = []
    if not before.known:
        notes.append(
            f"{start} lies outside of the architectures that the predictor was fitted on: its figures are extrapolated"
        )
    if problem.given and not problem.budget.region.contains(problem.origin[None])[0]:
        notes.append("the start was moved into the bounds, grids and relations of the search")
    return notes
