"""The built-in street scenes: what they show, and that they follow from their seed."""

import numpy as np
import pytest

from ncp.data.base import Key
from ncp.data.streets import NAMES, Streets, draw_scene, draw_set
from ncp.errors import UserError


def test_a_scene_is_a_street():
    shares = np.zeros(len(NAMES))
    rows = np.zeros(len(NAMES))
    pairs = draw_set(40, seed=5, size=(64, 128))
    y = np.arange(64)[:, None]
    for image, label in zip(pairs.images, pairs.labels, strict=True):
        assert image.shape == (3, 64, 128)
        assert image.std() > 15
        assert label.max() < len(NAMES)
        for k in range(len(NAMES)):
            shares[k] += (label == k).mean() / 40
            rows[k] += (y * (label == k)).sum() / 40
    height = rows / (shares * 64 * 128)
    where = dict(zip(NAMES, height, strict=True))
    assert (shares > 0.001).all(), dict(zip(NAMES, shares, strict=True))
    assert shares.max() < 0.5
    # the sky is above the buildings, these above the sidewalk, the road at the bottom; thin things are rare
    assert where["sky"] < where["building"] < where["sidewalk"] < where["road"]
    assert shares[NAMES.index("pole")] < 0.03


def test_scenes_depend_on_their_seed_alone():
    image, label = draw_scene(np.random.default_rng((7, 3)))
    pairs = draw_set(4, seed=7, size=(64, 128))
    assert np.array_equal(pairs.images[3], image)
    assert np.array_equal(pairs.labels[3], label)
    assert not np.array_equal(pairs.images[2], image)


def test_colour_alone_does_not_tell_the_class():
    pairs = draw_set(40, seed=1, size=(64, 128))
    colours = pairs.images.transpose(0, 2, 3, 1).reshape(-1, 3)[::7]
    labels = pairs.labels.reshape(-1)[::7]
    half = len(labels) // 2
    # the most frequent class of each cell of the colour cube, learnt on one half of the scenes
    cell = (colours // 32).astype(int) @ np.array([64, 8, 1])
    table = np.zeros((512, len(NAMES)))
    np.add.at(table, (cell[:half], labels[:half]), 1)
    guess = table[cell[half:]].argmax(1)
    hit = [((guess == k) & (labels[half:] == k)).sum() for k in range(len(NAMES))]
    union = [((guess == k) | (labels[half:] == k)).sum() for k in range(len(NAMES))]
    iou = np.mean([h / u for h, u in zip(hit, union, strict=True) if u])
    assert iou < 0.2


def test_training_and_validation_scenes_differ():
    data = Streets(scenes=3, val_scenes=3, seed=1)
    data.setup()
    assert not np.array_equal(data.train_set.pairs.images, data.val_set.pairs.images)
    item = data.train_set[Key(0, 1)]
    assert item["image"].shape == (3, 64, 64)
    assert data.val_set[Key(-1, 1)]["label"].shape == (64, 128)
    assert len(data.palette) == len(NAMES) == len(set(data.palette))
    data = Streets(scenes=0, val_scenes=3)
    with pytest.raises(UserError, match=r"the training split of Streets is empty"):
        data.setup()
