"""What a space says of continuous codes, with the way back, in the shortest way that the space allows.

A space may have closed forms of its own: ``feature_slope(codes)``, ``cost_slope(codes)`` (multiply-adds and parameters),
``work_slope`` and ``memory_slope``. A space with ``analytic = True`` says that its ``features``, ``cost``, ``work`` and
``memory`` take complex codes too and compare none of them: a complex step is all that is needed then. Of any other space autograd
takes the way back, with torch.

Shape suffixes: N codes, D dimensions, F features.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ncp.slopes import Slope, by_autograd, by_complex_step
from ncp.spaces.base import Space


def features(space: Space[Any], codes_ND: np.ndarray) -> Slope:
    """``(N, F)``, see ``Space.features``."""
    return _slope(space, "features", "feature_slope", codes_ND)


def cost(space: Space[Any], codes_ND: np.ndarray) -> Slope:
    """``(N, 2)``: multiply-adds and parameters."""
    own: Any = getattr(space, "cost_slope", None)
    return own(codes_ND) if own is not None else _way_back(space, lambda x: _stacked(space.cost(x)), codes_ND)


def work(space: Any, codes_ND: np.ndarray, setting: dict[str, Any]) -> Slope:
    """``(N, W)``, what takes a machine time; of a space that does not say its multiply-adds and parameters."""
    return _slope(space, "work", "work_slope", codes_ND, **setting) if hasattr(space, "work") else cost(space, codes_ND)


def memory(space: Any, codes_ND: np.ndarray, **setting: Any) -> Slope:
    """``(N,)`` bytes."""
    return _slope(space, "memory", "memory_slope", codes_ND, **setting)


def _slope(space: Any, plain: str, closed: str, codes_ND: np.ndarray, **setting: Any) -> Slope:
    """By the space's own closed form, else with the way back of what it says of codes."""
    if hasattr(space, closed):
        return getattr(space, closed)(codes_ND, **setting)  # type: ignore[no-any-return]
    return _way_back(space, partial(getattr(space, plain), **setting), codes_ND)


def _way_back(space: Any, function: Any, codes_ND: np.ndarray) -> Slope:
    if getattr(space, "analytic", False):
        return by_complex_step(function, codes_ND)
    codes = np.asarray(codes_ND, dtype=np.float64)
    return by_autograd(function, codes, np.asarray(function(codes), dtype=np.float64))


def _stacked(cost: Any) -> Any:
    if hasattr(cost.macs, "detach"):
        import torch  # a tensor came in, so it is loaded already

        return torch.stack([cost.macs, cost.params], dim=-1)
    return np.stack([cost.macs, cost.params], axis=-1)
