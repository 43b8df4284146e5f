"""LiDAR frames in KITTI's layout with classes of a user's own."""

import numpy as np
import pytest
from layouts import make_kitti, make_own_frames, set_up

from ncp.data.base import Key
from ncp.data.folder.det3d import FolderKitti, anchor_of
from ncp.data.kitti_frames import points_in_boxes
from ncp.errors import UserError
from ncp.metrics import kitti, kitti_names
from ncp.metrics.kitti_files import Objects

SMALL = {"limits": [0, -20.48, -3, 40.96, 20.48, 1]}


@pytest.fixture
def yard(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    return make_own_frames(tmp_path / "yard")


def test_classes_and_anchors_come_from_the_labels(yard):
    data = set_up(FolderKitti, yard)
    assert list(data.classes) == ["Cart", "Forklift", "Worker"]
    assert (len(data.train_set), len(data.val_set)) == (5, 1)
    fork = data.anchors["Forklift"]  # as the labels were written: 3.9 x 1.6 x 1.5 m, 1.7 m below a LiDAR at 0
    assert (fork["length"], fork["width"], fork["height"], fork["bottom"]) == pytest.approx(
        (3.9, 1.6, 1.5, -1.7), abs=0.01
    )
    assert (fork["positive"], data.anchors["Worker"]["positive"]) == (0.6, 0.5)
    assert data.min_overlap == {"cart": 0.5, "forklift": 0.7, "worker": 0.5}
    assert any(note.startswith("anchor of Forklift: 3.90 x 1.60 x 1.50 m") for note in data.notes)
    item = data.val_set[Key(-1, 0)]
    assert item["labels"].tolist() == [1, 2, 0]  # in the file's order: forklift, worker, cart
    assert points_in_boxes(item["points"].numpy(), item["boxes"].numpy()).sum(1).min() > 40


def test_an_anchor_is_the_mean_size_and_the_median_bottom():
    boxes = np.array([[0, 0, 1.0, 4, 2, 2, 0], [0, 0, 2.0, 2, 1, 2, 0], [0, 0, 3.0, 3, 3, 2, 0]])
    one = anchor_of(boxes)
    assert one == {"length": 3.0, "width": 2.0, "height": 2.0, "bottom": 1.0, "positive": 0.6, "negative": 0.45}


def test_what_was_chosen_is_written_into_checkpoints(yard):
    data = set_up(FolderKitti, yard, **SMALL)
    again = set_up(FolderKitti, yard, **SMALL, **data.resolved())
    assert (again.classes, again.anchors, again.min_overlap) == (data.classes, data.anchors, data.min_overlap)


def test_frames_without_objects_count_and_frames_without_labels_do_not(yard):
    labels = sorted((yard / "label_2").iterdir())
    labels[0].write_text("")
    labels[1].unlink()
    data = set_up(FolderKitti, yard)
    assert len(data.train_set) + len(data.val_set) == 5
    assert any("left out: 1 frame of 6 without a label file" in note for note in data.notes)
    names = [frame.name for frame in data.frames["train"]]
    if "000000" in names:
        assert len(data.train_set[Key(-1, names.index("000000"))]["labels"]) == 0


def test_kittis_own_layout_with_its_lists(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    data = set_up(FolderKitti, make_kitti(tmp_path / "kitti"), augmentation={"fill": 2, "flip": 0.5})
    assert [frame.name for frame in data.frames["val"]] == ["000004", "000005"]
    assert data.augmentation.sampled == (2, 2, 2)
    assert len(data.train_set[Key(0, 0)]["labels"]) >= 3


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"classes": ["Forklift", "Crane"]}, "no training label is of Crane, so there are no anchors"),
        ({"classes": "some"}, "data.classes is auto or written out"),
        ({"anchors": {"Forklift": {"length": 1}}}, "data.anchors lacks Cart"),
        ({"classes": ["Cart"], "anchors": {"Cart": {"length": 1}}}, "data.anchors.Cart has the keys length, width"),
        ({"min_overlap": {"Cart": 2}}, "needs an overlap between 0 and 1 for Cart"),
        ({"augmentation": {"fil": 2}}, "unknown key 'data.augmentation.fil'; its keys: sampled"),
        ({"limits": [0, 0, 0, 1, 1, 1]}, "whole number of pillars"),
    ],
)
def test_options_that_do_not_fit(yard, options, line):
    with pytest.raises(UserError, match=line.replace(".", r"\.")):
        set_up(FolderKitti, yard, **options)


def test_what_is_wrong_is_said(yard):
    with pytest.raises(UserError, match=rf"a level too low: give data.root={yard}"):
        set_up(FolderKitti, yard / "label_2")
    label = sorted((yard / "label_2").iterdir())[0]
    label.write_text(label.read_text().replace("Forklift 0.00", "Forklift nine"))
    with pytest.raises(UserError, match=r"line 1: 'nine' for truncated is not a number"):
        set_up(FolderKitti, yard)
    for path in (yard / "label_2").iterdir():
        path.write_text("DontCare -1 -1 -10 503 169 590 190 -1 -1 -1 -1000 -1000 -1000 -10\n")
    with pytest.raises(UserError, match="names an object, so there is nothing to learn"):
        set_up(FolderKitti, yard)
    for path in (yard / "label_2").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="0 of 6 frames are labelled"):
        set_up(FolderKitti, yard)
    (yard / "label_2").rmdir()
    with pytest.raises(UserError, match=r"labelled|no label_2"):
        set_up(FolderKitti, yard)


def test_own_classes_are_counted_as_kittis():
    """Renamed objects have the figures of the originals: cars without their vans, as forklifts."""
    rng = np.random.default_rng(0)

    def scenes(name, other):
        rng = np.random.default_rng(1)
        out = []
        for _ in range(30):
            values = np.zeros((3, 14))
            values[:, 3:7] = np.array([100, 100, 180, 180]) + rng.uniform(0, 300, (3, 1))
            place = [rng.uniform(-20, 20, 3), np.full(3, 1.7), rng.uniform(5, 50, 3)]
            values[:, 7:10], values[:, 10:13] = (1.5, 1.6, 3.9), np.column_stack(place)
            out.append(Objects(np.array([name, other, name]), values))
        return out

    found = []
    for objects in scenes("x", "y"):
        values = np.column_stack([objects.values, rng.random(3)])
        values[:, 10:13] += rng.normal(0, 0.15, (3, 3))
        found.append(values)
    figures = {}
    for name, other in (("Car", "Pedestrian"), ("Forklift", "Worker")):
        results = [Objects(o.types, v) for o, v in zip(scenes(name, other), found, strict=True)]
        overlap = {name.lower(): 0.5, other.lower(): 0.5}
        figures[name] = kitti.evaluate_objects(scenes(name, other), results, overlap)
    for metric in ("2d", "bev", "3d", "aos"):
        assert figures["Forklift"][f"forklift/{metric}/moderate"] == figures["Car"][f"car/{metric}/moderate"]
        assert figures["Forklift"][f"worker/{metric}/hard"] == figures["Car"][f"pedestrian/{metric}/hard"]
    told = kitti_names.short(figures["Forklift"], ["forklift", "worker"])
    assert 0 < told["forklift-3D"] < 100
    assert told["moderate"] == pytest.approx((told["forklift-3D"] + told["worker-3D"]) / 2)
    assert (
        kitti_names.in_words("forklift-BEV", {"forklift": 0.7, "worker": 0.5}) == "forklift BEV AP at IoU 0.7, moderate"
    )
    assert kitti_names.in_words("moderate", {"forklift": 0.7}) == "3D AP, moderate, mean of the classes"


def test_the_split_is_stratified_by_the_rarest_type(tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    root = make_own_frames(tmp_path / "yard", count=20)
    for i, path in enumerate(sorted((root / "label_2").iterdir())):
        kept = [line for line in path.read_text().splitlines() if not line.startswith("Cart") or i < 5]
        path.write_text("\n".join(kept) + "\n")
    for seed in range(4):
        data = set_up(FolderKitti, root, split_seed=seed)
        carts = [frame for frame in data.frames["val"] if "Cart" in frame.objects.types]
        assert (len(carts), len(data.frames["val"])) == (1, 4)  # a fifth of five, and of fifteen
