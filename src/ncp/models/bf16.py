"""Convolutions whose weight gradient the CPU's bfloat16 kernels get wrong, kept in float32.

oneDNN, which computes torch's convolutions on CPUs, leaves parts of a weight gradient unwritten in bfloat16 where a map is very
small (measured with torch 2.15 and AVX512-BF16; outputs, gradients of inputs, and everything in float32 are right):

* along height or width the stride is longer than the map (3x3 with stride 2 on a map one pixel wide); in 3D it may also write
  beyond its memory,
* in 3D the kernel is longer than the clip (3x3x3 on two frames).

What is unwritten holds whatever stood in memory before: NaN, or other figures in each run. Only such operations, found by the
shape of what comes in, leave bfloat16, on CPUs alone, and only where a weight gradient will be asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)
PLAIN = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def unsafe(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> bool:
    """Whether a convolution's weight gradient may be wrong in bfloat16 on a CPU.

    Args:
        size: of the input: (depth, height and) width.
        kernel, stride, dilation: of the convolution, in the same order.
    """
    if len(size) == 3 and size[0] < dilation[0] * (kernel[0] - 1) + 1:
        return True
    return max(kernel) > 1 and any(side < step for side, step in zip(size[-2:], stride[-2:], strict=True))


def protect(net: N) -> N:
    """Have every convolution of ``net`` keep its unsafe shapes in float32, in place; names and values of the weights stay.

    Any network will do, whoever wrote it; a second call changes nothing.
    """
    for module in net.modules():
        if isinstance(module, PLAIN) and not isinstance(module, Protected):
            kind: Any = type(module)
            module.__class__ = _protected(kind)
    return net


class Protected(nn.Module):
    """Mixed into the class of a convolution by :func:`protect`."""

    def forward(self, x: Tensor) -> Tensor:
        """The convolution, in float32 where its gradient needs that; the output's kind is the same either way."""
        conv: Any = self
        low = _lowered(x) if x.device.type == "cpu" and conv.weight.requires_grad and torch.is_grad_enabled() else None
        if low is None or not unsafe(x.shape[-len(conv.kernel_size) :], conv.kernel_size, conv.stride, conv.dilation):
            out: Tensor = super().forward(x)
            return out
        with torch.autocast("cpu", enabled=False):
            if conv.weight.dtype == torch.float32:
                out = super().forward(x.float())
            else:  # a network that is in half precision as a whole
                weights = {name: value.float() for name, value in conv.named_parameters()}
                out = torch.func.functional_call(conv, weights, (x.float(),))
        return out.to(low)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copied and pickled by the class that was protected: the mixed one has no name that could be imported."""
        return _remake, (type(self).__mro__[2],), self.__getstate__()  # type: ignore[no-untyped-call]


def _lowered(x: Tensor) -> torch.dtype | None:
    """The half precision in which a convolution of ``x`` would run on the CPU; None for single and double."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") if x.dtype != torch.float64 else None
    return x.dtype if x.dtype in (torch.bfloat16, torch.float16) else None


@cache
def _protected(kind: Any) -> Any:
    return type(kind.__name__, (Protected, kind), {"__module__": kind.__module__, "__doc__": kind.__doc__})


def _remake(kind: Any) -> nn.Module:
    """An empty module of the protected class, before its state is set."""
    made = _protected(kind)
    module: nn.Module = made.__new__(made)
    return module
