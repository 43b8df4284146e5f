"""Cityscapes in its layout, and what is wrong with a folder."""

import numpy as np
import pytest
import torch
from layouts import make_cityscapes, set_up
from PIL import Image

from ncp.data.base import Key
from ncp.data.cityscapes import CLASSES, Cityscapes, label_map
from ncp.errors import UserError

# from the publication's table of classes: the names that are evaluated and their ids
EVALUATED = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip


@pytest.fixture
def cityscapes(tmp_path):
    return make_cityscapes(tmp_path / "cityscapes")


def test_cityscapes_ids_become_the_nineteen_classes():
    assert {name: number for name, number, _ in CLASSES} == EVALUATED
    ids = torch.arange(34, dtype=torch.uint8)[None]
    mapped = label_map()(ids, "x")[0].tolist()
    assert [i for i, label in enumerate(mapped) if label != 255] == list(EVALUATED.values())
    assert [label for label in mapped if label != 255] == list(range(19))


def test_cityscapes_pairs_images_with_their_labels(cityscapes):
    data = set_up(Cityscapes, cityscapes, crop=(32, 64))
    assert len(data.train_set) == 4
    assert len(data.val_set) == 2
    item = data.val_set[Key(-1, 1)]
    stem = "frankfurt_000001_000019"
    ids = np.asarray(Image.open(cityscapes / f"gtFine/val/frankfurt/{stem}_gtFine_labelIds.png"))
    image = np.asarray(Image.open(cityscapes / f"leftImg8bit/val/frankfurt/{stem}_leftImg8bit.png"))
    assert np.array_equal(item["image"].permute(1, 2, 0).numpy(), image)
    expected = np.full_like(ids, 255)
    for label, number in enumerate(EVALUATED.values()):
        expected[ids == number] = label
    assert np.array_equal(item["label"].numpy(), expected)
    crop = data.train_set[Key(0, 0)]
    assert crop["image"].shape == (3, 32, 64)
    assert crop["label"].shape == (32, 64)
    assert torch.equal(crop["image"], data.train_set[Key(0, 0)]["image"])
    assert not torch.equal(crop["image"], data.train_set[Key(1, 0)]["image"])


def test_what_is_wrong_with_cityscapes_is_said(cityscapes, tmp_path):
    with pytest.raises(UserError, match=r"needs data.root"):
        set_up(Cityscapes, "")
    label = sorted((cityscapes / "gtFine/val/frankfurt").iterdir())[0]
    good = label.read_bytes()
    Image.fromarray(np.full((64, 128), 77, dtype=np.uint8)).save(label)
    with pytest.raises(UserError, match=r"holds the number 77 in 8192 pixels; gtFine labelIds hold 0 to 33"):
        set_up(Cityscapes, cityscapes).val_set[Key(-1, 0)]
    Image.fromarray(np.zeros((32, 64), dtype=np.uint8)).save(label)
    with pytest.raises(UserError, match=r"has \(64, 128\) pixels but its label"):
        set_up(Cityscapes, cityscapes).val_set[Key(-1, 0)]
    label.unlink()
    with pytest.raises(UserError, match=r"1 of 2 images have no label; for .*frankfurt_000000_000000_leftImg8bit.png"):
        set_up(Cityscapes, cityscapes)
    label.write_bytes(good)
    image = sorted((cityscapes / "leftImg8bit/val/frankfurt").iterdir())[0]
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(UserError, match=r"leftImg8bit.png' is corrupt"):
        set_up(Cityscapes, cityscapes).val_set[Key(-1, 0)]
    for path in (cityscapes / "leftImg8bit/val/frankfurt").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"the split 'val' is empty: no "):
        set_up(Cityscapes, cityscapes)
    with pytest.raises(UserError, match=r"at least 32 pixels"):
        set_up(Cityscapes, cityscapes, crop=(16, 64))
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match=r"is not Cityscapes: looked for leftImg8bit, gtFine and found nothing"):
        set_up(Cityscapes, tmp_path / "other")


def test_one_real_frame_in_the_official_layout(shared, tmp_path):
    sample = shared / "cityscapes_sample"
    stem = "frankfurt_000000_000294"
    source = Image.open(sample / f"leftImg8bit/val/frankfurt/{stem}_leftImg8bit.png")
    label = sample / f"gtFine_256x128/val/frankfurt/{stem}_gtFine_labelIds.png"
    for split in ("train", "val"):
        for folder in ("leftImg8bit", "gtFine"):
            (tmp_path / folder / split / "frankfurt").mkdir(parents=True)
        source.resize((256, 128)).save(tmp_path / f"leftImg8bit/{split}/frankfurt/{stem}_leftImg8bit.png")
        target = tmp_path / f"gtFine/{split}/frankfurt/{stem}_gtFine_labelIds.png"
        target.write_bytes(label.read_bytes())
    item = set_up(Cityscapes, tmp_path).val_set[Key(-1, 0)]
    counts = torch.bincount(item["label"].reshape(-1).long(), minlength=256)
    assert item["label"].shape == (128, 256)
    assert int(counts[0]) > 0.2 * item["label"].numel()  # a street in front of the car
    assert int((counts[:19] > 0).sum()) >= 8
    assert int(counts[19:255].sum()) == 0
