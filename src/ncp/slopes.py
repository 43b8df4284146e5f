"""Functions of codes together with the way back: what a change of the value says about the code.

A search follows gradients of a few closed forms. Each is written with its own backward step, which composes with the others'
as the chain rule says: no graph is recorded, and numpy is all that is needed. For functions of a user's own, which are written
in torch, autograd takes the step.

Shape suffixes: N codes, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ncp.errors import needed

Pull = Callable[[np.ndarray], np.ndarray]
"""Derivatives of anything by a value, in the value's shape, to its derivatives ``(N, D)`` by the codes."""


class Slope(NamedTuple):
    """A value of N codes, ``(N, ...)`` float64, and the way back."""

    value: np.ndarray
    pull: Pull

    def column(self, i: int) -> Slope:
        """One column ``(N,)`` of an ``(N, P)`` value."""

        def pull(d_N: np.ndarray) -> np.ndarray:
            d_NP = np.zeros_like(self.value)
            d_NP[:, i] = d_N
            return self.pull(d_NP)

        return Slope(self.value[:, i], pull)

    def then(self, value: np.ndarray, slope: np.ndarray | float) -> Slope:
        """A function of every number of the value by itself: what it gives, and its derivative there."""
        return Slope(value, lambda d: self.pull(d * slope))


def largest(slopes: Sequence[Slope]) -> Slope:
    """The largest of several values ``(N,)`` for each code; where some are equal they share its derivative."""
    if len(slopes) == 1:
        return slopes[0]
    values = np.stack([slope.value for slope in slopes])
    most_N = values.max(0)

    def pull(d_N: np.ndarray) -> np.ndarray:
        at_most = values == most_N
        parts = at_most / at_most.sum(0) * d_N
        return np.asarray(np.sum([slope.pull(part) for slope, part in zip(slopes, parts, strict=True)], axis=0))

    return Slope(most_N, pull)


def by_autograd(function: Callable[[Any], Any], codes_ND: np.ndarray, value: np.ndarray | None = None) -> Slope:
    """A function of tensors, one ``(N, ...)`` tensor for ``(N, D)`` codes.

    The way back computes the value once more: who only wants that pays for no gradient, and what ``function`` does may have none.

    Args:
        function: differentiable in torch.
        codes_ND: where.
        value: what it gives there, if it is known; torch is then imported for the way back alone.
    """
    codes_ND = np.asarray(codes_ND, dtype=np.float64)
    if value is None:
        torch: Any = needed("torch")
        with torch.no_grad():
            value = function(torch.from_numpy(codes_ND)).double().numpy()

    def pull(d: np.ndarray) -> np.ndarray:
        torch: Any = needed("torch")
        x_ND = torch.from_numpy(codes_ND).requires_grad_()
        with torch.enable_grad():
            (out_ND,) = torch.autograd.grad((function(x_ND).double() * torch.from_numpy(np.asarray(d))).sum(), x_ND)
        return np.asarray(out_ND.numpy())

    return Slope(np.asarray(value), pull)
