"""Augmentations on uint8 tensors; every random number comes from the generator that is passed in.

Crops are cut out of the source before they are resized, which gives the same picture as resizing everything and cropping
then, at a fraction of the work. Normalisation is left to the device (``tasks.base``): a byte a pixel travels. Colours:
:mod:`ncp.data.colours`.

Shape suffixes: C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ncp.data.base import IGNORE
from ncp.data.images import read_image as read_image
from ncp.data.images import read_label as read_label

Size = tuple[int, int]
Rng = np.random.Generator


def resize_image(image_CHW: Tensor, size: Size) -> Tensor:
    """Bilinear with antialiasing."""
    if tuple(image_CHW.shape[-2:]) == tuple(size):
        return image_CHW
    out: Tensor = F.resize(image_CHW, list(size), InterpolationMode.BILINEAR, antialias=True)
    return out


def resize_label(label_HW: Tensor, size: Size) -> Tensor:
    """Nearest neighbour (of the pixels' centres)."""
    if tuple(label_HW.shape[-2:]) == tuple(size):
        return label_HW
    out: Tensor = F.resize(label_HW[None], list(size), InterpolationMode.NEAREST_EXACT)[0]
    return out


def random_resized_crop(
    image_CHW: Tensor,
    rng: Rng,
    size: Size,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """A window of random area (share of the image) and aspect, resized to ``size``; the largest centred one if none fits."""
    height, width = image_CHW.shape[-2:]
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = np.exp(rng.uniform(*np.log(ratio)))
        w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
            break
    else:
        aspect = min(max(width / height, ratio[0]), ratio[1])
        w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
        top, left = (height - h) // 2, (width - w) // 2
    return resize_image(image_CHW[:, top : top + h, left : left + w], size)


def centre_crop(image_CHW: Tensor, size: Size, share: float = 0.875) -> Tensor:
    """The centred window that covers ``share`` of the shorter side (224 of 256), with the aspect of ``size``, resized to it."""
    height, width = image_CHW.shape[-2:]
    zoom = min(height / size[0], width / size[1]) * share
    h, w = max(1, round(size[0] * zoom)), max(1, round(size[1] * zoom))
    top, left = (height - h) // 2, (width - w) // 2
    return resize_image(image_CHW[:, top : top + h, left : left + w], size)


def random_flip(rng: Rng, *planes: Tensor, p: float = 0.5) -> tuple[Tensor, ...]:
    """All ``(..., W)`` planes mirrored left to right, or none."""
    if rng.random() < p:
        return tuple(plane.flip(-1) for plane in planes)
    return planes


def random_scale_crop(
    image_CHW: Tensor,
    label_HW: Tensor,
    rng: Rng,
    size: Size,
    scale: tuple[float, float] = (0.5, 2.0),
    base: Size | None = None,
    max_share: float = 0.75,
) -> tuple[Tensor, Tensor]:
    """Resize by a random factor, then cut a random window of ``size``.

    Args:
        scale: range of the factor.
        base: what factor 1 means: the image is fitted into this size with its aspect kept (None: the image's own size).
        max_share: windows in which one class covers more are drawn again, up to ten times (the common practice of the
            paper's references).

    Where the resized image is smaller than the window, the rest is grey and labelled 255.
    """
    height, width = image_CHW.shape[-2:]
    zoom = rng.uniform(*scale)
    if base is not None:
        zoom *= min(max(base) / max(height, width), min(base) / min(height, width))
    h, w = min(height, max(1, round(size[0] / zoom))), min(width, max(1, round(size[1] / zoom)))
    inner = (min(size[0], max(1, round(height * zoom))), min(size[1], max(1, round(width * zoom))))
    for _ in range(10):
        top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        window_HW = label_HW[top : top + h, left : left + w]
        if max_share >= 1 or _largest_share(window_HW) < max_share:
            break
    image = resize_image(image_CHW[:, top : top + h, left : left + w], inner)
    label = resize_label(window_HW, inner)
    if inner != tuple(size):
        padding = [0, 0, size[1] - inner[1], size[0] - inner[0]]
        image, label = F.pad(image, padding, fill=[124.0]), F.pad(label[None], padding, fill=[float(IGNORE)])[0]
    return image, label


def _largest_share(label_HW: Tensor) -> float:
    """The share of the most frequent class among the labelled pixels; 1 where a class is alone or nothing is labelled."""
    sparse = label_HW[::4, ::4] if label_HW.numel() > 4096 else label_HW
    counts = torch.bincount(sparse.reshape(-1).long(), minlength=256)[:IGNORE]
    total = int(counts.sum())
    return float(counts.max()) / total if total and int((counts > 0).sum()) > 1 else 1.0


def normalise(image_BCHW: Tensor, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype) -> Tensor:
    """uint8 (or 0..255) images to zero mean and unit variance per channel, on whatever device they are."""
    scale, shift = _scale_and_shift(tuple(mean), tuple(std), dtype, image_BCHW.device)
    return image_BCHW.to(dtype) * scale + shift


@lru_cache(maxsize=16)
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """``(1, C, 1, 1)`` each, brought to the device once: every copy from the host would wait for it."""
    with torch.inference_mode(False):  # whoever asks first, a training may ask next
        scale = torch.tensor([1 / (255 * s) for s in std], device=device, dtype=dtype)
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device, dtype=dtype)
        return scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)
