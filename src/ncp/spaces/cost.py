"""Exact parameters and multiply-adds of a multi-resolution network, from its code alone.

The rule is one expression in the code's columns. On integer arrays it is exact, at millions of architectures a second; for
torch tensors it is taken apart into its 90 or so monomials first, so that it and its gradient take a handful of operations.
No network is built.

With A the number of output pixels, a k x k convolution from ``i`` to ``o`` channels has ``k*k*i*o*A`` multiply-adds and,
with the batch norm that follows it, ``k*k*i*o + 2*o`` parameters.

Sources: the layers as in the paper, section 3.2 and Figure 2; the recorded columns of the release, which count one per
output number of a convolution with bias and two per number that enters a batch norm in addition.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ncp.errors import UserError
from ncp.slopes import Slope
from ncp.spaces.base import Cost
from ncp.spaces.dimensions import DIMENSIONS, STAGE_START
from ncp.spaces.layers import HEADS, branch_sizes, check_input, columns_of
from ncp.spaces.memory import memory
from ncp.spaces.polynomial import Evaluator, Polynomial

__all__ = ["HEADS", "bev", "branch_sizes", "count", "kitti_units", "memory", "paper_units", "release_units", "video"]
PAPER_CLASSES = 19  # the paper's Table 3 measures every network "under the segmentation task"
VIDEO_CLASSES = 51  # of HMDB51
RELEASE_CLASSES = 50  # the release's tables: the 50-class classifier, whatever the setting


class _Tally(NamedTuple):
    """Raw counts: multiply-adds, convolution weights, channels with a norm, numbers entering norms, biased outputs."""

    macs: Any
    weights: Any
    normed_channels: Any
    normed_numbers: Any
    biases: int
    biased_numbers: int


def count(
    codes: Any,
    size: tuple[int, int] = (128, 128),
    head: str = "segmentation",
    classes: int = PAPER_CLASSES,
    in_channels: int = 3,
    stem_strides: tuple[int, int] = (2, 2),
) -> Cost:
    """Parameters and multiply-adds of networks.

    Args:
        codes: ``(N, 27)`` codes (numpy or torch, one-dimensional for a single one), or architectures.
        size: height and width of the input in pixels.
        head: ``segmentation`` (branches joined at the finest, classifier per pixel) or ``classification`` (joined at the
            coarsest, averaged, one linear layer).
        classes: outputs of the classifier; 0 leaves the classifier out.
        in_channels: channels of the input.
        stem_strides: strides of the two stem convolutions ((2, 1) for bird's-eye-view detection).

    Returns:
        ``params`` (with the norms' and the classifier's bias) and ``macs`` (of convolutions and linear layers only), each
        ``(N,)`` int64 for arrays, tensors for tensors.

    Raises:
        UserError: for a head or size that does not exist, or codes of another length than 27.
    """
    tally = _tally(codes, size, head, classes, in_channels, stem_strides)
    return Cost(params=tally.weights + 2 * tally.normed_channels + tally.biases, macs=tally.macs)


def bev(codes: Any, size: tuple[int, int] = (496, 432), in_channels: int = 64) -> Cost:
    """Cost of the network that reads a bird's-eye view (3D detection): no classifier, the map of ``o1`` channels comes out.

    Args:
        codes: as in :func:`count`.
        size: cells of the view; KITTI's at 0.16 m unless given. The stem's strides are 2 and 1.
        in_channels: channels that the pillars write into a cell.
    """
    return count(codes, size, "segmentation", classes=0, in_channels=in_channels, stem_strides=(2, 1))


def video(
    codes: Any,
    size: tuple[int, int] = (112, 112),
    frames: int = 8,
    classes: int = VIDEO_CLASSES,
    in_channels: int = 3,
) -> Cost:
    """Cost of one clip in the video network: the 2D network on every frame, joined by a 3x3x3 convolution over the frames.

    That convolution is padded, so it writes as many frames as it reads; the average is over time and space.

    Args:
        codes: as in :func:`count`.
        size: height and width of a frame in pixels.
        frames: of a clip.
        classes: outputs of the classifier; 0 leaves it out.
        in_channels: channels of a frame.

    Raises:
        UserError: as :func:`count`, and for fewer frames than one.
    """
    if frames < 1:
        raise UserError(f"frames must be at least 1, given was {frames}")
    frame = _tally(codes, size, "classification", 0, in_channels, (2, 2))
    x = columns_of(codes)
    deepened = 26 * _join(x)  # 27 taps where the 2D join has one
    height, width = branch_sizes(size)[-1]
    params = frame.weights + 2 * frame.normed_channels + deepened + classes * (x[26] + 1)
    return Cost(params=params, macs=frames * (frame.macs + height * width * deepened) + classes * x[26])


def release_units(codes: Any, size: tuple[int, int] = (128, 128)) -> tuple[Any, Any]:
    """``(flops_g, params_m)`` as the release's tables hold them: billions and millions, float64, equal to the last digit.

    The release counts the 50-class classifier at 128 x 128 in every setting.
    """
    return _thop(_tally(codes, size, "classification", RELEASE_CLASSES, 3, (2, 2)))


def kitti_units(codes: Any, size: int = 128) -> tuple[Any, Any]:
    """``(flops_g, params_m)`` as the 3ddet table holds them: 19 classes per pixel, stem strides 2 and 1, 128 or 112 pixels."""
    return _thop(_tally(codes, (size, size), "segmentation", PAPER_CLASSES, 3, (2, 1)))


def paper_units(codes: Any, size: int = 128) -> tuple[Any, Any]:
    """``(flops_g, params_m)`` in the convention of the paper's Table 3: ``size`` x ``size`` pixels, 19 classes per pixel."""
    return _thop(_tally(codes, (size, size), "segmentation", PAPER_CLASSES, 3, (2, 2)))


def _thop(tally: _Tally) -> tuple[Any, Any]:
    """What thop 0.0.31 reports (it calls multiply-adds FLOPs)."""
    operations = tally.macs + tally.biased_numbers + 2 * tally.normed_numbers
    return operations / 1e9, (tally.weights + 2 * tally.normed_channels + tally.biases) / 1e6


def _join(columns: Any) -> Any:
    """Weights of the 1x1 convolution that joins the last stage's branches: (c4_1 + c4_2 + c4_3 + c4_4) * o1."""
    c = STAGE_START[-1] + 1 + len(STAGE_START)
    return (columns[c] + columns[c + 1] + columns[c + 2] + columns[c + 3]) * columns[-1]


def _tally(
    codes: Any,
    size: tuple[int, int],
    head: str,
    classes: int,
    in_channels: int,
    stem_strides: tuple[int, int],
) -> _Tally:
    check_input(size, head, classes, in_channels, stem_strides)
    setting: Any = (tuple(size), head, classes, in_channels, tuple(stem_strides))
    if not hasattr(codes, "detach"):
        return _rule(columns_of(codes), *setting)
    columns_of(codes)  # for its check of the shape
    macs, weights, channels, numbers = _evaluator(*setting)(codes).unbind(-1)
    outputs = branch_sizes(size, stem_strides)[1] if head == "segmentation" else (1, 1)
    return _Tally(macs, weights, channels, numbers, classes, classes * outputs[0] * outputs[1])


def count_polynomials() -> tuple[Polynomial, Polynomial]:
    """MACs and parameters at :func:`count`'s defaults, as polynomials in the 27 dimensions."""
    tally = _rule(Polynomial.variables(len(DIMENSIONS)), (128, 128), "segmentation", PAPER_CLASSES, 3, (2, 2))
    return tally.macs, tally.weights + 2 * tally.normed_channels + tally.biases


@lru_cache(maxsize=1)
def _usual_evaluator() -> Evaluator:
    return Evaluator(list(count_polynomials()), len(DIMENSIONS))


def count_slope(codes_ND: np.ndarray) -> Slope:
    """``(N, 2)`` MACs and parameters at :func:`count`'s defaults of continuous codes, with the way back."""
    return _usual_evaluator().slope(codes_ND)


@lru_cache(maxsize=32)
def _evaluator(*setting: Any) -> Evaluator:
    """The rule taken apart into monomials, for tensors."""
    tally = _rule(Polynomial.variables(len(DIMENSIONS)), *setting)
    return Evaluator([tally.macs, tally.weights, tally.normed_channels, tally.normed_numbers], len(DIMENSIONS))


def _rule(
    x: Any, size: tuple[int, int], head: str, classes: int, in_channels: int, stem_strides: tuple[int, int]
) -> _Tally:
    """The counting rule, once, over the 27 columns ``x`` of anything that adds and multiplies."""
    stem_area, *area = (h * w for h, w in branch_sizes(size, stem_strides))
    i1, i2, o1 = x[0], x[1], x[26]

    stem = i1 * i2
    weights = 9 * (in_channels * i1 + stem)
    macs = 9 * (in_channels * stem_area * i1 + area[0] * stem)
    channels = i1 + i2
    numbers = stem_area * i1 + area[0] * i2

    previous: list[Any] = [i2]
    for stage, start in enumerate(STAGE_START, start=1):
        b = x[start]
        units = [x[start + 1 + r] for r in range(stage)]
        width = [x[start + 1 + stage + r] for r in range(stage)]
        for r in range(stage):
            c, n, a = width[r], units[r], area[r]
            # the parallel module of all b blocks, and the diagonal 3x3 of the b - 1 fusions inside the stage
            square = c * c
            convs = 2 * (b * n) + (b - 1)
            norms = convs
            weight = 9 * (convs * square)
            # the transition into the stage: from the previous stage's branches, or from this stage's own for the new one
            if r < stage - 1 or stage == 1:
                weight = weight + 9 * (previous[r] * c)
                norms = norms + 1
            if r > 0:  # from the finer branch: 3x3, stride 2
                finer = width[r - 1]
                source = previous[r - 1] if r < stage - 1 else finer
                weight = weight + 9 * (c * ((b - 1) * finer + source))
                norms = norms + b
            weights = weights + weight
            macs = macs + a * weight
            channels = channels + norms * c
            numbers = numbers + a * (norms * c)
            if r < stage - 1:  # from the coarser branch: 1x1 at the coarser size
                up = (b - 1) * width[r + 1]
                times = b - 1
                if r + 1 < stage - 1:
                    up = up + previous[r + 1]
                    times = b
                weight = up * c
                weights = weights + weight
                macs = macs + area[r + 1] * weight
                channels = channels + times * c
                numbers = numbers + area[r + 1] * (times * c)
        previous = width

    joined = area[0] if head == "segmentation" else area[-1]
    join = _join(x)
    weights = weights + join + classes * o1
    channels = channels + o1
    numbers = numbers + joined * o1
    outputs = area[0] if head == "segmentation" else 1
    macs = macs + joined * join + (classes * outputs) * o1
    return _Tally(macs, weights, channels, numbers, classes, classes * outputs)
