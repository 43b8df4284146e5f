"""How far a predictor can be trusted: whether it has learned anything, and among which architectures.

Shape suffixes: N rows, D dimensions of the code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.predictors.answers import AnyPredictor

CLEARLY = 2.0
"""Standard deviations by which Kendall's tau must lie above 0."""


def tau_by_chance(n: int) -> float:
    """Standard deviation of Kendall's tau between two independent orders of ``n`` rows (Kendall, 1938).

    >>> round(tau_by_chance(24), 3)
    0.146
    """
    return math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1))) if n > 1 else 1.0


def without_skill(predictor: AnyPredictor, metric: str) -> str | None:
    """Why the predictor's answers for a metric are worth nothing, in words; None where nothing says so.

    By the errors on rows that it did not see, as its card states them: Kendall's tau must be clearly above what chance
    gives, and the error smaller than that of always answering the mean. A predictor without stated errors is not judged.
    """
    card = predictor.card
    errors = card.errors.get(metric)
    if not errors:
        return None
    n = card.held or card.rows
    seen = f"on {n:,} rows that it did not see" if n else "on rows that it did not see"
    tau = errors.get("kendall")
    if tau is None:
        return f"{seen} it gives one and the same answer, or one and the same was measured"
    chance = CLEARLY * tau_by_chance(n) if n else 0.0
    if not tau > chance:
        return f"{seen} Kendall's tau is {tau:.2f}, and chance alone gives up to {chance:.2f}"
    spread = float(predictor.output_std[predictor.metrics.index(metric)])
    if errors.get("rmse", 0.0) >= spread:
        return f"{seen} its error (RMSE {errors['rmse']:.3g}) is no smaller than that of the mean ({spread:.3g})"
    return None


def region_of(codes_ND: np.ndarray) -> dict[str, list[float]]:
    """``lower`` and ``upper``, D numbers each: the bounds of the architectures that a predictor was fitted on."""
    return {"lower": codes_ND.min(axis=0).tolist(), "upper": codes_ND.max(axis=0).tolist()}


def known_bounds(predictor: AnyPredictor) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper bounds ``(D,)`` of the architectures that it was fitted on; None where that is the whole space.

    Raises:
        UserError: if the card's bounds are no bounds of its space.
    """
    region: Any = predictor.card.region
    if not region:
        return None
    space = predictor.space
    try:
        lower, upper = (np.asarray(region[name], dtype=np.float64) for name in ("lower", "upper"))
        sound = lower.shape == upper.shape == space.lower.shape
        sound = sound and bool(((space.lower <= lower) & (lower <= upper) & (upper <= space.upper)).all())
        sound = sound and bool(
            (((lower - space.lower) % space.step == 0) & ((upper - space.lower) % space.step == 0)).all()
        )
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise UserError(f"the card of the predictor of {predictor.setting} states bounds that are none of {space.name}")
    return lower, upper


def knows(predictor: AnyPredictor, codes_ND: np.ndarray) -> np.ndarray:
    """``(N,)`` bool: codes within the bounds of the architectures that it was fitted on; elsewhere it extrapolates.

    Raises:
        UserError: as :func:`known_bounds`.
    """
    bounds = known_bounds(predictor)
    if bounds is None:
        return np.ones(len(codes_ND), dtype=bool)
    return np.asarray(((bounds[0] <= codes_ND) & (codes_ND <= bounds[1])).all(1))
