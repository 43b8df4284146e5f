"""Augmentation that is the same for all frames of a clip (appendix A.1).

Shape suffixes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from ncp import options
from ncp.data import transforms as T
from ncp.errors import UserError
from ncp.numeric import shown

CHANGES = ("brightness", "contrast", "saturation", "hue")


@dataclass(frozen=True)
class ClipAugmentation:
    """Appendix A.1: random resize and crop, colours, greyscale; drawn once for all frames of a clip. No flip: none is named.

    Attributes:
        scale: range of the window's share of the frame's area (the paper gives no numbers; ours).
        brightness, contrast, saturation: factors are drawn from ``1 - x .. 1 + x``.
        hue: largest turn, as a share of the circle.
        greyscale: probability.
    """

    scale: tuple[float, float] = (0.25, 1.0)
    brightness: float = 0.5
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.25
    greyscale: float = 0.3

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ClipAugmentation:
        """From a configuration; ``UserError`` for keys and values that do not exist."""
        if not isinstance(settings, Mapping):
            raise UserError(f"data.augmentation must be keys with values, or null, given was {shown(settings)}")
        made = options.call(cls, settings, "data.augmentation")
        if not 0 < made.scale[0] <= made.scale[1] <= 1:
            raise UserError(f"data.augmentation.scale is a range of shares of the frame, given was {list(made.scale)}")
        most = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5, "greyscale": 1.0}
        for name, limit in most.items():
            if not 0 <= getattr(made, name) <= limit:
                raise UserError(f"data.augmentation.{name} is in 0..{limit:g}, given was {getattr(made, name)}")
        return made

    def crop(self, clip_TCHW: Tensor, rng: np.random.Generator, size: T.Size) -> Tensor:
        """``(T, 3, *size)`` uint8: the same window of every frame."""
        flat = T.random_resized_crop(clip_TCHW.flatten(0, 1), rng, size, self.scale)
        out: Tensor = flat.unflatten(0, (-1, 3))  # type: ignore[no-untyped-call]
        return out

    def draw(self, rng: np.random.Generator) -> tuple[float, ...]:
        """The changes in the order in which they come, each as its place in :data:`CHANGES` and its amount; whether the clip is
        grey."""
        numbers: list[float] = []
        for change in rng.permutation(len(CHANGES)):
            reach = getattr(self, CHANGES[change])
            numbers += [float(change), float(rng.uniform(-reach, reach))]
        return (*numbers, float(rng.random() < self.greyscale))

    def apply(self, image: Tensor, numbers: Sequence[float]) -> Tensor:
        """``(..., T, 3, H, W)`` uint8: the same map of colours for all frames."""
        *changes, grey = numbers
        x = image.float()
        for change, amount in zip(changes[::2], changes[1::2], strict=True):
            x = changed(x, CHANGES[int(change)], amount)
        if grey:
            x = F.rgb_to_grayscale(x, num_output_channels=3)
        return x.clamp(0, 255).round().to(torch.uint8)


def changed(x_TCHW: Tensor, name: str, amount: float) -> Tensor:
    """Frames (0..255) with one of :data:`CHANGES`; contrast is about the mean grey of the clip."""
    if name == "hue":
        turned: Tensor = F.adjust_hue(x_TCHW / 255, amount) * 255 if amount else x_TCHW
        return turned
    if name == "brightness":
        return (x_TCHW * (1 + amount)).clamp(0, 255)
    grey: Tensor = F.rgb_to_grayscale(x_TCHW)
    grey = grey.mean() if name == "contrast" else grey
    return (grey + (1 + amount) * (x_TCHW - grey)).clamp(0, 255)
