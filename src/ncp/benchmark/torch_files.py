"""The file of a checkpoint, looked over before torch reads any of it: the archive, its values, and that no number is missing."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ncp import files
from ncp.benchmark import archives, inert
from ncp.errors import UserError

MAX_FILE = 64 * 2**30
"""Bytes of a checkpoint; that of the largest network of the space, with its optimiser, has half a GiB."""
MAX_PICKLE = 64 * 2**20
"""Bytes of its ``data.pkl``; that of 3,000 tensors has half a MiB."""


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
    data, parts = archives.read(path, "a checkpoint", most, MAX_PICKLE)
    content, storages = inert.parse(data, shown)
    check_storages(storages, parts, shown)
    return content


def check_storages(storages: Mapping[str, inert.Storage], parts: Mapping[str, zipfile.ZipInfo], shown: str) -> None:
    """Raise ``UserError`` where the numbers of a storage are not all in the archive."""
    for storage in storages.values():
        part = parts.get(f"data/{storage.key}")
        if part is None or part.file_size != storage.number * inert.TYPES[storage.type]:
            raise UserError(f"'{shown}' cannot be read as a checkpoint (a tensor's numbers are missing or cut off)")
