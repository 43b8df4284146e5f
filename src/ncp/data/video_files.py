"""Many video files at once: a source of frames for a data set, and the cache of the files' indices."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ncp.data.base import worker_count
from ncp.data.paths import PathList
from ncp.data.sealed import cache_folder, read_counts, stamp, write_counts
from ncp.data.video import CorruptVideo, Index, index_video, read_frames
from ncp.errors import UserError
from ncp.files import printable

log = logging.getLogger(__name__)
LAYOUT = 3  # of the cached file
CACHE_LIMIT = 2**29


class VideoFiles:
    """A :class:`ncp.data.clips.Source` of files with their indices, all in arrays (see :mod:`ncp.data.paths`)."""

    def __init__(self, paths: Sequence[Path], indices: Sequence[Index]) -> None:
        assert len(paths) == len(indices)
        self.paths = PathList(paths)
        self._frames = np.array([index.frames for index in indices], dtype=np.int64)
        self._starts = _Ragged([[number for start in index.starts for number in start] for index in indices])
        self._stamps = _Ragged([index.stamps for index in indices])

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, item: int) -> str:
        """The path."""
        return self.paths[item]

    def length(self, item: int) -> int:
        """Frames of the file."""
        return int(self._frames[item])

    def index(self, item: int) -> Index:
        """What is known of the file."""
        starts = self._starts[item]
        return Index(self.length(item), tuple(zip(starts[::2], starts[1::2], strict=True)), tuple(self._stamps[item]))

    def read(self, item: int, numbers: Sequence[int]) -> Tensor:
        """See :func:`ncp.data.video.read_frames`."""
        return read_frames(Path(self.paths[item]), numbers, self.index(item))


class _Ragged:
    """Lists of whole numbers in two arrays."""

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        self.ends = np.cumsum([0] + [len(row) for row in rows])
        self.flat = np.fromiter((number for row in rows for number in row), dtype=np.int64, count=int(self.ends[-1]))

    def __getitem__(self, item: int) -> list[int]:
        out: list[int] = self.flat[self.ends[item] : self.ends[item + 1]].tolist()
        return out


def index_videos(paths: Sequence[Path], cache: str | os.PathLike[str] | None = None) -> list[Index | CorruptVideo]:
    """The index of every file, or what is wrong with it; read from the cache where it was made before.

    Args:
        paths: of the files.
        cache: folder; None: the user's cache folder (:func:`ncp.files.cache_folder`). The cached file's name depends on the
            paths, sizes and dates; one whose checksum or content is wrong is made anew. Where it cannot be written, nothing is
            kept.
    """
    digest = hashlib.sha256(str(LAYOUT).encode())
    for path in paths:
        digest.update(stamp(path))
    target = cache_folder(cache) / f"videos-{digest.hexdigest()[:16]}.json"
    if os.path.lexists(target):
        try:
            return _load(target, len(paths))
        except UserError as error:
            log.info("the index '%s' is damaged and is made anew (%s)", printable(target), error)
    with ThreadPoolExecutor(worker_count()) as pool:
        made = list(pool.map(_index_or_error, paths))
    try:
        write_counts(target, _entries(made))
    except OSError:
        log.info("the index of the videos cannot be kept in '%s'; set data.cache", printable(target.parent))
    return made


def _index_or_error(path: Path) -> Index | CorruptVideo:
    if not path.is_file():
        return CorruptVideo("is missing")
    try:
        return index_video(path)
    except CorruptVideo as error:
        return error


Entry = str | tuple[int, list[tuple[int, int]], list[int], list[int]]
"""A file in the cache: what is wrong with it, or frames, starts, and the stamps' first and step or all of them."""


def _entries(made: Sequence[Index | CorruptVideo]) -> list[Any]:
    entries: list[Any] = []
    for index in made:
        if isinstance(index, CorruptVideo):
            entries.append(str(index))
            continue
        steps = set(np.diff(index.stamps).tolist())
        even = [index.stamps[0], steps.pop()] if len(steps) == 1 else []
        entries.append([index.frames, index.starts, even, [] if even else index.stamps])
    return entries


def _load(target: Path, count: int) -> list[Index | CorruptVideo]:
    entries: list[Entry] = read_counts(target, list[Entry], CACHE_LIMIT)
    if len(entries) != count:
        raise UserError(f"it holds {len(entries)} videos of {count}")
    return [CorruptVideo(entry) if isinstance(entry, str) else _unpack(*entry) for entry in entries]


def _unpack(frames: int, starts: list[tuple[int, int]], even: list[int], stamps: list[int]) -> Index:
    shown = range(even[0], even[0] + frames * even[1], even[1]) if len(even) == 2 else stamps
    return Index(frames, tuple(starts), tuple(shown))
