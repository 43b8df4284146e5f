"""The KITTI data module on a small set in the official layout, and on the real frames where they are at hand."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ncp.data.base import BatchPolicy, Key
from ncp.data.kitti import Kitti, as_augmentation, collate, frames_of, grid_size, read_split
from ncp.data.kitti_augment import Augmentation, collides
from ncp.data.kitti_frames import points_in_boxes
from ncp.errors import UserError

CALIBRATION = """P2: 700 0 621 0 0 700 187.5 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0
"""
CAR = "Car 0 0 0 0 0 90 90 1.5 1.6 4.0 {x} 1.0 {z} 0.3"  # x to the right, z forward


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six frames: a car full of points ahead, at a place of its own in each, and points behind the camera."""
    rng = np.random.default_rng(0)
    training = tmp_path / "kitti" / "training"
    for part in ("velodyne", "label_2", "calib", "image_2"):
        (training / part).mkdir(parents=True)
    for i in range(6):
        x, z = -6 + 2 * i, 15 + 3 * i
        inside = rng.uniform([z - 0.4, -x - 1, -0.9, 0], [z + 0.4, -x + 1, 0.4, 1], (40, 4))
        behind = rng.uniform([-40, -5, -1, 0], [-1, 5, 1, 1], (30, 4))
        (training / "velodyne" / f"{i:06d}.bin").write_bytes(np.concatenate([inside, behind]).astype("<f4").tobytes())
        other = "Van 0 0 0 0 0 9 9 1 1 1 3 1 9 0\nDontCare -1 -1 -10 0 0 9 9 -1 -1 -1 -1000 -1000 -1000 -10\n"
        (training / "label_2" / f"{i:06d}.txt").write_text(CAR.format(x=x, z=z) + "\n" + other)
        (training / "calib" / f"{i:06d}.txt").write_text(CALIBRATION)
    sets = tmp_path / "kitti" / "ImageSets"
    sets.mkdir()
    (sets / "train.txt").write_text("000000\n000001\n000002\n000003\n")
    (sets / "val.txt").write_text("000004\n000005\n")
    return tmp_path / "kitti"


def _data(folder: Path, **changes: Any) -> Kitti:
    given: dict[str, Any] = {"root": folder, "counts": None, "cache": folder / "cache", **changes}
    data = Kitti(**given)
    data.setup()
    return data


def test_frames_in_both_splits_are_told(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    _data(root)
    assert "in both" not in caplog.text
    train = root / "ImageSets" / "train.txt"
    train.write_text(train.read_text() + (root / "ImageSets" / "val.txt").read_text())
    _data(root)
    assert "2 frames are in both ImageSets/train.txt and ImageSets/val.txt" in caplog.text
    caplog.clear()
    _data(root, train_split="all", val_split="all")  # so it was asked for
    assert "in both" not in caplog.text


def test_official_layout(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = _data(root)
    assert (data.size, data.in_channels, data.classes) == ((496, 432), 64, ("Car", "Pedestrian", "Cyclist"))
    assert (len(frames_of(data.train_set)), len(frames_of(data.val_set))) == (4, 2)
    sample = data.val_set[Key(-1, 1)]
    assert sample["points"].shape == (40, 4)  # those behind the camera are gone
    torch.testing.assert_close(sample["boxes"][0, :6], torch.tensor([30.0, -4.0, -0.25, 4.0, 1.6, 1.5]))
    assert sample["boxes"][0, 6] == pytest.approx(-np.pi / 2 - 0.3, abs=1e-6)
    assert sample["labels"].tolist() == [0]  # neither the van nor what nobody cares for
    assert "4 of 4 frames have no image" in caplog.text
    assert frames_of(data.val_set).truth(1).types.tolist() == ["Car", "Van", "DontCare"]
    truth = frames_of(data.val_set).truth(1)
    again = frames_of(data.val_set).results(1, sample["boxes"].numpy(), np.array([0]), np.array([0.5]))
    np.testing.assert_allclose(again.location, truth.location[:1], atol=1e-4)
    data.describe(root)
    assert (root / "val_frames.txt").read_text() == "000004\n000005\n"


def test_real_frames(shared: Path, tmp_path: Path) -> None:
    data = _data(shared / "kitti_sample", train_split="all", val_split="all", cache=tmp_path)
    batch = collate([data.val_set[Key(-1, i)] for i in range(3)])
    assert [(row >= 0).sum().item() for row in batch["labels"]] == [1, 2, 1]
    assert batch["counts"].sum() == len(batch["points"]) > 50_000
    starts = np.cumsum([0, *batch["counts"].tolist()])
    for i in range(3):
        known = batch["labels"][i] >= 0
        inside = points_in_boxes(batch["points"][starts[i] : starts[i + 1]].numpy(), batch["boxes"][i][known].numpy())
        assert (inside.sum(1) >= 9).all()


def test_batches_from_the_loader(root: Path) -> None:
    data = _data(root, workers=0, augmentation={})
    data.plan(BatchPolicy.fit(2), steps=3)
    batches = list(data.train_dataloader())
    assert len(batches) == 3
    assert batches[0]["boxes"].shape[0] == 2
    again = list(data.train_dataloader())
    for first, second in zip(batches, again, strict=True):  # a training's stream repeats
        torch.testing.assert_close(first["points"], second["points"])
    val = list(data.val_dataloader())
    assert [b["index"].tolist() for b in val] == [[0], [1]]
    # the points alone go to the device, in training and in evaluations
    for batch in (batches[0], val[0]):
        moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
        assert [key for key in batch if moved[key] is not batch[key]] == ["points"]
    assert data.train_dataloader().stay == data.stay


def test_training_scenes_change_and_evaluation_scenes_do_not(root: Path) -> None:
    data = _data(root, augmentation={"sampled": [9, 0, 0]})
    first, other = data.train_set[Key(0, 0)], data.train_set[Key(1, 0)]
    assert not torch.equal(first["points"][:10], other["points"][:10])
    torch.testing.assert_close(first["points"], data.train_set[Key(0, 0)]["points"])
    assert len(first["labels"]) == 4  # filled up from the database
    plain = data.train_set[Key(-1, 0)]
    torch.testing.assert_close(plain["points"], _data(root).train_set[Key(0, 0)]["points"])
    for sample in (first, other):
        inside = points_in_boxes(sample["points"].numpy(), sample["boxes"].numpy().astype(float), margin=1e-3)
        assert inside.sum(1).tolist() == [40, 40, 40, 40]
        assert not np.triu(collides(sample["boxes"].numpy(), sample["boxes"].numpy()), 1).any()


def test_database_is_built_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = frames_of(_data(root, augmentation={}).train_set).database
    assert first is not None
    assert (len(first), len(first.of(2))) == (4, 40)
    assert caplog.text.count("cutting the labelled objects") == 1
    _data(root, augmentation={})
    assert caplog.text.count("cutting the labelled objects") == 1
    path = root / "training" / "label_2" / "000000.txt"
    path.write_text(path.read_text().replace("Car", "Cyclist"))
    changed = frames_of(_data(root, augmentation={}).train_set).database
    assert caplog.text.count("cutting the labelled objects") == 2
    assert changed is not None
    assert sorted(changed.labels.tolist()) == [0, 0, 0, 2]
    assert frames_of(_data(root, augmentation={"sampled": (0, 0, 0)}).train_set).database is None


@pytest.mark.parametrize("name", ["points.npy", "objects.npz", "sealed.json"])
@pytest.mark.parametrize("damage", ["cut off", "altered", "missing"])
def test_a_damaged_database_is_noticed_and_built_anew(
    root: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = frames_of(_data(root, augmentation={}).train_set).database
    assert first is not None
    wanted = [np.array(first.of(i)) for i in range(4)]
    (path,) = (root / "cache").glob(f"objects-*/{name}")
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content if damage == "altered" else content[: len(content) // 2])
    again = frames_of(_data(root, augmentation={}).train_set).database
    assert "made anew" in caplog.text
    assert again is not None
    for i, points in enumerate(wanted):
        np.testing.assert_array_equal(again.of(i), points)
    assert [p.name for p in (root / "cache").iterdir()] == [path.parent.name]


@pytest.mark.parametrize("part", ["velodyne", "calib"])
def test_the_database_follows_points_and_calibrations(root: Path, part: str) -> None:
    first = frames_of(_data(root, augmentation={}).train_set).database
    path = next(iter(sorted((root / "training" / part).iterdir())))
    if part == "velodyne":
        points = np.fromfile(path, "<f4").reshape(-1, 4)
        points[:3, :3] += 500
        points.tofile(path)
    else:
        path.write_text(path.read_text().replace("700 0 621", "700 0 620"))
    again = frames_of(_data(root, augmentation={}).train_set).database
    assert first is not None
    assert again is not None
    assert len(list((root / "cache").iterdir())) == 2
    assert len(again.points) == len(first.points) - (3 if part == "velodyne" else 0)


def test_the_cache_is_the_users_folder_unless_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "mine"))
    _data(root, augmentation={}, cache=None)
    assert [p.name.split("-")[0] for p in (tmp_path / "mine").iterdir()] == ["objects"]


# --- what users give --------------------------------------------------------------------------------------------------


def test_splits(root: Path) -> None:
    with pytest.raises(UserError, match=r"hold 4 and 2 frames where 3712 and 3769 are expected; set data.counts=null"):
        _data(root, counts=(3712, 3769))
    assert len(read_split(root, "all")) == 6
    with pytest.raises(UserError, match="cannot be read: a split is a file of frames"):
        _data(root, train_split="ImageSets/none.txt")
    for text, message in (
        ("", "no frames"),
        ("000000\nx\n", "'x', which is no frame"),
        ("000001 000001", "more than once"),
    ):
        (root / "ImageSets" / "train.txt").write_text(text)
        with pytest.raises(UserError, match=message):
            _data(root)


def test_missing_and_broken_files(root: Path) -> None:
    with pytest.raises(UserError, match=r"needs data.root"):
        _data(root, root=None)
    with pytest.raises(UserError, match="is not KITTI: looked for training and found"):
        _data(root / "ImageSets", cache=root)
    points = root / "training" / "velodyne" / "000001.bin"
    whole = points.read_bytes()
    points.write_bytes(whole[:-3])
    with pytest.raises(UserError, match=r"000001.bin: 1117 bytes are no whole number of points"):
        _data(root)
    points.write_bytes(whole)
    calibration = root / "training" / "calib" / "000002.txt"
    calibration.write_text("P2: 1 2\n")
    with pytest.raises(UserError, match=r"000002.txt: lines missing: R0_rect, Tr_velo_to_cam"):
        _data(root)
    calibration.unlink()
    with pytest.raises(UserError, match=r"1 of 4 frames have no file in .*calib', the first is 000002.txt"):
        _data(root)


def test_empty_scenes_bad_points_and_unknown_classes_are_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    velodyne = root / "training" / "velodyne"
    (velodyne / "000004.bin").write_bytes(b"")
    points = np.frombuffer((velodyne / "000005.bin").read_bytes(), "<f4").copy()
    points[:8:4] = np.nan
    (velodyne / "000005.bin").write_bytes(points.tobytes())
    (root / "training" / "label_2" / "000004.txt").write_text("Dragon" + " 0" * 14 + "\n")
    data = _data(root)
    assert "1 of 2 frames have no points" in caplog.text
    assert "{'Dragon': 1}" in caplog.text
    batch = next(iter(_loader(data)))
    assert batch["counts"].tolist() == [0, 38]
    assert batch["dropped"].tolist() == [0, 2]
    assert batch["labels"].tolist() == [[-1], [0]]
    assert torch.isfinite(batch["points"]).all()
    nothing = collate([data.val_set[Key(-1, 0)]])
    assert nothing["boxes"].shape == (1, 0, 7)
    assert nothing["points"].shape == (0, 4)


def _loader(data: Kitti) -> Any:
    data.eval_batch, data.workers = 2, 0
    return data.val_dataloader()


def test_grid_and_augmentation_are_checked() -> None:
    assert grid_size((0, -10.24, -3, 20.48, 10.24, 1), 0.16) == (128, 128)
    for limits in ((0, 0, 0, 1, 1), (0, 0, 0, -1, 1, 1), (0, 0, 0, 1.1, 1, 1), (0, 0, 0, float("nan"), 1, 1)):
        with pytest.raises(UserError, match=r"data.limits"):
            grid_size(limits, 0.16)
    assert as_augmentation({"sampled": [1, 2, 3]}) == Augmentation(sampled=(1, 2, 3))
    with pytest.raises(UserError, match=r"unknown key 'data.augmentation.sample'.*did you mean 'sampled'"):
        as_augmentation({"sample": 1})
    with pytest.raises(UserError, match="16,777,216 are possible"):
        grid_size((0, 0, 0, 1e4, 1e4, 1), 0.16)
    grid_size((4.5e5, 0, -3, 4.5e5 + 16, 16, 1), 0.16)
    for limits in ((0, 5.4e6, -3, 51.2, 5.4e6 + 51.2, 1), (-1e8 - 16, 0, -3, -1e8, 16, 1)):  # as in maps of a country
        with pytest.raises(
            UserError, match=r"lie so far from 0 that points there are known to .* move points, objects"
        ):
            grid_size(limits, 0.16)
    with pytest.raises(UserError, match=r"lie so far from 0"):
        grid_size((0, 0, 0, 1e300, 1e300, 1), 1e299)
    for change in (
        {"flip": 2},
        {"least_points": [5]},
        {"sampled": [1, 2]},
    ):
        with pytest.raises(UserError, match="flip <= 1"):
            as_augmentation(change)
    for change in ({"shift": float("nan")}, {"turn": float("inf")}):
        with pytest.raises(UserError, match=r"data.augmentation.\w+ must be a finite number"):
            as_augmentation(change)
    for change in ({"turn": "far"}, {"sampled": 3}, {"scale": ["a", 1]}):
        with pytest.raises(UserError, match=r"data.augmentation.\w+(\[0\])? must be a (number|list)"):
            as_augmentation(change)
    for value in (3, "strong", [1]):
        with pytest.raises(UserError, match=r"data.augmentation takes sampled, .*; given was"):
            as_augmentation(value)
    with pytest.raises(UserError, match=r"scale\[0\] <= scale\[1\]"):
        as_augmentation({"scale": [2, 1]})
