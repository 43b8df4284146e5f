"""The NAS-Bench-201 space: one cell of 6 edges, each with one of 5 operations, as a 30-number one-hot code.

Source: the paper's appendix C; Dong and Yang, ICLR 2020. Edges are ordered 0>1, 0>2, 1>2, 0>3, 1>3, 2>3 and operations as
in the released table, so that a code here is an ``embedding`` there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncp import files
from ncp.errors import UserError
from ncp.spaces.base import Cost
from ncp.spaces.cell import EDGES, N_EDGES, CellSpace, operations_of

__all__ = ["EDGES", "OPERATIONS", "SPACE", "Architecture", "NasBench201Space"]

OPERATIONS: tuple[str, ...] = ("avg_pool_3x3", "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
N_OPS = len(OPERATIONS)
_LONGEST_TEXT = 500

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
            return cls(operations_of(value, N_OPS))
        raise UserError(f"a cell is 30 numbers or a |op~0|+... text; given was {files.kind_of(value)}")

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


class NasBench201Space(CellSpace):
    """The space itself; satisfies :class:`ncp.spaces.base.Space`."""

    name = "nasbench201"
    analytic = True
    kind = Architecture
    none = OPERATIONS.index("none")
    skip = OPERATIONS.index("skip_connect")
    convolutions = (OPERATIONS.index("nor_conv_1x1"), OPERATIONS.index("nor_conv_3x3"))

    def __init__(self) -> None:
        super().__init__(OPERATIONS)

    def parse(self, value: Any) -> Architecture:
        """See :meth:`Architecture.parse`."""
        return Architecture.parse(value)

    def default(self) -> Architecture:
        """3x3 convolutions everywhere: the dearest cell."""
        return Architecture((N_OPS - 1,) * N_EDGES)

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
