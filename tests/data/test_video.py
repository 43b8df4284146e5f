"""Frame k of a file is frame k, wherever reading begins."""

import os
import struct
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from layouts import write_video

from ncp.data import video as V
from ncp.data.clips import CorruptVideo


def decoded(path):
    """Every frame, read from beginning to end."""
    with av.open(str(path), metadata_errors="ignore") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def grey_of(frames_TCHW):
    return frames_TCHW.float().mean((1, 2, 3)).round().int().tolist()


def write_frames(path, codec, count=40, uneven=False, cut=0, **options):
    """Frame k is about ``20 + 4 k`` bright, with a picture that moves; times may be uneven, and the first may be cut away."""
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 40, (6, 8, 3)).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={k.replace("_", "-"): v for k, v in options.items()})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000) if uneven else Fraction(1, 25)
        packets, time = [], 0
        for k in range(count):
            picture = np.clip(20 + 4 * k + np.roll(ground, 5 * k, 1), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, stream.codec_context.time_base
            time += int(rng.integers(15, 90)) if uneven else 1
            packets += stream.encode(frame)
        for packet in packets + stream.encode(None):
            packet.pts, packet.dts = packet.pts - cut, packet.dts - cut
            container.mux(packet)
    return path


def say_turned(path, degrees, mirrored):
    """Write into an MP4 that it is shown turned counter-clockwise, then mirrored: what is at (x, y) at (x, y) times a matrix."""
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    across, down = (-1 if flip else 1 for flip in mirrored)
    plain, matrix = (
        struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
        for a, b, c, d in ((1, 0, 0, 1), (cos * across, -sin * down, sin * across, cos * down))
    )
    content = path.read_bytes()
    at = content.index(plain, content.index(b"tkhd"))  # in the track's header
    path.write_bytes(content[:at] + matrix + content[at + len(matrix) :])


H264 = {"codec": "libx264", "x264_params": "keyint=12:scenecut=0:bframes=3"}
H265 = {"codec": "libx265", "x265_params": "keyint=12:bframes=4:log-level=0"}
MPEG4 = {"codec": "mpeg4", "g": "12", "bf": "2"}
VP8 = {"codec": "libvpx", "g": "12", "auto_alt_ref": "1", "lag_in_frames": "8", "cpu_used": "8"}  # has hidden frames
FILES = {
    "h264.mp4": H264,
    "h264.mkv": H264,
    "h264.avi": H264,
    "h264.ts": H264,
    "h264 uneven.mp4": H264 | {"uneven": True},
    "h264 uneven.mkv": H264 | {"uneven": True},
    "h264 cut.mp4": H264 | {"cut": 15},
    "h264 open.mp4": {"codec": "libx264", "x264_params": "open-gop=1:keyint=12:bframes=3"},
    "h264 refresh.mkv": {"codec": "libx264", "x264_params": "intra-refresh=1:keyint=12"},
    "hevc.mp4": H265,
    "hevc.mkv": H265,
    "mpeg4.mp4": MPEG4,
    "mpeg4.avi": MPEG4,
    "mpeg4 ordered.avi": {"codec": "mpeg4", "g": "12"},
    "mjpeg.avi": {"codec": "mjpeg"},
    "vp8.webm": VP8,
    "vp9.webm": {"codec": "libvpx-vp9", "g": "12", "deadline": "realtime", "cpu_used": "8"},
    "mpeg2.mpg": {"codec": "mpeg2video", "g": "12", "bf": "2"},
}


@pytest.mark.parametrize("name", FILES)
def test_frame_k_is_frame_k_wherever_reading_begins(tmp_path, name):
    path = write_frames(tmp_path / name, **FILES[name])
    frames, index = decoded(path), V.index_video(path)
    assert index.frames == len(frames)
    assert len(frames) == (25 if "cut" in name else 40)
    for first in range(len(frames)):
        numbers = sorted({first, *range(first + 9, len(frames), 13)})
        got = V.read_frames(path, numbers, index).permute(0, 2, 3, 1).numpy()
        for number, frame in zip(numbers, got, strict=True):
            assert np.array_equal(frame, frames[number]), (first, number)


def test_frames_come_in_the_order_in_which_they_are_asked_for(tmp_path):
    path = write_frames(tmp_path / "a.mkv", "mpeg4", g="12", bf="2")
    frames, index = decoded(path), V.index_video(path)
    numbers = [30, 2, 39, 2, 0]
    got = V.read_frames(path, numbers, index).permute(0, 2, 3, 1).numpy()
    assert all(np.array_equal(frame, frames[number]) for number, frame in zip(numbers, got, strict=True))


@pytest.fixture
def decodings(monkeypatch):
    """A list with one entry a decoded frame."""
    count, real = [], V.opened

    class Counting:
        def __init__(self, container):
            self.container = container

        def decode(self, stream):
            for frame in self.container.decode(stream):
                count.append(frame)
                yield frame

        def __getattr__(self, name):
            return getattr(self.container, name)

    @contextmanager
    def opened(path):
        with real(path) as (container, stream):
            yield Counting(container), stream

    monkeypatch.setattr(V, "opened", opened)
    return count


def test_frames_are_found_by_number_and_not_read_through(tmp_path, decodings):
    path = write_video(tmp_path / "a.avi", 40, key_every=10)
    index = V.index_video(path)
    assert index.frames == 40
    assert [n for n, _ in index.starts] == [0, 10, 20, 30]
    got = grey_of(V.read_frames(path, [3, 11, 33, 39], index))
    assert np.abs(np.array(got) - 10 - 6 * np.array([3, 11, 33, 39])).max() <= 2
    decodings.clear()
    V.read_frames(path, [33], index)
    assert len(decodings) == 4  # 30 to 33
    decodings.clear()
    V.read_frames(path, [2, 31], index)
    assert len(decodings) == 3 + 2


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_reordered_frames_are_found_without_reading_through(tmp_path, decodings, kind):
    path = write_frames(tmp_path / f"a.{kind}", **H264)
    index = V.index_video(path)
    assert [n for n, _ in index.starts] == [0, 12, 24, 36]
    V.read_frames(path, [30], index)
    assert len(decodings) <= 30 - 24 + 1


@pytest.mark.parametrize("mirrored", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_frames_are_turned_and_mirrored_as_the_file_says(tmp_path, degrees, mirrored):
    path = write_frames(tmp_path / "a.mp4", count=2, **H264)
    say_turned(path, degrees, mirrored)
    stored = decoded(path)[1]
    assert stored.shape == (48, 64, 3)
    wanted = np.rot90(stored, degrees // 90)  # counter-clockwise, then mirrored
    wanted = wanted[:, ::-1] if mirrored[0] else wanted
    wanted = wanted[::-1] if mirrored[1] else wanted
    got = V.read_frames(path, [1], V.index_video(path))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(got, wanted)


def test_turns_that_are_no_quarters_are_refused():
    picture = np.zeros((2, 3, 3), np.uint8)
    half = round(65536 / 2**0.5)
    with pytest.raises(CorruptVideo, match="turned by other than quarter turns"):
        V._upright(picture, np.array([[half, half, 0], [-half, half, 0], [0, 0, 1 << 30]]))


def test_a_container_that_lands_elsewhere_is_read_from_the_beginning(tmp_path):
    path = write_frames(tmp_path / "a.mp4", **H264)
    index, frames = V.index_video(path), decoded(path)
    late = index._replace(starts=((0, index.starts[-1][1]), *((n, index.starts[-1][1]) for n, _ in index.starts[1:])))
    got = V.read_frames(path, [14, 20], late).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(got[0], frames[14])
    assert np.array_equal(got[1], frames[20])


def test_lists_of_files_pipes_and_giants_are_no_videos(tmp_path, monkeypatch):
    whole = write_video(tmp_path / "whole.avi", 12)
    (tmp_path / "list.avi").write_text("ffconcat version 1.0\nfile 'whole.avi'\n")
    os.mkfifo(tmp_path / "pipe.avi")
    for name in ("list.avi", "pipe.avi", "gone.avi"):
        with pytest.raises(CorruptVideo, match="cannot be decoded"):
            V.index_video(tmp_path / name)
    monkeypatch.setattr("ncp.data.video_index.PIXELS", 1000)
    with pytest.raises(CorruptVideo, match=r"has frames of 48x32 pixels; at most 1,000 are read"):
        V.index_video(whole)


def test_what_is_no_video(tmp_path):
    (tmp_path / "text.avi").write_text("not a video")
    with pytest.raises(CorruptVideo, match="cannot be decoded"):
        V.index_video(tmp_path / "text.avi")
    whole = write_video(tmp_path / "a.avi", 30)
    (tmp_path / "empty.avi").write_bytes(b"")
    (tmp_path / "half.avi").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(CorruptVideo):
        V.index_video(tmp_path / "empty.avi")
    with av.open(str(tmp_path / "none.avi"), "w") as container:  # a whole file with a stream and nothing in it
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        container.start_encoding()
    assert (tmp_path / "none.avi").stat().st_size > 100
    with pytest.raises(CorruptVideo, match="has no frames"):
        V.index_video(tmp_path / "none.avi")
    # half of a file has fewer frames, and those can be read
    index = V.index_video(tmp_path / "half.avi")
    assert 5 < index.frames < 30
    assert len(V.read_frames(tmp_path / "half.avi", [0, index.frames - 1], index)) == 2
    with pytest.raises(CorruptVideo, match="ends at frame"):
        V.read_frames(tmp_path / "half.avi", [29], V.Index(30, index.starts))


def test_real_clips_of_hmdb51(shared):
    """XviD with packed and reordered frames; one has a second key frame, one a title that is not UTF-8."""
    paths = sorted((shared / "hmdb51_sample" / "videos").glob("*/*.avi"))
    assert len(paths) == 4
    for path in paths:
        frames = decoded(path)
        index = V.index_video(path)
        assert index.frames == len(frames)
        last = len(frames) - 1
        numbers = sorted({0, 1, 19, 20, 21, last // 2, last - 1, last})
        got = V.read_frames(path, numbers, index)
        for number, frame in zip(numbers, got, strict=True):
            assert torch.equal(frame, torch.from_numpy(frames[number]).permute(2, 0, 1)), (path.name, number)
        only = V.read_frames(path, [last], index)
        assert torch.equal(only[0], got[-1])
