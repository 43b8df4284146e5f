"""Images and masks of one's own as samples: sizes, and light that changes in the announced ranges alone."""

import numpy as np
import pytest
import torch
from layouts import make_own_masks, own_mask

from ncp.data.colours import Light
from ncp.data.folder.pairs import fitted
from ncp.data.folder.seg import FolderSegmentation


@pytest.mark.parametrize(
    ("size", "short", "wanted"), [((48, 64), 24, (24, 32)), ((64, 48), 96, (128, 96)), ((1000, 1), 2, (2000, 2))]
)
def test_the_shorter_side_is_fitted(size, short, wanted):
    assert fitted(size, short) == wanted


def test_images_and_masks_are_read_and_resized_together(tmp_path):
    root = make_own_masks(tmp_path / "mine")
    for short in (None, 36):
        data = FolderSegmentation(root=str(root), crop=[32, 32], short=short)
        data.setup()
        image, label = data.val_set.pairs[0]
        size = (48, 64) if short is None else (36, 48)
        assert tuple(image.shape) == (3, *size)
        assert tuple(label.shape) == size
        if short is None:
            assert sum(np.array_equal(own_mask(i), label.numpy()) for i in range(8)) == 1
        assert set(label.unique().tolist()) <= {0, 1, 2, 255}


def test_light_changes_by_no_more_than_is_announced():
    image = torch.full((2, 3, 3), 100, dtype=torch.uint8)
    rng = np.random.default_rng(0)
    light = Light()
    seen = [light.apply(image, light.draw(rng)) for _ in range(600)]
    values = np.array([x[0, 0, 0].item() for x in seen])
    assert all((x == x[0, 0, 0]).all() for x in seen)  # all channels alike
    assert values.min() >= (100 - 32) * 0.5 - 1
    assert values.max() <= (100 + 32) * 1.5 + 1
    assert 0.2 < (values == 100).mean() < 0.3  # a quarter is left as it is
    assert len(set(values)) > 50
