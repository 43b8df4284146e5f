"""Polynomials with integer coefficients, to take a counting rule apart into its monomials.

The counting rules of a space are polynomials in its code. Written once as an expression over columns, a rule can be run on
numbers, or on the symbols made here: the result, a list of monomials, is evaluated in a handful of operations instead of
hundreds, and so is its gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ncp.slopes import Slope

Monomial = tuple[int, ...]  # sorted indices of the variables it multiplies


class Polynomial:
    """A polynomial: monomials -> integer coefficients.

    >>> x, y = Polynomial.variables(2)
    >>> ((x + 2) * (y - 1)).terms
    {(0, 1): 1, (0,): -1, (1,): 2, (): -2}
    """

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms = {m: c for m, c in terms.items() if c}

    @classmethod
    def variables(cls, n: int) -> list[Polynomial]:
        """The ``n`` variables themselves."""
        return [cls({(i,): 1}) for i in range(n)]

    @staticmethod
    def of(value: Polynomial | int) -> Polynomial:
        """A number is a polynomial too."""
        return value if isinstance(value, Polynomial) else Polynomial({(): int(value)})

    def __add__(self, other: Polynomial | int) -> Polynomial:
        terms = dict(self.terms)
        for monomial, coefficient in self.of(other).terms.items():
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return Polynomial(terms)

    def __mul__(self, other: Polynomial | int) -> Polynomial:
        terms: dict[Monomial, int] = {}
        for m1, c1 in self.terms.items():
            for m2, c2 in self.of(other).terms.items():
                monomial = tuple(sorted(m1 + m2))
                terms[monomial] = terms.get(monomial, 0) + c1 * c2
        return Polynomial(terms)

    def __sub__(self, other: Polynomial | int) -> Polynomial:
        return self + self.of(other) * -1

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: int) -> Polynomial:
        return self * -1 + other


class Evaluator:
    """Several polynomials in the same ``n`` variables, evaluated together on tensors of codes."""

    def __init__(self, polynomials: list[Polynomial | int], n: int) -> None:
        parts = [Polynomial.of(p).terms for p in polynomials]
        monomials = sorted({m for terms in parts for m in terms})
        self.degree = max(map(len, monomials), default=0)
        self.coefficients = np.array([[terms.get(m, 0) for terms in parts] for m in monomials], dtype=np.float64)
        # factor k of every monomial is picked by a product with a 0/1 matrix (row n stands for 1): its gradient is one too
        self.picks = np.zeros((n + 1, self.degree, len(monomials)))
        for t, monomial in enumerate(monomials):
            for k in range(self.degree):
                self.picks[monomial[k] if k < len(monomial) else n, k, t] = 1
        factors = [[m[k] if k < len(m) else n for m in monomials] for k in range(self.degree)]
        self._factors = np.array(factors, dtype=np.intp).reshape(self.degree, len(monomials))
        self._tensors: dict[Any, tuple[Any, Any]] = {}

    def __call__(self, codes: Any) -> Any:
        """``(..., n)`` tensor or array -> ``(..., P)``; differentiable, in a tensor's own precision (integers: double)."""
        if not hasattr(codes, "detach"):
            codes, picks, coefficients = np.asarray(codes, dtype=np.float64), self.picks, self.coefficients
        else:
            codes = codes if codes.is_floating_point() else codes.double()
            picks, coefficients = self._constants(codes)
        shape = picks.shape[1:]
        factors = (codes @ picks[:-1].reshape(-1, shape[0] * shape[1]) + picks[-1].reshape(-1)).reshape(
            *codes.shape[:-1], *shape
        )
        product = factors[..., 0, :]
        for k in range(1, self.degree):
            product = product * factors[..., k, :]
        return product @ coefficients

    def slope(self, codes_ND: np.ndarray) -> Slope:
        """``(N, n)`` codes -> ``(N, P)`` values, and the way back."""
        codes = np.asarray(codes_ND, dtype=np.float64)
        padded = np.concatenate([codes, np.ones((len(codes), 1))], axis=1)
        factors = [padded[:, index] for index in self._factors]
        product = np.ones((len(codes), len(self.coefficients)))
        before = []  # products of the factors in front of each one
        for factor in factors:
            before.append(product)
            product = product * factor

        def pull(d_NP: np.ndarray) -> np.ndarray:
            left_NT = d_NP @ self.coefficients.T
            out_ND = np.zeros_like(codes)
            for k in reversed(range(self.degree)):
                out_ND += (left_NT * before[k]) @ self.picks[:-1, k].T
                left_NT = left_NT * factors[k]
            return out_ND

        return Slope(product @ self.coefficients, pull)

    def _constants(self, codes: Any) -> tuple[Any, Any]:
        key = (codes.dtype, codes.device)
        if key not in self._tensors:
            import torch  # a tensor came in, so it is loaded already

            self._tensors[key] = (
                torch.from_numpy(self.picks).to(codes.device, codes.dtype),
                torch.from_numpy(self.coefficients).to(codes.device, codes.dtype),
            )
        return self._tensors[key]
