"""The 27 numbers of a multi-resolution architecture: their names, bounds and steps are written here and nowhere else.

Source: paper section 3.2, equations 8 and 9, Table 7.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

STAGES = 4
DEPTH_RANGE = (1, 4, 1)  # blocks (b) and residual units (n): lower, upper, step
CHANNEL_RANGE = (8, 128, 8)  # channels (i, c, o)


class Dimension(NamedTuple):
    """One number of the code. ``kind`` is i, b, n, c or o; ``stage`` and ``branch`` count from 1 (0: none)."""

    name: str
    kind: str
    stage: int
    branch: int
    lower: int
    upper: int
    step: int


def _dimensions() -> Iterable[Dimension]:
    yield Dimension("i1", "i", 0, 0, *CHANNEL_RANGE)
    yield Dimension("i2", "i", 0, 0, *CHANNEL_RANGE)
    for stage in range(1, STAGES + 1):
        yield Dimension(f"b{stage}", "b", stage, 0, *DEPTH_RANGE)
        for kind, limits in (("n", DEPTH_RANGE), ("c", CHANNEL_RANGE)):
            for branch in range(1, stage + 1):
                yield Dimension(f"{kind}{stage}_{branch}", kind, stage, branch, *limits)
    yield Dimension("o1", "o", 0, 0, *CHANNEL_RANGE)


DIMENSIONS: tuple[Dimension, ...] = tuple(_dimensions())
NAMES: tuple[str, ...] = tuple(d.name for d in DIMENSIONS)
INDEX: dict[str, int] = {name: i for i, name in enumerate(NAMES)}
STAGE_START: tuple[int, ...] = tuple(INDEX[f"b{s}"] for s in range(1, STAGES + 1))
