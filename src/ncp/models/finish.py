"""What follows a convolution: batch norm, the shortcut where there is one, ReLU; kernel by kernel, or compiled into few.

Shape suffixes: B batch, C channels, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Backend = str | Callable[..., Any]
"""Of :func:`torch.compile`."""
MOST_KINDS = 32  # square maps and others, with a shortcut and without, frozen statistics: where torch would stop at 8


def finish(
    norm: nn.Module, y_BCHW: Tensor, shortcut_BCHW: Tensor | None = None, backend: Backend | None = None
) -> Tensor:
    """``relu(norm(y) + shortcut)``; ``y`` may be overwritten.

    Args:
        norm: of the convolution's output.
        y_BCHW: that output.
        shortcut_BCHW: of the same shape; None for none.
        backend: what compiles it for training; None for kernel by kernel, as evaluation always is.
    """
    if backend is not None and norm.training and type(norm) is nn.BatchNorm2d and norm.momentum is not None:
        given = (norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.num_batches_tracked)
        out: Tensor = _compiled(backend)(y_BCHW, shortcut_BCHW, *given, norm.momentum, norm.eps)
        return out
    y = norm(y_BCHW)
    if shortcut_BCHW is not None:
        y += shortcut_BCHW
    return F.relu_(y)


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
