"""A cell of four nodes: each of its six edges carries one operation, each node is the sum of its edges, node 3 the output.

NAS-Bench-201 and the micro space of TransNAS-Bench-101 are made of such cells. Shape suffixes: N cells, O operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ncp import files
from ncp.errors import UserError
from ncp.spaces.onehot import OneHotSpace, bit, numbers, stacked, vector
from ncp.spaces.polynomial import Evaluator, Polynomial

EDGES: tuple[tuple[int, int], ...] = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
N_EDGES = len(EDGES)
N_NODES = 4
PATHS = ((0, 2, 5), (0, 4), (1, 5), (3,))  # edges of each path from the cell's input to its output


def in_use(live: Any) -> tuple[list[Any], Any]:
    """Per edge the ``(N,)`` share to which it lies on an open path, and that to which the output has any input.

    ``live`` is ``(N, 6)``: 1 where an edge passes something on. Exact for valid codes, multilinear between them.
    """
    e01, e02, e12, e03, e13, e23 = (live[:, i] for i in range(N_EDGES))
    into2 = 1 - (1 - e02) * (1 - e01 * e12)
    out1 = 1 - (1 - e13) * (1 - e12 * e23)
    output = 1 - (1 - e03) * (1 - e01 * e13) * (1 - into2 * e23)
    return [e01 * out1, e02 * e23, e01 * e12 * e23, e03, e01 * e13, into2 * e23], output


def operations_of(values: Sequence[Any] | np.ndarray, options: int) -> tuple[int, ...]:
    """The operation of each edge in a one-hot code. Raises ``UserError`` naming the edge that has none or several."""
    values = vector(values, N_EDGES * options, "a cell code")
    out = []
    for edge, (source, target) in enumerate(EDGES):
        given = values[edge * options : (edge + 1) * options]
        row = [bit(value) for value in given]
        if row.count(1) != 1 or row.count(0) != options - 1:
            shown = ", ".join(files.shown(value) for value in given)
            raise UserError(f"edge {source}>{target} must have one 1 and {_COUNTS[options - 1]} 0, given was [{shown}]")
        out.append(row.index(1))
    return tuple(out)


_COUNTS = {3: "three", 4: "four"}


class CellSpace(OneHotSpace):
    """Cells whose edges have one of ``operations``; a subclass says which of them do what.

    Attributes:
        kind: the class of architectures, made from six operation numbers.
        none, skip: numbers of the operations that pass nothing, and everything unchanged.
        convolutions: numbers of the convolutions.
    """

    kind: Any
    none: int
    skip: int
    convolutions: tuple[int, ...]

    def __init__(self, operations: Sequence[str]) -> None:
        edges = [f"{s}>{t}" for s, t in EDGES]
        super().__init__(edges, operations, [f"Edge {s} to {t}" for s, t in EDGES])

    def texts(self, codes_ND: np.ndarray) -> list[str]:
        """The texts of ``(N, D)`` valid codes, many at a time."""
        return [self.kind(tuple(ops)).text for ops in self.choices(codes_ND).tolist()]

    def decode(self, codes_ND: np.ndarray) -> list[Any]:
        """The cells nearest to ``(N, D)`` continuous codes, by argmax per edge."""
        return [self.kind(tuple(ops)) for ops in self.choices(self.checked(codes_ND)).tolist()]

    def sample(self, n: int, rng: np.random.Generator) -> list[Any]:
        """``n`` cells drawn uniformly and independently."""
        return [self.kind(tuple(ops)) for ops in rng.integers(0, self.options, size=(n, N_EDGES)).tolist()]

    def neighbours(self, architecture: Any) -> list[Any]:
        """All cells that differ in one edge."""
        ops = architecture.operations
        return [
            self.kind((*ops[:edge], op, *ops[edge + 1 :]))
            for edge, op in product(range(N_EDGES), range(self.options))
            if op != ops[edge]
        ]

    def all(self) -> list[Any]:
        """All cells."""
        return [self.kind(ops) for ops in product(range(self.options), repeat=N_EDGES)]

    def features(self, codes: Any) -> Any:
        """``(N, 7 O + 13)``: what of the cell is in use; for arrays and tensors (then differentiable).

        An operation that nothing flows through, or whose result nothing uses, changes nothing in the network, which the
        plain code hides. So: the code with such edges zeroed (6 O), how often each operation is in use (O), whether the
        output has an input at all (1), and for each of the four paths from input to output whether it is open, its
        convolutions if it is, and whether it is all skips (12).
        """
        e = numbers(codes)
        e = e.reshape(-1, N_EDGES, self.options)
        live, skip = 1 - e[..., self.none], e[..., self.skip]
        conv: Any = sum(e[..., i] for i in self.convolutions)
        used, output = in_use(live)
        weighted = [e[:, i] * used[i][:, None] for i in range(N_EDGES)]
        columns = [output]
        for path in PATHS:
            first, *rest = path
            alive, skips, depth = live[:, first], skip[:, first], conv[:, first]
            for i in rest:
                alive, skips, depth = alive * live[:, i], skips * skip[:, i], depth + conv[:, i]
            columns += [alive, alive * depth, skips]
        return stacked([*weighted, sum(weighted), *(c[:, None] for c in columns)], codes)

    def sequences(self, codes: Any) -> Any:
        """``(N, S)``: of every sequence of at most three operations how many paths from input to output do just that.

        Skips are left out, so cells that compute one function in other places are alike here. For arrays and tensors.
        """
        return self._sequences(
            codes.reshape(-1, self.dim) if hasattr(codes, "detach") else np.reshape(codes, (-1, self.dim))
        )

    @cached_property
    def _sequences(self) -> Evaluator:
        """A path's sequence is a product of its edges' bits, so the counts are polynomials in the code."""
        x = Polynomial.variables(self.dim)
        busy = [op for op in range(self.options) if op not in (self.none, self.skip)]
        counts = {sequence: Polynomial({}) for length in range(N_NODES) for sequence in product(busy, repeat=length)}
        for path in PATHS:
            for ops in product((self.skip, *busy), repeat=len(path)):
                bits = (x[edge * self.options + op] for edge, op in zip(path, ops, strict=True))
                counts[tuple(op for op in ops if op != self.skip)] += prod(bits, start=Polynomial.of(1))
        return Evaluator(list(counts.values()), self.dim)

    def work(self, codes: Any, **setting: Any) -> Any:
        """``(N, 2 (O - 1))``: how often each operation that takes time is in the cell, and how often it is in use.

        Some runtimes run every edge, others leave out what changes nothing in the result. A setting does not matter: all
        networks of a benchmark have one size.
        """
        e = numbers(codes)
        e = e.reshape(-1, N_EDGES, self.options)
        used, _ = in_use(1 - e[..., self.none])
        busy = [op for op in range(self.options) if op != self.none]
        there = [e[..., op].sum(-1) for op in busy]
        active: list[Any] = [sum(e[:, i, op] * used[i] for i in range(N_EDGES)) for op in busy]
        return stacked([column[:, None] for column in (*there, *active)], codes)
