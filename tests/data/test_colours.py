"""Colours of training images: the usual arithmetic, and the same ones wherever they are changed."""

import colorsys

import numpy as np
import pytest
import torch

from ncp.data.base import BatchPolicy, DataModule, Fixed, Loader
from ncp.data.clips import VideoData
from ncp.data.colours import DRAWN, PHOTOMETRIC, Light
from ncp.data.segmentation import ArrayPairs, SegmentationData, SegmentationSet
from ncp.errors import UserError


class Scenes(SegmentationData):
    """Noise with labels."""

    how = PHOTOMETRIC

    def prepare(self):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (7, 3, 40, 48), dtype=np.uint8)
        pairs = ArrayPairs(images, rng.integers(0, 4, (7, 40, 48), dtype=np.uint8))
        self.train_set = SegmentationSet(pairs, self.seed, self.size, self.scale, colours=self.how)
        self.val_set = SegmentationSet(pairs, self.seed)


class Grey(Scenes):
    """As images whose channels are no colours."""

    how = Light()


class Frames:
    """Two videos of noise, the first shorter than a clip's span."""

    def __len__(self):
        return 2

    def name(self, item):
        return str(item)

    def length(self, item):
        return (5, 20)[item]

    def read(self, item, numbers):
        rng = np.random.default_rng(item)
        return torch.from_numpy(rng.integers(0, 256, (20, 3, 24, 32), dtype=np.uint8))[list(numbers)]


class Clips(VideoData):
    """Two videos."""

    def prepare(self):
        for train in (True, False):
            self.use(Frames(), [0, 1], train)


def batches(data, workers=0):
    data.workers = workers
    data.setup()
    data.plan(BatchPolicy.fit(4), 4)
    return list(data.train_dataloader())


MAKE = {
    "photographs": lambda **how: Scenes(crop=[32, 32], **how),
    "channels": lambda **how: Grey(crop=[32, 32], **how),
    "clips": lambda **how: Clips(size=16, frames=8, stride=2, shuffle=True, augmentation={}, **how),
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("workers", [0, 1])
def test_colours_are_the_same_wherever_they_are_changed(kind, workers):
    there, here = batches(MAKE[kind](colours="device"), workers), batches(MAKE[kind](colours="loader"))
    assert len(there) == len(here) == 4
    for one, other in zip(there, here, strict=True):
        assert one.keys() == other.keys()
        assert DRAWN not in one
        for name, value in other.items():
            assert torch.equal(one[name], value), name


@pytest.mark.parametrize("kind", MAKE)
def test_the_loader_leaves_them_to_the_device(kind):
    """What arrives has the plain window and the numbers; without a GPU ``auto`` has the loader do it."""
    data = MAKE[kind](colours="device")
    data.setup()
    data.plan(BatchPolicy.fit(4), 2)
    loader = data.train_dataloader()
    loader.finish = lambda batch: batch
    plain = next(iter(loader))
    assert plain[DRAWN].shape[0] == 4
    (changed, *_) = batches(MAKE[kind]())
    assert not torch.equal(plain["image"], changed["image"])
    source = data.train_set.colours
    assert torch.equal(source.apply(plain["image"][2], plain[DRAWN][2].tolist()), changed["image"][2])


def test_an_evaluation_and_an_overfit_keep_theirs():
    data = Scenes(crop=[32, 32], colours="device", overfit=3)
    for batch in batches(data):
        assert set(batch) == {"image", "label"}
        assert any(torch.equal(batch["image"][0], data.train_set.data.pairs[i][0]) for i in range(3))
    assert isinstance(data.train_set, Fixed)
    assert all(set(batch) == {"image", "label"} for batch in data.val_dataloader())


def test_places_that_do_not_exist_are_refused():
    with pytest.raises(UserError, match=r"data.colours must be one of auto, loader, device, given was 'gpu'"):
        Scenes(crop=[32, 32], colours="gpu")


def test_what_is_read_on_the_host_stays_there():
    assert set(DataModule.stay) == {DRAWN}
    assert set(Clips.stay) == {DRAWN, "skipped"}
    data = Clips(size=16, frames=8, stride=2)
    batch = {"image": torch.ones(2), DRAWN: torch.ones(3), "label": torch.ones(1)}
    moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert list(moved) == list(batch)
    assert moved[DRAWN] is batch[DRAWN]
    assert moved["image"].is_meta
    assert moved["label"].is_meta
    assert Loader([0]).finish({"a": 1}) == {"a": 1}


def test_photometric_distortion_does_what_hsv_arithmetic_says():
    image = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (3, 6, 7), dtype=np.uint8))

    class Fixed:
        """Every coin falls on its side; every range gives its upper end."""

        def __init__(self, coins):
            self.coins = iter(coins)

        def random(self):
            return next(self.coins)

        def uniform(self, low, high):
            return high

    def changed(image, rng):
        return PHOTOMETRIC.apply(image, PHOTOMETRIC.draw(rng))

    off, on = 0.9, 0.1
    bright = changed(image, Fixed([on, off, off, off, off]))
    assert torch.equal(bright, (image.int() + 32).clamp(0, 255).to(torch.uint8))
    contrast = changed(image, Fixed([off, on, on, off, off]))
    assert torch.equal(contrast, (image.float() * 1.5).clamp(0, 255).round().to(torch.uint8))
    saturated = changed(image, Fixed([off, off, off, on, off]))
    hued = changed(image, Fixed([off, off, off, off, on]))
    for row in range(6):
        for column in range(7):
            h, s, v = colorsys.rgb_to_hsv(*(image[:, row, column].double() / 255).tolist())
            turned = np.array(colorsys.hsv_to_rgb((h + 0.1) % 1, s, v)) * 255
            assert np.abs(hued[:, row, column].numpy() - turned).max() <= 1.5
            if s * 1.5 <= 1:
                stronger = np.array(colorsys.hsv_to_rgb(h, s * 1.5, v)) * 255
                assert np.abs(saturated[:, row, column].numpy() - stronger).max() <= 1
