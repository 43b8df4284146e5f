"""ADE20K in its layout, and what is wrong with a folder."""

import numpy as np
import pytest
from layouts import make_ade20k, set_up
from PIL import Image

from ncp.data.ade20k import ADE20K
from ncp.data.base import Key
from ncp.errors import UserError


@pytest.fixture
def ade20k(tmp_path):
    return make_ade20k(tmp_path / "ade")


def test_ade20k(ade20k):
    data = set_up(ADE20K, ade20k, crop=(32, 32))
    assert len(data.classes) == 150
    assert data.classes[3] == "thing 4"
    assert len(data.train_set) == len(data.val_set) == 3
    # the image is resized to a shorter side of 32, the label is as it stands in the file
    item = data.val_set[Key(-1, 1)]
    assert item["image"].shape == (3, 32, 41)
    raw = np.asarray(Image.open(sorted((ade20k / "annotations/validation").iterdir())[1])).astype(int)
    assert np.array_equal(item["label"].numpy(), np.where(raw == 0, 255, raw - 1))
    assert data.train_set[Key(0, 2)]["image"].shape == (3, 32, 32)


def test_what_is_wrong_with_ade20k_is_said(ade20k):
    with pytest.raises(UserError, match=r"data.eval_batch must be 1, given was 4"):
        set_up(ADE20K, ade20k, eval_batch=4)
    label = sorted((ade20k / "annotations/training").iterdir())[0]
    Image.fromarray(np.full((48, 72), 200, dtype=np.uint8)).save(label)
    with pytest.raises(UserError, match=r"holds the number 200 .*annotations hold 0 to 150"):
        set_up(ADE20K, ade20k).train_set[Key(0, 0)]
    label.unlink()
    with pytest.raises(UserError, match=r"1 of 3 images have no label"):
        set_up(ADE20K, ade20k)
