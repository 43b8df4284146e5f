"""The small copies of a segmentation set: made once, whole, and anew where they are wrong."""

import numpy as np
import pytest
import torch
from layouts import make_cityscapes
from PIL import Image

from ncp.data.base import Key
from ncp.data.cityscapes import Cityscapes
from ncp.errors import UserError


@pytest.fixture
def cityscapes(tmp_path):
    return make_cityscapes(tmp_path / "cityscapes")


def make(kind, root, **options):
    data = kind(str(root), workers=0, **options)
    data.setup()
    return data


def test_resized_copies_are_made_once(cityscapes, tmp_path):
    options = {"crop": (32, 32), "resized": (32, 64), "cache": str(tmp_path / "cache")}
    data = make(Cityscapes, cityscapes, **options)
    first = data.val_set[Key(-1, 0)]
    assert first["image"].shape == (3, 32, 64)
    assert data.eval_size == (32, 64)
    image = Image.open(sorted((cityscapes / "leftImg8bit/val/frankfurt").iterdir())[0])
    other = np.asarray(image.resize((64, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(first["image"].permute(1, 2, 0).numpy() - other).max() <= 1
    folders = sorted((tmp_path / "cache").iterdir())
    assert len(folders) == 2
    dates = [path.stat().st_mtime_ns for folder in folders for path in folder.iterdir()]
    again = make(Cityscapes, cityscapes, **options)
    assert torch.equal(again.val_set[Key(-1, 0)]["label"], first["label"])
    assert dates == [path.stat().st_mtime_ns for folder in folders for path in folder.iterdir()]
    make(Cityscapes, cityscapes, **{**options, "resized": (48, 96)})
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_an_unwritable_cache_is_a_clear_error(cityscapes, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the resized copies to .*set data.cache"):
        make(Cityscapes, cityscapes, crop=(32, 32), resized=(32, 64), cache=str(tmp_path / "file"))
