"""The one decoder of images and labels: it reads a file or refuses it by name, whatever the file holds.

Formats: JPEG, PNG, GIF, BMP, TIFF, WebP, told by their content; one picture a file; at most :data:`PIXELS` pixels, which is
checked before anything is decoded. Pillow decodes (it lives through damaged files); ordinary JPEGs go to torchvision where a
tensor is wanted, which gives the same numbers faster. torch is imported for tensors alone.

Rules:
- An image is RGB with 8 bits. Grey is repeated, a palette is looked up, CMYK is converted, an alpha channel is dropped, of 16
  bits the upper 8 are kept.
- A label is the numbers as they stand in the file: a palette's indices, grey of 1, 2, 4 or 8 bits without stretching, grey of 16
  bits where no number is above 255. Formats and kinds that would change numbers are refused.
- An image is turned as its EXIF orientation says, and so is a label by its own; after that the two must have one size.

Shape suffixes: C channels, H height, W width.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFile

from ncp.data import libtiff
from ncp.errors import UserError
from ncp.files import open_regular, printable, read_bytes

if TYPE_CHECKING:
    from torch import Tensor

PIXELS = 100_000_000
"""Pixels that a picture may have."""
BYTES = 512 * 2**20
"""Bytes that its file may have."""
SCANS = 500
"""Passes over the picture that a progressive JPEG may make; usual are 10, a few bytes can ask for thousands."""
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
_JPEG = ("JPEG", "MPO")  # the second: a photograph with others behind it, as cameras write; the first is read
_COLOURS = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
# how a label's numbers lie in its file -> by how much Pillow stretches them
_EXACT = {"1": 1, "L": 1, "L;2": 85, "L;4": 17, "P": 1, "P;1": 1, "P;2": 1, "P;4": 1} | dict.fromkeys(
    ("I;16", "I;16B", "I;16L", "I;16N"), 1
)
_ORIENTATION = 0x0112
_UPRIGHT = (False, False, False)
# EXIF orientation -> rows and columns swapped, then rows from below, then columns from the right
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_image(path: Path) -> Tensor:
    """``(3, H, W)`` uint8, upright.

    Raises:
        UserError: naming the file, where it cannot be read, is damaged, too large, or of a kind that is not read.
    """
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    with _opened(path, "image") as (picture, content):
        if picture.format in _JPEG and picture.mode in ("L", "RGB"):
            coded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            image_CHW = decode_jpeg(coded, mode=ImageReadMode.RGB).numpy()
        else:
            image_CHW = _colours(picture).transpose(2, 0, 1)
        return torch.from_numpy(_turned(image_CHW, picture))


def read_array(path: Path) -> np.ndarray:
    """As :func:`read_image`, as an array and without torch."""
    with _opened(path, "image") as (picture, _):
        return _turned(_colours(picture).transpose(2, 0, 1), picture)


def read_label(path: Path) -> Tensor:
    """``(H, W)`` uint8, the numbers as they stand in the file, upright. Raises as :func:`read_image` does."""
    import torch

    with _opened(path, "label") as (picture, content):
        _refuse_lossy(picture, content, "label")
        return torch.from_numpy(_turned(_numbers(picture), picture))


def fitted(size: tuple[int, int], short: int) -> tuple[int, int]:
    """A size whose shorter side is ``short``, its aspect kept."""
    zoom = short / min(size)
    return max(1, round(size[0] * zoom)), max(1, round(size[1] * zoom))


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image as it would be read, from the file's head. Raises as :func:`read_image` does."""
    with _head(path) as picture:
        width, height = picture.size
        swapped, _, _ = _turn(picture)
        return (width, height) if swapped else (height, width)


def orientation(path: Path) -> int:
    """The EXIF orientation in a file's head, 1 where it says none. Raises as :func:`read_image` does."""
    with _head(path) as picture:
        return _orientation(picture)


def kind(path: Path) -> tuple[int, bool, tuple[int, int], str]:
    """Channels, whether it is read as a photograph of 8 bits, height and width, and what it is in words; from the file's head."""
    with _head(path) as picture:
        deep = _is_deep(picture)
        width, height = picture.size
        swapped, _, _ = _turn(picture)
        size = (width, height) if swapped else (height, width)
        return 1 if deep else 3, not deep, size, f"{picture.format} of the kind {picture.mode}"


def read_deep(path: Path) -> np.ndarray:
    """``(C, H, W)``: grey of 16 bits as it stands in the file (one channel, int32), or uint8 RGB; upright."""
    with _opened(path, "image") as (picture, _):
        if _is_deep(picture):
            return _turned(np.array(picture).astype(np.int32)[None], picture)
        return _turned(_colours(picture).transpose(2, 0, 1), picture)


def read_codes(path: Path) -> tuple[Tensor, Tensor | None]:
    """What a mask's file holds, upright: ``(H, W)`` int32 numbers, or ``(3, H, W)`` uint8 colours.

    Returns:
        The numbers as they stand in the file with the palette ``(256, 3)`` that they index, or None where there is none; of a
        picture of colours its colours (three dimensions), and None. Formats that change numbers are refused as in
        :func:`read_label`.
    """
    import torch

    def upright(numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(_turned(numbers, picture))

    with _opened(path, "mask") as (picture, content):
        _refuse_lossy(picture, content, "mask")
        if _layout(picture).startswith("LA;16"):  # Pillow keeps the upper 8 bits alone
            raise _Refused("is grey of 16 bits with transparency; save it without the transparency")
        if picture.mode in ("RGB", "RGBA", "RGBX"):
            return upright(np.array(picture)[..., :3].transpose(2, 0, 1).copy()), None
        if picture.mode in ("LA", "La"):  # grey with transparency
            return upright(np.array(picture)[..., 0].astype(np.int32)), None
        numbers = upright(_whole_numbers(picture).astype(np.int32))
        return numbers, torch.from_numpy(_palette(picture)) if picture.mode == "P" else None


def _palette(picture: Image.Image) -> np.ndarray:
    colours = np.zeros((256, 3), dtype=np.uint8)
    given = np.array(picture.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)[:256]
    colours[: len(given)] = given
    return colours


def _is_deep(picture: Image.Image) -> bool:
    """Whether it is grey of 16 bits."""
    return picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG")


class _Refused(Exception):
    """A kind of picture that is not read; its text says which, and what to do."""


@contextmanager
def _opened(path: Path, what: str) -> Iterator[tuple[ImageFile.ImageFile, bytes]]:
    """The picture of a file (nothing is decoded yet) and the file's bytes; every failure is one ``UserError``."""
    content = read_bytes(path, BYTES)
    with _guarded(path, what), Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
        _check_kind(picture)
        if picture.format == "PNG":
            _check_chunks(content)
        if picture.format in _JPEG and content.count(b"\xff\xda") > SCANS:
            raise _Refused(f"is a JPEG of more than {SCANS} scans; save it anew")
        yield picture, content


@contextmanager
def _head(path: Path) -> Iterator[ImageFile.ImageFile]:
    """The picture of a file of which only the head is read."""
    with open_regular(path, BYTES) as file, _guarded(path, "image"), Image.open(file, formats=_FORMATS) as picture:
        _check_kind(picture)
        if picture.format == "PNG":
            picture.getexif = partial(Image.Image.getexif, picture)  # type: ignore[method-assign]  # its own decodes all
        yield picture


@contextmanager
def _guarded(path: Path, what: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of real files, such as damaged EXIF
            yield
    except UserError:
        raise
    except (_Refused, Image.DecompressionBombError) as error:
        reason = str(error) if isinstance(error, _Refused) else f"has more than {PIXELS:,} pixels; make it smaller"
        raise UserError(f"the {what} '{printable(path)}' {reason}") from None
    except Exception as error:  # on damaged files the decoders raise almost anything
        unknown = isinstance(error, Image.UnidentifiedImageError)  # type: ignore[attr-defined]
        if unknown:
            raise UserError(
                f"the {what} '{printable(path)}' is corrupt or no image (of an unknown format); JPEG, PNG, GIF, BMP, TIFF and "
                "WebP are read: replace or remove it"
            ) from None
        reason = " ".join(str(error).split())
        reason = reason.rsplit(".cpp:", 1)[-1].lstrip("0123456789, ")[:120]  # torchvision names its own source first
        raise UserError(
            f"the {what} '{printable(path)}' is corrupt or no image ({printable(reason or type(error).__name__)}); "
            "replace or remove it"
        ) from None


def _check_kind(picture: Image.Image) -> None:
    if picture.format == "TIFF":
        libtiff.silence()
    width, height = picture.size
    if width * height > PIXELS:
        raise _Refused(f"has {width:,} x {height:,} pixels; at most {PIXELS:,} are read, make it smaller")
    if picture.format not in _JPEG and getattr(picture, "is_animated", False):
        raise _Refused(f"holds several pictures ({picture.format}, animated or of several pages); save one of them")


def _check_chunks(content: bytes) -> None:
    """Compare the checksum of every part of a PNG: damaged data often decodes to something."""
    at = 8
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        end = at + 8 + length
        name = content[at + 4 : at + 8]
        if end + 4 > len(content):
            raise ValueError(f"it ends within its part {name!r}")
        if struct.unpack(">I", content[end : end + 4])[0] != zlib.crc32(memoryview(content)[at + 4 : end]):
            raise ValueError(f"wrong checksum in its part {name!r}")
        if name == b"IEND":
            return
        at = end + 4
    raise ValueError("it is cut off")


def _colours(picture: Image.Image) -> np.ndarray:
    """``(H, W, 3)`` uint8."""
    if _is_deep(picture):
        grey_HW = (np.array(picture) >> 8).astype(np.uint8)
        return np.repeat(grey_HW[:, :, None], 3, axis=2)
    if picture.mode not in _COLOURS:
        raise _Refused(f"has pixels of the kind {picture.mode} ({picture.format}); save it as RGB with 8 bits")
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _numbers(picture: Any) -> np.ndarray:
    """``(H, W)`` uint8."""
    numbers_HW = _whole_numbers(picture)
    if numbers_HW.dtype != bool and numbers_HW.size and int(numbers_HW.max()) > 255:
        raise _Refused(f"holds the number {int(numbers_HW.max())}; labels hold 0 to 255")
    return numbers_HW.astype(np.uint8)


def _whole_numbers(picture: Any) -> np.ndarray:
    """``(H, W)``: a label's numbers as they stand in the file."""
    layout = _layout(picture)
    known = picture.mode in ("1", "L", "P", "I") or picture.mode.startswith("I;16")
    if not known or layout not in _EXACT:
        bands = len(picture.getbands())
        raise _Refused(
            f"must be an 8-bit image of one channel, found {bands} channels of the kind {layout} ({picture.format})"
        )
    numbers_HW: np.ndarray = np.array(picture)
    return numbers_HW // _EXACT[layout] if _EXACT[layout] > 1 else numbers_HW


def _layout(picture: Any) -> str:
    """How the numbers lie in the file, in Pillow's words ("L;4" for grey of 4 bits); of files that do not say, the mode."""
    how = picture.tile[0][3] if picture.tile else picture.mode
    how = how[0] if isinstance(how, tuple) and how else how
    return how if isinstance(how, str) else str(picture.mode)


def _turned(plane: np.ndarray, picture: Image.Image) -> np.ndarray:
    """``(..., H, W)``, upright."""
    return turned(plane, 1 if picture.format == "TIFF" else _orientation(picture))  # Pillow turns TIFFs itself


def turned(plane: np.ndarray, orientation: int) -> np.ndarray:
    """``(..., H, W)``, upright, of a picture that is stored with this EXIF orientation."""
    swapped, upside_down, mirrored = _TURNS.get(orientation, _UPRIGHT)
    plane = plane.swapaxes(-1, -2) if swapped else plane
    flips = tuple(axis for axis, flip in ((-2, upside_down), (-1, mirrored)) if flip)
    return np.flip(plane, flips).copy() if flips else plane


def _turn(picture: Image.Image) -> tuple[bool, bool, bool]:
    """What is left to do to show a picture upright, as in ``_TURNS``."""
    if picture.format == "TIFF":  # Pillow turns these itself
        return _UPRIGHT
    return _TURNS.get(_orientation(picture), _UPRIGHT)


def _refuse_lossy(picture: Image.Image, content: bytes, what: str) -> None:
    """Refuse a label whose numbers its file does not keep: JPEG, WebP unless it is lossless, TIFF packed as either."""
    packing = str(picture.info.get("compression", "")) if picture.format == "TIFF" else ""
    lossy = picture.format in _JPEG or packing.removeprefix("tiff_") in ("jpeg", "webp")
    if lossy or (picture.format == "WEBP" and b"VP8 " in _webp_parts(content)):
        how = {"TIFF": f"a TIFF packed as {packing}", "WEBP": "a lossy WebP"}.get(str(picture.format), "a JPEG")
        raise _Refused(f"is {how}, which does not keep a {what}'s numbers; save it as PNG from the original")


def _webp_parts(content: bytes) -> set[bytes]:
    """The names of a WebP's parts: ``VP8 `` (lossy) or ``VP8L`` (lossless) is its picture."""
    found, at = set(), 12
    while at + 8 <= len(content):
        found.add(content[at : at + 4])
        at += 8 + int.from_bytes(content[at + 4 : at + 8], "little") + 1 & ~1
    return found


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF is common, and no reason to refuse a picture
        return 1
