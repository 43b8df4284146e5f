"""Taskonomy's layout: a small folder of it, and everything that may be wrong with one."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from ncp.data import taskonomy as t
from ncp.data.base import Key
from ncp.data.taskonomy_lists import Buildings
from ncp.data.views import LABELS
from ncp.errors import UserError

VIEWS = [f"point_{i}_view_{j}" for i in range(2) for j in range(2)]
SPLIT = {"train": ["almena", "beechwood"], "val": ["corozal"], "test": ["darden"]}
MASKS = {"class_object": 75, "class_scene": 47}


def _mask(name):
    mask = np.zeros(t.WHOLE[name])
    mask[np.arange(MASKS[name]) * 4 + 2] = 1
    return mask


def write(root, by_domain=False, side=40):
    """Four views of each of four buildings with all labels, the released lists and masks."""
    rng = np.random.default_rng(0)
    for split, buildings in SPLIT.items():
        for building in buildings:
            for view in VIEWS:
                _write_view(root, building, view, rng, by_domain, side)
            entries = [f"{building}/{{domain}}/{view}_domain_{{domain}}.png" for view in VIEWS]
            (root / f"{building}.json").write_text(json.dumps(entries))
        names = [f"{building}.json" for building in buildings]
        (root / f"{split}_filenames_final5k.json").write_text(json.dumps({"filename_list": names}))
    for name in MASKS:
        np.save(root / f"{name}_final5k.npy", _mask(name))
    return root


def _write_view(root, building, view, rng, by_domain, side):
    def place(domain, ending):
        folder = root / domain / building if by_domain else root / building / domain
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{view}_domain_{domain}.{ending}"

    Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(place("rgb", "png"))
    Image.fromarray(np.full((side, side, 3), (255, 127, 0), np.uint8)).save(place("normal", "png"))
    Image.fromarray(np.repeat(np.arange(18, dtype=np.uint8), 3)[:side].reshape(1, -1).repeat(side, 0)).save(
        place("segmentsemantic", "png")
    )
    for name, classes in t.WHOLE.items():
        np.save(place(name, "npy"), rng.random(classes).astype(np.float32))
    np.save(place("room_layout", "npy"), rng.normal(size=9))


@pytest.fixture
def root(tmp_path):
    return write(tmp_path)


def _data(root, labels, **changes):
    data = t.Taskonomy(str(root), labels=labels, **{"size": 48, "permutations": 12, **changes})
    data.setup()
    return data


@pytest.mark.parametrize("by_domain", [False, True])
def test_all_labels_of_the_released_layout(tmp_path, by_domain):
    root = write(tmp_path, by_domain)
    data = _data(root, list(LABELS))
    assert (len(data.train_set), len(data.val_set)) == (8, 4)
    assert len(_data(root, "normal", split="test").val_set) == 4
    sample = data.val_set[Key(-1, 1)]
    label = sample["label"]
    places = Buildings(root)
    for name, count in MASKS.items():
        raw = np.load(places.path("corozal/point_0_view_1", name))[_mask(name).astype(bool)]
        np.testing.assert_allclose(label[name].numpy(), raw / raw.sum(), rtol=1e-5)
        assert len(data.names(name)) == count
    np.testing.assert_allclose(
        label["room_layout"].numpy(), np.load(places.path("corozal/point_0_view_1", "room_layout")), rtol=1e-5
    )
    np.testing.assert_allclose(label["normal"][:, 5, 5].numpy(), [1, -1 / 255, -1], atol=1e-6)
    # 0 counts as 1, and all are one less
    assert label["segmentsemantic"][0].unique().tolist() == list(range(13))
    with Image.open(places.path("corozal/point_0_view_1", "rgb")) as image:
        wanted = torch.from_numpy(np.array(image.resize((48, 48), Image.Resampling.BILINEAR))).permute(2, 0, 1)
    assert (sample["image"].int() - wanted.int()).abs().max() <= 2
    assert label["autoencoder"].shape == (3, 48, 48)
    assert sample["tiles"].shape == (9, 3, 12, 12)
    assert data.names("segmentsemantic") == t.SEMANTIC
    assert len(t.SEMANTIC) == len(set(data.palette)) == 17


def test_the_classes_are_those_that_the_mask_keeps(root):
    data = _data(root, "class_object")
    assert data.classes[0] == "great white shark"  # ImageNet's class 2
    assert _data(root, "class_scene").classes[1] == "scene 6"
    assert len(_data(root, "class_scene", masks="none").classes) == 365
    kept = np.load(Buildings(root).path("almena/point_0_view_0", "class_object"))[:75]
    np.save(
        Buildings(root).path("almena/point_0_view_0", "class_object"), kept
    )  # without the classes that are left out
    label = _data(root, "class_object").train_set[Key(-1, 0)]["label"]
    np.testing.assert_allclose(label.numpy(), kept / kept.sum(), rtol=1e-5)


def test_layouts_in_metres_are_standardised_with_the_released_numbers(root):
    np.save(Buildings(root).path("corozal/point_0_view_0", "room_layout"), t.LAYOUT_MEAN + 2 * t.LAYOUT_STD)
    label = _data(root, "room_layout", layout="metres").val_set[Key(-1, 0)]["label"]
    np.testing.assert_allclose(label.numpy(), 2, atol=1e-5)
    # the mean room: a camera that looks along x has the angles 90, 0 and -90 degrees
    np.testing.assert_allclose(t.LAYOUT_MEAN[3:6], [np.pi / 2, 0, -np.pi / 2], atol=0.02)


def test_other_forms_of_lists(root, tmp_path_factory):
    lists = tmp_path_factory.mktemp("lists")
    (lists / "train.txt").write_text(
        "almena\nbeechwood/rgb/point_1_view_0_domain_rgb.png\nalmena/rgb/point_0_view_0_domain_rgb.png\n"
    )
    (lists / "val.json").write_text(json.dumps(["corozal/{domain}/point_0_view_1_domain_{domain}"]))
    data = _data(root, "normal", lists=str(lists))
    assert list(data.train_set.source.names) == [*(f"almena/{view}" for view in VIEWS), "beechwood/point_1_view_0"]
    assert list(data.val_set.source.names) == ["corozal/point_0_view_1"]
    with pytest.raises(UserError, match="no list of test"):
        _data(root, "normal", lists=str(lists), split="test")
    table = tmp_path_factory.mktemp("table")
    (table / "train_val_test_tiny.csv").write_text("id,train,val,test\nalmena,1,0,0\ncorozal,0,1,0\ndarden,0,1,0\n")
    data = _data(root, "normal", lists=str(table))
    assert (len(data.train_set), len(data.val_set)) == (4, 8)


def test_all_that_is_wrong_is_told_at_once(root):
    places = Buildings(root)
    places.path("almena/point_0_view_1", "normal").unlink()
    places.path("almena/point_1_view_1", "normal").unlink()
    places.path("corozal/point_0_view_0", "rgb").unlink()
    (root / "class_scene_final5k.npy").unlink()
    with pytest.raises(UserError) as caught:
        _data(root, ["normal", "class_scene"])
    text = str(caught.value)
    assert "\n" not in text
    assert "2 of the 8 views of the split train have no label normal, first" in text
    assert "almena/normal/point_0_view_1_domain_normal.png" in text
    assert "1 of the 4 views of the split val have no image" in text
    assert "class_scene_final5k.npy' is missing" in text
    data = _data(root, "normal", partial=True)
    assert (len(data.train_set), len(data.val_set)) == (6, 3)


def test_labels_that_cannot_be_used_are_named(root):
    places = Buildings(root)
    first = places.path("almena/point_0_view_0", "class_object")
    whole = np.load(first)
    for content, says in (
        (whole[:9], "holds 9 numbers; the mask of class_object is for 1,000 of which it keeps 75"),
        (-whole, "holds no shares of the kept classes"),
        (whole * np.nan, "numbers that are not finite"),
        (np.full(1000, 1e308), "numbers that are not finite, or beyond 1e+30"),
        (whole.reshape(10, 100), "has the shape (10, 100); 1 axes"),
    ):
        np.save(first, content)
        with pytest.raises(UserError) as caught:
            _data(root, "class_object")
        assert says in str(caught.value)
        assert first.name in str(caught.value)
    np.save(first, whole[:75])
    with pytest.raises(UserError, match=r"holds 75 numbers; without a mask class_object has 1,?000"):
        _data(root, "class_object", masks="none").train_set[Key(-1, 0)]
    layout = places.path("almena/point_0_view_0", "room_layout")
    np.save(layout, np.zeros(6))
    with pytest.raises(UserError, match=r"holds 6 numbers; a layout has 9"):
        _data(root, "room_layout")
    semantic = places.path("corozal/point_0_view_0", "segmentsemantic")
    Image.fromarray(np.full((40, 40), 99, np.uint8)).save(semantic)
    with pytest.raises(
        UserError, match=r"holds the number 99 in 1600 pixels; Taskonomy's segmentsemantic holds 0 to 17"
    ):
        _data(root, "segmentsemantic")


def test_hostile_files_are_refused(root, tmp_path_factory):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a file was unpickled",))

    places = Buildings(root)
    layout = places.path("almena/point_0_view_0", "room_layout")
    good = layout.read_bytes()
    np.save(layout, np.array([Bomb()] * 9, dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="whole or real numbers are read"):
        _data(root, "room_layout")
    layout.write_bytes(good[:-8])
    with pytest.raises(UserError, match="cut off"):
        _data(root, "room_layout")
    layout.write_bytes(good)
    np.save(root / "class_scene_final5k.npy", np.ones((365, 2)))
    with pytest.raises(UserError, match=r"1 axes"):
        _data(root, "class_scene")
    np.save(root / "class_scene_final5k.npy", np.full(365, 0.5))
    with pytest.raises(UserError, match="zeros and ones"):
        _data(root, "class_scene")
    for entry in (
        "../../etc/{domain}/x_domain_{domain}.png",
        "/etc/rgb/a_domain_rgb.png",
        "a/b/c/point_0_view_0_domain_rgb.png",
        "almena/rgb/a.png",
    ):
        lists = tmp_path_factory.mktemp("lists")
        for split in ("train", "val"):
            (lists / f"{split}.json").write_text(json.dumps([entry]))
        with pytest.raises(UserError, match=r"leaves the data set's folder|is no view such as"):
            _data(root, "normal", lists=str(lists))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("train_filenames_final5k.json", '{"filename_list": ["gone.json"]}', "there is no file"),
        ("train_filenames_final5k.json", '{"filenames": []}', "must have the one key filename_list"),
        ("train_filenames_final5k.json", "[[1]]", "cannot be used"),
        ("train_filenames_final5k.json", "[" * 5000, "is no JSON|levels of lists"),
        ("train_filenames_final5k.json", '["nowhere"]', "the building 'nowhere' has no images"),
        ("train_filenames_final5k.json", "[]", "the split train holds no view"),
        ("train.json", "[]", "several lists of the split train"),
        ("splits.csv", "id,train,val,test\n", "several lists of the split train"),
    ],
)
def test_lists_that_cannot_be_used(root, name, content, says):
    (root / name).write_text(content)
    with pytest.raises(UserError, match=says) as caught:
        _data(root, "normal")
    assert "\n" not in str(caught.value)


def test_tables_that_cannot_be_used(root, tmp_path_factory):
    table = tmp_path_factory.mktemp("table") / "splits.csv"
    for content, says in (
        ("id,train\nalmena,1\n", "needs the columns id and val"),
        ("id,train,val\nalmena,2,0\n", "line 2: train must be 1 or 0"),
        ("", "needs the columns id and train; it has none"),
    ):
        table.write_text(content)
        with pytest.raises(UserError, match=says):
            _data(root, "normal", lists=str(table.parent))
    with pytest.raises(UserError, match=r"data.lists='nowhere' cannot be read"):
        _data(root, "normal", lists="nowhere")


def test_numbers_of_impossible_size_are_not_read(root):
    path = Buildings(root).path("almena/point_0_view_0", "room_layout")
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**25,)})
        file.truncate(file.tell() + 8 * 2**25)  # sparse
    with pytest.raises(UserError, match=r"has the shape \(33554432,\); 1 axes of at most 4,194,304 numbers"):
        _data(root, "room_layout")


def test_a_root_that_is_none(tmp_path):
    for root, says in (
        (None, "needs data.root=<its folder>"),
        (tmp_path / "gone", "is not a folder"),
        (tmp_path, "holds no list of train and val"),
    ):
        with pytest.raises(UserError, match=says):
            t.Taskonomy(root if root is None else str(root), labels="normal").setup()
    with pytest.raises(UserError, match="standardised or metres"):
        t.Taskonomy("x", labels="normal", layout="feet")


@pytest.mark.parametrize("label", ["normal", "segmentsemantic"])
def test_a_label_picture_of_another_size_is_told_once_and_one_of_another_shape_refused(root, label, caplog):
    """Half as large it shows the same view; of other proportions it was cropped, and would be squeezed onto the image."""
    data = _data(root, label)
    whole = data.val_set[Key(-1, 0)]["label"]
    for path in root.glob(f"*/{label}/*"):
        picture = Image.open(path)
        picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.NEAREST).save(path)
    with caplog.at_level("INFO"):
        data = _data(root, label)
        twice, _ = (data.val_set[Key(-1, i)]["label"] for i in (0, 1))
    assert (
        sorted(caplog.messages) == [f"images have 40 x 40 pixels, their labels {label} 80 x 80: all become 48 x 48"] * 2
    )
    assert twice.shape == whole.shape
    for path in root.glob(f"*/{label}/*"):
        picture = Image.open(path)
        picture.crop((0, 0, picture.width, picture.height // 2)).save(path)
    with pytest.raises(UserError, match=r"has 80 x 40 pixels and its image 40 x 40 pixels: their shapes differ"):
        _data(root, label)
