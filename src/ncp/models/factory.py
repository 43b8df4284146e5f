"""From an architecture and a task to a network."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from ncp.errors import UserError
from ncp.models.backbone import MultiResolutionBackbone, MultiResolutionNet, Signature, VideoNet
from ncp.models.bf16 import protect
from ncp.models.blocks import initialise
from ncp.models.heads import ClassificationHead, SegmentationHead, VideoHead
from ncp.models.setups import SETUPS
from ncp.spaces import found
from ncp.spaces.multires import Architecture


class TaskSetup(NamedTuple):
    """How a network is set up for a task: its head, and what its input and output are unless told otherwise."""

    head: type[nn.Module]
    net: type[MultiResolutionNet]
    classes: int
    in_channels: int
    stem_strides: tuple[int, int]


_PARTS: dict[str, tuple[type[nn.Module], type[MultiResolutionNet]]] = {
    "cls": (ClassificationHead, MultiResolutionNet),
    "seg": (SegmentationHead, MultiResolutionNet),
    "det3d": (SegmentationHead, MultiResolutionNet),
    "video": (VideoHead, VideoNet),
}
TASKS: dict[str, TaskSetup] = {
    name: TaskSetup(*_PARTS[name], setup.classes, setup.in_channels, setup.stem_strides)
    for name, setup in SETUPS.items()
}


def task_of(name: str) -> TaskSetup:
    """The entry of ``TASKS``; raises ``UserError`` if there is none."""
    if name not in TASKS:
        raise UserError(f"unknown task '{name}'; tasks: {', '.join(TASKS)}")
    return TASKS[name]


def architecture_of(value: Any) -> Architecture:
    """An architecture from a name (:mod:`ncp.spaces.found`) or anything that ``Architecture.parse`` reads."""
    if isinstance(value, str) and value[:1].isalpha() and not value.endswith((".yaml", ".yml")):
        return found.get(value)
    return Architecture.parse(value)


def build(
    architecture: Any,
    task: str = "cls",
    classes: int | None = None,
    in_channels: int | None = None,
    stem_strides: tuple[int, int] | None = None,
    channels_last: bool = True,
    grad_checkpointing: bool = False,
) -> MultiResolutionNet:
    """The network of an architecture for a task, freshly initialised from torch's global random state.

    Args:
        architecture: a name (``ncp_seg``), a code, its text, a YAML file, an ``Architecture``.
        task: ``cls``: ``(B, C, H, W)`` to ``(B, classes)``; ``seg``: to ``(B, classes, H/4, W/4)``; ``det3d``: a
            bird's-eye view ``(B, 64, H, W)`` to ``(B, o1, H/2, W/2)``, the map that a detector's head reads; ``video``:
            clips ``(B, T, C, H, W)`` to ``(B, classes)``.
        classes: number of classes; 50, 19, 0 and 51 unless given. 0 leaves the classifier of ``seg`` and ``det3d`` out.
        in_channels: channels of the input; 3, and 64 for ``det3d``, unless given.
        stem_strides: strides of the two stem convolutions; (2, 2), and (2, 1) for ``det3d``, unless given.
        channels_last: keep weights, and with them all maps, in the memory format that convolutions are fastest in.
        grad_checkpointing: keep only the blocks' inputs for the backward pass (less memory, a third more time).

    Raises:
        UserError: for an architecture that is not in the space, an unknown task, or impossible numbers.
    """
    spec = task_of(task)
    arch = architecture_of(architecture)
    classes = spec.classes if classes is None else classes
    backbone = MultiResolutionBackbone(
        arch,
        in_channels=spec.in_channels if in_channels is None else in_channels,
        stem_strides=spec.stem_strides if stem_strides is None else stem_strides,
    )
    net = spec.net(backbone, spec.head(backbone.channels, arch["o1"], classes))
    net.signature = Signature(arch.text, task, classes, backbone.in_channels, backbone.stem_strides)
    initialise(net)
    net.set_grad_checkpointing(grad_checkpointing)
    protect(net)
    return to_channels_last(net) if channels_last else net


def to_channels_last(net: Any) -> Any:
    """Lay out the weights of all 2D and 3D convolutions channels-last, in place; the maps follow the weights."""
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            m.to(memory_format=torch.channels_last)
        elif isinstance(m, nn.Conv3d):
            m.to(memory_format=torch.channels_last_3d)
    return net
