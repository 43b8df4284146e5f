"""The layers of a multi-resolution network in the order in which they run, as expressions in the 27 columns of its code.

What a network costs in time and in memory follows from them. The expressions work on anything that adds and multiplies:
integer arrays, tensors, or the symbols of :mod:`ncp.spaces.polynomial`.

Source: the layers as in the paper, section 3.2 and Figure 2; in the same order in :mod:`ncp.models.blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ncp.errors import UserError
from ncp.spaces.architecture import Architecture
from ncp.spaces.dimensions import STAGE_START

HEADS = ("segmentation", "classification")


class Layer(NamedTuple):
    """A convolution (or a linear layer), ``times`` of them in a row.

    Attributes:
        part: ``stem``, ``fusion``, ``branch`` or ``head``.
        stage, branch: counted from 0; of the stem and the head -1.
        kernel: of its side.
        inputs, outputs: channels.
        pixels_in, pixels_out: of its input and its output.
        times: how many there are.
        extra: numbers that follow-up operations (the sum of a fusion or a shortcut, an enlargement) read and write for each,
            in maps of ``outputs`` channels and ``pixels_out`` pixels.
    """

    part: str
    stage: int
    branch: int
    kernel: int
    inputs: Any
    outputs: Any
    pixels_in: int
    pixels_out: int
    times: Any = 1
    extra: int = 0

    @property
    def weights(self) -> Any:
        """Of all of them, without biases."""
        return self.times * (self.kernel * self.kernel * (self.inputs * self.outputs))

    @property
    def macs(self) -> Any:
        """Multiply-adds of all of them."""
        return self.pixels_out * self.weights

    @property
    def moved(self) -> Any:
        """Numbers that all of them read and write, without weights."""
        maps = self.pixels_in * self.inputs + (1 + self.extra) * self.pixels_out * self.outputs
        return self.times * maps


class Stage(NamedTuple):
    """One stage's columns: number of blocks, units and channels of its branches, channels of the branches before it."""

    blocks: Any
    units: list[Any]
    channels: list[Any]
    previous: list[Any]


def columns_of(codes: Any) -> Any:
    """Codes with the 27 dimensions first, so that ``columns[i]`` is contiguous: ``(27, N)`` or ``(27,)``.

    Raises:
        UserError: for codes of another length.
    """
    if isinstance(codes, Architecture):
        codes = codes.code
    elif isinstance(codes, (list, tuple)):
        codes = [c.code if isinstance(c, Architecture) else c for c in codes]
    if hasattr(codes, "detach"):  # a torch tensor: left as it is, this module does not import torch
        columns = codes.movedim(-1, 0)
    else:
        array = np.asarray(codes)
        if array.dtype.kind != "f":
            array = array.astype(np.int64, copy=False)
        columns = np.ascontiguousarray(np.moveaxis(array, -1, 0)) if array.ndim else array
    if columns.ndim == 0 or columns.shape[0] != 27:
        raise UserError(f"cost needs codes of 27 numbers, given was shape {tuple(np.shape(codes))}")
    return columns


def branch_sizes(size: tuple[int, int], stem_strides: tuple[int, int] = (2, 2)) -> list[tuple[int, int]]:
    """Heights and widths ``[after stem 1, branch 1, ..., branch 4]``; each stride-2 convolution turns L into ceil(L/2)."""
    out = []
    h, w = size
    for stride in (*stem_strides, 2, 2, 2):
        h, w = -(-h // stride), -(-w // stride)
        out.append((h, w))
    return out


def check_input(
    size: tuple[int, int], head: str, classes: int, in_channels: int, stem_strides: tuple[int, int] = (2, 2)
) -> None:
    """Raises ``UserError`` for a head that does not exist or numbers that no network has."""
    if head not in HEADS:
        raise UserError(f"unknown head '{head}'; heads: {', '.join(HEADS)}")
    if min(size) < 1 or classes < 0 or in_channels < 1 or min(stem_strides) < 1:
        raise UserError(
            f"size, in_channels and strides must be positive and classes not negative, given were size={tuple(size)}, "
            f"classes={classes}, in_channels={in_channels}, stem_strides={tuple(stem_strides)}"
        )


def stages(x: Any) -> list[Stage]:
    """The four stages of the columns ``x``."""
    out: list[Stage] = []
    previous: list[Any] = [x[1]]
    for count, start in enumerate(STAGE_START, start=1):
        units = [x[start + 1 + r] for r in range(count)]
        channels = [x[start + 1 + count + r] for r in range(count)]
        out.append(Stage(x[start], units, channels, previous))
        previous = channels
    return out


def layers(
    x: Any, size: tuple[int, int], head: str, classes: int, in_channels: int, stem_strides: tuple[int, int]
) -> Iterator[Layer]:
    """All layers of the columns ``x``; equal ones that follow each other come once, with their number."""
    stem, *area = (h * w for h, w in branch_sizes(size, stem_strides))
    yield Layer("stem", -1, -1, 3, in_channels, x[0], size[0] * size[1], stem)
    yield Layer("stem", -1, -1, 3, x[0], x[1], stem, area[0])
    channels: list[Any] = []
    for s, stage in enumerate(stages(x)):
        channels = stage.channels
        yield from _fusion(s, stage.previous, channels, area, 1)
        if s:
            yield from _fusion(s, channels, channels, area, stage.blocks - 1)
        else:
            yield Layer("fusion", 0, 0, 3, channels[0], channels[0], area[0], area[0], stage.blocks - 1)
        for r, (units, c) in enumerate(zip(stage.units, channels, strict=True)):
            yield Layer("branch", s, r, 3, c, c, area[r], area[r], 2 * (stage.blocks * units), extra=1)
    joined = area[0] if head == "segmentation" else area[-1]
    total = channels[0] + channels[1] + channels[2] + channels[3]
    yield Layer("head", -1, -1, 1, total, x[26], joined, joined, extra=1)
    if classes:
        outputs = area[0] if head == "segmentation" else 1
        yield Layer("head", -1, -1, 1, x[26], classes, joined, outputs)


def _fusion(s: int, inputs: list[Any], outputs: list[Any], area: list[int], times: Any) -> Iterator[Layer]:
    """The convolutions of ``times`` fusions into the branches of stage ``s``."""
    kept = len(inputs)
    for i in range(kept):
        yield Layer("fusion", s, i, 3, inputs[i], outputs[i], area[i], area[i], times)
        if i > 0:
            yield Layer("fusion", s, i, 3, inputs[i - 1], outputs[i], area[i - 1], area[i], times, extra=3)
        if i + 1 < kept:  # at the coarser size, then enlarged to four times as many pixels and added
            yield Layer("fusion", s, i, 1, inputs[i + 1], outputs[i], area[i + 1], area[i + 1], times, extra=16)
    if len(outputs) > kept:
        yield Layer("fusion", s, kept, 3, outputs[kept - 1], outputs[kept], area[kept - 1], area[kept], times)
