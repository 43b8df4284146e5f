"""What a multi-resolution network gives a machine to do, in quantities that take time: the features of latency models.

Each column is a sum over layers, never negative, and zero only where there is nothing to do: multiply-adds by stage and branch,
numbers read and written at each resolution, weights, how many kernels are started, and the multiply-adds by resolution that whole
vectors of sixteen channels take. A machine's time is near a sum of such columns with its own prices.

Processors with wide vectors work on sixteen channels at once, so 24 channels take the time of 32. These columns count every
number of channels rounded up to the next sixteen; a continuous code takes a straight line between two numbers of the space.

Shape suffixes: N codes, D dimensions, C numbers of channels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ncp.slopes import Slope
from ncp.spaces.dimensions import DIMENSIONS, STAGES
from ncp.spaces.layers import check_input, columns_of, layers
from ncp.spaces.polynomial import Evaluator, Polynomial

VECTOR = 16
CHANNELS = tuple(i for i, d in enumerate(DIMENSIONS) if d.kind in "ico")
"""Which of a code's numbers are channels."""
BRANCHES = [(s, r) for s in range(STAGES) for r in range(s + 1)]
LABELS = (
    "stem macs", "stem moved", *(f"branch macs {s + 1}_{r + 1}" for s, r in BRANCHES),
    *(f"fusion macs {s + 1}" for s in range(STAGES)), "head macs", *(f"moved {r + 1}" for r in range(STAGES)),
    "head moved", "weights", *(f"kernels {r + 1}" for r in range(STAGES)),
    *(f"vectors {r + 1}" for r in range(STAGES)), "head vectors",
)  # fmt: skip
"""Of the columns: macs are multiply-adds, moved are numbers read and written, kernels are started operations, vectors are
multiply-adds of whole vectors."""


def work(
    codes: Any,
    size: tuple[int, int] = (128, 128),
    head: str = "segmentation",
    classes: int = 19,
    in_channels: int = 3,
    stem_strides: tuple[int, int] = (2, 2),
) -> Any:
    """``(N, 32)`` float64 columns named ``LABELS`` of ``(N, 27)`` codes, arrays or tensors (then differentiable).

    The arguments are those of :func:`ncp.spaces.cost.count`, and so are the errors.
    """
    check_input(size, head, classes, in_channels, stem_strides)
    columns_of(codes)  # for its check of the shape
    return _evaluator(tuple(size), head, classes, in_channels, tuple(stem_strides))(with_vectors(codes))


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
    codes = np.asarray(codes_ND, dtype=np.float64)
    found = _evaluator(tuple(size), head, classes, in_channels, tuple(stem_strides)).slope(with_vectors(codes))

    def pull(d_NW: np.ndarray) -> np.ndarray:
        both = found.pull(d_NW)
        out: np.ndarray = both[:, : codes.shape[1]].copy()
        out[:, CHANNELS] += both[:, codes.shape[1] :] * _rise(codes[:, CHANNELS])
        return out

    return Slope(found.value, pull)


def with_vectors(codes: Any) -> Any:
    """``(..., D + C)``: codes, and behind them their numbers of channels rounded up to whole vectors."""
    if hasattr(codes, "detach"):
        import torch  # a tensor came in, so it is loaded already

        codes = codes if codes.is_floating_point() else codes.double()
        channels = codes[..., list(CHANNELS)]
        return torch.cat([codes, channels + _missing(channels)], -1)
    array = np.asarray(codes, dtype=np.float64)
    channels = array[..., list(CHANNELS)]
    return np.concatenate([array, channels + _missing(channels)], -1)


def _missing(channels: Any) -> Any:
    """Channels short of whole vectors: 0 at multiples of ``VECTOR``, half a vector halfway, straight lines between."""
    return VECTOR / 2 - abs(channels % VECTOR - VECTOR / 2)


def _rise(channels: np.ndarray) -> np.ndarray:
    """Derivative of channels and what they miss by channels; at the kinks what automatic differentiation says."""
    return 1 - np.sign(channels % VECTOR - VECTOR / 2)


@lru_cache(maxsize=16)
def _evaluator(*setting: Any) -> Evaluator:
    return Evaluator(work_polynomials(*setting), len(DIMENSIONS) + len(CHANNELS))


def work_polynomials(*setting: Any) -> list[Any]:
    """Polynomials of the columns in the numbers of :func:`with_vectors`; the arguments are those of :func:`work`."""
    columns: dict[str, Any] = dict.fromkeys(LABELS, 0)
    variables = Polynomial.variables(len(DIMENSIONS) + len(CHANNELS))
    code = variables[: len(DIMENSIONS)]
    whole = list(code)
    for place, i in enumerate(CHANNELS):
        whole[i] = variables[len(DIMENSIONS) + place]
    for layer, full in zip(layers(code, *setting), layers(whole, *setting), strict=True):
        branch, stage = max(layer.branch, 0) + 1, layer.stage + 1
        alone = layer.part in ("stem", "head")
        name = f" {stage}_{branch}" if layer.part == "branch" else f" {stage}" if layer.part == "fusion" else ""
        columns[f"{layer.part} macs{name}"] += layer.macs
        columns[f"{layer.part} moved" if alone else f"moved {branch}"] += layer.moved
        columns["weights"] += layer.weights
        columns[f"kernels {branch if layer.part != 'head' else STAGES}"] += layer.times + layer.times * bool(
            layer.extra
        )
        columns["head vectors" if layer.part == "head" else f"vectors {branch}"] += full.macs
    return list(columns.values())
