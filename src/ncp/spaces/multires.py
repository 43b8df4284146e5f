"""The multi-resolution space: networks of four stages with 1 to 4 parallel branches, each a code of 27 numbers.

Source: paper section 3.2, equations 8 and 9, Table 7. The numbers are described in :mod:`ncp.spaces.dimensions`, an
architecture in :mod:`ncp.spaces.architecture`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ncp.errors import UserError
from ncp.slopes import Slope
from ncp.spaces.architecture import Architecture, BlockSpec
from ncp.spaces.base import Cost
from ncp.spaces.cost import count, count_polynomials, count_slope
from ncp.spaces.dimensions import DIMENSIONS, INDEX, NAMES, STAGE_START, STAGES, Dimension
from ncp.spaces.memory import memory, memory_slope
from ncp.spaces.polynomial import Evaluator, Polynomial
from ncp.spaces.work import work, work_slope

__all__ = ["DIMENSIONS", "INDEX", "NAMES", "SPACE", "STAGE_START", "STAGES", "Architecture", "BlockSpec", "Dimension"]

# the release's form with a place for each of the 27 numbers
_TEXT = "%d_%d-%d_1_%d_%d-%d_2_%d_%d_%d_%d-%d_3_%d_%d_%d_%d_%d_%d-%d_4_%d_%d_%d_%d_%d_%d_%d_%d-%d"


class MultiResolutionSpace:
    """The space itself; satisfies :class:`ncp.spaces.base.Space`."""

    name = "multires"
    dim = len(DIMENSIONS)
    labels = NAMES

    def __init__(self) -> None:
        self.lower = np.array([d.lower for d in DIMENSIONS], dtype=np.float64)
        self.upper = np.array([d.upper for d in DIMENSIONS], dtype=np.float64)
        self.step = np.array([d.step for d in DIMENSIONS], dtype=np.float64)
        levels = (self.upper - self.lower) / self.step + 1
        self.center = (self.lower + self.upper) / 2
        self.scale = self.step * np.sqrt((levels**2 - 1) / 12)  # of the uniform distribution on the grid
        self.groups = _groups()
        self.widths = tuple(i for i, d in enumerate(DIMENSIONS) if d.kind in "ico")

    def parse(self, value: Any) -> Architecture:
        """See :meth:`Architecture.parse`."""
        return Architecture.parse(value)

    def encode(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """``(N, 27)`` float64 codes."""
        return np.array([a.code for a in architectures], dtype=np.float64).reshape(-1, self.dim)

    def texts(self, codes_ND: np.ndarray) -> list[str]:
        """``(N, 27)`` valid codes as text, many at a time."""
        return [_TEXT % tuple(code) for code in codes_ND.tolist()]

    def round(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, 27)`` int64: nearest multiples of the steps within the bounds (paper 3.1; halves round up)."""
        codes = np.floor((np.asarray(codes_ND, dtype=np.float64) + self.step / 2) / self.step) * self.step
        return np.clip(codes, self.lower, self.upper).astype(np.int64)

    def project(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, 27)`` continuous codes within the bounds."""
        return np.clip(np.asarray(codes_ND, dtype=np.float64), self.lower, self.upper)

    def decode(self, codes_ND: np.ndarray) -> list[Architecture]:
        """The architectures nearest to ``(N, 27)`` continuous codes."""
        codes = np.asarray(codes_ND, dtype=np.float64)
        if codes.ndim != 2 or codes.shape[1] != self.dim or not np.isfinite(codes).all():
            raise UserError(f"decode needs finite codes of shape (N, {self.dim}), given was {codes.shape}")
        return [Architecture(tuple(row)) for row in self.round(codes).tolist()]

    def sample_codes(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n, 27)`` int64 codes, uniform over the grid."""
        levels = ((self.upper - self.lower) / self.step).astype(np.int64) + 1
        return (self.lower + rng.integers(0, levels, size=(n, self.dim)) * self.step).astype(np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """``n`` architectures drawn uniformly and independently (paper 3.2)."""
        return [Architecture(tuple(row)) for row in self.sample_codes(n, rng).tolist()]

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """All architectures that differ by one step in one dimension (27 to 54 of them)."""
        out = []
        for i, d in enumerate(DIMENSIONS):
            for value in (architecture.code[i] - d.step, architecture.code[i] + d.step):
                if d.lower <= value <= d.upper:
                    out.append(Architecture((*architecture.code[:i], value, *architecture.code[i + 1 :])))
        return out

    def default(self) -> Architecture:
        """``{b, n = 2; c, i, o = 64}``, the start of every search in the paper (section 4.1)."""
        return Architecture(tuple(2 if d.kind in "bn" else 64 for d in DIMENSIONS))

    def narrow(self) -> Architecture:
        """The smallest architecture, for tests of everything else."""
        return Architecture(tuple(int(low) for low in self.lower))

    def cost(self, codes: Any) -> Cost:
        """Cost at 128 x 128 with 19 classes per pixel; see :func:`ncp.spaces.cost.count` for anything else."""
        return count(codes)

    def work(self, codes: Any, **setting: Any) -> Any:
        """``(N, 32)``: what takes a machine time; see :func:`ncp.spaces.work.work` for the setting."""
        return work(codes, **setting)

    def memory(self, codes: Any, **setting: Any) -> Any:
        """``(N,)`` bytes of the peak while the network runs; see :func:`ncp.spaces.memory.memory` for the setting."""
        return memory(codes, **setting)

    def features(self, codes: Any) -> Any:
        """``(N, 33)``: logarithms of the code, of each branch's depth in convolutions, of MACs and of parameters.

        On these the metrics are smooth: accuracy follows ratios of width and depth rather than differences, and a branch's
        depth is a sum over stages. For arrays and tensors (then differentiable).
        """
        extra = _feature_rule()(codes)
        if hasattr(codes, "detach"):
            import torch  # a tensor came in, so it is loaded already

            return torch.log2(torch.cat([codes, extra], dim=-1))
        return np.log2(np.concatenate([np.asarray(codes, dtype=np.float64), extra], axis=-1))

    def feature_slope(self, codes_ND: np.ndarray) -> Slope:
        """:meth:`features` with the way back."""
        codes, extra = np.asarray(codes_ND, dtype=np.float64), _feature_rule().slope(codes_ND)
        both = np.concatenate([codes, extra.value], axis=1)

        def pull(d_NF: np.ndarray) -> np.ndarray:
            d_NF = d_NF / (both * np.log(2))
            return np.asarray(d_NF[:, : self.dim] + extra.pull(d_NF[:, self.dim :]))

        return Slope(np.log2(both), pull)

    def cost_slope(self, codes_ND: np.ndarray) -> Slope:
        """``(N, 2)``: multiply-adds and parameters of :meth:`cost` with the way back."""
        return count_slope(codes_ND)

    def work_slope(self, codes_ND: np.ndarray, **setting: Any) -> Slope:
        """:meth:`work` with the way back."""
        return work_slope(codes_ND, **setting)

    def memory_slope(self, codes_ND: np.ndarray, **setting: Any) -> Slope:
        """:meth:`memory` with the way back."""
        return memory_slope(codes_ND, **setting)


@lru_cache(maxsize=1)
def _feature_rule() -> Evaluator:
    return Evaluator([*depth_polynomials(), *count_polynomials()], len(DIMENSIONS))


def depth_polynomials() -> list[Polynomial]:
    """Depth of each branch: its 3x3 convolutions over all stages."""
    x = Polynomial.variables(len(DIMENSIONS))
    depths = []
    for branch in range(1, STAGES + 1):
        depth = Polynomial({})
        for stage in range(branch, STAGES + 1):
            depth = depth + x[INDEX[f"b{stage}"]] * (2 * x[INDEX[f"n{stage}_{branch}"]] + 1)
        depths.append(depth)
    return depths


def _groups() -> dict[str, tuple[int, ...]]:
    """The eight panels of the paper's Figure 3 that show dimensions (its other panels are metrics and cost)."""

    def where(kinds: str, stages: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(i for i, d in enumerate(DIMENSIONS) if d.kind in kinds and d.stage in stages)

    return {
        "Blocks": where("b", (1, 2, 3, 4)),
        "Units, stages 1 and 2": where("n", (1, 2)),
        "Units, stage 3": where("n", (3,)),
        "Units, stage 4": where("n", (4,)),
        "Stem and output channels": where("io", (0,)),
        "Channels, stages 1 and 2": where("c", (1, 2)),
        "Channels, stage 3": where("c", (3,)),
        "Channels, stage 4": where("c", (4,)),
    }


SPACE = MultiResolutionSpace()
