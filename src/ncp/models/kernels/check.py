"""Whether Triton's kernels can be had on a device, and do there what torch's operators do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ncp.models.kernels import maps, norm

NEAR = 1e-3


def check(device: torch.device) -> None:
    """Compile kernels on a device, which the next process is spared, and hold small maps against torch's own operators.

    Raises:
        RuntimeError: where they differ; and whatever Triton raises where it cannot compile.
    """
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, memory_format=torch.channels_last)

    norms = [nn.BatchNorm2d(16).to(device).train() for _ in range(2)]
    y, shortcut, small = drawn(2, 16, 8, 6), drawn(2, 16, 8, 6), drawn(2, 16, 4, 3)
    ways: dict[str, tuple[Sequence[Tensor], Callable[..., Tensor | None], Callable[..., Tensor]]] = {
        "norms": (
            (y, shortcut),
            lambda y, shortcut: norm.finish(norms[0], y, shortcut),
            lambda y, shortcut: torch.relu(norms[1](y) + shortcut),
        ),
        "sums": (
            (y, shortcut, small),
            maps.merge,
            lambda y, shortcut, small: y + shortcut + F.interpolate(small, scale_factor=2),
        ),
        "joins": (
            (y, small),
            lambda y, small: maps.join((y, small), (8, 6)),
            lambda y, small: torch.cat([y, F.interpolate(small, scale_factor=2, mode="bilinear")], 1),
        ),
    }
    with torch.autocast(device.type, enabled=False):
        for name, (given, own, torchs) in ways.items():
            found = [_all(way, given) for way in (own, torchs)]
            if not all(torch.allclose(a, b, rtol=NEAR, atol=NEAR) for a, b in zip(*found, strict=True)):
                raise RuntimeError(f"{name} by Triton's kernels are not those of torch on this device")
    if not all(torch.allclose(a, b, rtol=NEAR, atol=NEAR) for a, b in zip(*(n.buffers() for n in norms), strict=True)):
        raise RuntimeError("statistics by Triton's kernels are not those of torch on this device")


def _all(way: Callable[..., Tensor | None], given: Sequence[Tensor]) -> list[Tensor]:
    """What is written, and the slopes of what was given."""
    own = [x.detach().clone().requires_grad_() for x in given]
    out = way(*own)
    assert out is not None
    (out * out).sum().backward()  # type: ignore[no-untyped-call]
    return [out, *(x.grad for x in own if x.grad is not None)]
