"""The index of a video file: how many frames it shows, when, and where decoding can begin; mostly without decoding it.

See :mod:`ncp.data.video` for the three kinds of files.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from ncp.errors import missing_extra
from ncp.files import regular

VIDEOS = (".avi", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".m4v")
DUMMY = 1  # bytes of an AVI's packet without a frame
VOP, B_FRAME = b"\x00\x00\x01\xb6", 2  # the code of a picture in MPEG-4, and a type of picture
EMPTY = 8  # bytes of a picture that says "as before", for which no frame comes
FASTEST = 1000  # frames a second that are believed
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


class CorruptVideo(Exception):
    """A video that cannot be decoded; its text is the reason."""


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


def av_library() -> Any:
    """PyAV, quiet. Raises ``UserError`` where the extra is not installed."""
    try:
        import av
    except ModuleNotFoundError:
        raise missing_extra("av", "video") from None
    av.logging.set_level(av.logging.PANIC)  # the codecs' chatter about harmless oddities
    return av


@contextmanager
def translated() -> Iterator[None]:
    """Every failure of the library is a :class:`CorruptVideo`."""
    av = av_library()
    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError) as error:
        lines = (getattr(error, "strerror", None) or str(error)).splitlines()
        raise CorruptVideo(f"cannot be decoded ({lines[0] if lines else type(error).__name__})") from None


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """A container and its first video stream; every failure of the library is a :class:`CorruptVideo`."""
    av = av_library()
    with translated():
        regular(path)  # no pipe, no device, no address
        # titles in other encodings than UTF-8 are common in AVI files and no reason to refuse one
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        with av.open(os.path.abspath(path), metadata_errors="replace", options=options) as container:
            if not container.streams.video:
                raise CorruptVideo("has no video stream")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise CorruptVideo("is of a codec that is not known")
            if (stream.width or 0) * (stream.height or 0) > PIXELS:
                raise CorruptVideo(f"has frames of {stream.width}x{stream.height} pixels; at most {PIXELS:,} are read")
            stream.thread_type = "NONE"  # the loader's processes are the threads
            yield container, stream


def frame_rate(path: Path) -> Fraction:
    """Frames a second, on average; 25 where the file does not say. Raises :class:`CorruptVideo` for one that cannot be opened."""
    with opened(path) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and 0 < rate <= FASTEST else Fraction(25)


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
    with opened(path) as (container, stream):
        kind, codec = container.format.name, stream.codec_context.name
        prefix = _nal_prefix(stream.codec_context.extradata) if codec == "h264" and kind in TIMED else 0
        packets = [_packet(p, kind, codec, prefix) for p in container.demux(stream) if p.size > 0]
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


def _packet(packet: Any, kind: str, codec: str, prefix: int) -> _Packet:
    begins = bool(packet.is_keyframe) and (prefix == 0 or _is_exact(bytes(packet), prefix))
    pictures, reordered = 1, False
    if kind == "avi":
        pictures = int(packet.size > DUMMY)
        if codec == "mpeg4" and pictures:  # a picture begins with a code, and the two bits behind it are its type
            content = bytes(packet)
            places = [at for at in _places(content, VOP) if len(content) - at > EMPTY]
            pictures, reordered = len(places), any(content[at + 4] >> 6 == B_FRAME for at in places)
    return _Packet(packet.pts, packet.dts, begins, bool(packet.is_discard), pictures, reordered)


def _places(content: bytes, code: bytes) -> Iterator[int]:
    at = content.find(code)
    while at >= 0:
        yield at
        at = content.find(code, at + len(code))


def _nal_prefix(extradata: bytes | None) -> int:
    """Bytes of the length before each unit of an H.264 packet; 0 where units are separated otherwise."""
    return (extradata[4] & 3) + 1 if extradata and len(extradata) > 6 and extradata[0] == 1 else 0


def _is_exact(content: bytes, prefix: int) -> bool:
    """Whether decoding may begin at an H.264 key frame without errors in the frames that follow.

    So it is at an instantaneous refresh, and at a recovery point that says "0 frames until all is right"; encoders mark others
    as key frames too (intra refresh).
    """
    at = 0
    while at + prefix < len(content):
        length = int.from_bytes(content[at : at + prefix], "big")
        unit = content[at + prefix : at + prefix + length]
        at += prefix + length
        if unit[0:1] and unit[0] & 31 == 5:  # an instantaneous refresh
            return True
        if unit[0:1] and unit[0] & 31 == 6 and _recovers_at_once(unit[1:]):
            return True
    return False


def _recovers_at_once(messages: bytes) -> bool:
    """Whether one of a unit's supplementary messages is a recovery point (kind 6) of 0 frames (its first bit is 1)."""
    at = 0
    while at + 2 < len(messages):
        numbers = []
        for _ in range(2):  # kind and size, each in bytes of which all but the last are 255
            number = 0
            while at < len(messages) and messages[at] == 255:
                number, at = number + 255, at + 1
            number, at = number + (messages[at] if at < len(messages) else 0), at + 1
            numbers.append(number)
        if numbers[0] == 6 and messages[at : at + 1] >= b"\x80":
            return True
        at += numbers[1]
    return False


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
    with opened(path) as (container, stream):
        frames = sum(1 for _ in container.decode(stream))
    if not frames:
        raise CorruptVideo("has no frames")
    return Index(frames, ((0, 0),))
