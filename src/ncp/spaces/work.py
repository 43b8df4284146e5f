"""What a multi-resolution network gives a machine to do, in quantities that take time: the features of latency models.

Each column is a sum over layers, never negative, and zero only where there is nothing to do: multiply-adds by stage and branch,
numbers read and written at each resolution, weights, and how many kernels are started. A machine's time is near a sum of such
columns with its own prices.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ncp.slopes import Slope
from ncp.spaces.dimensions import DIMENSIONS, STAGES
from ncp.spaces.layers import check_input, columns_of, layers
from ncp.spaces.polynomial import Evaluator, Polynomial

BRANCHES = [(s, r) for s in range(STAGES) for r in range(s + 1)]
LABELS = (
    "stem macs", "stem moved", *(f"branch macs {s + 1}_{r + 1}" for s, r in BRANCHES),
    *(f"fusion macs {s + 1}" for s in range(STAGES)), "head macs", *(f"moved {r + 1}" for r in range(STAGES)),
    "head moved", "weights", *(f"kernels {r + 1}" for r in range(STAGES)),
)  # fmt: skip
"""Of the columns: macs are multiply-adds, moved are numbers read and written, kernels are started operations."""


def work(
    codes: Any,
    size: tuple[int, int] = (128, 128),
    head: str = "segmentation",
    classes: int = 19,
    in_channels: int = 3,
    stem_strides: tuple[int, int] = (2, 2),
) -> Any:
    """``(N, 27)`` float64 columns named ``LABELS`` of ``(N, 27)`` codes, arrays or tensors (then differentiable).

    The arguments are those of :func:`ncp.spaces.cost.count`, and so are the errors.
    """
    check_input(size, head, classes, in_channels, stem_strides)
    columns_of(codes)  # for its check of the shape
    return _evaluator(tuple(size), head, classes, in_channels, tuple(stem_strides))(codes)


def work_slope(
    codes_ND: np.ndarray,
    size: tuple[int, int] = (128, 128),
    head: str = "segmentation",
    classes: int = 19,
    in_channels: int = 3,
    stem_strides: tuple[int, int] = (2, 2),
) -> Slope:
    """The same of continuous codes, with the way back."""
    check_input(size, head, classes, in_channels, stem_strides)
    return _evaluator(tuple(size), head, classes, in_channels, tuple(stem_strides)).slope(codes_ND)


@lru_cache(maxsize=16)
def _evaluator(*setting: Any) -> Evaluator:
    return Evaluator(work_polynomials(*setting), len(DIMENSIONS))


def work_polynomials(*setting: Any) -> list[Any]:
    """The columns as polynomials in the 27 dimensions; the arguments are those of :func:`work` after the codes, in order."""
    columns: dict[str, Any] = dict.fromkeys(LABELS, 0)
    for layer in layers(Polynomial.variables(len(DIMENSIONS)), *setting):
        branch, stage = max(layer.branch, 0) + 1, layer.stage + 1
        alone = layer.part in ("stem", "head")
        name = f" {stage}_{branch}" if layer.part == "branch" else f" {stage}" if layer.part == "fusion" else ""
        columns[f"{layer.part} macs{name}"] += layer.macs
        columns[f"{layer.part} moved" if alone else f"moved {branch}"] += layer.moved
        columns["weights"] += layer.weights
        columns[f"kernels {branch if layer.part != 'head' else STAGES}"] += layer.times + layer.times * bool(
            layer.extra
        )
    return list(columns.values())
