"""The most memory that a network needs to look at one batch: its weights, and the maps that live at the same time.

The network's operations run in one order (:mod:`ncp.models`), and a map lives from the operation that writes it until nothing
refers to it any more: a block's inputs until the block has ended, what a fusion has written until the branches have been gone
through. At every operation the sum of the living maps is an expression in the widths, and the largest of these some hundred
sums is the peak. Norms count as folded into the convolutions, ReLUs and sums as done in place, and what a convolution's own
algorithm needs beside its maps is not counted, since it differs between libraries.

Vectorised; no network is built.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ncp.errors import UserError
from ncp.slopes import Slope
from ncp.spaces.dimensions import DIMENSIONS
from ncp.spaces.layers import branch_sizes, check_input, columns_of, layers, stages
from ncp.spaces.polynomial import Evaluator, Polynomial

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
"""Bytes of one number, by the name of its type."""
_SECOND = 1.5  # from the middle between one and two a continuous number counts as more than one


def memory(
    codes: Any,
    size: tuple[int, int] = (128, 128),
    head: str = "segmentation",
    classes: int = 19,
    dtype: str = "fp32",
    batch: int = 1,
    in_channels: int = 3,
    stem_strides: tuple[int, int] = (2, 2),
    frames: int = 0,
) -> Any:
    """Bytes of weights and of the maps that live at the same time, at the operation where they are most.

    Args:
        codes: ``(N, 27)`` codes (numpy or torch, one-dimensional for a single one), or architectures.
        size, head, classes, in_channels, stem_strides: as in :func:`ncp.spaces.cost.count`.
        dtype: of weights and maps: fp32, bf16, fp16 or int8.
        batch: inputs at once.
        frames: of a clip, whose frames the video network looks at one by one and joins over 3x3x3; 0 for images.

    Returns:
        ``(N,)`` int64 for arrays; tensors for tensors, differentiable by pieces.

    Raises:
        UserError: as ``count``, and for another dtype, a batch below 1 or less than no frames.
    """
    check_input(size, head, classes, in_channels, stem_strides)
    if dtype not in BYTES:
        raise UserError(f"unknown dtype '{dtype}'; dtypes: {', '.join(BYTES)}")
    if batch < 1:
        raise UserError(f"batch must be at least 1, given was {batch}")
    if frames < 0:
        raise UserError(f"frames must be at least 0, given was {frames}")
    x = columns_of(codes)
    weights = stored(x, size, head, classes, in_channels, stem_strides, frames)
    peak = _Peak(x)
    _walk(peak, x, size, head, classes, in_channels, stem_strides)
    return BYTES[dtype] * (weights + batch * max(frames, 1) * peak.value)


def memory_slope(
    codes_ND: np.ndarray,
    size: tuple[int, int] = (128, 128),
    head: str = "segmentation",
    classes: int = 19,
    dtype: str = "fp32",
    batch: int = 1,
    in_channels: int = 3,
    stem_strides: tuple[int, int] = (2, 2),
    frames: int = 0,
) -> Slope:
    """``(N,)`` bytes of continuous codes, with the way back: that of the operation where they are most."""
    codes = np.asarray(codes_ND, dtype=np.float64)
    images = batch * max(frames, 1)
    setting = (tuple(size), head, classes, in_channels, tuple(stem_strides), frames)
    sums = _sums(*setting).slope(np.concatenate([codes, codes > _SECOND], axis=1))
    most_N = sums.value[:, 1:].max(1)

    def pull(d_N: np.ndarray) -> np.ndarray:
        # several that are equal share it, as two branches at their bounds
        at_most = sums.value[:, 1:] == most_N[:, None]
        d_NP = np.concatenate([np.ones((len(codes), 1)), images * at_most / at_most.sum(1, keepdims=True)], axis=1)
        return sums.pull(BYTES[dtype] * d_N[:, None] * d_NP)[:, : codes.shape[1]]

    return Slope(BYTES[dtype] * (sums.value[:, 0] + images * most_N), pull)


@lru_cache(maxsize=16)
def _sums(*setting: Any) -> Evaluator:
    """The numbers that are stored, then those that live at every operation, as polynomials in the code and its switches."""
    x = Polynomial.variables(len(DIMENSIONS))
    peak = _Moments()
    _walk(peak, x, *setting[:-1])
    return Evaluator([Polynomial.of(stored(x, *setting)), *peak.moments], 2 * len(DIMENSIONS))


def stored(
    x: Any,
    size: tuple[int, int],
    head: str,
    classes: int,
    in_channels: int,
    stem_strides: tuple[int, int],
    frames: int = 0,
) -> Any:
    """Numbers of weights and biases, over the 27 columns ``x`` of anything that adds and multiplies."""
    weights: Any = classes
    for layer in layers(x, size, head, classes, in_channels, stem_strides):
        taps = 27 if frames and layer.part == "head" and layer.outputs is not classes else 1  # of the join
        weights = weights + taps * layer.weights + _biases(layer, classes)
    return weights


def _biases(layer: Any, classes: int) -> Any:
    """Those that norms leave behind: one a channel; the classifier's own are counted apart."""
    return 0 if layer.part == "head" and layer.outputs is classes else layer.times * layer.outputs


class _Moments:
    """All different sums that it was told, as polynomials."""

    def __init__(self) -> None:
        self._seen: dict[frozenset[Any], Polynomial] = {}

    def see(self, living: Any, when: Any = None) -> None:
        """As :meth:`_Peak.see`."""
        moment = Polynomial.of(living if when is None else living * when)
        self._seen.setdefault(frozenset(moment.terms.items()), moment)

    @property
    def moments(self) -> list[Polynomial]:
        """In the order in which they were told."""
        return list(self._seen.values())


class _Peak:
    """The largest of the sums that it was told."""

    def __init__(self, x: Any) -> None:
        if hasattr(x, "detach"):
            import torch  # a tensor came in, so it is loaded already

            self._larger: Any = torch.maximum
        else:
            self._larger = np.maximum
        self.value = 0 * x[0]

    def see(self, living: Any, when: Any = None) -> None:
        """Numbers that live at one moment; ``when`` (0 or 1) says whether there is such a moment."""
        self.value = self._larger(self.value, living if when is None else living * when)


def _more_than_one(value: Any) -> Any:
    """1 where there is a second one, else 0; for continuous codes from the middle between one and two."""
    if isinstance(value, Polynomial):  # a dimension alone; its switch is a variable of its own, behind all dimensions
        [(dimension,)] = value.terms
        return Polynomial({(len(DIMENSIONS) + dimension,): 1})
    many = value > _SECOND
    return many.to(value.dtype) if hasattr(many, "detach") else many.astype(np.int64)


def _walk(
    peak: _Peak | _Moments,
    x: Any,
    size: tuple[int, int],
    head: str,
    classes: int,
    in_channels: int,
    stem_strides: tuple[int, int],
) -> None:
    """Tell ``peak`` the sums of the living maps, one operation after the other."""
    sizes = branch_sizes(size, stem_strides)
    stem, *area = (h * w for h, w in sizes)
    image = in_channels * size[0] * size[1]
    first, second = stem * x[0], area[0] * x[1]
    peak.see(image + first)
    peak.see(image + first + second)
    living: list[Any] = [second]
    for stage in stages(x):
        maps = [a * c for a, c in zip(area, stage.channels, strict=False)]
        again = _more_than_one(stage.blocks)
        for before, when in ((living, None), (maps, again)):
            base = image + _sum(before)
            _fuse(peak, base, len(before), stage.channels, maps, sizes[1:], when)
            _branches(peak, base + _sum(maps), maps, stage.units, when)
        living = maps
    base, channels = image + _sum(living), stages(x)[-1].channels
    target = sizes[1] if head == "segmentation" else sizes[-1]
    joined = target[0] * target[1]
    resized = sum(joined * c for c, own in zip(channels, sizes[1:], strict=True) if own != target)
    together, out = joined * _sum(channels), joined * x[26]
    peak.see(base + resized + together)
    peak.see(base + together + out)
    if head == "segmentation":
        peak.see(base + out + classes * joined)


def _fuse(
    peak: _Peak | _Moments,
    base: Any,
    kept: int,
    channels: list[Any],
    maps: list[Any],
    sizes: list[tuple[int, int]],
    when: Any,
) -> None:
    done: Any = base
    for i in range(kept):
        peak.see(done + maps[i] + (maps[i] if i > 0 else 0), when)
        if i + 1 < kept:
            (height, width), fine = sizes[i + 1], sizes[i]
            small, large = height * width * channels[i], 4 * height * width * channels[i]
            # a branch of odd size: what was enlarged is resized once more
            again = 0 if (2 * height, 2 * width) == fine else maps[i]
            peak.see(done + maps[i] + small + large + again, when)
        done = done + maps[i]
    if len(maps) > kept:
        peak.see(done + maps[kept], when)


def _branches(peak: _Peak | _Moments, base: Any, maps: list[Any], units: list[Any], when: Any) -> None:
    """Each unit holds its input and two maps; from the second unit on its input is none of the fusion's."""
    done: Any = base
    for one, n in zip(maps, units, strict=True):
        peak.see(done + (2 + _more_than_one(n)) * one, when)
        done = done + one


def _sum(values: list[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
