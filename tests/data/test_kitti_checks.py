"""Calibration, labels and points that do not fit together are found before a training, and named."""

from pathlib import Path

import layouts
import numpy as np
import pytest

from ncp.data.kitti import Kitti
from ncp.data.kitti_checks import check_labels, check_view
from ncp.data.kitti_scan import read_frames
from ncp.errors import UserError

NAMES = [f"{i:06d}" for i in range(6)]
TURN = "Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layouts.make_kitti(tmp_path / "kitti")


def _everywhere(root: Path, part: str, old: str, new: str, names: list[str] = NAMES) -> None:
    for name in names:
        path = root / "training" / part / f"{name}.txt"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


def _setup(root: Path) -> Kitti:
    data = Kitti(root=root, counts=None, workers=0, cache=root)
    data.setup()
    return data


def test_what_fits_is_not_talked_about(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    _setup(root)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TURN, "Tr_velo_to_cam: 0 -1 0 900 0 0 -1 0 1 0 0 0"),  # far to the side
        (TURN, "Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 -500"),  # everything behind the camera
        (TURN, "Tr_velo_to_cam: 0 1 0 0 0 0 -1 0 -1 0 0 0"),  # looks back
        ("P2: 700 0 621 0 0 700 187", "P2: 700 0 99621 0 0 700 187"),  # the picture is elsewhere
    ],
)
def test_calibrations_that_leave_no_points_are_refused(root: Path, old: str, new: str) -> None:
    """They are well formed; only the points tell."""
    _everywhere(root, "calib", old, new)
    with pytest.raises(
        UserError, match=r"of 4,080 points in 6 frames .* none lies in the camera's image.*calibration"
    ) as caught:
        _setup(root)
    assert str(root / "training" / "calib" / "000000.txt") in str(caught.value)


def test_calibrations_that_leave_hardly_any_points_are_warned_of(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    _everywhere(root, "calib", "P2: 700 0 621 0 0 700", "P2: 90000 0 621 0 0 90000")
    _setup(root)
    assert "lie in the camera's image" in caplog.text
    assert "the calibration (P2, R0_rect, Tr_velo_to_cam in" in caplog.text


def test_one_frame_without_points_in_the_image_is_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    _everywhere(root, "calib", TURN, "Tr_velo_to_cam: 0 -1 0 900 0 0 -1 0 1 0 0 0", ["000004"])
    _setup(root)
    assert "in 1 frames none" in caplog.text
    assert "000004.txt" in caplog.text


def test_labels_beside_the_points_are_warned_of(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    _everywhere(root, "calib", TURN, "Tr_velo_to_cam: 0 -1 0 0 0 0 -1 9 1 0 0 0")  # 9 m too low, still in the picture
    _setup(root)
    assert (
        "only 0 of 18 labelled objects in 6 frames that were looked at hold points that the camera sees" in caplog.text
    )


def test_a_picture_beside_the_objects_is_warned_of(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A twentieth of the points is left, which no count of points finds strange, but not the objects' ones."""
    _everywhere(root, "calib", "P2: 700 0 621 0 0 700 187", "P2: 700 0 2400 0 0 700 187")
    _setup(root)
    assert "labelled objects in 6 frames that were looked at hold points that the camera sees" in caplog.text


def test_few_frames_are_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = read_frames(root, NAMES)
    read: list[str] = []

    def noted(path: Path) -> tuple[np.ndarray, int]:
        read.append(path.stem)
        return np.tile(np.float32([10, 0, 0, 0]), (5, 1)), 0

    monkeypatch.setattr("ncp.data.kitti_checks.read_points", noted)
    check_view(frames * 1000)
    assert len(read) == 12
    check_view([])


def test_a_set_without_points_is_refused(root: Path) -> None:
    for path in (root / "training" / "velodyne").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="6 frames spread over the set were looked at, and none of them has points"):
        _setup(root)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "DontCare -1 -1 -10 1 1 9 9 -1 -1 -1 -1000 -1000 -1000 -10\n", "Van 0 0 0 1 1 90 90 2 2 4 1 1 9 0\n"],
)
def test_splits_without_labelled_objects_are_refused(root: Path, text: str) -> None:
    for name in NAMES[4:]:
        (root / "training" / "label_2" / f"{name}.txt").write_text(text)
    with pytest.raises(
        UserError, match=r"the validation split \(ImageSets/val.txt\) has no labelled Car, Pedestrian, Cyclist"
    ) as caught:
        _setup(root)
    assert f"{0 if text.strip() else 2} label files are empty" in str(caught.value)
    for name in NAMES:
        (root / "training" / "label_2" / f"{name}.txt").write_text(text)
    with pytest.raises(UserError, match=r"has 2 problems: .*training split .*validation split"):
        _setup(root)


def test_classes_that_cannot_count_are_warned_of(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Occlusion 3 (unknown) is beyond every difficulty: whatever is found, the AP is 0."""
    _everywhere(root, "label_2", "Cyclist 0.00 0.00", "Cyclist 0.00 3")
    check_labels(read_frames(root, NAMES), "whole set", evaluated=False)
    assert caplog.text == ""
    check_labels(read_frames(root, NAMES), "whole set", evaluated=True)
    assert "the whole set has 6 labelled objects of Cyclist, of which none counts at moderate difficulty" in caplog.text
    assert "of Car" not in caplog.text
