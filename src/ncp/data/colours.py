"""Colours of training images, changed at random: drawn where a sample is read, changed there or on the device.

Drawing takes microseconds; changing a window of 512 x 1024 pixels takes a core some tens of milliseconds, half as long as
decoding its image, and a GPU next to nothing. The numbers come from the sample's own generator in either case, so both places
change the same images by the same amounts.

Shape suffixes: C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

PLACES = ("auto", "loader", "device")
DRAWN = "colours"  # in a batch: numbers that are still to be applied to its images
HUE_STEPS = 180  # the 8-bit hue circle of the common implementation


class Colours(Protocol):
    """How a data set changes colours."""

    def draw(self, rng: np.random.Generator) -> tuple[float, ...]:
        """The numbers of a sample, as many for every one."""

    def apply(self, image: Tensor, numbers: Sequence[float]) -> Tensor:
        """A sample's uint8 image (or clip) with other colours, on whatever device it is."""


def coloured(sample: dict[str, Any], colours: Colours, numbers: Sequence[float], late: bool) -> dict[str, Any]:
    """A sample with the colours that were drawn for it, or (``late``) with the numbers, for :func:`in_other_colours`."""
    if late:
        return {**sample, DRAWN: torch.tensor(numbers, dtype=torch.float64)}
    return {**sample, "image": colours.apply(sample["image"], numbers)}


def in_other_colours(batch: dict[str, Any], colours: Colours) -> dict[str, Any]:
    """A batch whose images have the colours that were drawn for them; one without drawn numbers as it is.

    Args:
        batch: with ``image`` ``(B, ...)`` uint8 and, on the host, :data:`DRAWN` ``(B, N)``.
        colours: what the numbers mean.
    """
    if DRAWN not in batch:
        return batch
    numbers = batch[DRAWN].tolist()
    images = [colours.apply(image, drawn) for image, drawn in zip(batch["image"], numbers, strict=True)]
    return {**{name: value for name, value in batch.items() if name != DRAWN}, "image": torch.stack(images)}


@dataclass(frozen=True)
class Photometric:
    """Brightness, contrast, saturation and hue of RGB, each with probability one half, contrast before or after the colours.

    The ranges are the usual ones of this augmentation (Liu et al., SSD, 2016), which the paper names without numbers.

    Attributes:
        brightness: largest share of the range that is added or taken.
        contrast, saturation: ranges of factors.
        hue: largest turn, as a share of the circle.
    """

    brightness: float = 32 / 255
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (0.5, 1.5)
    hue: float = 18 / HUE_STEPS

    def draw(self, rng: np.random.Generator) -> tuple[float, ...]:
        """What is added, the contrast's factor, whether it comes first, the saturation's factor, the hue's turn."""
        added = 255 * rng.uniform(-self.brightness, self.brightness) if rng.random() < 0.5 else 0.0
        first = rng.random() < 0.5
        contrast = rng.uniform(*self.contrast) if rng.random() < 0.5 else 1.0
        saturation = rng.uniform(*self.saturation) if rng.random() < 0.5 else 1.0
        hue = rng.uniform(-self.hue, self.hue) if rng.random() < 0.5 else 0.0
        return added, contrast, float(first), saturation, hue

    def apply(self, image: Tensor, numbers: Sequence[float]) -> Tensor:
        """``(3, H, W)`` uint8."""
        from torchvision.transforms.v2 import functional as F

        added, contrast, first, saturation, hue = numbers
        x = image.float()
        if added:
            x = x + added
        if first and contrast != 1:
            x = x * contrast
        x = x.clamp(0, 255)
        if saturation != 1:  # away from or toward the pixel's brightest channel, as scaling S in HSV does
            value = x.amax(0, keepdim=True)
            x = value - (value - x) * saturation
        if hue:
            x = F.adjust_hue((x / 255).clamp(0, 1), hue) * 255
        if not first and contrast != 1:
            x = x * contrast
        return x.clamp(0, 255).round().to(torch.uint8)


@dataclass(frozen=True)
class Light:
    """Brightness and contrast of all channels alike, for images whose channels are no colours; ranges of :class:`Photometric`."""

    brightness: float = Photometric.brightness
    contrast: tuple[float, float] = Photometric.contrast

    def draw(self, rng: np.random.Generator) -> tuple[float, ...]:
        """What is added, and the contrast's factor, each with probability one half."""
        added = 255 * rng.uniform(-self.brightness, self.brightness) if rng.random() < 0.5 else 0.0
        return added, rng.uniform(*self.contrast) if rng.random() < 0.5 else 1.0

    def apply(self, image: Tensor, numbers: Sequence[float]) -> Tensor:
        """``(C, H, W)`` uint8."""
        added, contrast = numbers
        return ((image.float() + added) * contrast).clamp(0, 255).round().to(torch.uint8)


PHOTOMETRIC = Photometric()
