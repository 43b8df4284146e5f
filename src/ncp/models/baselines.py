"""Hand-designed networks of timm under the same heads, so that the same recipes train them (paper Tables 2, 5, 8, 9).

* ``cls``: timm's network with its own pooling and linear layer.
* ``seg``: HRNet's four branches joined at 1/4 by a 1x1 convolution that keeps their channels (HRNetV2); any other network
  dilated to 1/8 under a pyramid pooling head (``head="psp"``).
* ``det3d``: HRNet or ResNet whose stem halves once less, joined at 1/2 of the bird's-eye view.
* ``video``: run on every frame; a 3x3x3 convolution over the stacked frames, then the averages and the classifier.

With 50 classes ResNet50, ResNet101, HRNet-W32 and HRNet-W48 have the parameters of the paper's Table 5 to the last digit; its
multiply-adds are up to 0.8% higher, since its counter adds two per number that enters a batch norm. ResNet-PSP and HRNet-W18
and W32 are those of Tables 2 and 8 (whose ResNets also count an auxiliary head, 0.3 M to 2.4 M, that only training uses).
Not reproduced: "HRNet-W18s" of Table 8 (5.48 M; timm's two small ones have 1.54 M and 3.94 M) and HRNet in Table 9 (20.05 M,
here 10.03 M: the paper does not say which convolution became three-dimensional).
"""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch.nn.functional as F
from torch import Tensor, nn

from ncp.errors import UserError
from ncp.models.backbone import MultiResolutionNet, VideoNet, check_channels
from ncp.models.bf16 import protect
from ncp.models.blocks import initialise
from ncp.models.factory import task_of, to_channels_last
from ncp.models.heads import PSPHead, SegmentationHead, VideoHead, check_classes

VIDEO_WIDTH = 64  # of the 3x3x3 convolution: brings ResNet18 and 34 within 0.04 M parameters of the paper's Table 9
BEV_WIDTH = 128  # of the map that a detector's head reads: the widest join of the searched networks
HEADS = ("auto", "join", "psp")


class TimmBackbone(nn.Module):
    """A timm network as a list of maps, finest first; a map finer than ``finest`` is left out.

    Attributes:
        channels: of the maps.
        reductions: of the maps' sides.
    """

    def __init__(self, name: str, in_channels: int = 3, finest: int = 4, **kwargs: Any) -> None:
        super().__init__()
        hrnet = name.startswith("hrnet")
        if hrnet:
            kwargs["feature_location"] = ""  # the branches themselves, not the classifier's widened ones
        self.in_channels = in_channels
        self.net = _create(name, in_chans=in_channels, features_only=True, **kwargs)
        info = self.net.feature_info
        self.first = next(i for i, r in enumerate(info.reduction()) if r >= finest)
        self.channels = tuple(info.channels()[self.first :])
        self.reductions = tuple(info.reduction()[self.first :])
        self.pad_to = self.reductions[-1] if hrnet else 1

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """The maps."""
        if x_BCHW.ndim != 4 or x_BCHW.shape[1] != self.in_channels:
            raise UserError(
                f"this network reads (batch, {self.in_channels}, height, width), given was {tuple(x_BCHW.shape)}"
            )
        height, width = x_BCHW.shape[-2:]
        maps: list[Tensor] = self.net(_pad(x_BCHW, self.pad_to))[self.first :]
        # halves are rounded up without negative numbers, which ONNX divides otherwise than Python
        return [
            m[..., : (height + r - 1) // r, : (width + r - 1) // r] for m, r in zip(maps, self.reductions, strict=True)
        ]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As timm does it; raises ``UserError`` where timm cannot."""
        try:
            self.net.set_grad_checkpointing(enable)
        except (AttributeError, AssertionError):
            if enable:
                raise UserError("timm has no gradient checkpointing for this network; set it to false") from None


def _pad(x_BCHW: Tensor, multiple: int) -> Tensor:
    """Zeros below and on the right: timm's HRNet adds branches without resizing, so its sides must divide."""
    height, width = x_BCHW.shape[-2:]
    right, below = ((multiple - side % multiple) % multiple for side in (width, height))
    return F.pad(x_BCHW, (0, right, 0, below)) if multiple > 1 else x_BCHW


class _Coarsest(nn.Module):
    """Only the last map of a backbone: a classifier's network has no finer branches to join."""

    def __init__(self, backbone: TimmBackbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels = backbone.channels[-1:]
        self.set_grad_checkpointing = backbone.set_grad_checkpointing

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """A list of one map."""
        maps: list[Tensor] = self.backbone(x_BCHW)
        return maps[-1:]


def build_timm(
    name: str,
    task: str = "cls",
    classes: int | None = None,
    in_channels: int | None = None,
    head: str = "auto",
    channels_last: bool = True,
    grad_checkpointing: bool = False,
) -> nn.Module:
    """A hand-designed baseline for a task; the same inputs and outputs as :func:`ncp.models.build`.

    The logits of ``seg`` under the pyramid pooling head are at 1/8 of the input instead of 1/4.

    Args:
        name: of a timm network that gives maps (``resnet50``, ``hrnet_w18``, ...); HRNet or ResNet for ``det3d``.
        task: ``cls``, ``seg``, ``det3d``, ``video``.
        classes: as in ``build``.
        in_channels: as in ``build``.
        head: of ``seg``: ``join``, ``psp``, or ``auto``: join for HRNet, psp for the others (as in the paper's Table 2).
        channels_last: memory format of the weights and with them of all maps.
        grad_checkpointing: as in ``build``, where timm can do it.

    Raises:
        UserError: for an unknown name, task or head, or a network that cannot do the task or be checkpointed.
    """
    spec = task_of(task)
    classes = spec.classes if classes is None else classes
    in_channels = check_channels(spec.in_channels if in_channels is None else in_channels)
    if head not in HEADS:
        raise UserError(f"unknown head '{head}'; heads: {', '.join(HEADS)}")
    if head != "auto" and task != "seg":
        raise UserError(f"head={head} is for task=seg only; leave it at auto for task={task}")
    if task == "cls":
        net = _create(name, num_classes=check_classes(classes), in_chans=in_channels)
        if name.startswith("hrnet"):
            net.register_forward_pre_hook(lambda module, inputs: (_pad(inputs[0], 32), *inputs[1:]))
    elif task == "seg":
        net = _segmentation(name, classes, in_channels, head)
    elif task == "det3d":
        net = _bird_eye(name, classes, in_channels)
    else:
        net = _video(name, classes, in_channels)
    if grad_checkpointing:
        _checkpoint(net, name)
    protect(net)
    out: nn.Module = to_channels_last(net) if channels_last else net
    return out


def _checkpoint(net: Any, name: str) -> None:
    try:
        net.set_grad_checkpointing(True)
    except (AttributeError, AssertionError, UserError):
        raise UserError(
            f"timm has no gradient checkpointing for '{name}'; leave model.grad_checkpointing out"
        ) from None


def _segmentation(name: str, classes: int, in_channels: int, head: str) -> nn.Module:
    if head == "auto":
        head = "join" if name.startswith("hrnet") else "psp"
    if head == "join":
        backbone = TimmBackbone(name, in_channels)
        joined: nn.Module = SegmentationHead(backbone.channels, sum(backbone.channels), classes)
        initialise(joined)
        return MultiResolutionNet(backbone, joined)
    if name.startswith("hrnet"):
        raise UserError(f"head=psp needs a network that can be dilated; {name} cannot, use head=join")
    # the published segmentation networks replace ResNet's 7x7 stem by three 3x3 convolutions
    stem: dict[str, Any] = {"stem_type": "deep", "stem_width": 32} if _plain_resnet(name) else {}
    backbone = TimmBackbone(name, in_channels, output_stride=8, **stem)
    channels = backbone.channels[-1]
    pyramid = PSPHead(channels, channels // 4, classes)
    initialise(pyramid)
    return MultiResolutionNet(_Coarsest(backbone), pyramid)


def _bird_eye(name: str, classes: int, in_channels: int) -> nn.Module:
    backbone = TimmBackbone(name, in_channels)
    if name.startswith("hrnet"):
        backbone.net.conv2.stride = (1, 1)
    elif _plain_resnet(name):
        backbone.net["maxpool"] = nn.Identity()
    else:
        raise UserError(f"task=det3d knows how to halve the stem of hrnet_* and resnet*, not of '{name}'")
    backbone.reductions = tuple(r // 2 for r in backbone.reductions)
    backbone.pad_to = backbone.pad_to // 2 or 1
    head = SegmentationHead(backbone.channels, BEV_WIDTH, classes)
    initialise(head)
    return MultiResolutionNet(backbone, head)


def _video(name: str, classes: int, in_channels: int) -> nn.Module:
    backbone = TimmBackbone(name, in_channels)
    body: nn.Module = backbone if name.startswith("hrnet") else _Coarsest(backbone)
    channels = backbone.channels if name.startswith("hrnet") else backbone.channels[-1:]
    head = VideoHead(channels, VIDEO_WIDTH, classes)
    initialise(head)
    return VideoNet(body, head)


def _plain_resnet(name: str) -> bool:
    return name.removeprefix("resnet").isdecimal()


def _create(name: str, **kwargs: Any) -> Any:
    """``timm.create_model`` without weights; a ``UserError`` for what timm does not know or cannot do."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(str(name), timm.list_models(), n=4)
        hint = f"; did you mean {', '.join(near)}?" if near else "; see timm.list_models()"
        raise UserError(f"timm has no network called '{name}'{hint}")
    try:
        return timm.create_model(name, pretrained=False, **kwargs)
    except (TypeError, AssertionError, RuntimeError, NotImplementedError) as error:
        given = ", ".join(f"{k}={v}" for k, v in kwargs.items())
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"timm cannot build '{name}' with {given}: {reason}") from None
