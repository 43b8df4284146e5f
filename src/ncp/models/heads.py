"""What stands on the four maps of a backbone: classification, segmentation, detection map, video.

Each joins the branches: bilinear resize to one size, concatenation finest first, one convolution with norm and ReLU. For
segmentation and detection that size is the finest branch's, for the others the coarsest's.

Source: paper sections 3.2 and 4 (datasets), appendix A.1.

Shape suffixes: B batch, T frames, C channels, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncp.errors import UserError
from ncp.models.blocks import Unit, resize

Joiner = Callable[[Sequence[Tensor], Sequence[int]], Tensor | None]
"""What joins branches at one size, as :func:`join` does; None where it can't."""


def join(branches: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """``(B, sum of C, *size)``: all branches at one size, finest first."""
    if len(branches) == 1:
        return resize(branches[0], size)
    return torch.cat([resize(x, size) for x in branches], dim=1)


MAX_CLASSES = 100_000


def check_classes(classes: int, least: int = 1) -> int:
    """``classes`` itself, or a ``UserError``."""
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < least:
        raise UserError(f"classes must be a whole number of at least {least}, given was {classes!r}")
    if classes > MAX_CLASSES:
        raise UserError(f"classes must be a whole number of at most {MAX_CLASSES:,}, given was {classes}")
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
        out: Tensor = self.classifier(self.features(branches).mean((2, 3)))
        return out

    def features(self, branches: Sequence[Tensor]) -> Tensor:
        """The joined map ``(B, width, H, W)`` before the average."""
        x_BCHW: Tensor = self.join(join(branches, branches[-1].shape[-2:]))
        return x_BCHW


class SegmentationHead(nn.Module):
    """Joined at the finest branch, a 1x1 classifier on every pixel. The logits stay at the finest branch's size.

    Attributes:
        joiner: what joins in training in torch's place; None for nothing.

    Args:
        channels: of the branches, finest first.
        width: channels of the join.
        classes: number of logits a pixel; 0 leaves the classifier out, so that a detector's head reads the joined map.
    """

    joiner: Joiner | None = None

    def __init__(self, channels: Sequence[int], width: int, classes: int) -> None:
        super().__init__()
        self.join = Unit(sum(channels), width, 1)
        self.width = width
        self.classifier = nn.Conv2d(width, classes, 1) if check_classes(classes, least=0) else None

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        """``(B, classes, H, W)`` at the size of the first branch, or ``(B, width, H, W)`` without a classifier."""
        size = branches[0].shape[-2:]
        joined = self.joiner(branches, size) if self.joiner is not None and self.training else None
        x_BCHW: Tensor = self.join(join(branches, size) if joined is None else joined)
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
        x_BCTHW = x.unflatten(0, (-1, frames)).transpose(1, 2)  # type: ignore[no-untyped-call]
        y_BCTHW = F.relu_(self.norm(self.conv(x_BCTHW)))
        out: Tensor = self.classifier(y_BCTHW.mean((2, 3, 4)))
        return out


class PSPHead(nn.Module):
    """Pyramid pooling (Zhao et al. 2017) on the last map: averages over 1, 2, 3 and 6 cells a side, joined by a 3x3 unit.

    The baselines' head of the paper's Tables 2 and 8. Their parameter counts there include an auxiliary head that only
    training uses; it is not part of this one.

    Args:
        channels: of the map.
        width: of the averages and of the join: a quarter of ``channels`` in the published networks.
        classes: number of logits a pixel.
    """

    BINS = (1, 2, 3, 6)

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(Unit(channels, width, 1) for _ in self.BINS)
        self.join = Unit(channels + len(self.BINS) * width, width, 3)
        self.drop = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(width, check_classes(classes), 1)

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        """Logits ``(B, classes, H, W)`` at the size of the last map."""
        x_BCHW = branches[-1]
        if self.training and x_BCHW.shape[0] == 1:
            raise UserError("the pyramid pooling head cannot train on one image (its batch norms would see one number)")
        size = x_BCHW.shape[-2:]
        pooled = [
            resize(unit(F.adaptive_avg_pool2d(x_BCHW, n)), size) for n, unit in zip(self.BINS, self.pools, strict=True)
        ]
        out: Tensor = self.classifier(self.drop(self.join(torch.cat([x_BCHW, *pooled], dim=1))))
        return out
