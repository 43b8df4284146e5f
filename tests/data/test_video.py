"""Frame k of a file is frame k, wherever reading begins."""

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


def test_frames_are_found_by_number_and_not_read_through(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", 40, key_every=10)
    index = V.index_video(path)
    assert index.frames == 40
    assert [n for n, _ in index.starts] == [0, 10, 20, 30]
    got = grey_of(V.read_frames(path, [3, 11, 33, 39], index))
    assert np.abs(np.array(got) - 10 - 6 * np.array([3, 11, 33, 39])).max() <= 2

    count = 0
    real = V.opened

    class Counting:
        def __init__(self, container):
            self.container = container

        def decode(self, stream):
            nonlocal count
            for frame in self.container.decode(stream):
                count += 1
                yield frame

        def __getattr__(self, name):
            return getattr(self.container, name)

    from contextlib import contextmanager

    @contextmanager
    def opened(path):
        with real(path) as (container, stream):
            yield Counting(container), stream

    monkeypatch.setattr(V, "opened", opened)
    V.read_frames(path, [33], index)
    assert count == 4  # 30 to 33
    count = 0
    V.read_frames(path, [2, 31], index)
    assert count == 3 + 2


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
