"""The zip archive that torch writes, looked over before anything in it is read.

It is plain: one folder, its parts stored as they are, one behind the other, with ``data.pkl`` for the values. Only that is
taken. A packed part could unpack without end, parts that overlap are more than the file, and a table of contents in two versions
would be read in one way here and in another there.
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

from ncp import files
from ncp.errors import UserError

MAX_PARTS = 100_000
_PART = 200  # bytes that an entry of the table of contents may have on average
_END = struct.Struct("<4sHHHHIIH")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")


def read(path: Path, what: str, most: int, pickle: int) -> tuple[bytes, dict[str, zipfile.ZipInfo]]:
    """The bytes of ``data.pkl``, and all parts by name.

    Args:
        path: of the file.
        what: what it is meant to be, for messages.
        most: bytes that the file may have.
        pickle: bytes that ``data.pkl`` may have.

    Raises:
        UserError: naming the file, where there is none, it is no regular one, or is anything but what torch writes.
    """
    shown = files.printable(path)
    with files.open_regular(path, most) as file:
        try:
            _check_end(file)
            with zipfile.ZipFile(file) as archive:
                parts = _parts(archive, pickle)
                return archive.read(parts["data.pkl"]), parts
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
            raise UserError(f"'{shown}' cannot be read as {what} ({files.printable(reason)[:120]})") from None


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


def _parts(archive: zipfile.ZipFile, most: int) -> dict[str, zipfile.ZipInfo]:
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
    if parts["data.pkl"].file_size > most:
        raise _Odd(f"its data.pkl has {parts['data.pkl'].file_size:,} bytes; at most {most:,} are read")
    return parts
