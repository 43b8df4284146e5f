"""Folders of images by class."""

import shutil

import numpy as np
import pytest
from layouts import make_own_images, make_own_masks, set_up
from PIL import Image

from ncp.data.base import Key
from ncp.data.folder.cls import FolderClassification
from ncp.errors import UserError


@pytest.fixture
def own(tmp_path):
    return make_own_images(tmp_path / "trees")


def split(root, names=("train", "val")):
    """The same images in split folders: the first of each class validates."""
    out = root.with_name("divided")
    for folder in root.iterdir():
        for i, file in enumerate(sorted(folder.iterdir())):
            target = out / names[i == 0] / folder.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return out


def test_classes_with_the_seeded_split_that_is_written_down(own, tmp_path):
    data = set_up(FolderClassification, own, size=32)
    assert list(data.classes) == ["ash", "elm", "oak"]
    assert (len(data.train_set), len(data.val_set)) == (15, 3)
    assert sorted(data.val_set.labels.tolist()) == [0, 1, 2]  # stratified
    assert data.train_set[Key(0, 0)]["image"].shape == (3, 32, 32)
    data.describe(tmp_path)
    train, val = ((tmp_path / f"{part}_files.txt").read_text().splitlines() for part in ("train", "val"))
    assert len({*train, *val}) == 18
    lists = {f"{part}_list": str(tmp_path / f"{part}_files.txt") for part in ("train", "val")}
    again = set_up(FolderClassification, own, **lists)
    assert list(again.names["val"]) == val
    other = set_up(FolderClassification, own, split_seed=1)
    assert set(other.names["val"]) != set(val)


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "validation"), ("train", "test")])
def test_split_folders(own, names):
    data = set_up(FolderClassification, split(own, names))
    assert (len(data.train_set), len(data.val_set)) == (15, 3)
    assert all(name.startswith(names[1]) and name.endswith("00.jpg") for name in data.names["val"])


def test_an_evaluation_image_is_the_centre_of_the_file(own):
    data = set_up(FolderClassification, own, size=32)
    image = np.asarray(Image.open(own / data.names["val"][0]).convert("RGB")).astype(float)
    height, width = image.shape[:2]
    side = round(min(height, width) * 0.875)
    top, left = (height - side) // 2, (width - side) // 2
    window = Image.fromarray(image[top : top + side, left : left + side].astype(np.uint8))
    wanted = window.resize((32, 32), Image.Resampling.BILINEAR)
    got = data.val_set[Key(-1, 0)]["image"].permute(1, 2, 0).numpy()
    assert np.abs(got.astype(float) - np.asarray(wanted)).max() <= 3


def test_channels_follow_to_the_data_module(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            np.save(tmp_path / name / f"{i}.npy", rng.random((6, 40, 40)))
    data = set_up(FolderClassification, tmp_path, size=32)
    assert data.in_channels == len(data.mean) == 6
    assert data.train_set[Key(0, 0)]["image"].shape == (6, 32, 32)
    assert data.resolved()["channels"] == 6


def refused(root, **options):
    with pytest.raises(UserError) as error:
        set_up(FolderClassification, root, **options)
    line = str(error.value)
    assert "\n" not in line
    return line


def test_what_is_wrong_is_said(own, tmp_path):
    shutil.rmtree(own / "elm")
    shutil.rmtree(own / "oak")
    assert "holds images of one class alone (ash); at least two classes are needed" in refused(own)
    (tmp_path / "empty").mkdir()
    assert "holds no folders of images" in refused(tmp_path / "empty")
    assert "it holds nothing" in refused(tmp_path / "empty")
    assert "holds images without folders of classes, so there are no labels" in refused(own / "ash")
    assert "is not a folder" in refused(tmp_path / "nowhere")
    assert "needs data.root=" in refused("")


def test_a_root_that_is_a_level_off_is_named(own, tmp_path):
    assert f"a level too high: give data.root={own}" in refused(own.parent)
    divided = split(own)
    shutil.rmtree(own)
    assert f"a level too high: give data.root={divided}" in refused(divided.parent)
    line = refused(divided / "train")
    assert "one split of a set" in line
    assert f"a level too low: give data.root={divided}" in line
    assert f"a level too low: give data.root={divided}" in refused(divided / "train" / "ash")


def test_classes_that_differ_between_the_splits(own):
    root = split(own)
    shutil.rmtree(root / "val" / "oak")
    (root / "val" / "ash").rename(root / "val" / "ashes")
    line = refused(root)
    assert (
        "the classes differ between the splits: ash is only in train, oak is only in train, ashes is only in val"
        in line
    )
    assert line.endswith(f"data root={root} task=cls")  # the command that shows the rest


def test_empty_folders_and_single_images(own):
    (own / "none").mkdir()
    assert "1 folder of classes without images" in refused(own)
    assert len(set_up(FolderClassification, own, partial=True).classes) == 3
    (own / "none" / "1.jpg").write_bytes((own / "ash" / "00.jpg").read_bytes())
    assert "1 class of one file alone, first: none" in refused(own)


def test_a_damaged_image_is_found_before_the_training(own):
    data = set_up(FolderClassification, own)
    (own / data.names["train"][0]).write_bytes(b"no image")
    assert "is corrupt or no image" in refused(own)


def test_tiny_takes_an_image_of_each_class(own):
    data = set_up(FolderClassification, own, tiny=True)
    assert (len(data.train_set), len(data.val_set), data.size) == (3, 3, (32, 32))


def test_folders_decide_before_lists_that_lie_about_and_lists_that_are_given_before_folders(own, tmp_path):
    root = split(own)
    (root / "train.txt").write_text("train/ash/01.jpg\n")
    (root / "val.txt").write_text("val/ash/00.jpg\n")
    data = set_up(FolderClassification, root)
    assert list(data.classes) == ["ash", "elm", "oak"]
    assert (len(data.train_set), len(data.val_set)) == (15, 3)
    data.describe(tmp_path)  # what a run wrote down gives the same split again
    swapped = {"train_list": str(tmp_path / "val_files.txt"), "val_list": str(tmp_path / "train_files.txt")}
    again = set_up(FolderClassification, root, **swapped)
    assert list(again.classes) == ["ash", "elm", "oak"]
    assert list(again.names["train"]) == list(data.names["val"])
    assert again.labels["val"].tolist() == data.labels["train"].tolist()


def test_a_class_that_is_called_train(own):
    (own / "elm").rename(own / "train")
    assert list(set_up(FolderClassification, own).classes) == ["ash", "oak", "train"]


def test_names_of_several_lines(own, tmp_path):
    (own / "ash").rename(own / "as\nh")
    (own / "elm" / "00.jpg").rename(own / "elm" / "#0\n0.jpg")
    data = set_up(FolderClassification, own)
    data.describe(tmp_path)
    assert (tmp_path / "classes.txt").read_text().splitlines() == ["as h", "elm", "oak"]
    lists = {f"{part}_list": str(tmp_path / f"{part}_files.txt") for part in ("train", "val")}
    again = set_up(FolderClassification, own, **lists, split_seed=9)
    assert again.names == data.names


def test_a_segmentation_set_is_none_of_classes(tmp_path):
    root = make_own_masks(tmp_path / "fields")
    with pytest.raises(UserError, match=r"holds images and masks; it looks like images with masks: give task=seg"):
        set_up(FolderClassification, root)
