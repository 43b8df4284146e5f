"""The last step of a search for this machine: the best architectures are measured; the answer is one that keeps the limit.

A model's mean plus one standard deviation keeps a limit five times out of six; a measurement says whether it is kept now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
class Timed:
    """One architecture on this machine: predicted and measured milliseconds, and whether a limit is kept; which one."""

    text: str
    predicted: float
    milliseconds: float
    keeps: bool
    limit: str = "latency_ms"


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
    result: Result,
    limits: Sequence[tuple[Limit, Timer]],
    asked: PredictorPanel,
    judge: PredictorPanel,
    lam: float = 0.5,
) -> Result:
    """The result with the first of its best architectures that keeps all limits of milliseconds when it is measured.

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
    codes = best_codes(result, lam)
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
    if chosen == 0:
        return replace(result, measured=measured)
    (found,) = candidates(result.trajectory.objectives, asked, judge, codes[[chosen]])
    note = f"the best {chosen} took longer than {words} here; the next one keeps it"
    return replace(result, found=found, measured=measured, notes=(*result.notes, note))
