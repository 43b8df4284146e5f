"""What classification and segmentation share: reading is decided on the training images alone."""

import numpy as np
import pytest
from PIL import Image

from ncp.data.folder.cls import FolderClassification
from ncp.data.folder.own_images import OwnImages
from ncp.errors import UserError


@pytest.fixture
def root(tmp_path):
    """Deep grey training images of one range, validation images of another."""
    rng = np.random.default_rng(0)
    for split, top in (("train", 4000), ("val", 60_000)):
        for name in ("ash", "oak"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(4):
                deep = rng.integers(0, top, (20, 24), dtype=np.uint16)
                Image.fromarray(deep).save(tmp_path / split / name / f"{i}.png")
    return tmp_path


def test_ranges_come_from_the_training_images(root):
    data = FolderClassification(root, size=32, workers=0)
    assert isinstance(data, OwnImages)
    data.setup()
    assert data.in_channels == 1
    told = data.resolved()
    assert told["channels"] == 1
    assert 2000 < told["high"][0] <= 4000  # none of the validation images' 60,000
    again = FolderClassification(root, size=32, workers=0, **told)
    again.setup()
    assert again.resolved() == told


def test_paths_lie_below_the_root_by_split(root):
    data = FolderClassification(root, size=32, workers=0)
    data.setup()
    paths = data.paths_of(data.names)
    assert {split: len(some) for split, some in paths.items()} == {"train": 8, "val": 8}
    for split, some in paths.items():
        assert all(f"/{split}/" in some[i] for i in range(len(some)))


def test_channels_that_the_images_have_not_are_refused(root):
    data = FolderClassification(root, size=32, workers=0, channels=5)
    with pytest.raises(UserError, match="channels"):
        data.setup()
