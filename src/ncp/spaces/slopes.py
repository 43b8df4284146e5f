"""What a space says of continuous codes, with the way back: its own closed form where it has one, else by autograd.

A space has its own as ``feature_slope(codes)``, ``cost_slope(codes)`` (multiply-adds and parameters), ``work_slope`` and
``memory_slope``; none is needed, and torch only where there is none.

Shape suffixes: N codes, D dimensions, F features.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ncp.slopes import Slope, by_autograd
from ncp.spaces.base import Space


def features(space: Space[Any], codes_ND: np.ndarray) -> Slope:
    """``(N, F)``, see ``Space.features``."""
    return _slope(space, "features", "feature_slope", codes_ND)


def cost(space: Space[Any], codes_ND: np.ndarray) -> Slope:
    """``(N, 2)``: multiply-adds and parameters."""
    own: Any = getattr(space, "cost_slope", None)
    if own is not None:
        return own(codes_ND)  # type: ignore[no-any-return]
    value = space.cost(np.asarray(codes_ND, dtype=np.float64))
    return by_autograd(lambda x: _stacked(space.cost(x)), codes_ND, np.stack([value.macs, value.params], axis=-1))


def work(space: Any, codes_ND: np.ndarray, setting: dict[str, Any]) -> Slope:
    """``(N, W)``, what takes a machine time; of a space that does not say its multiply-adds and parameters."""
    return _slope(space, "work", "work_slope", codes_ND, **setting) if hasattr(space, "work") else cost(space, codes_ND)


def memory(space: Any, codes_ND: np.ndarray, **setting: Any) -> Slope:
    """``(N,)`` bytes."""
    return _slope(space, "memory", "memory_slope", codes_ND, **setting)


def _slope(space: Any, plain: str, closed: str, codes_ND: np.ndarray, **setting: Any) -> Slope:
    """By the space's own closed form, else with the way back of what it says of tensors."""
    if hasattr(space, closed):
        return getattr(space, closed)(codes_ND, **setting)  # type: ignore[no-any-return]
    function = partial(getattr(space, plain), **setting)
    return by_autograd(
        function, codes_ND, np.asarray(function(np.asarray(codes_ND, dtype=np.float64)), dtype=np.float64)
    )


def _stacked(cost: Any) -> Any:
    import torch  # a tensor came in, so it is loaded already

    return torch.stack([cost.macs, cost.params], dim=-1)
