"""Pairs of images and labels, label maps, and batches of images that differ in size."""

import numpy as np
import pytest
import torch
from layouts import make_ade20k, make_cityscapes, picture, set_up
from PIL import Image

from ncp.data.ade20k import ADE20K
from ncp.data.base import Key
from ncp.data.cityscapes import Cityscapes
from ncp.data.segmentation import LabelMap, Pairs, stack
from ncp.errors import UserError

ORIENTATION = 0x0112


def write_pair(folder, turn, label_size):
    """A photograph of 40 x 60 stored pixels that says ``turn``, and a label whose numbers are its rows."""
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    picture(np.random.default_rng(0), 40, 60).save(folder / "a.jpg", exif=exif)
    height, width = label_size
    Image.fromarray(np.arange(height, dtype=np.uint8)[:, None].repeat(width, 1)).save(folder / "a.png")
    return Pairs([(folder / "a.jpg", folder / "a.png")], LabelMap({n: n for n in range(60)}, "0 to 59"))


def test_a_label_map_counts_and_names_what_may_not_occur():
    known = LabelMap({0: 255, 7: 0, 8: 1}, "the numbers are 0, 7 and 8")
    assert known(torch.tensor([[0, 7], [8, 7]], dtype=torch.uint8), "x").tolist() == [[255, 0], [1, 0]]
    with pytest.raises(
        UserError, match=r"the label 'x.png' holds the number 9 in 2 pixels; the numbers are 0, 7 and 8"
    ):
        known(torch.tensor([[9, 7], [8, 9]], dtype=torch.uint8), "x.png")


def test_labels_of_the_upright_photograph_fit(tmp_path):
    image, label = write_pair(tmp_path, 6, (60, 40))[0]
    assert image.shape == (3, 60, 40)
    assert label[:, 0].tolist() == list(range(60))


def test_labels_of_the_stored_photograph_are_refused_with_the_reason(tmp_path):
    with pytest.raises(
        UserError,
        match=r"has \(60, 40\) pixels but its label .* \(40, 60\), and both need the same; their EXIF orientations are 6 and 1",
    ):
        write_pair(tmp_path, 6, (40, 60))[0]
    with pytest.raises(UserError, match=r"a.png' \(40, 50\), and both need the same$"):
        write_pair(tmp_path, 1, (40, 50))[0]


def test_a_batch_of_images_that_differ_in_size_is_refused():
    def sample(height):
        return {
            "image": torch.zeros(3, height, 8, dtype=torch.uint8),
            "label": torch.zeros(height, 8, dtype=torch.uint8),
        }

    assert stack([sample(4), sample(4)])["image"].shape == (2, 3, 4, 8)
    with pytest.raises(
        UserError, match=r"images of a batch differ in size \(4x8 and 6x8 pixels\); set data.eval_batch=1"
    ):
        stack([sample(6), sample(4)])


def shrink(root, split):
    """Make the first image of a split and its label smaller."""
    for folder in ("leftImg8bit", "gtFine"):
        path = sorted((root / folder / split).rglob("*.png"))[0]
        Image.open(path).resize((96, 64), Image.Resampling.NEAREST).save(path)
    return sorted((root / "leftImg8bit" / split).rglob("*.png"))[0].name


def test_images_that_differ_in_size_are_found_before_the_training(tmp_path):
    root = make_cityscapes(tmp_path)
    name = shrink(root, "val")
    with pytest.raises(
        UserError, match=rf"data.eval_batch=2 needs images of one size, but '.*{name}' has 64x96 .*eval_batch=1"
    ):
        set_up(Cityscapes, root, eval_batch=2)
    single = set_up(Cityscapes, root, eval_batch=1)
    assert [single.val_set[Key(-1, i)]["image"].shape[-1] for i in range(2)] == [96, 128]
    resized = set_up(Cityscapes, root, eval_batch=2, resized=(32, 64), cache=str(tmp_path / "cache"))
    assert next(iter(resized.val_dataloader()))["image"].shape == (2, 3, 32, 64)


def test_training_images_may_differ_unless_they_are_evaluated(tmp_path):
    root = make_cityscapes(tmp_path)
    shrink(root, "train")
    set_up(Cityscapes, root, eval_batch=2)
    with pytest.raises(UserError, match=r"data.eval_batch=2 needs images of one size"):
        set_up(Cityscapes, root, eval_batch=2, overfit=2)


def test_problems_of_both_splits_are_said_at_once(tmp_path):
    root = make_cityscapes(tmp_path / "cityscapes")
    for split in ("train", "val"):
        sorted((root / "gtFine" / split).rglob("*.png"))[0].unlink()
    with pytest.raises(
        UserError, match=r"has 2 problems: \(1\) 1 of 4 images have no label.*\(2\) 1 of 2 images have no label"
    ):
        set_up(Cityscapes, root)
    root = make_ade20k(tmp_path / "ade")
    sorted((root / "annotations" / "training").iterdir())[0].unlink()
    for path in (root / "images" / "validation").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"has 2 problems: \(1\) 1 of 3 images .*\(2\) the split 'validation' is empty"):
        set_up(ADE20K, root)


def test_what_macs_leave_behind_is_no_image(tmp_path):
    root = make_cityscapes(tmp_path / "cityscapes")
    image = sorted((root / "leftImg8bit" / "val").rglob("*.png"))[0]
    image.with_name(f"._{image.name}").write_bytes(b"\0\5\x16\7")
    data = set_up(Cityscapes, root)
    assert len(data.val_set) == 2
    root = make_ade20k(tmp_path / "ade")
    (root / "images" / "training" / "._ADE_train_00000001.jpg").write_bytes(b"\0\5\x16\7")
    data = set_up(ADE20K, root)
    assert len(data.train_set) == 3


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_labels_with_a_palette_are_the_same_at_any_depth(tmp_path, bits):
    root = make_ade20k(tmp_path)
    path = sorted((root / "annotations" / "validation").iterdir())[0]
    numbers = np.random.default_rng(0).integers(0, 2 ** min(bits, 7), (48, 72), dtype=np.uint8)
    label = Image.frombytes("P", (72, 48), numbers.tobytes())
    label.putpalette(np.random.default_rng(1).integers(0, 256, 3 * 2**bits, dtype=np.uint8).tobytes())
    label.save(path, bits=bits)
    data = set_up(ADE20K, root)
    read = data.val_set[Key(-1, 0)]["label"].numpy().astype(int)
    assert np.array_equal(read, np.where(numbers == 0, 255, numbers.astype(int) - 1))
