"""TIFF files of any number of channels and any depth, read or refused by name.

The tags are read here and held against limits and the file's size. Strips and tiles are plain bytes once they are unpacked, which
Pillow's libtiff does for any packing that it knows, each as a grey picture of bytes.

Source: TIFF 6.0 (Adobe, 1992), its technical note 3 for the predictor of floating point, and BigTIFF.

Shape suffixes: C channels, H height, W width.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ncp.data import libtiff
from ncp.data.images import turned
from ncp.errors import UserError
from ncp.files import open_regular, printable, read_bytes

CHANNELS = 16
"""Channels that a picture may have."""
PIXELS = 100_000_000
"""Pixels that it may have."""
BYTES = 512 * 2**20
"""Bytes that its file and its unpacked numbers may have, each."""
_TAGS = 1_000
_PARTS = 2**20  # strips or tiles
_LISTS = (273, 279, 324, 325)  # tags with a number for each of them
# those that are looked at: any other may be as long as it likes
_READ = {*_LISTS, *(256, 257, 258, 259, 262, 274, 277, 278, 284, 317, 322, 323, 338, 339)}
# size of a TIFF's types in bytes and their letters for struct
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q"}
_PACKINGS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits", 34925: "LZMA", 50000: "zstd"}
_KINDS = {1: "u", 2: "i", 3: "f"}  # sample formats


class TiffHead(NamedTuple):
    """What a TIFF's first picture says of itself.

    Attributes:
        size: height and width as it is stored.
        channels: numbers of a pixel.
        bits: of a number.
        kind: ``u``, ``i`` or ``f``, or empty where it is something else.
        photometric: how colours are meant (2: RGB, 3: palette, 5: inked, 6: YCbCr).
        extra: what the further channels are (0: unknown, 1 and 2: transparency).
        tags: all that was read.
        order: ``<`` or ``>``.
        orientation: as in EXIF, 1 to 8.
    """

    size: tuple[int, int]
    channels: int
    bits: int
    kind: str
    photometric: int
    extra: tuple[int, ...]
    tags: dict[int, tuple[int, ...]]
    order: str
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width as it is read."""
        height, width = self.size
        return (width, height) if self.orientation >= 5 else (height, width)


def tiff_head(path: Path) -> TiffHead:
    """The tags of a TIFF's first picture.

    Raises:
        UserError: naming the file, for tags that no picture has, several pictures, or sizes beyond the limits.
    """
    shown = printable(path)
    with open_regular(path, BYTES) as file:
        try:
            tags, order, following = _read_tags(file)
        except (struct.error, OSError, ValueError, KeyError, IndexError, OverflowError):
            raise UserError(f"the image '{shown}' is corrupt or no TIFF; replace or remove it") from None
    width, height = _one(tags, 256), _one(tags, 257)
    channels = _one(tags, 277, 1)
    bits = set(tags.get(258) or (1,))
    formats = set(tags.get(339) or (1,))
    if not 0 < width * height <= PIXELS or not 1 <= channels <= 1000 or width < 1:
        raise UserError(
            f"the image '{shown}' has {width:,} x {height:,} pixels of {channels} channels; at most {PIXELS:,} are read"
        )
    if following:
        raise UserError(f"the image '{shown}' holds several pictures (pages); save one of them")
    turn = _one(tags, 274, 1)
    kind = _KINDS.get(formats.pop(), "") if len(formats) == 1 and len(bits) == 1 else ""
    extra = tuple(tags.get(338, ()))
    return TiffHead(
        (height, width),
        channels,
        max(bits),
        kind,
        _one(tags, 262, 1),
        extra,
        tags,
        order,
        turn if 1 <= turn <= 8 else 1,
    )


def read_tiff(path: Path) -> np.ndarray:
    """``(C, H, W)`` numbers of a TIFF with any number of channels, of 8, 16, 32 or 64 bits, upright.

    Raises:
        UserError: naming the file, for a kind that is not read, or one that is damaged.
    """
    head, shown = tiff_head(path), printable(path)
    height, width = head.size
    packing, predictor = _one(head.tags, 259, 1), _one(head.tags, 317, 1)
    if (
        head.channels > CHANNELS
        or not head.kind
        or head.bits not in (8, 16, 32, 64)
        or (head.kind == "f" and head.bits == 8)
    ):
        raise UserError(
            f"the image '{shown}' has {head.channels} channels of {head.bits} bits; up to {CHANNELS} channels of 8, 16, 32 or "
            "64 bits, all of one kind, are read"
        )
    if packing not in _PACKINGS or predictor not in (1, 2, 3):
        raise UserError(
            f"the image '{shown}' is packed in a way that is not read ({packing}, {predictor}); save it with deflate or LZW"
        )
    dtype = np.dtype(f"{head.order}{head.kind}{head.bits // 8}")
    if height * width * head.channels * dtype.itemsize > BYTES:
        raise UserError(f"the image '{shown}' unpacks to more than {BYTES:,} bytes; make it smaller")
    content = read_bytes(path, BYTES)
    try:
        return turned(_assemble(content, head, dtype, packing, predictor), head.orientation)
    except UserError:
        raise
    except Exception as error:  # on damaged files the decoders raise almost anything
        reason = printable(error)[:80] or type(error).__name__
        raise UserError(f"the image '{shown}' is corrupt ({reason}); replace or remove it") from None


def _assemble(content: bytes, head: TiffHead, dtype: np.dtype[Any], packing: int, predictor: int) -> np.ndarray:
    """Put strips or tiles of one or all channels at their places."""
    height, width = head.size
    apart = _one(head.tags, 284, 1) == 2 and head.channels > 1
    planes, each = (head.channels, 1) if apart else (1, head.channels)
    tiled = 322 in head.tags
    if tiled:
        rows, columns = _one(head.tags, 323), _one(head.tags, 322)
        offsets, counts = head.tags[324], head.tags[325]
    else:
        rows, columns = min(height, _one(head.tags, 278, height)), width
        offsets, counts = head.tags[273], head.tags[279]
    down, across = -(-height // rows), -(-width // columns)
    if rows < 1 or columns < 1 or rows * columns * each * dtype.itemsize > BYTES:
        raise ValueError("its parts have no size")
    number = planes * down * across
    if number * rows * columns * each * dtype.itemsize > 4 * BYTES or sum(counts) > 4 * BYTES:
        raise ValueError("its parts are larger than it")
    if not len(offsets) == len(counts) == number:
        raise ValueError("it lacks parts")
    out = np.zeros((head.channels, height, width), dtype=dtype.newbyteorder("="))
    for part_number, (offset, count) in enumerate(zip(offsets, counts, strict=True)):
        plane, place = divmod(part_number, down * across)
        top, left = place // across * rows, place % across * columns
        tall = rows if tiled else min(rows, height - top)
        packed = content[offset : offset + count]
        if len(packed) != count:
            raise ValueError("it is cut off")
        data = _unpacked(packed, packing, columns * each * dtype.itemsize, tall)
        part = _numbers(data, (tall, columns, each), dtype, predictor)
        part = part[: height - top, : width - left]
        place_C = slice(plane, plane + 1) if apart else slice(None)
        out[place_C, top : top + part.shape[0], left : left + part.shape[1]] = part.transpose(2, 0, 1)
    return out


def _unpacked(packed: bytes, packing: int, wide: int, tall: int) -> bytes:
    """``tall`` rows of ``wide`` bytes, unpacked by libtiff as a grey picture of bytes."""
    if packing == 1:
        if len(packed) < wide * tall:
            raise ValueError("it is cut off")
        return packed[: wide * tall]
    tags = [
        (256, wide),
        (257, tall),
        (258, 8),
        (259, packing),
        (262, 1),
        (273, 0),
        (277, 1),
        (278, tall),
        (279, len(packed)),
    ]
    begin = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, begin if tag == 273 else value) for tag, value in tags)
    file = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + packed
    libtiff.silence()
    with Image.open(io.BytesIO(file), formats=("TIFF",)) as picture:
        return picture.tobytes()


def _numbers(data: bytes, shape: tuple[int, int, int], dtype: np.dtype[Any], predictor: int) -> np.ndarray:
    """The numbers of a part, with what the predictor took away put back."""
    tall, wide, each = shape
    if predictor == 3:  # bytes of a row by weight, the heaviest first, as differences
        rows = np.frombuffer(data, np.uint8).reshape(tall, wide * each * dtype.itemsize // each, each)
        summed = np.add.accumulate(rows, axis=1, dtype=np.uint8).reshape(tall, dtype.itemsize, wide * each)
        return np.ascontiguousarray(summed.transpose(0, 2, 1)).view(dtype.newbyteorder(">")).reshape(shape)
    part = np.frombuffer(data, dtype).reshape(shape)
    if predictor == 2:
        whole = part.astype(part.dtype.newbyteorder("="))
        return np.add.accumulate(whole, axis=1, dtype=whole.dtype)
    return part


def _read_tags(file: Any) -> tuple[dict[int, tuple[int, ...]], str, bool]:
    """The whole numbers among the first picture's tags, the order of bytes, and whether another picture follows."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}[head[:2]]
    (magic,) = struct.unpack(f"{order}H", head[2:4])
    large = magic == 43
    if magic not in (42, 43):
        raise ValueError("no TIFF")
    (at,) = struct.unpack(f"{order}Q", head[8:16]) if large else struct.unpack(f"{order}I", head[4:8])
    word, wide, entry = ("Q", 8, 20) if large else ("I", 4, 12)
    file.seek(at)
    (count,) = struct.unpack(f"{order}{'Q' if large else 'H'}", file.read(8 if large else 2))
    if not 0 < count <= _TAGS:
        raise ValueError("no tags")
    block = file.read(entry * count)
    (following,) = struct.unpack(f"{order}{word}", file.read(wide))
    tags: dict[int, tuple[int, ...]] = {}
    for i in range(count):
        tag, kind = struct.unpack_from(f"{order}HH", block, entry * i)
        (number,) = struct.unpack_from(f"{order}{word}", block, entry * i + 4)
        if tag not in _READ or tag in tags or kind not in _TYPES:
            continue
        if number > (_PARTS if tag in _LISTS else _TAGS):
            raise ValueError("a tag of too many numbers")
        letter, at = _TYPES[kind], entry * i + 4 + wide
        size = struct.calcsize(letter) * number
        if size <= wide:
            data = block[at : at + size]
        else:
            file.seek(struct.unpack_from(f"{order}{word}", block, at)[0])
            data = file.read(size)
        tags[tag] = struct.unpack(f"{order}{number}{letter}", data)
    return tags, order, following != 0


def _one(tags: dict[int, tuple[int, ...]], tag: int, otherwise: int = 0) -> int:
    found = tags.get(tag, ())
    return int(found[0]) if found else otherwise
