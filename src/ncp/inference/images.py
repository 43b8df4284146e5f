"""Images as arrays: read as in training, cut and resized as in its evaluation, normalised.

Resizing is Pillow's bilinear filter, that of the evaluations up to a level of grey.

Shape suffixes: C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format
from PIL import Image

from ncp.card import Card
from ncp.data.images import PIXELS, read_array
from ncp.errors import UserError
from ncp.files import first_line, open_regular, printable

Size = tuple[int, int]
LIMIT = 2**31
"""Bytes of a ``.npy`` file."""


def read(path: Path, card: Card) -> np.ndarray:
    """``(C, H, W)``, numbers 0..255, of as many channels as the network reads.

    Raises:
        UserError: naming the file, where it cannot be read or has other channels.
    """
    image_CHW = read_numbers(path) if path.suffix.lower() == ".npy" else read_array(path)
    low, high = card.use.low, card.use.high
    if low and len(image_CHW) == card.channels:
        return ranged(image_CHW, low, high)
    if image_CHW.dtype == np.uint16:
        image_CHW = (image_CHW >> 8).astype(np.uint8)
    if len(image_CHW) != card.channels:
        raise UserError(f"'{printable(path)}' has {len(image_CHW)} channels, the network reads {card.channels}")
    return image_CHW


def read_numbers(path: Path) -> np.ndarray:
    """A ``.npy`` file of ``(C, H, W)``, ``(H, W, C)`` or ``(H, W)`` numbers; the channels are the smallest side.

    Raises:
        UserError: naming the file, for anything else.
    """
    array = numbers_of(path, 3)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not array.size:
        raise UserError(f"'{printable(path)}' has the shape {array.shape}; an image is channels x height x width")
    if array.shape[2] < array.shape[0]:
        array = array.transpose(2, 0, 1)
    if array.shape[1] * array.shape[2] > PIXELS:
        raise UserError(f"'{printable(path)}' has more than {PIXELS:,} pixels; make it smaller")
    return array if array.dtype in (np.uint8, np.uint16) else array.astype(np.float32)


def ranged(image_CHW: np.ndarray, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """uint8: ``low`` to 0 and ``high`` to 255, by channel; what is beyond is cut."""
    out = np.empty(image_CHW.shape, dtype=np.uint8)
    for channel, (a, b) in enumerate(zip(low, high, strict=True)):
        values = (image_CHW[channel].astype(np.float32) - np.float32(a)) * np.float32(255 / (b - a))
        out[channel] = np.clip(values, 0, 255).round()
    return out


def numbers_of(path: Path, deep: int) -> np.ndarray:
    """The array of a ``.npy`` file of up to ``deep`` dimensions. Objects are refused; no more memory is taken than it has bytes.

    Raises:
        UserError: naming the file, where it is none, or its numbers are not finite.
    """
    with open_regular(path, LIMIT) as file:
        try:
            version = format.read_magic(file)
            head = format.read_array_header_1_0 if version == (1, 0) else format.read_array_header_2_0
            shape, by_columns, kind = head(file)
            wanted = math.prod(shape) * kind.itemsize
            if kind.kind not in "uif" or len(shape) > deep:
                raise ValueError(f"its numbers are {kind} in {len(shape)} dimensions")
            content = file.read(min(wanted, LIMIT) + 1)
            if len(content) != wanted:
                raise ValueError("it is cut off, or longer than it says")
            array = np.frombuffer(content, kind).reshape(shape, order="F" if by_columns else "C")
        except Exception as error:  # the head is Python's own notation, and so are the errors
            text = first_line(error)
            raise UserError(f"'{printable(path)}' cannot be read as .npy of up to {deep} dimensions ({text})") from None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UserError(f"'{printable(path)}' holds numbers that are not finite")
    return array


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


def normalised(image_CHW: np.ndarray, card: Card) -> np.ndarray:
    """Numbers 0..255 to zero mean and unit variance by channel, float32; as :func:`ncp.data.transforms.normalise`."""
    scale = np.array([1 / (255 * s) for s in card.std], dtype=np.float32)[:, None, None]
    shift = np.array([-m / s for m, s in zip(card.mean, card.std, strict=True)], dtype=np.float32)[:, None, None]
    out: np.ndarray = image_CHW.astype(np.float32) * scale + shift
    return out
