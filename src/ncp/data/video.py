"""Video files: an index of their frames without decoding, and decoding of single frames with PyAV.

The index of a file lists how many frames it shows and where decoding can begin. It comes from the packets' headers (about a
millisecond a file) and is kept in the cache. Reading seeks to the last such place before a wanted frame unless decoding is
there already, and stops behind the last wanted frame. (Most clips of HMDB51 have one such place, at their beginning.)

XviD packs two frames into one packet and follows it by an empty one, so packets count frames; a packet of a single byte, which
begins such streams, stands for no frame. With frames that are stored out of order, a frame after a seek can be numbered
wrongly by the codec's delay, one or two frames; on the clips that were tried it is exact.

Shape suffixes: T frames, H height, W width.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncp.data.base import worker_count
from ncp.data.clips import CorruptVideo
from ncp.errors import missing_extra

log = logging.getLogger(__name__)
DUMMY = 1  # bytes of a packet without a frame
LOST = 4  # frames at the end that a decoder may owe (its delay) before a file counts as corrupt


class Index(NamedTuple):
    """What is known of a file without decoding it.

    Attributes:
        frames: how many it shows.
        starts: (number of the frame, time stamp of its packet) where decoding can begin, ascending.
    """

    frames: int
    starts: tuple[tuple[int, int], ...]


def _av() -> Any:
    try:
        import av
    except ModuleNotFoundError:
        raise missing_extra("av", "video") from None
    av.logging.set_level(av.logging.PANIC)  # the codecs' chatter about harmless oddities
    return av


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """A container and its first video stream; every failure of the library is a :class:`CorruptVideo`."""
    av = _av()
    try:
        # titles in other encodings than UTF-8 are common in AVI files and no reason to refuse one
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise CorruptVideo("has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "NONE"  # the loader's processes are the threads
            yield container, stream
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise CorruptVideo(f"cannot be decoded ({reason})") from None


def index_video(path: Path) -> Index:
    """The index of a file; raises :class:`CorruptVideo` for one that cannot be opened or shows nothing."""
    frames = 0
    starts: list[tuple[int, int]] = []
    with _opened(path) as (container, stream):
        for packet in container.demux(stream):
            begins = packet.is_keyframe and packet.dts is not None
            if packet.size <= DUMMY or not (starts or begins):  # what stands before the first start is never shown
                continue
            if begins:
                starts.append((frames, int(packet.dts)))
            frames += 1
    if not frames or not starts:
        raise CorruptVideo("has no frames")
    return Index(frames, tuple(starts))


def read_frames(path: Path, numbers: Sequence[int], index: Index) -> Tensor:
    """Frames by number.

    Args:
        path: of the file.
        numbers: ascending, below ``index.frames``.
        index: of the file.

    Returns:
        ``(T, 3, H, W)`` uint8, RGB.

    Raises:
        CorruptVideo: when a frame cannot be had. The last few may be owed by the decoder; the last that came stands for them.
    """
    found: list[np.ndarray] = []
    with _opened(path) as (container, stream):
        position, decoder = -1, None  # number of the newest frame
        frame: Any = None
        for number in numbers:
            start = max(s for s in index.starts if s[0] <= number)
            if decoder is None or start[0] > position + 1:
                if start[0] > 0:
                    container.seek(start[1], stream=stream)
                decoder, position = container.decode(stream), start[0] - 1
            while position < number:
                newest = next(decoder, None)
                if newest is None:
                    break
                frame, position = newest, position + 1
            if frame is None or position < number - LOST:
                raise CorruptVideo(f"ends at frame {position + 1} of {index.frames}")
            found.append(frame.to_ndarray(format="rgb24"))
    if len({array.shape for array in found}) != 1:
        raise CorruptVideo("has frames of several sizes")
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)


class VideoFiles:
    """A :class:`ncp.data.clips.Source` of files with their indices."""

    def __init__(self, paths: Sequence[Path], indices: Sequence[Index]) -> None:
        assert len(paths) == len(indices)
        self.paths, self.indices = [str(path) for path in paths], list(indices)

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, item: int) -> str:
        """The path."""
        return self.paths[item]

    def length(self, item: int) -> int:
        """Frames of the file."""
        return self.indices[item].frames

    def read(self, item: int, numbers: Sequence[int]) -> Tensor:
        """See :func:`read_frames`."""
        return read_frames(Path(self.paths[item]), numbers, self.indices[item])


def index_videos(paths: Sequence[Path], cache: str | os.PathLike[str] | None = None) -> list[Index | CorruptVideo]:
    """The index of every file, or what is wrong with it; read from the cache where it was made before.

    Args:
        paths: of the files.
        cache: folder; default ``$XDG_CACHE_HOME/ncp`` (``~/.cache/ncp``). The cached file's name depends on the paths, sizes and
            dates. Where it cannot be written, nothing is kept.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ncp"
    stamps = [(str(p), p.stat().st_size, int(p.stat().st_mtime)) if p.is_file() else (str(p), 0, 0) for p in paths]
    key = hashlib.sha256(repr(stamps).encode()).hexdigest()[:16]
    target = (Path(cache).expanduser() if cache else default) / f"videos-{key}.json"
    if target.is_file():
        try:
            return [_unpack(entry) for entry in json.loads(target.read_text())]
        except (OSError, ValueError, TypeError):
            log.info("the index '%s' is damaged and is made anew", target)
    with ThreadPoolExecutor(worker_count()) as pool:
        made = list(pool.map(_index_or_error, paths))
    _keep(target, made)
    return made


def _index_or_error(path: Path) -> Index | CorruptVideo:
    if not path.is_file():
        return CorruptVideo("is missing")
    try:
        return index_video(path)
    except CorruptVideo as error:
        return error


def _unpack(entry: Any) -> Index | CorruptVideo:
    if isinstance(entry, str):
        return CorruptVideo(entry)
    return Index(int(entry[0]), tuple((int(n), int(stamp)) for n, stamp in entry[1]))


def _keep(target: Path, made: Sequence[Index | CorruptVideo]) -> None:
    """Write by one rename; an unwritable cache costs only time."""
    text = json.dumps([str(m) if isinstance(m, CorruptVideo) else [m.frames, m.starts] for m in made])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name)
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(name, target)
    except OSError:
        log.info("the index of the videos cannot be kept in '%s'; set data.cache", target.parent)
