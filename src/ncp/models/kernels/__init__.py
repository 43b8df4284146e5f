"""Parts of a training step on a GPU in Triton, for which torch reads and writes maps too often: what follows a convolution
(:mod:`ncp.models.kernels.norm`), sums and joins of maps of several sizes (:mod:`ncp.models.kernels.maps`).

Each is asked for in torch's place, and answers None for what does not suit it, which is torch's then. The host takes longer to
start these kernels than torch's, so they are for steps that are recorded (:mod:`ncp.models.capture`). Triton is imported when the
first of them is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from ncp.models.blocks import Fusion, ResidualUnit, Unit
from ncp.models.heads import SegmentationHead

N = TypeVar("N", bound=nn.Module)


def use(net: N) -> N:
    """Have units, fusions and joins within ``net`` ask for kernels in training; names and values of weights stay.

    :func:`refused` says beforehand whether they can be had.
    """
    for module in net.modules():
        if isinstance(module, (Unit, ResidualUnit)):
            module.finisher = finish
        elif isinstance(module, Fusion):
            module.merger = merge
        elif isinstance(module, SegmentationHead):
            module.joiner = join
    return net


@cache
def refused(device: torch.device) -> str | None:
    """Why there are no kernels for a device; None where there are, which was tried then."""
    if device.type != "cuda":
        return "there is no GPU"
    try:
        from ncp.models.kernels.check import check

        check(device)
    except Exception as error:  # no Triton, no compiler, a GPU that it does not know: all end in torch's own kernels
        told = str(error).strip() or type(error).__name__
        return told.splitlines()[0]
    return None


def finish(norm: nn.Module, y_BCHW: Tensor, shortcut_BCHW: Tensor | None) -> Tensor | None:
    """A :data:`ncp.models.finish.Finisher`."""
    from ncp.models.kernels import norm as kernels

    if not kernels.fits(norm, y_BCHW):
        return None
    assert isinstance(norm, nn.BatchNorm2d)
    return kernels.finish(norm, y_BCHW, shortcut_BCHW)


def merge(same_BCHW: Tensor, down_BCHW: Tensor | None, up_BCHW: Tensor) -> Tensor | None:
    """A :data:`ncp.models.blocks.Merger`."""
    from ncp.models.kernels import maps

    return maps.merge(same_BCHW, down_BCHW, up_BCHW)


def join(branches: Sequence[Tensor], size: Sequence[int]) -> Tensor | None:
    """A :data:`ncp.models.heads.Joiner`."""
    from ncp.models.kernels import maps

    return maps.join(branches, size)
