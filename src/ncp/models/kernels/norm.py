"""Batch norm, shortcut and ReLU of a training step in Triton: two or three kernels each way, where torch starts eight.

Maps are read as ``(rows, C)``, rows being B x H x W, which is how channels-last maps lie in memory. Forward, the moments of parts
of the rows are taken, then combined (Chan et al. 1979), and ``relu(norm(y) + shortcut)`` is written. Backward, the sums that the
norm's slopes need are taken, then the slope of the map is written. Few parts are combined by every program that writes, many by a
kernel of their own. There are no atomic operations: the same input gives the same output bit by bit.

torch's operators read or write a map thirteen times in all, with a shortcut sixteen times; these do it eight and eleven times.
Source of the formulas: Ioffe and Szegedy 2015, section 3.

Imported where it is used alone: Triton comes with torch on Linux. With ``TRITON_INTERPRET=1`` it runs on a CPU, slowly.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ncp.models.kernels.maps import suits

TILE = 2048  # numbers that a program holds at a time
OPTIONS: dict[str, Any] = {"num_warps": 8, "enable_fp_fusion": True}  # both ways round alike, a ReLU's corner too
MOST_PARTS = 64  # that every program combines by itself
READERS, WRITERS = 4, 8  # programs for each multiprocessor: that sum up a large map, that write one
NARROW = 8  # columns that one program combines
_FREE = ("rows", "eights", "each", "parts", "part_rows")


def fits(norm: nn.Module, y_BCHW: Tensor) -> bool:
    """Whether a map and its norm are such as are written here: a usual norm in training, channels last, channels by eights."""
    return (
        type(norm) is nn.BatchNorm2d
        and norm.training
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and y_BCHW.ndim == 4
        and suits([y_BCHW])
        and y_BCHW.shape[1] < y_BCHW.numel()
    )


def finish(norm: nn.BatchNorm2d, y_BCHW: Tensor, shortcut_BCHW: Tensor | None) -> Tensor:
    """``relu(norm(y) + shortcut)`` of a map for which :func:`fits` holds, in its kind of numbers, channels last."""
    given = (norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.num_batches_tracked)
    out: Tensor = _Finish.apply(y_BCHW, shortcut_BCHW, *given, norm.momentum, norm.eps)  # type: ignore[no-untyped-call]
    return out


class _Finish(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        tracked: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        plan = _Plan(y)
        if shortcut is not None:
            shortcut = shortcut.to(y.dtype).contiguous(memory_format=torch.channels_last)
        out = torch.empty_like(y)
        taken = y.new_empty(2, plan.channels, dtype=torch.float32)  # mean and 1 / deviation, for the way back
        parts = plan.parts_of(y)
        _moments[plan.grid(plan.parts)](y, parts, plan.rows, plan.eights, plan.part_rows, **plan.tile)
        count, part_rows = plan.parts, plan.part_rows
        if count > MOST_PARTS:
            many, parts = parts, plan.parts_of(y, 1)
            _combine[plan.narrow_grid()](many, parts, plan.rows, plan.eights, count, part_rows, True, **plan.narrow)
            count, part_rows = 1, plan.rows
        _write[plan.grid(plan.writers)](
            y, y if shortcut is None else shortcut, out, parts, weight, bias, mean, variance, tracked, taken, momentum, eps,
            plan.rows, plan.eights, plan.each, count, part_rows, shortcut is not None, _power(count), **plan.tile,
        )  # fmt: skip
        ctx.save_for_backward(y, weight, bias, taken, *(() if shortcut is None else (out,)))
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope: Tensor) -> tuple[Any, ...]:
        y, weight, bias, taken, *rest = ctx.saved_tensors
        added = bool(rest)
        out = rest[0] if added else y
        plan = _Plan(y)
        slope = slope.contiguous(memory_format=torch.channels_last)
        passed = torch.empty_like(y) if added else slope  # through the ReLU: the shortcut's slope
        parts = plan.parts_of(y)
        _sums[plan.grid(plan.parts)](
            y, out, slope, passed, taken, weight, bias, parts, plan.rows, plan.eights, plan.part_rows, added, **plan.tile
        )  # fmt: skip
        count = plan.parts
        if count > MOST_PARTS:
            many, parts = parts, plan.parts_of(y, 1)
            _combine[plan.narrow_grid()](many, parts, plan.rows, plan.eights, count, 1, False, **plan.narrow)
            count = 1
        slope_y, slope_weight, slope_bias = torch.empty_like(y), torch.empty_like(weight), torch.empty_like(bias)
        _slopes[plan.grid(plan.writers)](
            y, passed, slope_y, taken, weight, bias, parts, slope_weight, slope_bias,
            plan.rows, plan.eights, plan.each, count, added, _power(count), **plan.tile,
        )  # fmt: skip
        return slope_y, passed if added else None, slope_weight, slope_bias, None, None, None, None, None


class _Plan:
    """How a map is shared among programs."""

    def __init__(self, y: Tensor) -> None:
        self.channels = y.shape[1]
        self.eights = self.channels // 8  # by which the compiler knows that rows begin where wide reads may
        self.rows = y.numel() // self.channels
        wide = 16 if self.channels <= 16 else 32 if self.channels <= 32 else 64
        high = TILE // wide
        self.tile: dict[str, Any] = {"HIGH": high, "WIDE": wide, **OPTIONS}
        self.narrow: dict[str, Any] = {"HIGH": TILE // NARROW, "WIDE": NARROW, **OPTIONS}
        self.groups = -(-self.channels // wide)
        tiles = -(-self.rows // high)
        few = tiles * self.groups <= 16 * MOST_PARTS  # so small that parts need no kernel of their own to be combined
        processors = _processors(y.device)
        self.part_rows = high * -(-tiles // (MOST_PARTS if few else -(-READERS * processors // self.groups)))
        self.parts = -(-self.rows // self.part_rows)
        self.each = high * -(-tiles // -(-WRITERS * processors // self.groups))
        self.writers = -(-self.rows // self.each)

    def grid(self, programs: int) -> tuple[int, int]:
        """So many programs for each group of columns."""
        return programs, self.groups

    def narrow_grid(self) -> tuple[int, int]:
        """One program for each few columns."""
        return 1, -(-self.channels // NARROW)

    def parts_of(self, y: Tensor, count: int | None = None) -> Tensor:
        """``(parts, 2, C)``: two figures of each part of the rows, or of all."""
        return y.new_empty(count or self.parts, 2, self.channels, dtype=torch.float32)


@cache
def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 64


def _power(count: int) -> int:
    """Rows of the block in which parts are combined."""
    return 1 if count == 1 else MOST_PARTS


@triton.jit(do_not_specialize=_FREE)  # type: ignore[untyped-decorator]
def _moments(y, figures, rows, eights, part_rows, HIGH: tl.constexpr, WIDE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Mean, and sum of squares about it, of a part of the rows."""
    channels = eights * 8
    columns = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    there = columns < channels
    begin = tl.program_id(0) * part_rows
    end = tl.minimum(begin + part_rows, rows)
    row = begin + tl.arange(0, HIGH)
    inside = (row[:, None] < end) & there[None, :]
    first = tl.load(y + row[:, None] * channels + columns[None, :], mask=inside, other=0).to(tl.float32)
    about = tl.sum(first, 0) / tl.minimum(HIGH, end - begin)  # near the mean, so that squares about it lose nothing
    total = tl.zeros([HIGH, WIDE], tl.float32)
    squares = tl.zeros([HIGH, WIDE], tl.float32)
    for start in range(begin, end, HIGH):
        row = start + tl.arange(0, HIGH)
        inside = (row[:, None] < end) & there[None, :]
        value = tl.load(y + row[:, None] * channels + columns[None, :], mask=inside, other=0).to(tl.float32)
        value = tl.where(inside, value - about[None, :], 0)
        total += value
        squares += value * value
    count = (end - begin).to(tl.float32)
    off = tl.sum(total, 0) / count
    place = figures + tl.program_id(0) * 2 * channels + columns
    tl.store(place, about + off, mask=there)
    tl.store(place + channels, tl.maximum(tl.sum(squares, 0) - off * off * count, 0), mask=there)


@triton.jit(do_not_specialize=_FREE)  # type: ignore[untyped-decorator]
def _combine(  # type: ignore[no-untyped-def]
    many, one, rows, eights, parts, part_rows, MOMENTS: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr
):
    """Parts to one: moments, or sums."""
    channels = eights * 8
    columns = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    there = columns < channels
    total = tl.zeros([HIGH, WIDE], tl.float32)
    other = tl.zeros([HIGH, WIDE], tl.float32)
    for start in range(0, parts, HIGH):
        part = start + tl.arange(0, HIGH)
        inside = (part[:, None] < parts) & there[None, :]
        place = many + part[:, None] * 2 * channels + columns[None, :]
        value = tl.load(place, mask=inside, other=0)
        if MOMENTS:
            value *= tl.minimum(part_rows, rows - part * part_rows)[:, None].to(tl.float32)
        total += value
        other += tl.load(place + channels, mask=inside, other=0)
    first = tl.sum(total, 0)
    second = tl.sum(other, 0)
    if MOMENTS:
        first /= rows.to(tl.float32)
        between = tl.zeros([HIGH, WIDE], tl.float32)
        for start in range(0, parts, HIGH):
            part = start + tl.arange(0, HIGH)
            inside = (part[:, None] < parts) & there[None, :]
            off = tl.load(many + part[:, None] * 2 * channels + columns[None, :], mask=inside, other=0) - first[None, :]
            weight = tl.minimum(part_rows, rows - part * part_rows)[:, None].to(tl.float32)
            between += tl.where(inside, off * off * weight, 0)
        second += tl.sum(between, 0)
    tl.store(one + columns, first, mask=there)
    tl.store(one + channels + columns, second, mask=there)


@triton.jit(do_not_specialize=_FREE)  # type: ignore[untyped-decorator]
def _write(  # type: ignore[no-untyped-def]
    y, shortcut, out, figures, weight, bias, running_mean, running_variance, tracked, taken, momentum, eps,
    rows, eights, each, parts, part_rows, ADDED: tl.constexpr, PARTS: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The norm with the moments of all parts, the shortcut, ReLU; the first programs keep the statistics."""
    channels = eights * 8
    columns = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    there = columns < channels
    part = tl.arange(0, PARTS)
    known = (part[:, None] < parts) & there[None, :]
    place = figures + part[:, None] * 2 * channels + columns[None, :]
    count = tl.maximum(tl.minimum(part_rows, rows - part * part_rows), 0)[:, None].to(tl.float32)
    means = tl.load(place, mask=known, other=0)
    number = rows.to(tl.float32)
    mean = tl.sum(tl.where(known, means * count, 0), 0) / number
    off = means - mean[None, :]
    squares = tl.sum(tl.where(known, tl.load(place + channels, mask=known, other=0) + off * off * count, 0), 0)
    inverse = 1 / tl.sqrt_rn(squares / number + eps)
    if tl.program_id(0) == 0:
        tl.store(taken + columns, mean, mask=there)
        tl.store(taken + channels + columns, inverse, mask=there)
        old = tl.load(running_mean + columns, mask=there)
        tl.store(running_mean + columns, old + momentum * (mean - old), mask=there)
        old = tl.load(running_variance + columns, mask=there)
        tl.store(running_variance + columns, old + momentum * (squares / (number - 1) - old), mask=there)
        if tracked is not None:  # noqa: SIM102 (compiled away; a checkpointed block that runs again counts nothing)
            if tl.program_id(1) == 0:
                tl.store(tracked, tl.load(tracked) + 1)
    scale = inverse * tl.load(weight + columns, mask=there, other=0).to(tl.float32)
    shift = tl.load(bias + columns, mask=there, other=0).to(tl.float32)
    begin = tl.program_id(0) * each
    end = tl.minimum(begin + each, rows)
    for start in range(begin, end, HIGH):
        row = start + tl.arange(0, HIGH)
        inside = (row[:, None] < end) & there[None, :]
        at = row[:, None] * channels + columns[None, :]
        value = tl.load(y + at, mask=inside, other=0).to(tl.float32)
        value = (value - mean[None, :]) * scale[None, :] + shift[None, :]
        if ADDED:
            value += tl.load(shortcut + at, mask=inside, other=0).to(tl.float32)
        # a number that is none stays one, as in torch
        tl.store(out + at, tl.where(value < 0, 0, value).to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=_FREE)  # type: ignore[untyped-decorator]
def _sums(  # type: ignore[no-untyped-def]
    y, out, slope, passed, taken, weight, bias, figures,
    rows, eights, part_rows, ADDED: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Of a part of the rows: the sum of slopes through the ReLU, and of their products with the normed map."""
    channels = eights * 8
    columns = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    there = columns < channels
    mean = tl.load(taken + columns, mask=there, other=0)
    inverse = tl.load(taken + channels + columns, mask=there, other=0)
    scale = inverse * tl.load(weight + columns, mask=there, other=0).to(tl.float32)
    shift = tl.load(bias + columns, mask=there, other=0).to(tl.float32)
    begin = tl.program_id(0) * part_rows
    end = tl.minimum(begin + part_rows, rows)
    total = tl.zeros([HIGH, WIDE], tl.float32)
    products = tl.zeros([HIGH, WIDE], tl.float32)
    for start in range(begin, end, HIGH):
        row = start + tl.arange(0, HIGH)
        inside = (row[:, None] < end) & there[None, :]
        at = row[:, None] * channels + columns[None, :]
        off = tl.load(y + at, mask=inside, other=0).to(tl.float32) - mean[None, :]
        given = tl.load(slope + at, mask=inside, other=0).to(tl.float32)
        if ADDED:
            given = tl.where(tl.load(out + at, mask=inside, other=0).to(tl.float32) > 0, given, 0)
            tl.store(passed + at, given.to(passed.dtype.element_ty), mask=inside)
        else:
            given = tl.where(off * scale[None, :] + shift[None, :] > 0, given, 0)
        total += given
        products += tl.where(inside, given * off * inverse[None, :], 0)
    place = figures + tl.program_id(0) * 2 * channels + columns
    tl.store(place, tl.sum(total, 0), mask=there)
    tl.store(place + channels, tl.sum(products, 0), mask=there)


@triton.jit(do_not_specialize=_FREE)  # type: ignore[untyped-decorator]
def _slopes(  # type: ignore[no-untyped-def]
    y, passed, slope_y, taken, weight, bias, figures, slope_weight, slope_bias,
    rows, eights, each, parts, ADDED: tl.constexpr, PARTS: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The slope of the map; the first programs write those of weight and bias."""
    channels = eights * 8
    columns = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    there = columns < channels
    part = tl.arange(0, PARTS)
    known = (part[:, None] < parts) & there[None, :]
    place = figures + part[:, None] * 2 * channels + columns[None, :]
    total = tl.sum(tl.load(place, mask=known, other=0), 0)
    products = tl.sum(tl.load(place + channels, mask=known, other=0), 0)
    if tl.program_id(0) == 0:
        tl.store(slope_bias + columns, total, mask=there)
        tl.store(slope_weight + columns, products, mask=there)
    mean = tl.load(taken + columns, mask=there, other=0)
    inverse = tl.load(taken + channels + columns, mask=there, other=0)
    scale = inverse * tl.load(weight + columns, mask=there, other=0).to(tl.float32)
    shift = tl.load(bias + columns, mask=there, other=0).to(tl.float32)
    number = rows.to(tl.float32)
    total /= number
    products *= inverse / number
    begin = tl.program_id(0) * each
    end = tl.minimum(begin + each, rows)
    for start in range(begin, end, HIGH):
        row = start + tl.arange(0, HIGH)
        inside = (row[:, None] < end) & there[None, :]
        at = row[:, None] * channels + columns[None, :]
        off = tl.load(y + at, mask=inside, other=0).to(tl.float32) - mean[None, :]
        given = tl.load(passed + at, mask=inside, other=0).to(tl.float32)
        if not ADDED:
            given = tl.where(off * scale[None, :] + shift[None, :] > 0, given, 0)
        value = scale[None, :] * (given - total[None, :] - off * products[None, :])
        tl.store(slope_y + at, value.to(slope_y.dtype.element_ty), mask=inside)
