"""A hand-designed network of about the cost of a searched one, to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ncp import spaces
from ncp.errors import UserError
from ncp.models import build, build_timm
from ncp.models.setups import POINTPILLARS
from ncp.tasks.base import counted_macs

# of timm, cheapest first, from a few per cent of the default code's multiply-adds to several times as many; under the task's head
CANDIDATES = {
    "cls": ("mobilenetv3_small_100", "mobilenetv3_large_100", "resnet10t", "resnet18", "resnet34", "resnet50"),
    "seg": ("mobilenetv2_050", "hrnet_w18_small", "mobilenetv2_100", "hrnet_w18", "hrnet_w32"),
    "video": (
        "mobilenetv2_050",
        "mobilenetv2_100",
        "hrnet_w18_small",
        "resnet10t",
        "resnet18",
        "hrnet_w18",
        "resnet34",
    ),
}
NAMES = {"det3d": tuple(POINTPILLARS), **CANDIDATES}
_SHAPES = {"cls": (1, 3, 128, 128), "seg": (1, 3, 128, 128), "video": (1, 8, 3, 128, 128), "det3d": (1, 64, 128, 128)}


@lru_cache
def macs_like(name: str, task: str, reference: Any) -> int:
    """Multiply-adds of a baseline, in the unit in which searched architectures are counted (128x128).

    Both are counted by torch under the task's own head, and the ratio is applied to the reference's exact count, so that the
    figure may stand beside those of the space.

    Args:
        name: of a timm network, or of :data:`ncp.models.setups.POINTPILLARS`.
        task: ``cls``, ``seg``, ``det3d`` or ``video``.
        reference: an architecture of the multi-resolution space.

    Raises:
        UserError: for a network that timm does not have, or that cannot do the task.
    """
    from ncp.models.detector import pointpillars

    shape = _SHAPES[task]
    with torch.device("meta"):
        baseline = pointpillars(name) if name in POINTPILLARS else build_timm(name, task=task)
        own = build(reference, task=task)
    exact = int(spaces.get("multires").cost(np.array([reference.code])).macs[0])
    return round(counted_macs(baseline, shape) / counted_macs(own, shape) * exact)


def choose(task: str, limit: float, reference: Any, names: Iterable[str] | None = None) -> tuple[str, int]:
    """The dearest baseline of at most ``limit`` multiply-adds, or the cheapest of all; its name and its multiply-adds.

    Args:
        task: see :func:`macs_like`.
        limit: in the unit of :func:`macs_like`.
        reference: likewise.
        names: from which to choose; None for those that are known to do the task.
    """
    found: list[tuple[int, str]] = []
    for name in NAMES[task] if names is None else names:
        try:
            found.append((macs_like(name, task, reference), name))
        except UserError:
            if names is not None:
                raise
    assert found, "at least one baseline does each task"
    within = [pair for pair in found if pair[0] <= limit]
    macs, name = max(within) if within else min(found)
    return name, macs
