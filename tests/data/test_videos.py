"""Sampling, augmentation, decoding and the layouts of video sets."""

import av
import numpy as np
import pytest
import torch
from layouts import make_hmdb51, make_ucf101, write_video

from ncp.data import video as V
from ncp.data import video_files as VF
from ncp.data.base import Key
from ncp.data.clips import UNCOUNTED, Augmentation, CorruptVideo, Sampling
from ncp.data.hmdb51 import HMDB51, UCF101, read_hmdb51
from ncp.errors import UserError

RNG = np.random.default_rng


def grey_of(frames_TCHW):
    return frames_TCHW.float().mean((1, 2, 3)).round().int().tolist()


def decoded(path):
    """Every frame, read from beginning to end."""
    with av.open(str(path), metadata_errors="ignore") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_dense_clips_by_hand():
    sampling = Sampling("dense", frames=3, stride=4, clips=2)
    assert sampling.evaluation(20).tolist() == [[0, 4, 8], [11, 15, 19]]
    assert Sampling("dense", 3, 4).evaluation(20).tolist() == [[5, 9, 13]]
    starts = {int(sampling.train(11, RNG(i))[0, 0]) for i in range(60)}
    assert starts == {0, 1, 2}
    # too short for the stride: all of it, evenly
    assert sampling.train(5, RNG(0)).tolist() == [[0, 2, 4]]
    assert sampling.evaluation(1).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_segments_take_one_frame_of_each_part():
    sampling = Sampling("segments", frames=4, clips=2)
    assert sampling.evaluation(16).tolist() == [[1, 5, 9, 13], [3, 7, 11, 15]]
    seen = np.concatenate([sampling.train(16, RNG(i)) for i in range(200)])
    assert all(set(seen[:, k]) == set(range(4 * k, 4 * k + 4)) for k in range(4))
    assert sampling.evaluation(2).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_the_default_window_fits_the_shortest_training_video():
    sampling = Sampling()
    span = sampling.train(64, RNG(0))[0]
    assert (np.diff(span) == 8).all()
    assert span[-1] < 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "sparse"}, "data.sampling must be one of dense, segments, given was 'sparse'"),
        ({"frames": 0}, "data.frames must be a whole number of at least 1, given was 0"),
        ({"clips": 1.5}, "data.clips must be a whole number of at least 1, given was 1.5"),
    ],
)
def test_impossible_samplings(options, message):
    with pytest.raises(UserError, match=message):
        Sampling(**options)


def test_augmentation_is_the_same_for_all_frames_of_a_clip():
    picture = torch.from_numpy(RNG(0).integers(0, 256, (1, 3, 24, 32), dtype=np.uint8))
    clip = picture.expand(5, -1, -1, -1)
    made = [Augmentation()(clip, RNG(i), (16, 16)) for i in range(8)]
    for x in made:
        assert x.shape == (5, 3, 16, 16)
        assert (x == x[:1]).all()
    assert len({float(x.float().mean()) for x in made}) == 8
    grey = [bool((x[:, 0] == x[:, 1]).all() and (x[:, 1] == x[:, 2]).all()) for x in made]
    assert 0 < sum(grey) < 8


def test_colours_are_the_usual_arithmetic():
    from torchvision.transforms.v2 import functional as F

    x = torch.rand(1, 3, 8, 8) * 255
    for name, function in (("brightness", F.adjust_brightness), ("contrast", F.adjust_contrast),
                           ("saturation", F.adjust_saturation), ("hue", F.adjust_hue)):  # fmt: skip
        only = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0) | {name: 0.4}
        rng = RNG(3)
        order = list(rng.permutation(["brightness", "contrast", "saturation", "hue"]))
        amounts = [rng.uniform(-only[k], only[k]) for k in order]
        amount = amounts[order.index(name)]
        wanted = function(x / 255, amount if name == "hue" else 1 + amount) * 255
        got = Augmentation(**only).colours(x, RNG(3))
        assert torch.allclose(got, wanted, atol=0.05), name
        assert not torch.allclose(got, x, atol=1)


def test_augmentations_that_do_not_exist_are_refused():
    with pytest.raises(UserError, match=r"data.augmentation: got an unexpected keyword argument 'flip'"):
        Augmentation.of({"flip": 0.5})
    with pytest.raises(UserError, match=r"data.augmentation.hue is in 0..0.5, given was 2"):
        Augmentation.of({"hue": 2})
    with pytest.raises(UserError, match=r"scale is a range of shares"):
        Augmentation.of({"scale": [0.5, 2]})


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


def test_the_index_is_kept(tmp_path, monkeypatch):
    paths = [write_video(tmp_path / "a.avi", 5), tmp_path / "missing.avi"]
    first = VF.index_videos(paths, tmp_path / "cache")
    monkeypatch.setattr(VF, "index_video", lambda path: pytest.fail("read again"))
    again = VF.index_videos(paths, tmp_path / "cache")
    assert again[0] == first[0]
    assert str(again[1]) == str(first[1]) == "is missing"
    monkeypatch.undo()
    next((tmp_path / "cache").glob("videos-*.json")).write_text("{broken")
    assert VF.index_videos(paths, tmp_path / "cache")[0] == first[0]


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


def test_the_sample_as_a_data_set(shared, tmp_path, caplog):
    options = {"counts": None, "partial": True, "size": 32, "cache": str(tmp_path), "workers": 0, "frames": 4}
    data = HMDB51(str(shared / "hmdb51_sample"), least_frames=1, **options)
    with caplog.at_level("INFO"):
        data.setup()
    assert data.classes == ["cartwheel", "wave"]
    # of the two lists: 140 lines for training and 60 for testing
    assert (data.report["listed for training"], data.report["listed for evaluation"]) == (140, 60)
    assert len(data.train_set) + len(data.val_set) <= 4
    assert data.report["missing for training"] == 140 - len(data.train_set)
    assert "140 listed" in caplog.text
    item = data.train_set[Key(0, 0)]
    assert item["image"].shape == (1, 4, 3, 32, 32)
    assert item["image"].float().std() > 10
    with pytest.raises(UserError, match=r"of the 140 listed videos are not in"):
        HMDB51(str(shared / "hmdb51_sample"), **{**options, "partial": False}).setup()


def test_hmdb51s_layout_filter_and_counts(tmp_path, caplog):
    root = make_hmdb51(tmp_path)  # a class: 12, 40 and 12 frames for training, 12 for testing, one for neither
    options = {"size": 16, "cache": str(tmp_path / "cache"), "workers": 0, "frames": 2}
    data = HMDB51(str(root), least_frames=20, counts=[6, 2, 2], **options)
    data.setup()
    assert [data.report[k] for k in ("too short", "used for training", "used for evaluation")] == [4, 2, 2]
    assert "where the paper has" not in caplog.text
    assert [data.val_set[Key(-1, i)]["label"] for i in range(2)] == [0, 1]
    data.describe(tmp_path)
    assert len((tmp_path / "videos.txt").read_text().splitlines()) == 4
    HMDB51(str(root), least_frames=20, counts=[6, 2, 3], **options).setup()
    assert "2 training videos are left where the paper has 3" in caplog.text
    with pytest.raises(UserError, match=r"lists 6 and 2 videos, HMDB51's lists 3,570 and 1,530; data.counts=null"):
        HMDB51(str(root), counts=[3570, 1530, 2649], **options).setup()
    with pytest.raises(UserError, match=r"holds no files \*_test_split2.txt"):
        HMDB51(str(root), split=2, **options).setup()
    with pytest.raises(UserError, match=r"the training split of HMDB51 is empty"):
        HMDB51(str(root), least_frames=500, **options).setup()
    (root / "splits" / "wave_test_split1.txt").write_text("a.avi 7\n")
    with pytest.raises(UserError, match=r"a line is '<file> <0, 1 or 2>', found 'a.avi 7'"):
        read_hmdb51(root / "splits", 1)


def test_ucf101s_layout(tmp_path):
    root = make_ucf101(tmp_path)
    data = UCF101(str(root), least_frames=1, size=16, frames=2, cache=str(tmp_path / "cache"), workers=0)
    data.setup()
    assert data.classes == ["Archery", "HandstandWalking"]
    assert [len(data.train_set), len(data.val_set)] == [4, 2]
    assert data.train_set[Key(0, 3)]["label"] == 1


def test_corrupt_videos_are_reported_once_and_counted(tmp_path, caplog):
    root = make_hmdb51(tmp_path)
    paths = sorted((root / "videos").glob("*/*.avi"))
    train = [p for p in paths if "_1_" in p.name]
    train[0].write_text("broken")
    data = HMDB51(str(root), least_frames=1, size=16, frames=2, cache=str(tmp_path / "cache"), workers=0)
    data.setup()
    assert data.count_skipped() == {"training": 1}
    assert caplog.text.count(str(train[0])) == 1
    # after the index was made: another item in training, an uncounted one in evaluation
    broken = data.train_set.source.name(0)
    with open(broken, "wb") as file:
        file.write(b"gone")
    item = data.train_set[Key(0, 0)]
    assert item["skipped"] == 0
    assert item["image"].float().std() > 0
    data.note_skipped("training", [item["skipped"], -1, 0])
    assert data.count_skipped() == {"training": 2}
    assert caplog.text.count(broken) == 1
    with open(data.val_set.source.name(1), "wb") as file:
        file.write(b"gone")
    assert data.val_set[Key(-1, 1)]["label"] == UNCOUNTED
    for name in map(data.train_set.source.name, range(len(data.train_set))):
        with open(name, "wb") as file:
            file.write(b"gone")
    with pytest.raises(UserError, match=r"16 videos in a row cannot be read, first '.*'; is the data set complete"):
        data.train_set[Key(0, 0)]
