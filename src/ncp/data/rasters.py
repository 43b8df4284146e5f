"""Pictures of any number of channels and any depth: ``.npy`` arrays here, TIFF files in :mod:`ncp.data.tiff`; without torch.

Nothing in a file is believed before it is checked: an array's head (no Python objects, so nothing is unpickled) against the
size of the file.

Shape suffixes: C channels, H height, W width.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ncp.data import images
from ncp.data.tiff import BYTES, PIXELS
from ncp.data.tiff import CHANNELS as CHANNELS
from ncp.data.tiff import TiffHead as TiffHead
from ncp.data.tiff import read_tiff as read_tiff
from ncp.data.tiff import tiff_head as tiff_head
from ncp.errors import UserError
from ncp.files import open_regular, printable, read_bytes

TIFF = (".tif", ".tiff")
PLAIN = 2**22
"""Numbers that an array without a picture may have."""
_HEADER = 10_000  # bytes of an array's head; a usual one has 118


class ArrayHead(NamedTuple):
    """What an array's file says of it: its shape, kind of numbers, order, and where the numbers begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int


def array_head(path: Path) -> ArrayHead:
    """The head of a ``.npy`` file of a picture.

    Raises:
        UserError: naming the file, where it is none, holds objects or other than numbers, is too large, or is cut off.
    """
    head = _head(path)
    shape, shown = head.shape, printable(path)
    if len(shape) not in (2, 3) or min(shape) < 1 or math.prod(sorted(shape)[-2:]) > PIXELS:
        raise UserError(
            f"'{shown}' has the shape {printable(shape)[:80]}; (height, width) with a third axis of channels is read"
        )
    return head


def read_plain(path: Path, axes: int) -> np.ndarray:
    """The numbers of a ``.npy`` file with so many axes, as they stand there. Raises as :func:`array_head` does."""
    head = _head(path)
    if len(head.shape) != axes or min(head.shape) < 1 or math.prod(head.shape) > PLAIN:
        raise UserError(
            f"'{printable(path)}' has the shape {printable(head.shape)[:80]}; {axes} axes of at most {PLAIN:,} numbers are read "
            "here"
        )
    return _values(path, head)


def _head(path: Path) -> ArrayHead:
    shown = printable(path)
    with open_regular(path, BYTES) as file:
        length = file.seek(0, io.SEEK_END)
        file.seek(0)
        try:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = read(file, max_header_size=_HEADER)
        except Exception:  # numpy reads a head as Python's text, which fails in almost any way
            raise UserError(
                f"'{shown}' is no array of numpy (.npy) that is read here; save it with numpy.save"
            ) from None
        offset = file.tell()
    if dtype.hasobject or dtype.kind not in "uifb" or dtype.itemsize > 8:
        raise UserError(f"'{shown}' holds {printable(dtype)[:60]}; arrays of whole or real numbers are read")
    if math.prod(shape) * dtype.itemsize != length - offset:
        raise UserError(f"'{shown}' is cut off or longer than its head says ({length - offset:,} bytes for {shape})")
    return ArrayHead(tuple(int(side) for side in shape), dtype, bool(fortran), offset)


def read_array(path: Path) -> np.ndarray:
    """``(C, H, W)`` numbers of a ``.npy`` file: (H, W), or with the channels first or last. Raises as :func:`array_head`."""
    head = array_head(path)
    array = _values(path, head)
    axis = channel_axis(head.shape, path)
    return array[None] if axis is None else np.moveaxis(array, axis, 0)


def _values(path: Path, head: ArrayHead) -> np.ndarray:
    flat = np.frombuffer(read_bytes(path, BYTES), dtype=head.dtype, offset=head.offset)
    return flat.reshape(head.shape, order="F" if head.fortran else "C")


def channel_axis(shape: tuple[int, ...], path: Path) -> int | None:
    """Which axis of an array is the channels': the shorter one of the first and the last; None where there is none.

    Raises:
        UserError: where both are equally long, or both are more than :data:`CHANNELS`.
    """
    if len(shape) == 2:
        return None
    first, last = shape[0], shape[2]
    if min(first, last) > CHANNELS or first == last:
        raise UserError(
            f"'{printable(path)}' has the shape {shape}; its channels, at most {CHANNELS}, must be the first or the last axis "
            "and fewer than there are pixels on the other side"
        )
    return 0 if first < last else 2


def read_numbers(path: Path) -> np.ndarray:
    """``(C, H, W)``: the numbers as they stand in the file. Raises ``UserError`` naming the file."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return read_array(path)
    if suffix in TIFF and not is_photo(tiff_head(path)):
        return read_tiff(path)
    return images.read_deep(path)


def is_photo(head: TiffHead) -> bool:
    """Whether a TIFF is what Pillow turns into RGB: 8 bits of grey, palette, colours or inks, transparency beside them or not."""
    own = head.channels - len(head.extra)
    known = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}.get(head.photometric)
    return head.bits <= 8 and head.kind == "u" and own == known and all(what in (1, 2) for what in head.extra)


def scaled(numbers_CHW: np.ndarray, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """``(C, H, W)`` uint8: ``low`` to 0, ``high`` to 255, by channel; what is beyond is cut, what is no number is ``low``."""
    out = np.empty(numbers_CHW.shape, dtype=np.uint8)
    for channel, (a, b) in enumerate(zip(low, high, strict=True)):
        values = numbers_CHW[channel].astype(np.float32)
        values = (values - np.float32(a)) * np.float32(255 / (b - a))
        out[channel] = np.clip(np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0), 0, 255).round()
    return out
