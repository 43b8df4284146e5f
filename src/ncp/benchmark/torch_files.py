"""The file of a checkpoint, a zip archive, looked over before torch reads any of it.

What torch writes is plain: one folder, its parts stored as they are, one behind the other, with ``data.pkl`` and ``data/KEY`` for
the numbers. Only that is taken. A packed part could unpack without end, parts that overlap are more than the file, and a table of
contents in two versions would be read in one way here and in another there.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

from ncp import files
from ncp.benchmark import inert
from ncp.errors import UserError

MAX_FILE = 64 * 2**30
"""Bytes of a checkpoint; that of the largest network of the space, with its optimiser, has half a GiB."""
MAX_PICKLE = 64 * 2**20
"""Bytes of its ``data.pkl``; that of 3,000 tensors has half a MiB."""
MAX_PARTS = 100_000
_PART = 200  # bytes that an entry of the table of contents may have on average
_END = struct.Struct("<4sHHHHIIH")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")


def look_over(path: Path, most: int = MAX_FILE) -> Any:
    """The values in a checkpoint, with an :class:`ncp.benchmark.inert.Shape` for every tensor.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        UserError: naming the file, where there is none, it is no regular one, or is anything but what torch writes.
    """
    shown = files.printable(path)
    if not os.path.exists(path):
        raise UserError(f"there is no checkpoint '{shown}'")
    with files.open_regular(path, most) as file:
        try:
            _check_end(file)
            with zipfile.ZipFile(file) as archive:
                parts = _parts(archive)
                data = archive.read(parts["data.pkl"])
        except (
            zipfile.BadZipFile,
            OSError,
            ValueError,
            KeyError,
            struct.error,
            NotImplementedError,
            EOFError,
        ) as error:
            reason = (
                str(error) if isinstance(error, (_Odd, zipfile.BadZipFile, OSError)) else "it is damaged or cut off"
            )
            raise UserError(f"'{shown}' cannot be read as a checkpoint ({files.printable(reason)[:120]})") from None
    content, storages = inert.parse(data, shown)
    for storage in storages.values():
        part = parts.get(f"data/{storage.key}")
        if part is None or part.file_size != storage.number * inert.TYPES[storage.type]:
            raise UserError(f"'{shown}' cannot be read as a checkpoint (a tensor's numbers are missing or cut off)")
    return content


class _Odd(ValueError):
    """Something that torch does not write."""


def _check_end(file: io.BufferedReader) -> None:
    """The table of contents ends the file and is of moderate size, so that it may be read as a whole."""
    size = file.seek(0, io.SEEK_END)
    if size < _END.size:
        raise _Odd("it is no checkpoint of torch, or cut off")
    sign, *_, length, _start, comment = _END.unpack(_at(file, size - _END.size, _END.size))
    if sign != b"PK\x05\x06" or comment:
        raise _Odd("it is no checkpoint of torch, or cut off")
    if size >= _END.size + _LOCATOR.size:
        sign, _, end, _ = _LOCATOR.unpack(_at(file, size - _END.size - _LOCATOR.size, _LOCATOR.size))
        if sign == b"PK\x06\x07":
            length = _END_64.unpack(_at(file, end, _END_64.size))[8]
    if length > MAX_PARTS * _PART:
        raise _Odd(f"its table of contents has {length:,} bytes")


def _at(file: io.BufferedReader, position: int, number: int) -> bytes:
    file.seek(position)
    return file.read(number)


def _parts(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The parts by name, without the folder that they all lie in."""
    listed = archive.infolist()
    if not 0 < len(listed) <= MAX_PARTS:
        raise _Odd(f"it has {len(listed):,} parts; read are up to {MAX_PARTS:,}")
    size = archive.fp.seek(0, io.SEEK_END) if archive.fp is not None else 0
    if sum(part.file_size for part in listed) > size or any(
        part.compress_type != zipfile.ZIP_STORED or part.compress_size != part.file_size or part.flag_bits & 1
        for part in listed
    ):
        raise _Odd("its parts are packed; torch stores them as they are")
    folder = listed[0].filename.partition("/")[0]
    parts = {part.filename.removeprefix(f"{folder}/"): part for part in listed}
    if len(parts) != len(listed) or any(not part.filename.startswith(f"{folder}/") for part in listed):
        raise _Odd("its parts have the same name, or lie in several folders")
    if "data.pkl" not in parts or "constants.pkl" in parts:
        raise _Odd("it holds no data.pkl")
    if parts["data.pkl"].file_size > MAX_PICKLE:
        raise _Odd(f"its data.pkl has {parts['data.pkl'].file_size:,} bytes; at most {MAX_PICKLE:,} are read")
    return parts
