"""Calibration, boxes and points of KITTI frames: real ones where they are at hand, small made ones everywhere."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import shapely

from ncp.data import kitti_frames as kf
from ncp.errors import UserError
from ncp.metrics.kitti_files import Objects, read

# a calibration like KITTI's, with a camera that is turned a little in every direction
CALIBRATION = {
    "P2": "707.0493 0 604.0814 45.75831 0 707.0493 180.5066 -0.3454157 0 0 1 0.004981016",
    "R0_rect": "0.9999128 0.01009263 -0.008511932 -0.01012729 0.9999406 -0.004037671 0.008470675 0.004123522 0.9999556",
    "Tr_velo_to_cam": "0.006927964 -0.9999722 -0.002757829 -0.02457729 -0.001162982 0.002749836 -0.9999955 -0.06127237 "
    "0.9999753 0.006931141 -0.001143899 -0.3321029",
}


def _write(folder: Path, **changes: str | None) -> Path:
    lines = {**CALIBRATION, **changes}
    path = folder / "000003.txt"
    path.write_text("".join(f"{name}: {text}\n" for name, text in lines.items() if text is not None) + "\n")
    return path


def _random_objects(rng: np.random.Generator, n: int) -> Objects:
    values = np.zeros((n, 14))
    values[:, 7:10] = rng.uniform(0.5, 5, (n, 3))
    values[:, 10:13] = rng.uniform([-30, 0, 5], [30, 3, 70], (n, 3))
    values[:, 13] = rng.uniform(-np.pi, np.pi, n)
    return Objects(np.array(["Car"] * n), values)


def test_boxes_go_to_the_lidar_and_back(tmp_path: Path) -> None:
    calibration = kf.Calibration.read(_write(tmp_path))
    objects = _random_objects(np.random.default_rng(0), 500)
    size, location, rotation_y = calibration.boxes_to_camera(calibration.boxes_to_lidar(objects))
    np.testing.assert_allclose(size, objects.size, atol=1e-9)
    np.testing.assert_allclose(location, objects.location, atol=1e-9)
    np.testing.assert_allclose(kf.wrap(rotation_y - objects.rotation_y), 0, atol=1e-9)
    in_float32 = calibration.boxes_to_lidar(objects).astype(np.float32)  # as a network gives them
    np.testing.assert_allclose(calibration.boxes_to_camera(in_float32)[1], objects.location, atol=1e-4)


def test_boxes_are_where_the_label_says(tmp_path: Path) -> None:
    """Corners worked out in the camera frame by the development kit's formula, then moved to the LiDAR's frame."""
    calibration = kf.Calibration.read(_write(tmp_path))
    objects = _random_objects(np.random.default_rng(1), 100)
    found = kf.corners_3d(calibration.boxes_to_lidar(objects))
    for k in range(100):
        (h, w, length), ry = objects.size[k], objects.rotation_y[k]
        rotation = np.array([[np.cos(ry), 0, np.sin(ry)], [0, 1, 0], [-np.sin(ry), 0, np.cos(ry)]])
        x = np.array([1, 1, -1, -1, 1, 1, -1, -1]) * length / 2
        z = np.array([1, -1, -1, 1, 1, -1, -1, 1]) * w / 2
        y = np.array([0, 0, 0, 0, -h, -h, -h, -h])
        expected = calibration.to_lidar((rotation @ [x, y, z]).T + objects.location[k])
        distance = np.linalg.norm(found[k][:, None] - expected[None], axis=-1)
        # the camera is tilted by half a degree; boxes in the LiDAR frame are upright
        assert distance.min(1).max() < 0.08
        assert sorted(distance.argmin(1).tolist()) == list(range(8))


def test_real_frames(shared: Path) -> None:
    """Every labelled object of the three real frames holds points; image boxes and angles agree with the labels."""
    root = shared / "kitti_sample" / "training"
    counts = {}
    for name in ("000000", "000001", "000002"):
        calibration = kf.Calibration.read(root / "calib" / f"{name}.txt")
        points, bad = kf.read_points(root / "velodyne" / f"{name}.bin")
        image = kf.image_size(root / "image_2" / f"{name}.png")
        assert image is not None
        assert bad == 0
        objects = read(root / "label_2" / f"{name}.txt", scores=False)
        objects = objects[objects.types != "DontCare"]
        boxes = calibration.boxes_to_lidar(objects)
        counts[name] = kf.points_in_boxes(points, boxes).sum(1).tolist()
        size, location, _ = calibration.boxes_to_camera(boxes)
        np.testing.assert_allclose(location, objects.location, atol=1e-4)
        np.testing.assert_allclose(size, objects.size, atol=1e-4)
        iou = [
            shapely.box(*a).intersection(shapely.box(*b)).area / shapely.box(*a).union(shapely.box(*b)).area
            for a, b in zip(calibration.image_boxes(boxes, image), objects.image_boxes, strict=True)
        ]
        assert min(iou) > 0.85
        labels = np.zeros(len(boxes), dtype=int)
        found = calibration.results(boxes, labels, np.ones(len(boxes)), image)
        np.testing.assert_allclose(found.alpha, objects.alpha, atol=0.02)
        seen = calibration.in_image(points, image)
        assert 0.1 < seen.mean() < 0.25
        assert (points[seen, 0] > 0).all()
    assert counts == {"000000": [377], "000001": [72, 9, 18], "000002": [1346, 67]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"P2": None}, "lines missing: P2;"),
        ({"R0_rect": None, "Tr_velo_to_cam": None}, "lines missing: R0_rect, Tr_velo_to_cam;"),
        ({"P2": "1 2 3"}, "P2 needs 12 finite numbers, given were 3"),
        ({"P2": CALIBRATION["P2"].replace("604.0814", "x")}, "P2 holds something that is not a number"),
        ({"P2": CALIBRATION["P2"].replace("604.0814", "nan")}, "P2 needs 12 finite numbers"),
        ({"R0_rect": "0 0 0 0 0 0 0 0 0"}, "R0_rect is not a rotation"),
    ],
)
def test_bad_calibrations(tmp_path: Path, changes: dict[str, str | None], message: str) -> None:
    path = _write(tmp_path, **changes)
    with pytest.raises(UserError, match=re.escape(str(path)) + ".*" + message):
        kf.Calibration.read(path)
    with pytest.raises(UserError, match="cannot read"):
        kf.Calibration.read(tmp_path / "none.txt")


def test_points(tmp_path: Path) -> None:
    path = tmp_path / "p.bin"
    points = np.arange(40, dtype="<f4").reshape(-1, 4)
    path.write_bytes(points.tobytes())
    found, bad = kf.read_points(path)
    np.testing.assert_array_equal(found, points)
    assert bad == 0
    points[3, 2], points[5, 0], points[5, 1] = np.nan, np.inf, np.nan
    path.write_bytes(points.tobytes())
    found, bad = kf.read_points(path)
    assert (len(found), bad) == (8, 2)
    assert np.isfinite(found).all()
    path.write_bytes(b"")
    assert kf.read_points(path)[0].shape == (0, 4)
    path.write_bytes(points.tobytes()[:-1])
    with pytest.raises(UserError, match="159 bytes are no whole number of points"):
        kf.read_points(path)
    with pytest.raises(UserError, match="cannot read the points"):
        kf.read_points(tmp_path)


def test_points_in_boxes_against_shapely() -> None:
    rng = np.random.default_rng(2)
    points = rng.uniform(-6, 6, (3000, 4)).astype(np.float32)
    boxes = np.column_stack([rng.uniform(-4, 4, (20, 3)), rng.uniform(1, 6, (20, 3)), rng.uniform(-7, 7, 20)])
    found = kf.points_in_boxes(points, boxes)
    assert found.sum() > 500
    for k, box in enumerate(boxes):
        corners = kf.corners_3d(box[None])[0]
        ground = shapely.Polygon(corners[:4, :2])
        inside = shapely.contains_xy(ground, points[:, 0], points[:, 1])
        inside &= (points[:, 2] > corners[0, 2]) & (points[:, 2] < corners[4, 2])
        np.testing.assert_array_equal(found[k], inside)
    assert (kf.points_in_boxes(points, boxes, margin=0.3) & ~found).sum() > 100
    assert kf.points_in_boxes(points, boxes[:0]).shape == (0, 3000)


def test_boxes_behind_the_camera_are_no_results(tmp_path: Path) -> None:
    calibration = kf.Calibration.read(_write(tmp_path))
    boxes = np.array([[10, 0, -1, 4, 1.6, 1.5, 0], [-10, 0, -1, 4, 1.6, 1.5, 0], [10, 60, -1, 4, 1.6, 1.5, 0.0]])
    found = calibration.results(boxes, np.array([0, 1, 2]), np.array([0.1, 0.2, 0.3]))
    assert found.types.tolist() == ["Car"]
    assert found.score.tolist() == [0.1]


def test_image_size(tmp_path: Path) -> None:
    path = tmp_path / "i.png"
    assert kf.image_size(path) is None
    header = b"IHDR" + struct.pack(">IIBBBBB", 1242, 375, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)))
    assert kf.image_size(path) == (375, 1242)
    path.write_bytes(b"JFIF")
    with pytest.raises(UserError, match="not a PNG"):
        kf.image_size(path)


def test_difficulty_and_classes() -> None:
    values = np.zeros((5, 14))
    values[:, 6] = [40, 39, 40, 40, 10]  # heights in the image
    values[:, 1] = [0, 0, 2, 0, 0]
    values[:, 0] = [0, 0, 0, 0.6, 0]
    assert kf.difficulty(Objects(np.array(["Car"] * 5), values)).tolist() == [0, 1, 2, 3, 3]
    assert kf.class_ids(["car", "Van", "Cyclist", "DontCare", "Pedestrian"]).tolist() == [0, -1, 2, -1, 1]
