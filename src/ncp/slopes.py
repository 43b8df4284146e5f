"""Functions of codes together with the way back: what a change of the value says about the code.

A search follows gradients of a few closed forms. Each is written with its own backward step, which composes with the others'
as the chain rule says: no graph is recorded, and numpy is all that is needed. Analytic functions of arrays can also be asked with
a complex step. For functions of a user's own, which are written in torch, autograd takes the step.

Shape suffixes: N codes, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ncp.errors import needed

Pull = Callable[[np.ndarray], np.ndarray]
"""Derivatives of anything by a value, in the value's shape, to its derivatives ``(N, D)`` by the codes."""
_STEP = 1e-30  # so small that its square is nothing beside any value
_ROWS = 64


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


def by_complex_step(function: Callable[[np.ndarray], np.ndarray], codes_ND: np.ndarray) -> Slope:
    """An analytic function of arrays, one ``(N, ...)`` array for ``(N, D)`` codes: sums, products, powers, logarithms.

    With a tiny imaginary step along a dimension the imaginary part of the value is the derivative along it. Nothing is
    subtracted, so that it is exact to rounding. Comparisons and absolute values have no place in such a function.

    Source: Squire and Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40, 1998.

    Args:
        function: of real or complex codes, each row by itself.
        codes_ND: where.
    """
    codes_ND = np.asarray(codes_ND, dtype=np.float64)
    n, dim = codes_ND.shape
    value = np.asarray(function(codes_ND), dtype=np.float64)

    def pull(d: np.ndarray) -> np.ndarray:
        d_NP, out_ND = np.reshape(d, (n, -1)), np.empty_like(codes_ND)
        steps_D1D = 1j * _STEP * np.eye(dim)[:, None]
        for start in range(0, n, _ROWS):  # in parts: every dimension takes a copy of the codes
            part = slice(start, start + _ROWS)
            moved = function((codes_ND[part] + steps_D1D).reshape(-1, dim))
            slope_DNP = moved.imag.reshape(dim, len(codes_ND[part]), -1) / _STEP
            out_ND[part] = np.einsum("dnp,np->nd", slope_DNP, d_NP[part])
        return out_ND

    return Slope(value, pull)
