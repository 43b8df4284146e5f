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
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncp.data.clips import CorruptVideo
from ncp.errors import missing_extra
from ncp.files import open_regular

DUMMY = 1  # bytes of an AVI's packet without a frame
VOP, B_FRAME = b"\x00\x00\x01\xb6", 2  # the code of a picture in MPEG-4, and a type of picture
EMPTY = 8  # bytes of a picture that says "as before", for which no frame comes
LOST = 4  # frames at the end that a decoder may owe (its delay) before a file counts as corrupt
PIXELS = 36_000_000  # of a frame; the largest in use (8192 x 4320) fits
TIMED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # containers whose packets carry the time at which they are shown
# one frame a packet, each with its packet's time
FRAMEWISE = ("av1", "h264", "hevc", "libaom-av1", "libdav1d", "libsvtav1", "mjpeg", "mpeg4", "vp9", "libvpx-vp9")
COUNTABLE = (
    "ffv1",
    "huffyuv",
    "mjpeg",
    "mpeg4",
    "msmpeg4v1",
    "msmpeg4v2",
    "msmpeg4v3",
    "rawvideo",
)  # an AVI's packets tell
# what a file may be; lists of other files (concat, HLS, DASH) are not among them
FORMATS = "avi,mov,matroska,mp4,webm,mpeg,mpegts,mpegvideo,flv,asf,ogg,m4v,h264,hevc,obu,ivf,mjpeg,yuv4mpegpipe,gif,dv,nut,mxf"


class Index(NamedTuple):
    """What is known of a file without decoding it.

    Attributes:
        frames: how many it shows.
        starts: (number of the frame, its time stamp) where decoding can begin, ascending.
        stamps: the frames' time stamps in the order in which they are shown; empty where reading has to begin at the beginning.
    """

    frames: int
    starts: tuple[tuple[int, int], ...]
    stamps: tuple[int, ...] = ()


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
        open_regular(path).close()  # no pipe, no device, no address
        # titles in other encodings than UTF-8 are common in AVI files and no reason to refuse one
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        with av.open(os.path.abspath(path), metadata_errors="replace", options=options) as container:
            if not container.streams.video:
                raise CorruptVideo("has no video stream")
            stream = container.streams.video[0]
            if (stream.width or 0) * (stream.height or 0) > PIXELS:
                raise CorruptVideo(f"has frames of {stream.width}x{stream.height} pixels; at most {PIXELS:,} are read")
            stream.thread_type = "NONE"  # the loader's processes are the threads
            yield container, stream
    except (av.error.FFmpegError, OSError, ValueError) as error:
        lines = (getattr(error, "strerror", None) or str(error)).splitlines()
        raise CorruptVideo(f"cannot be decoded ({lines[0] if lines else type(error).__name__})") from None


# ---- the index


class _Packet(NamedTuple):
    """What the index needs of a packet."""

    shown: int | None  # its time stamps
    decoded: int | None
    begins: bool  # a key frame
    hidden: bool  # decoded, but cut away by the container
    pictures: int  # of two, the second is shown when the next packet, which holds none, arrives
    reordered: bool  # a frame that is stored after one that is shown later


def index_video(path: Path) -> Index:
    """The index of a file; raises :class:`CorruptVideo` for one that cannot be opened or shows nothing."""
    with _opened(path) as (container, stream):
        kind, codec = container.format.name, stream.codec_context.name
        packets = [_packet(p, kind, codec) for p in container.demux(stream) if p.size > 0]
        reorders = bool(stream.codec_context.has_b_frames)
    packed = any(packet.pictures > 1 for packet in packets)
    packets = [
        p for p, last in zip(packets, [None, *packets], strict=False) if p.pictures or (last and last.pictures > 1)
    ]
    begin = next((i for i, packet in enumerate(packets) if packet.begins), None)
    if begin is None:
        raise CorruptVideo("has no frames")
    packets = packets[begin:]  # what stands before the first start is never shown
    if kind == "avi" and codec in COUNTABLE:
        if packed or reorders or any(p.reordered or p.decoded is None for p in packets):
            return Index(len(packets), ((0, 0),))
        return _by_time([packet._replace(shown=packet.decoded) for packet in packets])
    stamps = [packet.shown for packet in packets if packet.shown is not None]
    timed = len(set(stamps)) == len(packets) and min(stamps) == packets[0].shown
    return _by_time(packets) if timed and kind in TIMED and codec in FRAMEWISE else _counted(path)


def _packet(packet: Any, kind: str, codec: str) -> _Packet:
    pictures, reordered = 1, False
    if kind == "avi":
        pictures = int(packet.size > DUMMY)
        if codec == "mpeg4" and pictures:  # a picture begins with a code, and the two bits behind it are its type
            content = bytes(packet)
            places = [at for at in _places(content, VOP) if len(content) - at > EMPTY]
            pictures, reordered = len(places), any(content[at + 4] >> 6 == B_FRAME for at in places)
    return _Packet(packet.pts, packet.dts, bool(packet.is_keyframe), bool(packet.is_discard), pictures, reordered)


def _places(content: bytes, code: bytes) -> Iterator[int]:
    at = content.find(code)
    while at >= 0:
        yield at
        at = content.find(code, at + len(code))


def _by_time(packets: Sequence[_Packet]) -> Index:
    """The index of packets with a time and one frame each."""
    shown = sorted(packet.shown for packet in packets if packet.shown is not None and not packet.hidden)
    if not shown:
        raise CorruptVideo("has no frames")
    # from a key frame that is itself cut away, decoding begins for the first frame that is not
    starts = {bisect.bisect_left(shown, p.shown): p.shown for p in packets if p.begins and p.shown is not None}
    return Index(len(shown), tuple(sorted(start for start in starts.items() if start[0] < len(shown))), tuple(shown))


def _counted(path: Path) -> Index:
    """The index of a file that has to be decoded for it."""
    with _opened(path) as (container, stream):
        frames = sum(1 for _ in container.decode(stream))
    if not frames:
        raise CorruptVideo("has no frames")
    return Index(frames, ((0, 0),))


# ---- frames


def read_frames(path: Path, numbers: Sequence[int], index: Index) -> Tensor:
    """Frames by number.

    Args:
        path: of the file.
        numbers: ascending, below ``index.frames``.
        index: of the file.

    Returns:
        ``(T, 3, H, W)`` uint8, RGB, upright.

    Raises:
        CorruptVideo: when a frame cannot be had. The last few may be owed by the decoder; the last that came stands for them.
    """
    try:
        found = _read(path, numbers, index, seeking=True)
    except CorruptVideo:
        if not index.stamps:
            raise
        found = _read(path, numbers, index, seeking=False)  # some containers cannot seek, or land anywhere
    if len({array.shape for array in found}) != 1:
        raise CorruptVideo("has frames of several sizes")
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)


def _read(path: Path, numbers: Sequence[int], index: Index, seeking: bool) -> list[np.ndarray]:
    with _opened(path) as (container, stream):
        reader = _Timed(container, stream, index, seeking) if index.stamps else _Counting(container, stream, index)
        return [_picture(reader.frame(number)) for number in numbers]


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
    return array_HW3


def _upright(array_HW3: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a display matrix: a pixel at (x, y) is shown at (x, y) times its upper left 2 x 2 part."""
    turn = matrix[:2, :2].astype(np.float64)
    turn = np.round(turn / max(1.0, np.abs(turn).max()), 2)
    if turn[0, 0] == 0 == turn[1, 1]:
        array_HW3, turn = array_HW3.transpose(1, 0, 2), turn[::-1]
    if turn[0, 1] != 0 or turn[1, 0] != 0 or turn[0, 0] == 0 or turn[1, 1] == 0:
        raise CorruptVideo("is to be shown turned by other than quarter turns")
    return array_HW3[:: int(np.sign(turn[1, 1])), :: int(np.sign(turn[0, 0]))]
