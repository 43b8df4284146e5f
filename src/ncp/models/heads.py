"""What stands on the four maps of a backbone: classification, segmentation, detection map, video.

Each joins the branches: bilinear resize to one size, concatenation finest first, one convolution with norm and ReLU. For
segmentation and detection that size is the finest branch's, for the others the coarsest's.

Source: paper sections 3.2 and 4 (datasets), appendix A.1.

Shape suffixes: B batch, T frames, C channels, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncp.errors import UserError
from ncp.models.blocks import Unit, resize


def join(branches: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """``(B, sum of C, *size)``: all branches at one size, finest first."""
    if len(branches) == 1:
        return resize(branches[0], size)
    return torch.cat([resize(x, size) for x in branches], dim=1)


def check_classes(classes: int, least: int = 1) -> int:
    """``classes`` itself, or a ``UserError``."""
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < least:
        raise UserError(f"classes must be a whole number of at least {least}, given was {classes!r}")
    return classes


class ClassificationHead(nn.Module):
    """Joined at the coarsest branch, averaged over all pixels, one linear layer.

    Args:
        channels: of the branches, finest first.
        width: channels of the join.
        classes: number of logits.
    """

    def __init__(self, channels: Sequence[int], width: int, classes: int) -> None:
        super().__init__()
        self.join = Unit(sum(channels), width, 1)
        self.classifier = nn.Linear(width, check_classes(classes))

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        """Logits ``(B, classes)``."""
        x_BCHW = self.join(join(branches, branches[-1].shape[-2:]))
        out: Tensor = self.classifier(x_BCHW.mean((2, 3)))
        return out


class SegmentationHead(nn.Module):
    """Joined at the finest branch, a 1x1 classifier on every pixel. The logits stay at the finest branch's size.

    Args:
        channels: of the branches, finest first.
        width: channels of the join.
        classes: number of logits a pixel; 0 leaves the classifier out, so that a detector's head reads the joined map.
    """

    def __init__(self, channels: Sequence[int], width: int, classes: int) -> None:
        super().__init__()
        self.join = Unit(sum(channels), width, 1)
        self.width = width
        self.classifier = nn.Conv2d(width, classes, 1) if check_classes(classes, least=0) else None

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        """``(B, classes, H, W)`` at the size of the first branch, or ``(B, width, H, W)`` without a classifier."""
        x_BCHW: Tensor = self.join(join(branches, branches[0].shape[-2:]))
        return x_BCHW if self.classifier is None else self.classifier(x_BCHW)


class VideoHead(nn.Module):
    """Joined at the coarsest branch by a 3x3x3 convolution over the stacked frames, averaged over time and space.

    The paper replaces "the last 2D convolution before the final classification layer" by a 3D one (Table 9: 3x3x3). In
    this network that is the join; it keeps its channels, stride 1 and as many frames as came in (padding 1).
    """

    def __init__(self, channels: Sequence[int], width: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(sum(channels), width, 3, padding=1, bias=False)
        self.norm: nn.Module = nn.BatchNorm3d(width)
        self.classifier = nn.Linear(width, check_classes(classes))

    def forward(self, branches: Sequence[Tensor], frames: int) -> Tensor:
        """Maps of ``B * frames`` images, a clip's frames one after the other, to logits ``(B, classes)``."""
        x = join(branches, branches[-1].shape[-2:])
        x_BCTHW = x.unflatten(0, (-1, frames)).transpose(1, 2)
        y_BCTHW = F.relu_(self.norm(self.conv(x_BCTHW)))
        out: Tensor = self.classifier(y_BCTHW.mean((2, 3, 4)))
        return out
