"""The NAS-Bench-201 space: one cell of 6 edges, each with one of 5 operations, as a 30-number one-hot code.

Source: the paper's appendix C; Dong and Yang, ICLR 2020. Edges are ordered 0>1, 0>2, 1>2, 0>3, 1>3, 2>3 and operations as
in the released table, so that a code here is an ``embedding`` there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ncp import files
from ncp.errors import UserError
from ncp.spaces.base import Cost

EDGES: tuple[tuple[int, int], ...] = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATIONS: tuple[str, ...] = ("avg_pool_3x3", "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
N_EDGES, N_OPS = len(EDGES), len(OPERATIONS)
_LONGEST_TEXT = 500

_PATHS = ((0, 2, 5), (0, 4), (1, 5), (3,))  # edges of each path from the cell's input to its output

# The whole network at 32 x 32 with 100 classes, as the released table counts it: 16, 32 and 64 channels, 5 cells each.
_CONV_1X1 = 5 * (16**2 + 32**2 + 64**2)  # weights of one edge over all 15 cells
_EDGE_NORMS = 5 * 2 * (16 + 32 + 64)
_PIXELS_1X1 = 5 * (16**2 * 32**2 + 32**2 * 16**2 + 64**2 * 8**2)
_STEM = 9 * 3 * 16
_REDUCTIONS = ((16, 32, 16), (32, 64, 8))  # channels in, channels out, output size of the two residual blocks between
_REDUCE_WEIGHTS = [9 * i * o + 9 * o * o + i * o for i, o, _ in _REDUCTIONS]
_CLASSIFIER = 64 * 100
_BASE_MACS = (
    _STEM * 32**2 + sum(w * s * s for w, (_, _, s) in zip(_REDUCE_WEIGHTS, _REDUCTIONS, strict=True)) + _CLASSIFIER
)
_BASE_PARAMS = _STEM + 2 * 16 + sum(_REDUCE_WEIGHTS) + 4 * (32 + 64) + 2 * 64 + _CLASSIFIER + 100


@dataclass(frozen=True)
class Architecture:
    """One cell. ``operations`` holds an index into ``OPERATIONS`` for each edge.

    >>> a = Architecture.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|")
    >>> a.operations, Architecture.parse(a.code) == a
    ((4, 1, 2, 3, 1, 0), True)
    """

    operations: tuple[int, ...]

    def __post_init__(self) -> None:
        values = tuple(int(v) for v in self.operations)
        if len(values) != N_EDGES or any(not 0 <= v < N_OPS for v in values):
            raise UserError(f"a cell has {N_EDGES} operations numbered 0..{N_OPS - 1}, given were {self.operations}")
        object.__setattr__(self, "operations", values)

    @classmethod
    def parse(cls, value: Any) -> Architecture:
        """Read a cell from a 30-number one-hot code, the standard ``|op~0|+...`` text, or a mapping with one of them.

        Raises:
            UserError: naming the edge, what was given and what is allowed.
        """
        if isinstance(value, Architecture):
            return value
        if isinstance(value, str):
            return cls(_from_text(value))
        if isinstance(value, Mapping):
            for key in ("code", "text", "embedding"):
                if value.get(key) is not None and not isinstance(value[key], Mapping):
                    return cls.parse(value[key])
            keys = ", ".join(files.shown(key, 40) for key in list(value)[:20])
            raise UserError(f"a mapping that describes a cell needs code, text or embedding; given were {keys}")
        if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (bytes, bytearray)):
            return cls(_from_one_hot(value))
        raise UserError(f"a cell is 30 numbers or a |op~0|+... text; given was a {type(value).__name__}")

    @property
    def code(self) -> tuple[int, ...]:
        """30 numbers, one-hot per edge."""
        return tuple(int(i == op) for op in self.operations for i in range(N_OPS))

    @property
    def text(self) -> str:
        """The benchmark's own string."""
        nodes: list[list[str]] = [[], [], []]
        for (source, target), op in zip(EDGES, self.operations, strict=True):
            nodes[target - 1].append(f"{OPERATIONS[op]}~{source}")
        return "+".join(f"|{'|'.join(words)}|" for words in nodes)

    def __str__(self) -> str:
        return self.text


def _from_text(text: str) -> tuple[int, ...]:
    if len(text) > _LONGEST_TEXT:
        raise UserError(f"a cell text has at most {_LONGEST_TEXT} characters, given were {len(text):,}")
    words = re.findall(r"[^|+]+", text.strip())
    if len(words) != N_EDGES:
        raise UserError(f"a cell text names {N_EDGES} edges, '{files.shown(text)}' names {len(words)}")
    out = []
    for (source, target), word in zip(EDGES, words, strict=True):
        name, _, node = word.partition("~")
        if name not in OPERATIONS or node != str(source):
            raise UserError(
                f"edge {source}>{target} must be one of {', '.join(OPERATIONS)} followed by ~{source}, given was "
                f"'{files.shown(word)}'"
            )
        out.append(OPERATIONS.index(name))
    return tuple(out)


def _from_one_hot(values: Sequence[Any] | np.ndarray) -> tuple[int, ...]:
    length = N_EDGES * N_OPS
    if len(np.shape(values) if isinstance(values, np.ndarray) else [0]) != 1 or len(values) != length:
        shape = values.shape if isinstance(values, np.ndarray) else (len(values),)
        raise UserError(f"a cell code has {length} numbers, given was shape {shape}")
    out = []
    for edge, (source, target) in enumerate(EDGES):
        row = [_bit(value) for value in values[edge * N_OPS : (edge + 1) * N_OPS]]
        if row.count(1) != 1 or row.count(0) != N_OPS - 1:
            shown = [files.shown(value) for value in values[edge * N_OPS : (edge + 1) * N_OPS]]
            raise UserError(f"edge {source}>{target} must have one 1 and four 0, given was [{', '.join(shown)}]")
        out.append(row.index(1))
    return tuple(out)


def _bit(value: Any) -> int | None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    return 0 if value == 0 else 1 if value == 1 else None


def _in_use(live: Any) -> tuple[list[Any], Any]:
    """Per edge the ``(N,)`` share to which it lies on an open path, and that to which the output has any input.

    ``live`` is ``(N, 6)``: 1 where an edge passes something on. Exact for valid codes, multilinear between them.
    """
    e01, e02, e12, e03, e13, e23 = (live[:, i] for i in range(N_EDGES))
    into2 = 1 - (1 - e02) * (1 - e01 * e12)
    out1 = 1 - (1 - e13) * (1 - e12 * e23)
    output = 1 - (1 - e03) * (1 - e01 * e13) * (1 - into2 * e23)
    return [e01 * out1, e02 * e23, e01 * e12 * e23, e03, e01 * e13, into2 * e23], output


class NasBench201Space:
    """The space itself; satisfies :class:`ncp.spaces.base.Space`."""

    name = "nasbench201"
    dim = N_EDGES * N_OPS
    labels = tuple(f"{s}>{t} {op}" for s, t in EDGES for op in OPERATIONS)

    def __init__(self) -> None:
        self.lower = np.zeros(self.dim)
        self.upper = np.ones(self.dim)
        self.step = np.ones(self.dim)
        self.center = np.full(self.dim, 1 / N_OPS)
        self.scale = np.full(self.dim, np.sqrt(1 / N_OPS * (1 - 1 / N_OPS)))
        self.groups = {f"Edge {s} to {t}": tuple(range(i * N_OPS, (i + 1) * N_OPS)) for i, (s, t) in enumerate(EDGES)}

    def parse(self, value: Any) -> Architecture:
        """See :meth:`Architecture.parse`."""
        return Architecture.parse(value)

    def encode(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """``(N, 30)`` float64 one-hot codes."""
        return np.array([a.code for a in architectures], dtype=np.float64).reshape(-1, self.dim)

    def texts(self, codes_ND: np.ndarray) -> list[str]:
        """``(N, 30)`` valid codes as text, many at a time."""
        operations = np.asarray(codes_ND).reshape(-1, N_EDGES, N_OPS).argmax(-1)
        return [Architecture(tuple(ops)).text for ops in operations.tolist()]

    def round(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, 30)`` int64: each edge's largest number becomes 1, the others 0 (appendix C.3)."""
        codes = np.asarray(codes_ND, dtype=np.float64).reshape(-1, N_EDGES, N_OPS)
        out: np.ndarray = np.eye(N_OPS, dtype=np.int64)[codes.argmax(-1)].reshape(-1, self.dim)
        return out

    def project(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, 30)``: on each edge the nearest shares of the five operations, none negative and all together 1.

        Without this an edge could have every operation at once, and raising one would displace no other.
        """
        codes = np.asarray(codes_ND, dtype=np.float64).reshape(-1, N_EDGES, N_OPS)
        falling = -np.sort(-codes, axis=-1)
        over = (np.cumsum(falling, -1) - 1) / np.arange(1, N_OPS + 1)  # what the k largest have too much, each
        used = (falling > over).sum(-1, keepdims=True)
        shares = np.maximum(codes - np.take_along_axis(over, used - 1, -1), 0)
        return shares.reshape(-1, self.dim)

    def decode(self, codes_ND: np.ndarray) -> list[Architecture]:
        """The cells nearest to ``(N, 30)`` continuous codes, by argmax per edge."""
        codes = np.asarray(codes_ND, dtype=np.float64)
        if codes.ndim != 2 or codes.shape[1] != self.dim or not np.isfinite(codes).all():
            raise UserError(f"decode needs finite codes of shape (N, {self.dim}), given was {codes.shape}")
        return [Architecture(tuple(ops)) for ops in codes.reshape(-1, N_EDGES, N_OPS).argmax(-1).tolist()]

    def sample(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """``n`` cells drawn uniformly and independently."""
        return [Architecture(tuple(ops)) for ops in rng.integers(0, N_OPS, size=(n, N_EDGES)).tolist()]

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """The 24 cells that differ in one edge."""
        ops = architecture.operations
        return [
            Architecture((*ops[:edge], op, *ops[edge + 1 :]))
            for edge, op in product(range(N_EDGES), range(N_OPS))
            if op != ops[edge]
        ]

    def default(self) -> Architecture:
        """3x3 convolutions everywhere: the dearest cell."""
        return Architecture((N_OPS - 1,) * N_EDGES)

    def all(self) -> list[Architecture]:
        """All 15,625 cells."""
        return [Architecture(ops) for ops in product(range(N_OPS), repeat=N_EDGES)]

    def features(self, codes: Any) -> Any:
        """``(N, 48)``: what of the cell is in use; for arrays and tensors (then differentiable).

        An operation that nothing flows through, or whose result nothing uses, changes nothing in the network, which the
        plain code hides. So: the code with such edges zeroed (30), how often each operation is in use (5), whether the
        output has an input at all (1), and for each of the four paths from input to output whether it is open, its
        convolutions if it is, and whether it is all skips (12).
        """
        e = codes if hasattr(codes, "detach") else np.asarray(codes, dtype=np.float64)
        e = e.reshape(-1, N_EDGES, N_OPS)
        live = 1 - e[..., OPERATIONS.index("none")]
        skip = e[..., OPERATIONS.index("skip_connect")]
        conv = e[..., OPERATIONS.index("nor_conv_1x1")] + e[..., OPERATIONS.index("nor_conv_3x3")]
        used, output = _in_use(live)
        weighted = [e[:, i] * used[i][:, None] for i in range(N_EDGES)]
        columns = [output]
        for path in _PATHS:
            first, *rest = path
            alive, skips, depth = live[:, first], skip[:, first], conv[:, first]
            for i in rest:
                alive, skips, depth = alive * live[:, i], skips * skip[:, i], depth + conv[:, i]
            columns += [alive, alive * depth, skips]
        parts = [*weighted, sum(weighted), *(c[:, None] for c in columns)]
        if hasattr(codes, "detach"):
            import torch  # a tensor came in, so it is loaded already

            return torch.cat(parts, dim=-1)
        return np.concatenate(parts, axis=-1)

    def work(self, codes: Any, **setting: Any) -> Any:
        """``(N, 8)``: how often each operation that takes time is in the cell, and how often it is in use.

        Some runtimes run every edge, others leave out what changes nothing in the result. A setting does not matter: all
        networks of the benchmark have one size.
        """
        e = codes if hasattr(codes, "detach") else np.asarray(codes, dtype=np.float64)
        e = e.reshape(-1, N_EDGES, N_OPS)
        used, _ = _in_use(1 - e[..., OPERATIONS.index("none")])
        busy = [op for op, name in enumerate(OPERATIONS) if name != "none"]
        there = [e[..., op].sum(-1) for op in busy]
        active = [sum(e[:, i, op] * used[i] for i in range(N_EDGES)) for op in busy]
        if hasattr(codes, "detach"):
            import torch  # a tensor came in, so it is loaded already

            return torch.stack([*there, *active], dim=-1)
        return np.stack([*there, *active], axis=-1)

    def cost(self, codes: Any) -> Cost:
        """Of the whole network of 15 cells for 32 x 32 pixels and 100 classes, as in the released table."""
        x = codes if hasattr(codes, "detach") else np.asarray(codes)
        conv1 = x[..., OPERATIONS.index("nor_conv_1x1") :: N_OPS].sum(-1)
        conv3 = x[..., OPERATIONS.index("nor_conv_3x3") :: N_OPS].sum(-1)
        return Cost(
            params=_BASE_PARAMS + (_CONV_1X1 + _EDGE_NORMS) * conv1 + (9 * _CONV_1X1 + _EDGE_NORMS) * conv3,
            macs=_BASE_MACS + _PIXELS_1X1 * conv1 + 9 * _PIXELS_1X1 * conv3,
        )


SPACE = NasBench201Space()
