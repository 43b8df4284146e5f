"""A space's cost as a polynomial, read off its own expression, so that a search can differentiate it in a few operations.

``Space.cost`` is written for arrays and takes a few hundred small operations; over the 70 iterations of a search that is
most of the time. Evaluated once on symbols, it yields its monomials, and from then on value and gradient are two matrix
products. There is no second definition of cost: a space whose cost is no polynomial is differentiated through as it is.

Shape suffixes: N codes, D dimensions, T monomials.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp import spaces


class _Symbol:
    """A polynomial in the dimensions of a code: sorted indices of the factors -> coefficient."""

    __slots__ = ("terms",)

    def __init__(self, terms: dict[tuple[int, ...], float]) -> None:
        self.terms = terms

    def __add__(self, other: Any) -> _Symbol:
        terms = dict(self.terms)
        for key, value in _terms(other).items():
            terms[key] = terms.get(key, 0.0) + value
        return _Symbol(terms)

    def __mul__(self, other: Any) -> _Symbol:
        terms: dict[tuple[int, ...], float] = {}
        for a, x in self.terms.items():
            for b, y in _terms(other).items():
                key = tuple(sorted(a + b))
                terms[key] = terms.get(key, 0.0) + x * y
        return _Symbol(terms)

    def __neg__(self) -> _Symbol:
        return self * -1.0

    def __sub__(self, other: Any) -> _Symbol:
        return self + (other if isinstance(other, _Symbol) else _Symbol(_terms(other))) * -1.0

    def __rsub__(self, other: Any) -> _Symbol:
        return -self + other

    def __truediv__(self, other: Any) -> _Symbol:
        return self * (1.0 / other)

    __radd__ = __add__
    __rmul__ = __mul__


def _terms(value: Any) -> dict[tuple[int, ...], float]:
    if isinstance(value, _Symbol):
        return value.terms
    if isinstance(value, Real):
        return {(): float(value)}
    raise TypeError(f"not part of a polynomial: {value!r}")


class _SymbolicCode(np.ndarray):
    """One code of symbols that passes for a tensor where a space's cost asks."""

    def detach(self) -> _SymbolicCode:
        return self

    def movedim(self, source: int, destination: int) -> Any:
        return np.moveaxis(self, source, destination)


class Polynomial:
    """``sum_t coefficient_t * product of factors``, evaluated on ``(N, D)`` float64 tensors, differentiable."""

    def __init__(self, symbol: _Symbol, dim: int) -> None:
        terms = {key: value for key, value in symbol.terms.items() if value}
        degree = max(len(key) for key in terms)
        constant = dim  # index of a column of ones
        factors_TF = [key + (constant,) * (degree - len(key)) for key in terms]
        # picks the factors of all monomials in one matrix product (the backward of an indexing is slow)
        pick = torch.eye(dim + 1, dtype=torch.float64)[torch.tensor(factors_TF).T]  # (F, T, D + 1)
        self.weight = pick[..., :dim].reshape(-1, dim).T.contiguous()
        self.bias = pick[..., dim].reshape(-1).contiguous()
        self.coefficients = torch.tensor(list(terms.values()), dtype=torch.float64)
        self.degree = degree

    def __call__(self, codes_ND: Tensor) -> Tensor:
        """``(N,)`` values."""
        factors = torch.addmm(self.bias, codes_ND.double(), self.weight).chunk(self.degree, 1)
        product = factors[0]
        for factor in factors[1:]:
            product = product * factor
        return product @ self.coefficients


@lru_cache(maxsize=8)
def differentiable_cost(space_name: str) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Functions ``(N, D) tensor -> (N,) tensor`` for a space's multiply-adds and parameters."""
    space = spaces.get(space_name)
    symbols = np.array([_Symbol({(i,): 1.0}) for i in range(space.dim)], dtype=object).view(_SymbolicCode)
    try:
        cost = space.cost(symbols)
        macs, params = (value.item() if isinstance(value, np.ndarray) else value for value in (cost.macs, cost.params))
        return Polynomial(macs, space.dim), Polynomial(params, space.dim)
    except (TypeError, AttributeError, ValueError):
        return lambda x: space.cost(x).macs, lambda x: space.cost(x).params
