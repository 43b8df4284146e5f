"""The last step of a search for this machine: the best architectures are measured; the answer is one that keeps the limit.

A model's mean plus one standard deviation keeps a limit five times out of six; a measurement says whether it is kept now. It
also lets better ones be tried that may keep the limit though the model would rather not promise it: they come first. Just where a
search ends the model was fitted on few networks or none: by as much as the measured time differs from the predicted one there the
model is corrected, and the search goes on with it, until its answer uses the limit or nothing new is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from ncp.latency.model import Latency
from ncp.search.criterion import Criterion
from ncp.search.judges import PredictorPanel
from ncp.search.limits import Limit
from ncp.search.listing import CHUNK, ranked, whole_space
from ncp.search.quantities import Quantity, with_margin
from ncp.search.result import Result, candidates

BEST = 5
ROUNDS = 3
BOLD = 1.0
"""Standard deviations by which a predicted time may be above a limit for a better architecture to be worth a measurement."""
USED = 0.97
"""Share of a limit from which on its answer uses it: measurements scatter by as much."""
LEAST_GAIN = 1e-9  # of the score
Timer = Callable[[Any], float]
Again = Callable[[list[Latency]], Result]


@dataclass(frozen=True)
class Timed:
    """One architecture on this machine: predicted and measured milliseconds, and whether a limit is kept; which one."""

    text: str
    predicted: float
    milliseconds: float
    keeps: bool
    limit: str = "latency_ms"


def tried(result: Result, limits: Sequence[Limit], lam: float = 0.5, n: int = BEST) -> tuple[np.ndarray, np.ndarray]:
    """Two parts of ``(n, D)`` codes at most, the best first: bold ones, and those that keep all limits as predicted.

    Of those that the search met; of a space that can be listed of all. The bold ones are better than the answer and may keep
    ``limits`` of milliseconds: they do if their times are ``BOLD`` standard deviations below what is predicted.
    """
    goals, budget = result.trajectory.objectives, result.budget
    assert budget is not None
    others = (replace(x, quantity=with_margin(x.quantity, -BOLD)) if x in limits else x for x in budget.others)
    criterion = Criterion(goals, replace(budget, others=tuple(others)), lam, result.kappa or 0.0)
    codes, score = ranked(criterion, _all_or_met(result))
    found = result.trajectory.best_code
    bold = codes[score > criterion.scores(found[None]).value + LEAST_GAIN][:n]
    safe = [found]
    for i in range(0, len(codes), CHUNK):
        part = codes[i : i + CHUNK].astype(np.int64)
        safe += [code for code in part[budget.excess(part) == 0] if (code != found).any()]
        if len(safe) >= n:
            break
    return bold.astype(np.int64), np.stack(safe[:n])


def _all_or_met(result: Result) -> np.ndarray:
    """``(N, D)`` codes of a space that can be listed, else those that the search met."""
    space: Any = result.trajectory.objectives.space
    every = whole_space(space)
    return np.unique(np.concatenate([w.rounded for w in result.trajectory.walks]), axis=0) if every is None else every


def verify(
    result: Result,
    limits: Sequence[tuple[Limit, Timer]],
    asked: PredictorPanel,
    judge: PredictorPanel,
    lam: float = 0.5,
) -> Result:
    """The result with the first of its best architectures that keeps all limits of milliseconds when it is measured.

    Those of :func:`tried` are measured in turn.

    Args:
        result: of a search.
        limits: of machines that are this one, each with what tells the milliseconds of an architecture here.
        asked, judge: who predict for the search.
        lam: of the search.

    Returns:
        The same result with ``measured`` and, where another one than the first keeps the limits, another ``found``; where none
        does, ``kept`` is False and a note says how far they are off.
    """
    space = result.trajectory.objectives.space
    codes = np.concatenate(tried(result, [limit for limit, _ in limits], lam))
    told = [limit.quantity.told(codes)[0] for limit, _ in limits]
    measured: list[Timed] = []
    chosen = None
    for place, architecture in enumerate(space.decode(codes.astype(np.float64))):
        for (limit, timer), predicted in zip(limits, told, strict=True):
            ms = timer(architecture)
            measured.append(Timed(architecture.text, float(predicted[place]), ms, ms <= limit.value, limit.name))
            if not measured[-1].keeps:
                break
        else:
            chosen = place
            break
    words = " and ".join(f"budget.{limit.name}={limit.value:g}" for limit, _ in limits)
    if chosen is None:
        most = {limit.name: limit.value for limit, _ in limits}
        nearest = min((m for m in measured if not m.keeps), key=lambda m: m.milliseconds / most[m.limit])
        note = (
            f"none of the {len(codes)} best keeps {words} here: the nearest took {nearest.milliseconds:.4g} ms; "
            "measure the machine again when it is quiet, or lower the limit"
        )
        return replace(result, kept=False, measured=measured, notes=(*result.notes, note))
    if (codes[chosen] == result.trajectory.best_code).all() and chosen == 0:
        return replace(result, measured=measured)
    (found,) = candidates(result.trajectory.objectives, asked, judge, codes[[chosen]])
    notes = result.notes
    if chosen:
        notes = (*notes, f"the best {chosen} took longer than {words} here; the next one keeps it")
    return replace(result, found=found, measured=measured, notes=notes)


def settle(result: Result, timers: Mapping[str, Timer], again: Again, lam: float = 0.5, rounds: int = ROUNDS) -> Result:
    """:func:`verify`, then searched again with models corrected by what was measured; the best that keeps all limits.

    Args:
        result: of a search.
        timers: limit of milliseconds of this machine (``latency_ms``, ``latency_ms_2``, ...) -> what measures it.
        again: the same search with other latency models, as many and in the order of the result's own.
        lam: of the search.
        rounds: of searching and measuring, at most.

    Returns:
        As :func:`verify`, with what was measured in all rounds; a note says where the search went on.
    """
    machines = {q.name: q for q in result.trajectory.objectives.quantities if q.model is not None}
    timers = {name: cache(timer) for name, timer in timers.items()}  # no network is measured twice
    answer = newest = _verified(result, timers, lam)
    measured = list(answer.measured)
    count = 1
    while count < rounds and not (newest.kept and _used(newest) > USED):
        newest = _verified(again([_corrected(machine, newest) for machine in machines.values()]), timers, lam)
        known = {(timed.text, timed.limit) for timed in measured}
        fresh = [timed for timed in newest.measured if (timed.text, timed.limit) not in known]
        if not fresh:
            break
        measured += fresh
        count += 1
        if newest.kept and (not answer.kept or _better(newest, answer, lam)):
            answer = newest
    notes = answer.notes
    if count > 1:
        notes = (*notes, f"the search went on {count - 1} times with a latency model corrected by what was measured")
    return replace(answer, measured=measured, notes=notes)


def _verified(result: Result, timers: Mapping[str, Timer], lam: float) -> Result:
    assert result.budget is not None
    assert result.panels is not None
    limits = [(limit, timers[limit.name]) for limit in result.budget.others if limit.name in timers]
    return verify(result, limits, *result.panels, lam)


def _used(answer: Result) -> float:
    """The largest share of a limit that the answer takes."""
    assert answer.budget is not None
    most = {limit.name: limit.value for limit in answer.budget.others}
    text = answer.architecture.text
    return float(max(timed.milliseconds / most[timed.limit] for timed in answer.measured if timed.text == text))


def _corrected(machine: Quantity, answer: Result) -> Latency:
    """The model by which the answer, or what was measured in its place, takes of the limit what it was measured to take.

    The margin is corrected away with the error, since where the search ends now it was measured.
    """
    assert machine.model is not None
    timed = [timed for timed in answer.measured if timed.limit == machine.name]
    if not timed:
        return machine.model
    chosen = next((one for one in timed if one.text == answer.architecture.text), timed[-1])
    code = answer.trajectory.objectives.space.encode([answer.trajectory.objectives.space.parse(chosen.text)])
    return machine.model.scaled(float(chosen.milliseconds / machine.of(code)[0]))


def _better(one: Result, other: Result, lam: float) -> bool:
    """Whether one answer is worth more than another by the criterion of the first; measured, both keep the limits."""
    assert one.budget is not None
    criterion = Criterion(one.trajectory.objectives, one.budget, lam, one.kappa or 0.0)
    codes = one.trajectory.objectives.space.encode([one.architecture, other.architecture])
    first, second = criterion.scores(codes.astype(np.float64)).value.tolist()
    return bool(first > second)
