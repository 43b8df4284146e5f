"""Images as arrays: read as in training, cut and resized as in its evaluation, normalised.

Resizing is Pillow's bilinear filter, that of the evaluations up to a level of grey.

Shape suffixes: C channels, H height, W width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ncp.card import NetworkCard
from ncp.data import rasters
from ncp.data.images import read_array
from ncp.errors import UserError
from ncp.files import printable

Size = tuple[int, int]


def read(path: Path, card: NetworkCard) -> np.ndarray:
    """``(C, H, W)`` uint8 of as many channels as the network reads, as in training.

    Raises:
        UserError: naming the file, where it cannot be read or has other channels.
    """
    low, high = card.use.low, card.use.high
    if low:
        image_CHW = rasters.read_numbers(path)
    else:
        image_CHW = rasters.read_array(path) if path.suffix.lower() == ".npy" else read_array(path)
        if image_CHW.dtype != np.uint8:
            raise UserError(
                f"'{printable(path)}' holds {image_CHW.dtype}, the network was trained on photographs of 8 bits"
            )
    if len(image_CHW) != card.channels:
        raise UserError(f"'{printable(path)}' has {len(image_CHW)} channels, the network reads {card.channels}")
    return rasters.scaled(image_CHW, low, high) if low else image_CHW


def resized(image_CHW: np.ndarray, size: Size) -> np.ndarray:
    """Bilinear with antialiasing, of the same type."""
    if image_CHW.shape[-2:] == tuple(size):
        return image_CHW
    whole = (size[1], size[0])
    if image_CHW.dtype == np.uint8 and len(image_CHW) == 3:
        picture = Image.fromarray(np.ascontiguousarray(image_CHW.transpose(1, 2, 0)))
        return np.asarray(picture.resize(whole, Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in image_CHW]
    return np.stack([np.asarray(plane.resize(whole, Image.Resampling.BILINEAR)) for plane in planes])


def centred(image_CHW: np.ndarray, size: Size, share: float) -> np.ndarray:
    """The centred window that covers ``share`` of the shorter side, with the aspect of ``size``, resized to it; as
    :func:`ncp.data.transforms.centre_crop` cuts it."""
    height, width = image_CHW.shape[-2:]
    zoom = min(height / size[0], width / size[1]) * share
    h, w = max(1, round(size[0] * zoom)), max(1, round(size[1] * zoom))
    top, left = (height - h) // 2, (width - w) // 2
    return resized(image_CHW[:, top : top + h, left : left + w], size)


def normalised(image_CHW: np.ndarray, card: NetworkCard) -> np.ndarray:
    """Numbers 0..255 to zero mean and unit variance by channel, float32; as :func:`ncp.data.transforms.normalise`."""
    scale = np.array([1 / (255 * s) for s in card.std], dtype=np.float32)[:, None, None]
    shift = np.array([-m / s for m, s in zip(card.mean, card.std, strict=True)], dtype=np.float32)[:, None, None]
    out: np.ndarray = image_CHW.astype(np.float32) * scale + shift
    return out
