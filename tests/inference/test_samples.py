"""What is read of each input: one image, or every so many frames of a video, some at a time."""

import numpy as np
import pytest
from PIL import Image

from ncp import card
from ncp.inference.inputs import Input
from ncp.inference.samples import samples
from ncp.inference.video import CHUNK


def made(tmp_path, name):
    return Input(tmp_path / name, name, name.partition(".")[0])


CARD = card.make(
    where="x", task="cls", architecture="default", classes=["a", "b"], channels=3, size=(8, 8), mean=None, std=None, use=None,
)  # fmt: skip


def test_an_image_is_one_sample(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    [(given, work)] = samples([made(tmp_path, "a.png")], CARD, lambda image: image[:, :2, :2] + 0.5, every=4)
    (sample,) = work()
    assert (sample.input, sample.frame) == (given, None)
    np.testing.assert_array_equal(sample.image, pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(sample.x, sample.image[:, :2, :2] + 0.5)


def test_every_so_many_frames_of_a_video(tmp_path):
    pytest.importorskip("av")
    from tiny_runs import write_lossless

    frames = np.random.default_rng(1).integers(0, 255, (40, 3, 16, 32), dtype=np.uint8)
    write_lossless(tmp_path / "v.mkv", frames)
    found = list(samples([made(tmp_path, "v.mkv")], CARD, lambda image: image, every=2))
    assert len(found) == -(-20 // CHUNK)
    read = [sample for _, work in found for sample in work()]
    assert [sample.frame for sample in read] == list(range(0, 40, 2))
    for sample in read:
        assert np.abs(sample.image.astype(int) - frames[sample.frame]).max() <= 3


def test_a_broken_video_is_told_when_its_turn_comes(tmp_path):
    pytest.importorskip("av")
    from ncp.data.video_index import CorruptVideo

    (tmp_path / "b.mp4").write_bytes(b"no video")
    [(_, work)] = samples([made(tmp_path, "b.mp4")], CARD, lambda image: image, every=1)
    with pytest.raises(CorruptVideo):
        work()
