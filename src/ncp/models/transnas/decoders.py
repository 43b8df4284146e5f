"""What stands on an encoder's map: linear classifiers, the segmentation decoder, the dense decoder of images and normals.

The decoders double the map's size as often as the encoder halved the image's, so they end at the image's own size. ``width``
makes their layers narrower, for light trainings; at 1 they are the benchmark's.

Shape suffixes: B batch, P tiles, C channels, H, W height and width.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ncp.errors import UserError
from ncp.models.heads import check_classes

SLOPE = 0.2  # of the leaky ReLUs
DENSE = (1024, 1024, 512, 512, 256, 128, 64, 64, 32, 32, 16, 32, 16)
"""Channels of the dense decoder's layers but the last."""
GROWING = {3: 6, 5: 5, 7: 4, 9: 3, 11: 2, 13: 2}
"""Layers of the dense decoder (from 1) that double the size -> from how many doublings on they do."""
DOUBLINGS = (2, 6)


def doublings(reduction: int) -> int:
    """How often a map at ``1 / reduction`` of the image's size must be doubled: 2 to 6 times.

    >>> doublings(32)
    5
    """
    times = reduction.bit_length() - 1
    if reduction != 2**times or not DOUBLINGS[0] <= times <= DOUBLINGS[1]:
        raise UserError(f"a decoder stands on maps at 1/4 to 1/64 of the image's size, given was 1/{reduction}")
    return times


class Linear(nn.Module):
    """Average over all pixels, one linear layer."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(channels, check_classes(outputs))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, outputs)``."""
        out: Tensor = self.classifier(x_BCHW.mean((2, 3)))
        return out


class Layer(nn.Module):
    """A 3x3 convolution with bias that keeps the size, or a transposed one that doubles it; batch norm, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, grows: bool = False) -> None:
        super().__init__()
        self.conv: nn.Module = (
            nn.ConvTranspose2d(inputs, outputs, 3, 2, padding=1, output_padding=1)
            if grows
            else nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, outputs, H, W)``, or twice the height and width."""
        return F.leaky_relu(self.norm(self.conv(x_BCHW)), SLOPE)


class SegmentationDecoder(nn.Module):
    """Five layers that halve 1,024 channels, the last of them growing, one more that grows, a 3x3 classifier on every pixel.

    Args:
        channels: of the map.
        reduction: of the map; see :func:`doublings`.
        classes: number of logits a pixel.
        width: share of the layers' channels.
        short: of the layers only the first and those that grow.
    """

    def __init__(self, channels: int, reduction: int, classes: int, width: float = 1.0, short: bool = False) -> None:
        super().__init__()
        first = 7 - doublings(reduction)  # layer that grows, as all after it
        places = [0, *range(first, 7)] if short else list(range(7))
        widths = [channels, *(scaled(1024 >> min(place, 5), width) for place in places)]
        layers = (Layer(*pair, grows=place >= first) for place, pair in zip(places, pairwise(widths), strict=True))
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Conv2d(widths[-1], check_classes(classes), 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits ``(B, classes, H * reduction, W * reduction)``."""
        out: Tensor = self.classifier(self.layers(x_BCHW))
        return out


class DenseDecoder(nn.Module):
    """Fourteen layers, of which two to six grow, to an image in -1..1.

    Args:
        channels: of the map.
        reduction: of the map; see :func:`doublings`.
        outputs: channels of the image.
        width: share of the layers' channels.
        short: of the layers only the first and those that grow.
    """

    def __init__(
        self, channels: int, reduction: int, outputs: int = 3, width: float = 1.0, short: bool = False
    ) -> None:
        super().__init__()
        times = doublings(reduction)
        growing = [place for place, least in GROWING.items() if times >= least]
        places = [1, *growing] if short else range(1, len(DENSE) + 1)
        widths = [channels, *(scaled(DENSE[place - 1], width) for place in places)]
        layers = (Layer(*pair, grows=place in growing) for place, pair in zip(places, pairwise(widths), strict=True))
        self.layers = nn.Sequential(*layers)
        self.last = nn.Conv2d(widths[-1], outputs, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, outputs, H * reduction, W * reduction)`` in -1..1."""
        return F.tanh(self.last(self.layers(x_BCHW)))


def scaled(channels: int, width: float) -> int:
    """A layer's channels at a share of its width, at least 8, or as many as it has.

    >>> scaled(1024, 1.0), scaled(1024, 0.125), scaled(32, 0.125), scaled(4, 0.5)
    (1024, 128, 8, 4)
    """
    return max(min(8, channels), round(channels * width))
