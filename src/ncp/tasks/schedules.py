"""Learning rates as pure functions of the step, so that a resumed run needs no scheduler's state.

``t`` is the share of the training that is done, 0 at the first optimiser step. Source: paper, appendix A.1 (poly for
segmentation, cosine for classification and video, one-cycle for detection).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ncp import options as typed
from ncp.errors import UserError
from ncp.numeric import finite

Rate = Callable[[float], float]


def constant(base: float) -> Rate:
    """Always ``base``."""
    return lambda t: base


def poly(base: float, power: float = 0.9, minimum: float = 0.0) -> Rate:
    """``(base - minimum) * (1 - t) ** power + minimum``.

    >>> [round(poly(0.1, power=0.9, minimum=1e-4)(t), 5) for t in (0, 0.5, 1)]
    [0.1, 0.05363, 0.0001]
    """
    return lambda t: (base - minimum) * (1 - t) ** power + minimum


def cosine(base: float, minimum: float = 0.0) -> Rate:
    """Half a cosine from ``base`` to ``minimum``.

    >>> [round(cosine(0.1)(t), 3) for t in (0, 0.5, 1)]
    [0.1, 0.05, 0.0]
    """
    return lambda t: minimum + (base - minimum) * (1 + math.cos(math.pi * t)) / 2


def one_cycle(base: float, start: float, minimum: float, peak: float = 0.4) -> Rate:
    """Half a cosine from ``start`` up to ``base`` at the share ``peak``, then one down to ``minimum``."""

    def rate(t: float) -> float:
        if t < peak:
            return base - (base - start) * (1 + math.cos(math.pi * t / peak)) / 2
        return minimum + (base - minimum) * (1 + math.cos(math.pi * (t - peak) / (1 - peak))) / 2

    return rate


def warmed_up(rate: Rate, share: float) -> Rate:
    """``rate``, rising linearly to it over the first ``share`` of the training."""
    return lambda t: rate(t) * min(1.0, (t + 0.1 * share) / (1.1 * share)) if share > 0 else rate(t)


SHAPES: dict[str, Callable[..., Rate]] = {
    "constant": constant,
    "poly": poly,
    "cosine": cosine,
    "one_cycle": one_cycle,
}


def schedule(base: float, settings: Mapping[str, Any]) -> Rate:
    """The rate that a recipe's ``schedule`` describes: ``{shape: poly, power: .9, minimum: 1e-4, warmup: 0.0}``.

    Raises:
        UserError: for an unknown shape, or a setting that the shape does not have.
    """
    options = dict(settings)
    shape, warmup = (
        str(options.pop("shape", "constant")),
        finite("recipe.schedule.warmup", options.pop("warmup", 0.0), 0),
    )
    if shape not in SHAPES:
        raise UserError(f"unknown schedule '{shape}'; schedules: {', '.join(SHAPES)}")
    return warmed_up(typed.call(SHAPES[shape], options, "recipe.schedule", base), warmup)
