"""The built-in videos: what a frame shows does not depend on the class, what the frames do does."""

import numpy as np
import pytest
import torch

from ncp.data.base import Key
from ncp.data.motions import MOTIONS, NAMES, Motions, MotionVideos, draw_video
from ncp.errors import UserError


def phases(frames_N3HW):
    """Where the stripes are, as points on a circle ``(N,)``: they alone are red."""
    side = frames_N3HW.shape[-1]
    wave = np.exp(2j * np.pi * (np.arange(side) + 0.5) / side)
    across = (frames_N3HW[:, 0].mean(1) * wave).mean(1)
    return across / np.abs(across)


def sizes(frames_N3HW):
    """How bright the spot, which has no red, makes each frame ``(N,)``."""
    return frames_N3HW[:, 1:].mean((1, 2, 3))


def test_single_frames_are_alike_whatever_the_class():
    draws = 100
    videos = [
        [draw_video(np.random.default_rng((k, i)), name, 6, 16) for i in range(draws)] for k, name in enumerate(NAMES)
    ]
    light = np.array([[[frame.mean() for frame in video] for video in group] for group in videos])
    size = np.array([[sizes(video) for video in group] for group in videos])
    for moment in (0, 2, 5):
        for k in range(len(NAMES)):
            at = phases(np.stack([video[moment] for video in videos[k]]))
            for power in (1, 2):  # all places are equally likely
                assert np.abs((at**power).mean(0)).max() < 3.2 / np.sqrt(draws)
    for value in (light, size):
        spread = value.std() / np.sqrt(draws)
        assert np.abs(value.mean(1) - value.mean()).max() < 4 * spread


@pytest.mark.parametrize("name", NAMES)
def test_the_class_is_what_the_frames_do(name):
    pull, growth = MOTIONS[name]
    for i in range(5):
        frames = draw_video(np.random.default_rng(i), name, 6, 32)
        at, size = phases(frames), sizes(frames)
        turns = np.angle(at[1:] / at[:-1]) / (2 * np.pi)
        assert np.allclose(turns, 0.25 * pull, atol=0.06 if pull else 0.02)
        if growth:  # all but the start from the other end
            assert (np.sign(np.diff(size)) == growth).sum() >= 4
            assert np.ptp(size) > 8
        else:
            assert np.ptp(size) < 1  # noise


def test_videos_depend_on_their_seed_alone():
    assert torch.equal(MotionVideos(4, 7, 5, 16).read(3, [0, 4]), MotionVideos(9, 7, 5, 16).read(3, [0, 4]))
    data = Motions(videos=12, val_videos=6, workers=0)
    data.setup()
    assert not np.array_equal(data.train_set.source.videos_NTCHW[:6], data.val_set.source.videos_NTCHW)
    item = data.train_set[Key(0, 1)]
    assert item["image"].shape == (1, data.frames, 3, 16, 16)
    assert torch.equal(item["image"], data.train_set[Key(0, 1)]["image"])
    with pytest.raises(UserError, match=r"data.length must be at least 1, given was 0"):
        Motions(length=0)


def test_shuffled_clips_hold_the_same_frames():
    plain, mixed = Motions(videos=6, val_videos=6), Motions(videos=6, val_videos=6, shuffle=True)
    plain.setup()
    mixed.setup()
    changed = 0
    for i in range(6):
        a, b = plain.val_set[Key(-1, i)]["image"][0], mixed.val_set[Key(-1, i)]["image"][0]
        changed += not torch.equal(a, b)
        assert sorted(bytes(f) for f in a.numpy()) == sorted(bytes(f) for f in b.numpy())
    assert changed >= 4
