"""Video files: an index of their frames without decoding, and decoding of single frames with PyAV.

Frame k is the k-th that is shown, wherever reading begins. Three kinds of files get there in three ways:

- Where every packet carries the time at which it is shown (MP4, MKV, WebM with the usual codecs), the index lists these times,
  and decoded frames are known by theirs. Reading seeks to the last key frame before a wanted one; where a container lands
  elsewhere, the times tell, and reading begins earlier.
- AVI files carry no such times: packets count frames (XviD packs two frames into one packet and follows it by an empty one; a
  packet of a single byte stands for no frame). Where no frame is stored out of order the packets' own numbers serve as times;
  else reading begins at the beginning and counts. (Most clips of HMDB51 and UCF101 have one key frame, there.)
- All others are decoded once for their index, and read from the beginning.

The index of the first two comes from the packets' headers (about a millisecond a file); all are kept in the cache. Frames are
turned and mirrored as the file's display matrix says.

Shape suffixes: T frames, H height, W width.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp.data.video_index import CorruptVideo, Index, index_video, opened, translated

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CorruptVideo", "Index", "Stream", "index_video", "read_arrays", "read_frames"]
LOST = 4  # frames at the end that a decoder may owe (its delay) before a file counts as corrupt


def read_frames(path: Path, numbers: Sequence[int], index: Index) -> Tensor:
    """Frames by number.

    Args:
        path: of the file.
        numbers: below ``index.frames``, in any order.
        index: of the file.

    Returns:
        ``(T, 3, H, W)`` uint8, RGB, upright.

    Raises:
        CorruptVideo: when a frame cannot be had. The last few may be owed by the decoder; the last that came stands for them.
    """
    import torch

    return torch.from_numpy(read_arrays(path, numbers, index)).permute(0, 3, 1, 2)


def read_arrays(path: Path, numbers: Sequence[int], index: Index) -> np.ndarray:
    """As :func:`read_frames`, as an array ``(T, H, W, 3)`` and without torch."""
    ascending = sorted(set(numbers))
    assert ascending, "no frames were asked for"
    assert 0 <= ascending[0] <= ascending[-1] < index.frames, f"frames {ascending} of {index.frames}"
    try:
        found = _read(path, ascending, index, seeking=True)
    except CorruptVideo:
        if not index.stamps:
            raise
        found = _read(path, ascending, index, seeking=False)  # some containers cannot seek, or land anywhere
    place = {number: i for i, number in enumerate(ascending)}
    return _stacked([found[place[number]] for number in numbers])


def _stacked(frames: Sequence[np.ndarray]) -> np.ndarray:
    if len({array.shape for array in frames}) != 1:
        raise CorruptVideo("has frames of several sizes")
    return np.stack(frames)


def _read(path: Path, numbers: Sequence[int], index: Index, seeking: bool) -> list[np.ndarray]:
    with opened(path) as (container, stream):
        reader = _reader(container, stream, index, seeking)
        return [_picture(reader.frame(number)) for number in numbers]


def _reader(container: Any, stream: Any, index: Index, seeking: bool) -> _Timed | _Counting:
    return _Timed(container, stream, index, seeking) if index.stamps else _Counting(container, stream, index)


class Stream:
    """Frames of one file in ascending order, some at a time, decoded once. Not for several threads at the same time."""

    def __init__(self, path: Path, index: Index) -> None:
        self.path, self.index = path, index
        self._seeking, self._open = True, contextlib.ExitStack()
        self._reader: _Timed | _Counting | None = None

    def read(self, numbers: Sequence[int]) -> np.ndarray:
        """``(T, H, W, 3)`` uint8, as :func:`read_arrays`; no number is below an earlier one.

        Raises:
            CorruptVideo: as :func:`read_frames` does.
        """
        try:
            found = self._pictures(numbers)
        except CorruptVideo:
            self.close()
            if not self.index.stamps or not self._seeking:
                raise
            self._seeking = False  # as in read_arrays
            found = self._pictures(numbers)
        return _stacked(found)

    def _pictures(self, numbers: Sequence[int]) -> list[np.ndarray]:
        if self._reader is None:
            self._reader = _reader(*self._open.enter_context(opened(self.path)), self.index, self._seeking)
        with translated():
            return [_picture(self._reader.frame(number)) for number in numbers]

    def close(self) -> None:
        """Close the file; another :meth:`read` opens it again."""
        self._reader = None
        self._open.close()


class _Counting:
    """Frames by their number, from the beginning on."""

    def __init__(self, container: Any, stream: Any, index: Index) -> None:
        self.decoder, self.total = container.decode(stream), index.frames
        self.position, self.newest = -1, None

    def frame(self, number: int) -> Any:
        """The frame ``number``; numbers ascend."""
        while self.position < number:
            newest = next(self.decoder, None)
            if newest is None:
                break
            self.newest, self.position = newest, self.position + 1
        if self.newest is None or self.position < number - LOST:
            raise CorruptVideo(f"ends at frame {self.position + 1} of {self.total}")
        return self.newest


class _Timed:
    """Frames by their time, from the last start before each on; or, without ``seeking``, from the beginning on."""

    def __init__(self, container: Any, stream: Any, index: Index, seeking: bool) -> None:
        self.container, self.stream, self.index, self.seeking = container, stream, index, seeking
        self.decoder = container.decode(stream)
        self.newest: Any = None
        self.position = -1  # the number of the newest frame

    def frame(self, number: int) -> Any:
        """The frame ``number``; numbers ascend."""
        starts = [start for start in self.index.starts if start[0] <= number]
        if not self.seeking or self.position + 1 >= starts[-1][0]:
            if self._forward(number):
                return self.newest
            starts = starts[:-1] if self.seeking else []
        for first, stamp in reversed(starts[-2:]):
            self.container.seek(stamp, stream=self.stream)
            self.decoder, self.newest, self.position = self.container.decode(self.stream), None, first - 1
            if self._forward(number):
                return self.newest
        if not self.seeking and self.newest is not None and self.position >= max(number, self.index.frames) - LOST:
            return self.newest
        raise CorruptVideo(f"ends at frame {self.position + 1} of {self.index.frames}, or frame {number} is damaged")

    def _forward(self, number: int) -> bool:
        """Decode up to a frame; False where it does not come."""
        wanted, stamps = self.index.stamps[number], self.index.stamps
        if self.newest is not None and self.newest.pts == wanted:
            return True
        for frame in self.decoder:
            if frame.pts is None or frame.pts > wanted:
                return False
            self.newest, self.position = frame, bisect.bisect_right(stamps, frame.pts) - 1
            if frame.pts == wanted:
                return True
        return False


def _picture(frame: Any) -> np.ndarray:
    """``(H, W, 3)`` uint8, upright: turned and mirrored as the frame's display matrix says."""
    array_HW3 = frame.to_ndarray(format="rgb24")
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":
            return _upright(array_HW3, np.frombuffer(bytes(side), dtype=np.int32)[:9].reshape(3, 3))
    out: np.ndarray = array_HW3
    return out


def _upright(array_HW3: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a display matrix: a pixel at (x, y) is shown at (x, y) times its upper left 2 x 2 part."""
    turn = matrix[:2, :2].astype(np.float64)
    turn = np.round(turn / max(1.0, np.abs(turn).max()), 2)
    if turn[0, 0] == 0 == turn[1, 1]:
        array_HW3, turn = array_HW3.transpose(1, 0, 2), turn[::-1]
    if turn[0, 1] != 0 or turn[1, 0] != 0 or turn[0, 0] == 0 or turn[1, 1] == 0:
        raise CorruptVideo("is to be shown turned by other than quarter turns")
    return array_HW3[:: int(np.sign(turn[1, 1])), :: int(np.sign(turn[0, 0]))]
