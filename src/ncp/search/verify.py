"""The last step of a search for this machine: the best architectures are measured; the answer is one that keeps the limit.

A model's mean plus one standard deviation keeps a limit five times out of six; a measurement says whether it is kept now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ncp.search.criterion import Criterion
from ncp.search.judges import PredictorPanel
from ncp.search.limits import Limit
from ncp.search.result import Result, candidates

BEST = 5
Timer = Callable[[Any], float]


@dataclass(frozen=True)
class Measured:
    """One architecture on this machine: predicted and measured milliseconds, and whether its limit is kept."""

    text: str
    predicted: float
    milliseconds: float
    keeps: bool


def best_codes(result: Result, lam: float = 0.5, n: int = BEST) -> np.ndarray:
    """``(n, D)`` codes of the best different architectures that the search met and that keep the limits, the best first."""
    goals, budget = result.trajectory.objectives, result.budget
    assert budget is not None
    codes = np.unique(np.concatenate([w.rounded for w in result.trajectory.walks]), axis=0)
    codes = codes[budget.region.contains(codes)]
    scores = Criterion(goals, budget, lam, result.kappa or 0.0).scores(codes)
    order = np.argsort(-scores.score, kind="stable")
    order = order[scores.excess[order] == 0][: n + 1]
    found = result.trajectory.best_code
    others = [code for code in codes[order] if (code != found).any()]
    return np.stack([found, *others][:n])


def verify(
    result: Result, limit: Limit, timer: Timer, asked: PredictorPanel, judge: PredictorPanel, lam: float = 0.5
) -> Result:
    """The result with the first of its best architectures that keeps a limit of milliseconds when it is measured.

    Args:
        result: of a search.
        limit: of a machine that is this one.
        timer: milliseconds of an architecture here.
        asked, judge: who predict for the search.
        lam: of the search.

    Returns:
        The same result with ``measured`` and, where another one than the first keeps the limit, another ``found``; where none
        does, ``kept`` is False and a note says how far they are off.
    """
    space = result.trajectory.objectives.space
    codes = best_codes(result, lam)
    told = limit.quantity.told(codes)[0]
    measured: list[Measured] = []
    for architecture, predicted in zip(space.decode(codes.astype(np.float64)), told, strict=True):
        milliseconds = timer(architecture)
        measured.append(Measured(architecture.text, float(predicted), milliseconds, milliseconds <= limit.value))
        if measured[-1].keeps:
            break
    chosen = len(measured) - 1
    if not measured[-1].keeps:
        least = min(m.milliseconds for m in measured)
        note = (
            f"none of the {len(measured)} best keeps budget.{limit.name}={limit.value:g} here: the fastest took {least:.4g} ms; "
            "measure the machine again when it is quiet, or lower the limit"
        )
        return replace(result, kept=False, measured=measured, notes=(*result.notes, note))
    if chosen == 0:
        return replace(result, measured=measured)
    (found,) = candidates(result.trajectory.objectives, asked, judge, codes[[chosen]])
    note = f"the best {chosen} took longer than budget.{limit.name}={limit.value:g} here; the next one keeps it"
    return replace(result, found=found, measured=measured, notes=(*result.notes, note))
