"""Clips as samples: which frames of a source they hold, and videos that cannot be read."""

import pytest
import torch

from ncp.data.base import Key
from ncp.data.clip_sampling import Sampling
from ncp.data.clips import UNCOUNTED, ClipSet, CorruptVideo
from ncp.errors import UserError


class Counted:
    """Videos of 16x16 whose frame k is k bright; those in ``broken`` cannot be read."""

    def __init__(self, lengths, broken=()):
        self.lengths, self.broken = lengths, broken

    def __len__(self):
        return len(self.lengths)

    def name(self, item):
        return f"video {item}"

    def length(self, item):
        return self.lengths[item]

    def read(self, item, numbers):
        if item in self.broken:
            raise CorruptVideo("cannot be decoded")
        assert numbers == sorted(set(numbers))
        return torch.tensor(numbers, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16)


def numbers(sample):
    return sample["image"][:, :, 0, 0, 0].tolist()


def make(source, **options):
    labels = [10 + i for i in range(len(source))]
    return ClipSet(source, labels, Sampling("dense", 3, 4, 2, **options), (16, 16), seed=1, train=True)


def test_an_item_holds_the_frames_that_the_sampling_names():
    item = make(Counted([20, 3]))[Key(-1, 0)]
    assert numbers(item) == [[0, 4, 8], [11, 15, 19]]
    assert item["image"].shape == (2, 3, 3, 16, 16)
    assert (item["label"], item["skipped"]) == (10, -1)
    assert type(item["label"]) is int
    assert numbers(make(Counted([20, 3]))[Key(-1, 1)]) == [[0, 1, 2], [0, 1, 2]]
    trained = make(Counted([20, 3]))
    assert {numbers(trained[Key(epoch, 0)])[0][0] for epoch in range(200)} == set(range(12))
    assert numbers(trained[Key(5, 0)]) == numbers(trained[Key(5, 0)])


def test_forgetting_the_order_keeps_the_frames():
    shuffled = make(Counted([20]), shuffle=True)
    orders = {tuple(numbers(shuffled[Key(epoch, 0)])[0]) for epoch in range(30)}
    assert all(later - first in (4, 8) for first, *_, later in map(sorted, orders))
    assert any(list(order) != sorted(order) for order in orders)
    assert sorted(numbers(shuffled[Key(-1, 0)])[0]) == [0, 4, 8]


def test_videos_that_cannot_be_read():
    data = make(Counted([20] * 5, broken=(1, 2)))
    assert data[Key(0, 1)]["label"] == 13
    assert data[Key(0, 1)]["skipped"] == 1
    item = data[Key(-1, 2)]
    assert (item["label"], item["skipped"], int(item["image"].max())) == (UNCOUNTED, 2, 0)
    with pytest.raises(UserError, match=r"16 videos in a row cannot be read, first 'video 3'"):
        make(Counted([20] * 20, broken=range(20)))[Key(0, 3)]
