"""A look at a set: what is counted, what is found wrong, and what it suggests."""

import shutil

import numpy as np
import pytest
from layouts import make_own_frames, make_own_images, make_own_masks, make_own_videos, own_mask
from PIL import Image

from ncp.data.folder.cls import FolderClassification
from ncp.data.folder.det3d import FolderKitti
from ncp.data.folder.look import look_over
from ncp.data.folder.seg import FolderSegmentation
from ncp.data.folder.suggest import suggest
from ncp.data.folder.video import FolderVideos

RECIPE = {"unit": "epochs", "length": 100, "batch": 8, "least_steps": 200, "most_steps": 4000}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))


def looked(kind, root, look=None, **options):
    data = kind(str(root), workers=0, **options)
    found = look_over(data, look, lambda done, note: None)
    return data, found


def advised(kind, root, **options):
    data, found = looked(kind, root, **options)
    return suggest(data, found, RECIPE)


def test_images_are_counted(tmp_path):
    root = make_own_images(tmp_path / "trees")
    for i in range(6, 26):
        shutil.copy(root / "ash" / "00.jpg", root / "ash" / f"{i:02d}.jpg")
    _, found = looked(FolderClassification, root)
    assert not found.problems
    assert found.files == found.looked == {"train": 31, "val": 7}
    assert found.counts == {"train": {"ash": 21, "elm": 5, "oak": 5}, "val": {"ash": 5, "elm": 1, "oak": 1}}
    assert found.shares["ash"] == pytest.approx(21 / 31)
    assert sum(found.sizes.values()) == 38
    # the copies of one image that lie in both splits
    validating = {name for name in looked(FolderClassification, root)[0].names["val"] if name.startswith("ash")}
    copies = [name for name in validating if (root / name).read_bytes() == (root / "ash" / "00.jpg").read_bytes()]
    assert found.duplicated == len(copies) > 0
    assert any("with a training file's content" in line for line in found.warnings)
    assert any("2 classes with fewer than 10 training images: elm, oak" in line for line in found.warnings)
    assert any("7 validation images: each is 14 points of a figure" in line for line in found.warnings)


def test_not_all_files_are_read_of_a_large_set(tmp_path):
    root = make_own_images(tmp_path / "trees", count=20)
    _, found = looked(FolderClassification, root, look=5)
    assert (found.files["train"], found.looked["train"], sum(found.sizes.values())) == (48, 5, 10)
    assert found.counts["train"] == {"ash": 16, "elm": 16, "oak": 16}  # counted all the same


def test_every_unreadable_file_is_named(tmp_path):
    root = make_own_images(tmp_path / "trees")
    for name in ("ash/01.jpg", "oak/03.jpg"):
        (root / name).write_bytes(b"nothing")
    _, found = looked(FolderClassification, root)
    assert len([line for line in found.problems if "corrupt" in line]) == 2


def test_pixels_of_masks_are_counted(tmp_path):
    root = make_own_masks(tmp_path / "fields")
    data, found = looked(FolderSegmentation, root)
    assert not found.problems
    assert found.counts["train"] == {"class 0": 6, "class 1": 6, "class 2": 6}
    drawn = np.stack([own_mask(int(name.split("/")[-1][:3])) for name in data.names["train"]])
    wanted = np.bincount(drawn.ravel(), minlength=256)[:3]
    assert list(found.shares.values()) == pytest.approx(list(wanted / wanted.sum()))
    every = np.stack([own_mask(i) for i in range(8)])
    assert found.facts["labelled pixels"] == pytest.approx((every != 255).mean())


def test_masks_that_do_not_fit_are_all_named(tmp_path):
    root = make_own_masks(tmp_path / "fields")
    (root / "classes.csv").write_text("id,name\n0,a\n1,b\n2,c\n")
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(root / "masks" / "001.png")
    Image.fromarray(np.zeros((10, 64), np.uint8)).save(root / "masks" / "002.png")
    (root / "masks" / "lone.png").write_bytes((root / "masks" / "003.png").read_bytes())
    _, found = looked(FolderSegmentation, root)
    text = " ".join(found.problems)
    assert "001.png' holds the number 77" in text
    assert "has (48, 64) pixels but its label" in text
    assert found.unmatched == {"mask": ["masks/lone.png"]}


def test_a_split_that_has_all_classes_on_both_sides_is_proposed(tmp_path):
    root = make_own_masks(tmp_path / "fields", count=12)
    data, _ = looked(FolderSegmentation, root)
    for name in list(data.names["val"]):  # a class that is in all validating images and no other
        path = root / "masks" / name.split("/")[-1]
        mask = np.array(Image.open(path))
        mask[30:34] = 3
        Image.fromarray(mask).save(path)
    advice = advised(FolderSegmentation, root)
    seed = advice.data["split_seed"]
    _, found = looked(FolderSegmentation, root, split_seed=seed)
    assert found.counts["train"]["class 3"] > 0
    assert found.counts["val"]["class 3"] > 0


def test_videos_and_frames(tmp_path):
    pytest.importorskip("av")
    _, found = looked(FolderVideos, make_own_videos(tmp_path / "films"))
    assert (found.facts["frames, least"], found.facts["frames, most"]) == (10, 13)
    assert found.sizes == {(32, 48): 8}
    root = make_own_frames(tmp_path / "yard")
    _, found = looked(FolderKitti, root)
    assert found.counts["train"] == {"Cart": 5, "Forklift": 5, "Worker": 5}
    assert found.facts["labelled objects that hold points"] == 1.0
    assert not found.problems
    (root / "calib" / "000002.txt").unlink()
    _, found = looked(FolderKitti, root)
    assert any("have no file in" in line for line in found.problems)


@pytest.mark.parametrize(
    ("counts", "weights"),
    [((40, 40, 40), None), ((200, 8, 50), [pytest.approx(0.5, abs=0.2), pytest.approx(2.6, abs=0.5), 1.0])],
)
def test_uneven_classes_get_weights(tmp_path, counts, weights):
    root = tmp_path / "trees"
    make_own_images(root, count=1)
    for name, count in zip(("ash", "elm", "oak"), counts, strict=True):
        for i in range(1, count):
            shutil.copy(root / name / "00.jpg", root / name / f"{i:03d}.jpg")
    advice = advised(FolderClassification, root)
    given = advice.recipe.get("class_weights")
    if weights is None:
        assert given is None
        return
    assert given[0] < given[2] < given[1]
    train = np.array([round(0.8 * count) for count in counts])
    assert (np.array(given) * train).sum() / train.sum() == pytest.approx(1, abs=0.01)  # the loss keeps its scale
    assert given[1] / given[0] == pytest.approx(np.sqrt(train[0] / train[1]), rel=0.01)


@pytest.mark.parametrize(("side", "size"), [(30, 32), (45, 64), (100, 128), (200, 224), (900, 224)])
def test_the_size_follows_the_images(tmp_path, side, size):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (side + 10, side), (i, 0, 0)).save(tmp_path / name / f"{i}.png")
    assert advised(FolderClassification, tmp_path).data["size"] == size


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((48, 64), {"crop": [32, 64]}),
        ((700, 900), {"crop": [512, 512]}),
        ((1536, 1600), {"crop": [512, 512], "short": 1024}),
    ],
)
def test_the_window_follows_the_images(tmp_path, size, wanted):
    root = make_own_masks(tmp_path / "fields", count=2, size=size)
    given = advised(FolderSegmentation, root).data
    assert {key: given.get(key) for key in ("crop", "short") if key in given} == wanted


def test_the_length_is_bounded_and_said(tmp_path):
    advice = advised(FolderClassification, make_own_images(tmp_path / "trees", count=10))
    batch = advice.recipe["batch"]  # 24 training images
    assert batch == 4
    line = next(line for line in advice.why if line.startswith("length"))
    assert line.startswith("length: 600 steps, 100 passes")  # 100 epochs of 6 steps, within 200 and 4,000


def test_a_range_that_misses_the_labels_is_widened(tmp_path):
    root = make_own_frames(tmp_path / "yard")
    near = advised(FolderKitti, root, limits=[0, -10.24, -3, 20.48, 10.24, 1], partial=True).data.get("limits")
    assert near is not None
    boxes = looked(FolderKitti, root)[1].measured["boxes"]
    assert near[3] > boxes[:, 0].max()
    assert near[4] > np.abs(boxes[:, 1]).max()
    assert near[2] < (boxes[:, 2] - boxes[:, 5] / 2).min()
    assert (near[3] / 0.16) % 16 == pytest.approx(0, abs=1e-6) or (near[3] / 0.16) % 16 == pytest.approx(16, abs=1e-6)
