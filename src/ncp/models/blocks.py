"""The layers of a multi-resolution network: unit, residual unit, fusion, block.

Where the published network does work that cannot change a bit of the result, it is left out: a resize to the size that
is already there, and a second ReLU after a sum of terms that each ended in one.

Source: paper section 3.2 and Figure 2 (fusion between neighbouring resolutions only).

Shape suffixes: B batch, C channels, H, W height and width.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ncp.models.finish import Finisher, finish
from ncp.spaces.multires import BlockSpec

Merger = Callable[[Tensor, Tensor | None, Tensor], Tensor | None]
"""What sums a fusion's three terms (the second may be missing) where the last one is to be repeated; None where it can't."""


class Unit(nn.Module):
    """k x k convolution without bias, batch norm, ReLU.

    Attributes:
        finisher: what writes norm and ReLU in training in torch's place; None for nothing.
    """

    finisher: Finisher | None = None

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ceil(H / stride), ceil(W / stride))``."""
        return finish(self.norm, self.conv(x_BCHW), finisher=self.finisher)


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions with norms around a shortcut that is always the identity.

    Attributes:
        drop_path: what leaves the branch out at random in training, where anything does (stochastic depth).
        finisher: as a :class:`Unit`'s.
    """

    finisher: Finisher | None = None

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.drop_path: nn.Module | None = None
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1: nn.Module = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2: nn.Module = nn.BatchNorm2d(channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Same shape in and out."""
        y = finish(self.norm1, self.conv1(x_BCHW), finisher=self.finisher)
        y = self.conv2(y)
        if self.drop_path is None:
            return finish(self.norm2, y, x_BCHW, self.finisher)
        y = self.drop_path(self.norm2(y))
        y += x_BCHW
        return F.relu_(y)


class Fusion(nn.Module):
    """Exchange between neighbouring branches, and the new coarsest branch where a stage begins.

    Output i sums, in this order, what comes from input i - 1 (3x3, stride 2), i (3x3) and i + 1 (1x1 at the coarse size,
    then nearest upsampling by 2), where these exist. An output beyond the inputs is made from the fused output before it
    (3x3, stride 2).

    Attributes:
        merger: what sums in training in torch's place; None for nothing.

    Args:
        inputs: channels of the incoming branches, finest first.
        outputs: channels of the outgoing branches: as many, or one more.
    """

    merger: Merger | None = None

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        assert len(outputs) - len(inputs) in (0, 1), (inputs, outputs)
        self.kept = len(inputs)
        self.same = nn.ModuleList(Unit(c, d, 3) for c, d in zip(inputs, outputs, strict=False))
        self.down = nn.ModuleList(Unit(c, d, 3, stride=2) for c, d in zip(inputs[:-1], outputs[1:], strict=False))
        self.up = nn.ModuleList(Unit(c, d, 1) for c, d in zip(inputs[1:], outputs[:-1], strict=False))
        self.new = Unit(outputs[-2], outputs[-1], 3, stride=2) if len(outputs) > len(inputs) else None

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Branches, finest first, each half the size of the one before (rounded up)."""
        fused = []
        for i in range(self.kept):
            merging = self.merger is not None and self.training and i + 1 < self.kept
            fused.append(self._merged(i, branches) if merging else self._summed(i, branches))
        if self.new is not None:
            fused.append(self.new(fused[-1]))
        return fused

    def _summed(self, i: int, branches: list[Tensor]) -> Tensor:
        """Output ``i``, term by term."""
        y: Tensor = self.same[i](branches[i])
        if i > 0:
            y = _sum(self.down[i - 1](branches[i - 1]), y)
        if i + 1 < self.kept:
            y = _sum(y, _upsample(self.up[i](branches[i + 1]), y.shape[-2:]))
        return y

    def _merged(self, i: int, branches: list[Tensor]) -> Tensor:
        """Output ``i`` that has a coarser neighbour, all terms at once where they can be."""
        assert self.merger is not None
        same: Tensor = self.same[i](branches[i])
        down: Tensor | None = self.down[i - 1](branches[i - 1]) if i > 0 else None
        up: Tensor = self.up[i](branches[i + 1])
        y = self.merger(same, down, up)
        if y is not None:
            return y
        return _sum(same if down is None else _sum(down, same), _upsample(up, same.shape[-2:]))


class Block(nn.Module):
    """A fusion, then a row of residual units on every branch."""

    def __init__(self, inputs: Sequence[int], spec: BlockSpec) -> None:
        super().__init__()
        self.fusion = Fusion(inputs, spec.channels)
        self.branches = nn.ModuleList(
            nn.Sequential(*(ResidualUnit(c) for _ in range(n))) for n, c in zip(spec.units, spec.channels, strict=True)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """One list of branches to the next."""
        fused = self.fusion(branches)
        return [units(y) for units, y in zip(self.branches, fused, strict=True)]


def _sum(x: Tensor, y: Tensor) -> Tensor:
    """``x + y``; in place where no gradient will ask for ``x`` (every term of a fusion is a fresh tensor).

    What is traced is always the sum: the trace may run with gradients or without.
    """
    return x + y if torch.is_grad_enabled() or is_tracing() else x.add_(y)


def is_tracing() -> bool:
    """Whether :func:`torch.jit.trace` is at work."""
    tracing: bool = torch._C._is_tracing() if hasattr(torch._C, "_is_tracing") else False
    return tracing


def known(*sides: Any) -> bool:
    """Whether these are plain numbers, by which to decide something now.

    While a network is traced (:mod:`torch.fx`, :func:`torch.jit.trace`, :func:`torch.export.export` with free sizes) they stand
    for numbers of any size.
    """
    return all(type(side) is int for side in sides)


def _upsample(x_BCHW: Tensor, size: Sequence[int]) -> Tensor:
    """Nearest upsampling by 2, then to ``size`` where a branch of odd size makes the two differ."""
    with _as_it_is(x_BCHW):
        y_BCHW = F.interpolate(x_BCHW, scale_factor=2, mode="nearest")
    return resize(y_BCHW, size)


def _as_it_is(x: Any) -> contextlib.AbstractContextManager[Any]:
    """Autocast would copy numbers in single precision, which is the same and takes twice the memory."""
    if isinstance(x, Tensor) and x.device.type in ("cpu", "cuda") and torch.is_autocast_enabled(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return contextlib.nullcontext()


def resize(x_BCHW: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear to ``(H, W) = size`` with corners not aligned; the input itself where nothing would change.

    What is in half precision stays in it: each pixel is worked out in single precision and rounded once.
    """
    height, width, own_height, own_width = size[0], size[1], x_BCHW.shape[-2], x_BCHW.shape[-1]
    if known(height, width, own_height, own_width) and (height, width) == (own_height, own_width):
        return x_BCHW
    if _halved(x_BCHW):
        out: Tensor = _InHalf.apply(x_BCHW, height, width)  # type: ignore[no-untyped-call]
        return out
    return _bilinear(x_BCHW, height, width)


def _bilinear(x_BCHW: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(x_BCHW, size=(height, width), mode="bilinear", align_corners=False)


def _halved(x: Any) -> bool:
    """Whether this is half precision that :class:`_InHalf` resizes.

    Traces and compilers are left torch's own operation, and so is what must repeat itself bit by bit: torch then has another.
    """
    if not isinstance(x, Tensor) or is_tracing() or torch.compiler.is_compiling():
        return False
    half = x.dtype in (torch.bfloat16, torch.float16) and x.device.type in ("cpu", "cuda")
    return half and not torch.are_deterministic_algorithms_enabled()


class _InHalf(torch.autograd.Function):
    """Autocast would do it in single precision, and whatever joins the result with others would be so too.

    The kernels read and write half precision and compute in single precision, a GPU's backward pass apart: it adds up in what it
    reads, so that a pixel's many small parts would be lost, and its threads wait for each other to add to the same pixel.
    """

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, height: int, width: int) -> Tensor:
        ctx.size = list(x_BCHW.shape)
        with _as_it_is(x_BCHW):
            return _bilinear(x_BCHW, height, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_BCHW: Tensor) -> tuple[Tensor, None, None]:
        new, old = slope_BCHW.shape[-2:], ctx.size[-2:]
        if slope_BCHW.is_cuda and all(exact(*sides) for sides in zip(old, new, strict=True)):
            return gathered(slope_BCHW, old), None, None
        backward = torch.ops.aten.upsample_bilinear2d_backward
        found: Tensor = backward(slope_BCHW.float(), new, ctx.size, False, None, None)
        return found.to(slope_BCHW.dtype), None, None


def exact(old: int, new: int) -> bool:
    """Whether half precision holds all weights of a bilinear resize: where a side grows by a power of two."""
    times, rest = divmod(new, old)
    return rest == 0 and times in (1, 2, 4, 8, 16, 32, 64, 128)


def gathered(slope_BCHW: Tensor, size: Sequence[int]) -> Tensor:
    """The gradient of a bilinear resize from ``size`` for that of its result: a product of matrices along each side.

    Products add up in single precision; between the two it is rounded once more.
    """
    height, width = size
    batch, channels, tall, wide = slope_BCHW.shape
    rows = slope_BCHW.permute(0, 2, 3, 1).reshape(batch * tall, wide, channels)
    rows = torch.bmm(_linear(width, wide, rows).expand(len(rows), -1, -1), rows).view(batch, tall, width * channels)
    found = torch.bmm(_linear(height, tall, rows).expand(batch, -1, -1), rows)
    return found.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _linear(old: int, new: int, like: Tensor) -> Tensor:
    """``(old, new)``: how much of each pixel of a row each pixel of a resized one holds; of the kind of ``like``."""
    every = torch.eye(old, device=like.device, dtype=torch.promote_types(like.dtype, torch.float32))
    return F.interpolate(every[None], size=new, mode="linear", align_corners=False)[0].to(like.dtype)


def initialise(module: nn.Module) -> None:
    """Kaiming normal (fan out, ReLU) for the weights of convolutions and classifiers; norms start at scale 1, shift 0."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(m, nn.modules.batchnorm._BatchNorm) and m.affine:
            nn.init.ones_(m.weight)
            nn.init.zeros_(m.bias)


def scale_residuals(net: nn.Module, scale: float) -> None:
    """Let every residual unit begin with a branch of ``scale`` times its usual size (the weight of its last norm).

    Small ones (0.2) let the deepest networks of the space learn from the first step, which short trainings need; 1 is the
    initialisation of the paper. Other modules say themselves which norms end such branches (``side_norms``).
    """
    for m in net.modules():
        norms: list[nn.Module] = [m.norm2] if isinstance(m, ResidualUnit) else getattr(m, "side_norms", list)()
        for norm in norms:
            nn.init.constant_(_weight(norm), scale)


def straighten_fusions(net: nn.Module, scale: float) -> None:
    """Let every fusion begin by handing each branch on, almost as it came.

    A branch's way to itself begins as the identity (an output beyond the inputs repeats one of them) plus ``scale`` times random
    weights of the same size, shifted so that its ReLU passes most of it; what comes from the neighbours begins at ``scale`` of
    its usual size. Drawn as usual, a deep network passes its input through dozens of random convolutions, and a short training
    ends before it has undone that. The paper's recipes leave the usual start.
    """
    for m in net.modules():
        if not isinstance(m, Fusion):
            continue
        for unit in _units(m.down, m.up):
            nn.init.constant_(_weight(unit.norm), scale)
        for unit in _units(m.same):
            weight_OIkk = unit.conv.weight
            with torch.no_grad():
                outputs = torch.arange(len(weight_OIkk))
                weight_OIkk *= scale * len(weight_OIkk) ** 0.5 / weight_OIkk.norm()
                weight_OIkk[outputs, outputs % weight_OIkk.shape[1], 1, 1] += 1
            nn.init.ones_(unit.norm.bias)  # type: ignore[arg-type]


def _units(*lists: nn.ModuleList) -> Iterator[Unit]:
    for module in chain.from_iterable(lists):
        assert isinstance(module, Unit)
        yield module


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight
