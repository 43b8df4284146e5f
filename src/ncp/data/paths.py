"""File names in bulk, and what may be a file of a data set.

A list of a million strings is copied page by page into every loader process, because each look at a string writes its
reference count; :class:`PathList` keeps them in two arrays, which all processes share.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import overload

import numpy as np

from ncp.errors import UserError
from ncp.files import printable


class PathList(Sequence[str]):
    """Strings in one buffer of bytes and one array of ends; names in any encoding (as ``os.fsencode`` has them).

    >>> PathList(["a/b.png", "c.png"])[1]
    'c.png'
    """

    def __init__(self, names: Iterable[str | os.PathLike[str]] = ()) -> None:
        buffer, ends = bytearray(), array("q", [0])
        for name in names:
            buffer += os.fsencode(name)
            ends.append(len(buffer))
        self._bytes, self._ends = np.frombuffer(bytes(buffer), dtype=np.uint8), np.array(ends)

    @classmethod
    def below(cls, folders: Iterable[tuple[Path, Sequence[str]]]) -> PathList:
        """``folder/name`` for all names of each folder, without a list of them in between."""
        return cls(f"{folder}/{name}" for folder, names in folders for name in names)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, item: int) -> str: ...
    @overload
    def __getitem__(self, item: slice) -> Sequence[str]: ...
    def __getitem__(self, item: int | slice) -> str | Sequence[str]:
        if isinstance(item, slice):
            return [self[i] for i in range(*item.indices(len(self)))]
        if not -len(self) <= item < len(self):
            raise IndexError(item)
        item %= len(self)
        return os.fsdecode(self._bytes[self._ends[item] : self._ends[item + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PathList):
            return np.array_equal(self._ends, other._ends) and np.array_equal(self._bytes, other._bytes)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PathList of {len(self):,}"


def hidden(name: str) -> bool:
    """Whether a name is a system's or a tool's own (``.ipynb_checkpoints``, ``._a.png``, ``.DS_Store``, ``__MACOSX``)."""
    return name.startswith(".") or name == "__MACOSX"


def visible(folder: Path, pattern: str) -> list[Path]:
    """What a pattern finds below a folder, sorted, without what is :func:`hidden` on the way there."""
    found = folder.glob(pattern)
    return sorted(path for path in found if not any(hidden(part) for part in path.relative_to(folder).parts))


def folders(folder: Path) -> list[str]:
    """The names of the visible folders in a folder, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not hidden(entry.name) and entry.is_dir())


def inside(name: str, where: str) -> str:
    """A name out of a list file, if it stays below the data set's folder.

    Raises:
        UserError: naming ``where``, for an absolute name, one with ``..``, or one with a zero byte.
    """
    pure = PurePosixPath(name)
    if not name or pure.is_absolute() or ".." in pure.parts or "\x00" in name:
        raise UserError(f"{where}: '{printable(name)[:120]}' leaves the data set's folder; names are relative to it")
    return name
