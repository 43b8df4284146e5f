"""The micro space of TransNAS-Bench-101: 4,096 cells of 6 edges with 4 operations, as 24-number one-hot codes.

The network around the cell is always ``64-41414``: ten cells, of which the first of every second module has strides and twice the
channels on the edges from node 0. Digits of the text, in the order of the edges: 0 zero, 1 skip, 2 ReLU-1x1 convolution-norm,
3 ReLU-3x3 convolution-norm.

Source: Duan et al., CVPR 2021, section 3, and its public code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ncp import files
from ncp.errors import UserError
from ncp.spaces import transnas
from ncp.spaces.base import Cost
from ncp.spaces.cell import EDGES, N_EDGES, CellSpace, operations_of

OPERATIONS: tuple[str, ...] = ("zero", "skip", "conv1x1", "conv3x3")
ZERO, SKIP, CONV_1X1, CONV_3X3 = range(len(OPERATIONS))
MODULES = (4, 1, 4, 1, 4)
PREFIX = f"{transnas.BASE}-{''.join(map(str, MODULES))}"
_TEXT = re.compile(r"(?:(\d+)-(\w+)-)?(\w)_(\w{2})_(\w{3})")


@dataclass(frozen=True)
class Architecture:
    """One cell. ``operations`` holds an index into ``OPERATIONS`` for each edge.

    >>> a = Architecture.parse("64-41414-3_03_122")
    >>> a.operations, a.text, Architecture.parse(a.code) == Architecture.parse("3_03_122") == a
    ((3, 0, 3, 1, 2, 2), '64-41414-3_03_122', True)
    """

    operations: tuple[int, ...]

    def __post_init__(self) -> None:
        values = tuple(int(v) for v in self.operations)
        if len(values) != N_EDGES or any(not 0 <= v < len(OPERATIONS) for v in values):
            raise UserError(f"a cell has {N_EDGES} operations numbered 0..3, given were {self.operations}")
        object.__setattr__(self, "operations", values)

    @classmethod
    def parse(cls, value: Any) -> Architecture:
        """Read a cell from ``64-41414-a_bc_def``, its last part alone, a 24-number one-hot code, or a mapping with one of them.

        Raises:
            UserError: naming the digit or the edge, what was given and what is allowed.
        """
        return transnas.read(value, cls, "a cell", _from_text, lambda code: cls(operations_of(code, len(OPERATIONS))))

    @property
    def code(self) -> tuple[int, ...]:
        """24 numbers, one-hot per edge."""
        return tuple(int(i == op) for op in self.operations for i in range(len(OPERATIONS)))

    @property
    def text(self) -> str:
        """The benchmark's own string."""
        a, b, c, d, e, f = self.operations
        return f"{PREFIX}-{a}_{b}{c}_{d}{e}{f}"

    def __str__(self) -> str:
        return self.text


def _from_text(text: str) -> Architecture:
    match = _TEXT.fullmatch(text)
    if match is None:
        count = sum(map(str.isdigit, text.rpartition("-")[2]))
        raise UserError(
            f"a cell is written {PREFIX}-a_bc_def with six digits 0..3, such as {PREFIX}-3_03_122; given was "
            f"'{files.shown(text)}'" + ("" if count == N_EDGES else f", whose cell has {count}")
        )
    base, modules, *nodes = match.groups()
    if base is not None and f"{base}-{modules}" != PREFIX:
        raise UserError(f"cells of this space stand in {PREFIX}-..., given was '{files.shown(text)}'")
    return Architecture(transnas.digits("".join(nodes), "0123", "a cell", text))


@lru_cache(maxsize=8)
def _counts(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, int, int]:
    """``(24,)`` parameters and multiply-adds of each operation on each edge over all ten cells; those of the rest."""
    params, macs = np.zeros((2, N_EDGES, len(OPERATIONS)), dtype=np.int64)
    channels, strides = transnas.BASE, 2
    for digit in MODULES:
        for first in (True, False):
            before = channels
            channels *= 2 if first and transnas.doubles(digit) else 1
            strides += 1 if first and transnas.halves(digit) else 0
            for edge, (source, _) in enumerate(EDGES):
                incoming = before if source == 0 else channels
                changes = source == 0 and first and digit != 1
                weights = np.array([0, changes, 1, 9]) * incoming * channels  # a skip that changes: two halves of a 1x1
                params[edge] += weights + np.array([0, changes, 1, 1]) * 2 * channels
                macs[edge] += weights * transnas.pixels(size, strides)
    return params.ravel(), macs.ravel(), transnas.STEM_PARAMS, transnas.stem_macs(size)


def count(codes: Any, size: tuple[int, int] = transnas.SIZE) -> Cost:
    """Cost of the encoder, stem included and no head, of ``(N, 24)`` codes for one image of ``size``; exact for valid codes.

    Norms' scales and shifts are parameters, and no multiply-adds.
    """
    params, macs, base_params, base_macs = _counts(size)
    if hasattr(codes, "detach"):
        import torch  # a tensor came in, so it is loaded already

        weights = torch.as_tensor(np.stack([params, macs], axis=1)).to(codes)
        both = codes @ weights
        return Cost(both[..., 0] + base_params, both[..., 1] + base_macs)
    x = np.asarray(codes)
    return Cost(x @ params + base_params, x @ macs + base_macs)


class MicroSpace(CellSpace):
    """The space itself; satisfies :class:`ncp.spaces.base.Space`."""

    name = "transnas-micro"
    analytic = True
    kind = Architecture
    none, skip, convolutions = ZERO, SKIP, (CONV_1X1, CONV_3X3)

    def __init__(self) -> None:
        super().__init__(OPERATIONS)

    def parse(self, value: Any) -> Architecture:
        """See :meth:`Architecture.parse`."""
        return Architecture.parse(value)

    def default(self) -> Architecture:
        """3x3 convolutions everywhere: the dearest cell."""
        return Architecture((CONV_3X3,) * N_EDGES)

    def narrow(self) -> Architecture:
        """The cheapest cell that learns anything: one 1x1 convolution."""
        return Architecture((ZERO, ZERO, ZERO, CONV_1X1, ZERO, ZERO))

    def mutations(self, architecture: Architecture) -> list[list[Architecture]]:
        """What one mutation may end at, by kind of mutation: here one kind, another operation on one edge."""
        return [self.neighbours(architecture)]

    def cost(self, codes: Any) -> Cost:
        """Of the encoder for one image of 224 x 224; see :func:`count`."""
        return count(codes)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The first, by its digits, of the cells that compute the same function (see :func:`signature`).

        >>> SPACE.canonical(Architecture.parse("0_20_001")).text[9:]
        '0_00_200'
        """
        return _canonical()[architecture]


@lru_cache(maxsize=1)
def _canonical() -> dict[Architecture, Architecture]:
    first: dict[Any, Architecture] = {}
    return {cell: first.setdefault(signature(cell.operations), cell) for cell in SPACE.all()}


def signature(operations: Sequence[int]) -> tuple[Any, ...]:
    """The function that a cell computes, equal for cells whose functions are equal.

    A node is a sum of results of modules; a skip between later nodes adds the same results again. From node 0 a skip is a
    module too, since it has weights where the size changes. What has no input is nothing. Modules are told apart by what goes
    into them and by who uses them, so that one module used twice is not two modules.
    """
    nodes: list[Counter[Any]] = [Counter({"in": 1}), Counter(), Counter(), Counter()]
    inputs: dict[Any, Counter[Any]] = {}
    for edge, ((source, target), operation) in enumerate(zip(EDGES, operations, strict=True)):
        if operation == ZERO or not nodes[source]:
            continue
        if operation == SKIP and source:
            nodes[target].update(nodes[source])
        else:
            inputs[edge] = nodes[source]
            nodes[target][edge] += 1
    live, waiting = set(), list(nodes[3])
    while waiting:
        edge = waiting.pop()
        if edge != "in" and edge not in live:
            live.add(edge)
            waiting += list(inputs[edge])
    names: dict[Any, Any] = {"in": ("in",)} | {edge: (operations[edge],) for edge in live}
    for _ in range(3):  # as many rounds as modules can lie behind one another
        names = {"in": ("in",)} | {
            edge: (
                operations[edge],
                _sorted((times, names[given]) for given, times in inputs[edge].items()),
                nodes[3][edge],
                _sorted((inputs[user][edge], names[user]) for user in live if inputs[user][edge]),
            )
            for edge in live
        }
    return _sorted(names[edge] for edge in live)


def _sorted(items: Any) -> tuple[Any, ...]:
    return tuple(sorted(items, key=repr))


SPACE = MicroSpace()
