"""Scenes and boxes: points against the projection worked out by hand, boxes against those that were written as codes."""

import math

import numpy as np
import pytest
from PIL import Image

from ncp import card
from ncp.errors import UserError
from ncp.inference.detection import Finder, Scene, read_scene
from ncp.inference.network import Ranked, Written

LIMITS = (0.0, -5.12, -3.0, 10.24, 5.12, 1.0)
CAR = card.Anchor("Car", 3.9, 1.6, 1.56, -1.78)
WALKER = card.Anchor("Pedestrian", 0.8, 0.6, 1.73, -0.6)
SPACE = card.SeenSpace(LIMITS, 0.16, 8, [CAR, WALKER], 1000, 10, nms=card.Suppression(score=0.3))
CELLS = 8  # 64 pillars a side by a stride of 8
FOCAL, HEIGHT, WIDTH = 100.0, 60, 80
# a pinhole camera in the LiDAR's place that looks along x: right is -y, down is -z
CALIBRATION = f"""P2: {FOCAL} 0 {WIDTH / 2} 0 0 {FOCAL} {HEIGHT / 2} 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0
"""


class Writes:
    """A network that writes what it is told to."""

    fixed, device = None, "here"

    def __init__(self, written):
        use = card.Use(space=SPACE)
        self.card = card.NetworkCard("det3d", "", ("Car", "Pedestrian"), 64, (64, 64), (), (), use)
        self.written = written

    def scene(self, points_M4):
        return self.written


def written(*boxes):
    """What a head writes for boxes (row, column, class, turned, logit, code, direction), and nothing elsewhere."""
    shape = (CELLS, CELLS, 2, 2)
    classes, codes, directions = np.full((*shape, 2), -9.0), np.zeros((*shape, 7)), np.zeros((*shape, 2))
    for row, column, kind, turned, logit, code, direction in boxes:
        classes[row, column, kind, turned, kind] = logit
        codes[row, column, kind, turned] = code
        directions[row, column, kind, turned, direction] = 1
    return Written(classes.reshape(-1, 2), codes.reshape(-1, 7), directions.reshape(-1, 2))


def scene_files(folder):
    """A scene as KITTI has it; the points that a camera of those numbers sees are known by hand."""
    for part in ("velodyne", "calib", "image_2"):
        (folder / part).mkdir()
    points = np.array(
        [
            [8.0, 0.0, -1.0, 0.1],  # ahead: seen
            [8.0, 3.0, -1.0, 0.2],  # 37 pixels to the left: seen
            [8.0, 4.0, -1.0, 0.3],  # 50 pixels to the left: outside of the picture
            [8.0, 0.0, -2.9, 0.4],  # 36 pixels down: outside of the picture
            [12.0, 0.0, -1.0, 0.5],  # beyond the limits
            [8.0, 0.0, 1.0, 0.6],  # at the upper limit, which is not within
        ],
        dtype="<f4",
    )
    (folder / "velodyne" / "7.bin").write_bytes(points.tobytes())
    (folder / "calib" / "7.txt").write_text(CALIBRATION)
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "image_2" / "7.png")
    return folder / "velodyne" / "7.bin", points


def test_with_a_calibration_only_what_the_camera_sees_is_kept(tmp_path):
    path, points = scene_files(tmp_path)
    scene = read_scene(path, SPACE, None)
    assert scene.image == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(scene.points, points[:2])
    given = read_scene(path, SPACE, tmp_path / "calib")
    np.testing.assert_array_equal(given.points, scene.points)
    given = read_scene(path, SPACE, tmp_path / "calib" / "7.txt")
    np.testing.assert_array_equal(given.points, scene.points)


def test_without_one_everything_within_the_limits_is(tmp_path):
    path, points = scene_files(tmp_path)
    (tmp_path / "calib" / "7.txt").unlink()
    scene = read_scene(path, SPACE, None)
    assert scene.calibration is None
    np.testing.assert_array_equal(scene.points, points[:4])
    np.save(tmp_path / "7.npy", points.astype(np.float64))
    np.testing.assert_array_equal(read_scene(tmp_path / "7.npy", SPACE, None).points, points[:4])
    with pytest.raises(UserError, match=r"there is no calibration .*7\.txt'; leave calib out"):
        read_scene(path, SPACE, tmp_path / "calib")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((4, 3)), r"has the shape \(4, 3\); points are N x 4"),
        (np.zeros((2, 4, 4)), "points are N x 4"),
        (np.array([[0, 0, np.inf, 0]]), "numbers that are not finite"),
    ],
)
def test_arrays_that_are_no_points(points, message, tmp_path):
    np.save(tmp_path / "a.npy", points)
    with pytest.raises(UserError, match=message):
        read_scene(tmp_path / "a.npy", SPACE, None)


def test_a_code_is_the_box_that_it_stands_for():
    diagonal = math.hypot(CAR.length, CAR.width)
    code = (1 / diagonal, -0.5 / diagonal, 0.2 / CAR.height, 0, math.log(2 / CAR.width), 0, 0.1)
    finder = Finder(Writes(written((3, 5, 0, 0, 2.0, code, 0))))
    boxes = finder(Scene(np.zeros((0, 4), np.float32), None, (1, 1)))
    assert boxes.kitti is None
    # cells of 1.28 m: column 5 lies 5.5 cells ahead, row 3 lies 3.5 cells from -5.12
    expected = [5.5 * 1.28 + 1, -5.12 + 3.5 * 1.28 - 0.5, -1.78 + 0.78 + 0.2, 3.9, 2.0, 1.56]
    found = boxes.found.boxes[0]
    np.testing.assert_allclose(found[:6], expected, atol=1e-5)
    assert math.remainder(found[6] - 0.1, math.pi) == pytest.approx(0, abs=1e-5)
    assert boxes.found.labels.tolist() == [0]
    np.testing.assert_allclose(boxes.found.scores, [1 / (1 + math.exp(-2))], rtol=1e-6)
    other = Finder(Writes(written((3, 5, 0, 0, 2.0, code, 1))))(Scene(np.zeros((0, 4), np.float32), None, (1, 1)))
    turn = float(other.found.boxes[0, 6] - found[6])
    assert abs(math.remainder(turn - math.pi, 2 * math.pi)) < 1e-5  # the direction turns it about


def test_scores_overlaps_and_the_order_of_what_is_found():
    at = (1.0, 0.0, -0.5)
    given = written(
        (4, 4, 1, 0, at[1], np.zeros(7), 0), (4, 4, 0, 0, at[0], np.zeros(7), 0),
        (4, 4, 0, 1, 0.9, (0, 0, 0, 0, 0, 0, -math.pi / 2), 0),  # the same car again, turned back: suppressed
        (0, 0, 0, 0, at[2], np.zeros(7), 0),
    )  # fmt: skip
    empty = Scene(np.zeros((0, 4), np.float32), None, (1, 1))
    sigmoid = [1 / (1 + math.exp(-x)) for x in at]
    boxes = Finder(Writes(given))(empty).found
    np.testing.assert_allclose(boxes.scores, sigmoid, rtol=1e-6)
    assert boxes.labels.tolist() == [0, 1, 0]
    assert len(Finder(Writes(given), score=0.45)(empty).found.scores) == 2
    assert len(Finder(Writes(given), score=0.9)(empty).found.scores) == 0
    with pytest.raises(UserError, match=r"score is a number from 0 to 1, given was 1\.5"):
        Finder(Writes(given), score=1.5)


def test_with_a_calibration_boxes_are_kittis_too(tmp_path):
    path, _ = scene_files(tmp_path)
    finder = Finder(Writes(written((4, 5, 0, 0, 2.0, np.zeros(7), 0), (0, 0, 1, 0, 1.0, np.zeros(7), 0))))
    boxes = finder(read_scene(path, SPACE, None))
    assert len(boxes.found.boxes) == 2
    assert boxes.kitti is not None
    assert list(boxes.kitti.types) == ["Car"]  # the other one lies left of the picture
    x, y, z, _, _, height, _ = boxes.found.boxes[0]
    np.testing.assert_allclose(boxes.kitti.location[0], [-y, -z + height / 2, x], atol=1e-5)  # the bottom's centre
    np.testing.assert_allclose(boxes.kitti.size[0], [1.56, 1.6, 3.9], rtol=1e-6)


def test_a_network_that_writes_for_other_anchors_is_refused():
    classes, codes, directions = written()
    finder = Finder(Writes(Written(classes[:-1], codes[:-1], directions[:-1])))
    with pytest.raises(UserError, match=r"writes \[255, 2\] where 256 anchors and 2 classes belong"):
        finder(Scene(np.zeros((0, 4), np.float32), None, (1, 1)))


def test_boxes_that_a_network_has_ranked_are_chosen_from():
    """Two cars on one another, the better one first, a pedestrian, and scores that are too low."""
    car, walker = [5, 0, -1, 3.9, 1.6, 1.5, 0.1], [2, 3, -1, 0.8, 0.6, 1.7, 0]
    boxes = np.zeros((2, 3, 8), np.float32)
    boxes[0, 0], boxes[0, 1], boxes[0, 2] = [*car, 0.8], [*car, 0.7], [9, *car[1:], 0.2]
    boxes[1, 0] = [*walker, 0.9]
    scene = Scene(np.zeros((0, 4), np.float32), None, (1, 1))
    found = Finder(Writes(Ranked(boxes, (256, 2))))(scene).found
    np.testing.assert_array_equal(found.boxes, np.array([walker, car], np.float32))
    assert (found.labels.tolist(), found.scores.tolist()) == ([1, 0], [np.float32(0.9), np.float32(0.8)])
    assert len(Finder(Writes(Ranked(boxes, (256, 2))), score=0.1)(scene).found.scores) == 3
    with pytest.raises(UserError, match=r"writes \[255, 2\] where 256 anchors and 2 classes belong"):
        Finder(Writes(Ranked(boxes, (255, 2))))(scene)
