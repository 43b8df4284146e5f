"""What follows a convolution: batch norm, the shortcut where there is one, ReLU; by torch, or in training in fewer kernels.

Shape suffixes: B batch, C channels, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Finisher = Callable[[nn.Module, Tensor, Tensor | None], Tensor | None]
"""What writes ``relu(norm(y) + shortcut)`` in training in torch's place; None where it can't."""
Backend = str | Callable[..., Any]
"""Of :func:`torch.compile`."""
MOST_KINDS = 32  # square maps and others, with a shortcut and without, frozen statistics: where torch would stop at 8


def finish(
    norm: nn.Module, y_BCHW: Tensor, shortcut_BCHW: Tensor | None = None, finisher: Finisher | None = None
) -> Tensor:
    """``relu(norm(y) + shortcut)``; ``y`` may be overwritten.

    Args:
        norm: of the convolution's output.
        y_BCHW: that output.
        shortcut_BCHW: of the same shape; None for none.
        finisher: asked first in training; evaluation is always torch's.
    """
    out = finisher(norm, y_BCHW, shortcut_BCHW) if finisher is not None and norm.training else None
    if out is not None:
        return out
    y = norm(y_BCHW)
    if shortcut_BCHW is not None:
        y += shortcut_BCHW
    return F.relu_(y)


def compiled(backend: Backend) -> Finisher:
    """A :data:`Finisher` made by :func:`torch.compile`."""
    return partial(_by_compiler, backend)


def _by_compiler(backend: Backend, norm: nn.Module, y_BCHW: Tensor, shortcut_BCHW: Tensor | None) -> Tensor | None:
    if type(norm) is not nn.BatchNorm2d or norm.momentum is None:
        return None
    given = (norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.num_batches_tracked)
    out: Tensor = _compiled(backend)(y_BCHW, shortcut_BCHW, *given, norm.momentum, norm.eps)
    return out


@cache
def _compiled(backend: Backend) -> Callable[..., Any]:
    """One function for all norms: height, width and channels are free numbers (square maps have a version of their own)."""
    from torch._dynamo import config

    settings: Any = config
    settings.force_parameter_static_shapes = False  # else every number of channels were compiled anew
    settings.recompile_limit = max(settings.recompile_limit, MOST_KINDS)
    return torch.compile(_training, dynamic=True, backend=backend)


def _training(
    y_BCHW: Tensor,
    shortcut_BCHW: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    tracked: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    """As :class:`torch.nn.BatchNorm2d` does it in training."""
    if tracked is not None:
        tracked.add_(1)
    y = F.batch_norm(y_BCHW, mean, variance, weight, bias, True, momentum, eps)
    if shortcut_BCHW is not None:
        y = y + shortcut_BCHW
    return F.relu(y)
