"""Maps of several sizes made one, in Triton: joined side by side at the finest size, or summed.

torch resizes each map into memory of its own before it joins or adds them. Here every map is read where it lies and written where
it belongs. A map is the finest one's size or a whole, even part of it along both sides; what is not is left to torch. The numbers
are those of :func:`torch.nn.functional.interpolate` (bilinear with corners not aligned, or nearest), rounded once.

Everything lies channels last. Backward, each pixel gathers its slopes, so that there are no atomic operations: the same input
gives the same output bit by bit, where torch's bilinear backward pass on a GPU adds in any order.

Imported where it is used alone; see :mod:`ncp.models.kernels.norm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable
from triton import knobs

MOST_NUMBERS = 2**31 - 2**20  # places in a map are 32-bit numbers
HIGH, WIDE = 32, 64  # pixels and channels that a program holds
TILE: dict[str, Any] = {"HIGH": HIGH, "WIDE": WIDE, "num_warps": 4, "enable_fp_fusion": True}
_FREE = ("pixels", "height", "width", "factor", "eights", "line", "before")


def factor_of(x_BCHW: Tensor, size: Sequence[int]) -> int | None:
    """How often a map's sides go into ``size``, the same along both: 1 or even; None for anything else."""
    (height, width), (own_height, own_width) = size, x_BCHW.shape[-2:]
    factor = height // own_height
    alike = (height, width) == (factor * own_height, factor * own_width)
    return factor if alike and (factor == 1 or factor % 2 == 0) else None


def suits(maps: Sequence[Tensor]) -> bool:
    """Whether maps are such as are read here: of one kind of numbers, channels last and by eights."""
    first = maps[0]
    return (first.is_cuda or knobs.runtime.interpret) and all(
        x.dtype == first.dtype
        and x.dtype in (torch.bfloat16, torch.float16, torch.float32)
        and x.shape[1] % 8 == 0
        and 0 < x.numel() < MOST_NUMBERS
        and x.is_contiguous(memory_format=torch.channels_last)
        for x in maps
    )


def join(maps: Sequence[Tensor], size: Sequence[int]) -> Tensor | None:
    """``(B, sum of C, *size)``: maps resized bilinearly, one after the other along the channels; None where they don't suit."""
    pixels = len(maps[0]) * size[0] * size[1]
    if not suits(maps) or pixels * sum(x.shape[1] for x in maps) >= MOST_NUMBERS:
        return None
    if any(factor_of(x, size) is None for x in maps):
        return None
    out: Tensor = _Join.apply(tuple(size), *maps)  # type: ignore[no-untyped-call]
    return out


def merge(same: Tensor, down: Tensor | None, up: Tensor) -> Tensor | None:
    """``same + down + up`` where ``up`` is half the size and repeated; None where they don't suit.

    Args:
        same: ``(B, C, H, W)``.
        down: of the same shape; None for none.
        up: ``(B, C, H / 2, W / 2)``.
    """
    given = [same, up] if down is None else [same, up, down]
    if not suits(given) or factor_of(up, same.shape[-2:]) != 2 or up.shape[1] != same.shape[1]:
        return None
    out: Tensor = _Merge.apply(same, down, up)  # type: ignore[no-untyped-call]
    return out


def _grid(pixels: int, channels: int) -> tuple[int, int]:
    return triton.cdiv(pixels, HIGH), triton.cdiv(channels, WIDE)


def _empty(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, size: tuple[int, int], *maps: Tensor) -> Tensor:
        ctx.shapes = [x.shape for x in maps]
        total = sum(x.shape[1] for x in maps)
        out = _empty(maps[0], len(maps[0]), total, *size)
        begin = 0
        for x in maps:
            batch, channels, height, _ = x.shape
            pixels = batch * size[0] * size[1]
            _stretch[_grid(pixels, channels)](
                x, out, pixels, *size, size[0] // height, channels // 8, total // 8, begin // 8,
                **TILE,
            )  # fmt: skip
            begin += channels
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
        slope = slope.contiguous(memory_format=torch.channels_last)
        found, begin = [], 0
        for shape in ctx.shapes:
            batch, channels, height, width = shape
            x = _empty(slope, *shape)
            _gather[_grid(batch * height * width, channels)](
                slope, x, batch * height * width, height, width, slope.shape[2] // height, channels // 8,
                slope.shape[1] // 8, begin // 8, **TILE,
            )  # fmt: skip
            begin += channels
            found.append(x)
        return None, *found


class _Merge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, same: Tensor, down: Tensor | None, up: Tensor) -> Tensor:
        ctx.added = down is not None
        out = torch.empty_like(same)
        batch, channels, height, width = same.shape
        _add[_grid(batch * height * width, channels)](
            same, same if down is None else down, up, out, batch * height * width, height, width, channels // 8,
            ADDED=ctx.added, **TILE,
        )  # fmt: skip
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
        slope = slope.contiguous(memory_format=torch.channels_last)
        batch, channels, height, width = slope.shape
        up = _empty(slope, batch, channels, height // 2, width // 2)
        pixels = up.numel() // channels
        _fold[_grid(pixels, channels)](slope, up, pixels, height // 2, width // 2, channels // 8, **TILE)
        return slope, slope if ctx.added else None, up


@triton.jit  # type: ignore[untyped-decorator]
def _place(pixel, height, width):  # type: ignore[no-untyped-def]
    """Image, row and column of a pixel."""
    x = pixel % width
    rest = pixel // width
    return rest // height, rest % height, x


@triton.jit  # type: ignore[untyped-decorator]
def _between(at, factor, most):  # type: ignore[no-untyped-def]
    """The two pixels of the small map between which a pixel of the large one lies, and how far it is from the first."""
    place = tl.maximum((at.to(tl.float32) + 0.5) / factor - 0.5, 0)
    low = place.to(tl.int32)
    return low, tl.minimum(low + 1, most - 1), place - low.to(tl.float32)


@triton.jit(do_not_specialize=_FREE)  # type: ignore[untyped-decorator]
def _stretch(  # type: ignore[no-untyped-def]
    x, out, pixels, height, width, factor, eights, line, before, HIGH: tl.constexpr, WIDE: tl.constexpr
):
    """A small map into its channels of the large one, bilinearly."""
    channels = eights * 8
    pixel = tl.program_id(0) * HIGH + tl.arange(0, HIGH)
    columns = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    inside = (pixel < pixels)[:, None] & (columns < channels)[None, :]
    image, row, column = _place(pixel, height, width)
    own_height = height // factor
    own_width = width // factor
    top, bottom, down = _between(row, factor, own_height)
    left, right, across = _between(column, factor, own_width)
    first = image * own_height
    upper = (first + top) * own_width
    lower = (first + bottom) * own_width
    a = tl.load(x + (upper + left)[:, None] * channels + columns[None, :], mask=inside, other=0).to(tl.float32)
    if factor > 1:
        b = tl.load(x + (upper + right)[:, None] * channels + columns[None, :], mask=inside, other=0).to(tl.float32)
        c = tl.load(x + (lower + left)[:, None] * channels + columns[None, :], mask=inside, other=0).to(tl.float32)
        d = tl.load(x + (lower + right)[:, None] * channels + columns[None, :], mask=inside, other=0).to(tl.float32)
        a = a * (1 - across)[:, None] + b * across[:, None]
        c = c * (1 - across)[:, None] + d * across[:, None]
        a = a * (1 - down)[:, None] + c * down[:, None]
    place = out + pixel[:, None] * (line * 8) + before * 8 + columns[None, :]
    tl.store(place, a.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=_FREE)  # type: ignore[untyped-decorator]
def _gather(  # type: ignore[no-untyped-def]
    slope, x, pixels, height, width, factor, eights, line, before, HIGH: tl.constexpr, WIDE: tl.constexpr
):
    """The slopes of a small map from its channels of the large one."""
    channels = eights * 8
    pixel = tl.program_id(0) * HIGH + tl.arange(0, HIGH)
    columns = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    inside = (pixel < pixels)[:, None] & (columns < channels)[None, :]
    image, row, column = _place(pixel, height, width)
    tall = height * factor
    broad = width * factor
    total = tl.zeros([HIGH, WIDE], tl.float32)
    half = factor // 2
    taps = tl.where(factor > 1, 2 * factor, 1)
    for i in range(taps):
        y = row * factor - half + i
        low, high, far = _between(y, factor, height)
        weight = tl.where(low == row, 1 - far, 0) + tl.where(high == row, far, 0)
        weight = tl.where((y >= 0) & (y < tall), weight, 0)
        begin = (image * tall + y) * broad
        for j in range(taps):
            z = column * factor - half + j
            low, high, far = _between(z, factor, width)
            share = weight * (tl.where(low == column, 1 - far, 0) + tl.where(high == column, far, 0))
            share = tl.where((z >= 0) & (z < broad), share, 0)
            place = slope + (begin + z)[:, None] * (line * 8) + before * 8 + columns[None, :]
            given = tl.load(place, mask=inside & (share > 0)[:, None], other=0).to(tl.float32)
            total += share[:, None] * given
    tl.store(x + pixel[:, None] * channels + columns[None, :], total.to(x.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=_FREE)  # type: ignore[untyped-decorator]
def _add(  # type: ignore[no-untyped-def]
    same, down, up, out, pixels, height, width, eights, ADDED: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr
):
    """The sum of maps of which one is half as large and repeated."""
    channels = eights * 8
    pixel = tl.program_id(0) * HIGH + tl.arange(0, HIGH)
    columns = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    inside = (pixel < pixels)[:, None] & (columns < channels)[None, :]
    image, row, column = _place(pixel, height, width)
    small = (image * (height // 2) + row // 2) * (width // 2) + column // 2
    at = pixel[:, None] * channels + columns[None, :]
    total = tl.load(same + at, mask=inside, other=0).to(tl.float32)
    if ADDED:
        total += tl.load(down + at, mask=inside, other=0).to(tl.float32)
    total += tl.load(up + small[:, None] * channels + columns[None, :], mask=inside, other=0).to(tl.float32)
    tl.store(out + at, total.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=_FREE)  # type: ignore[untyped-decorator]
def _fold(slope, up, pixels, height, width, eights, HIGH: tl.constexpr, WIDE: tl.constexpr):  # type: ignore[no-untyped-def]
    """The slopes of the map that was repeated: sums of four."""
    channels = eights * 8
    pixel = tl.program_id(0) * HIGH + tl.arange(0, HIGH)
    columns = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    inside = (pixel < pixels)[:, None] & (columns < channels)[None, :]
    image, row, column = _place(pixel, height, width)
    large = (image * (2 * height) + 2 * row) * (2 * width) + 2 * column
    total = tl.zeros([HIGH, WIDE], tl.float32)
    for i in tl.static_range(2):
        for j in tl.static_range(2):
            at = (large + i * 2 * width + j)[:, None] * channels + columns[None, :]
            total += tl.load(slope + at, mask=inside, other=0).to(tl.float32)
    tl.store(up + pixel[:, None] * channels + columns[None, :], total.to(up.dtype.element_ty), mask=inside)
