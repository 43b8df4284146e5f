"""The simulated LiDAR: geometry by hand, occlusion, noise, drop-out."""

import numpy as np
import pytest

from ncp.data.kitti_augment import collides
from ncp.data.kitti_frames import points_in_boxes
from ncp.data.lidar import COUNTS, LIMITS
from ncp.data.lidar_scene import BEAMS, HEIGHT, Cuboid, LabelledObject, distances, place_things, rays, scan


def test_rays_meet_blocks_where_they_should() -> None:
    wall = Cuboid(10.0, 0, 0, 2.0, 4.0, 2.0, 0.0, 0.5, -1)
    directions = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [10, 1.99, 0], [10, 2.3, 0], [1, 0, 0.2]])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distance, incidence = distances(directions, [wall])
    assert distance[0, 0] == pytest.approx(9.0)
    assert incidence[0, 0] == pytest.approx(1.0)
    assert np.isinf(distance[[1, 2, 4, 5], 0]).all()
    assert distance[3, 0] == pytest.approx(np.hypot(9, 9 * 0.199))
    turned = wall._replace(yaw=np.pi / 4, length=2.0, width=2.0)
    assert distances(directions[:1], [turned])[0][0, 0] == pytest.approx(10 - np.sqrt(2))


def test_rays_are_those_of_64_beams() -> None:
    assert len(BEAMS) == 64
    assert np.rad2deg([BEAMS.max(), BEAMS.min()]).round(1).tolist() == [2.0, -24.3]
    np.testing.assert_allclose(np.linalg.norm(rays(), axis=1), 1)


def _car(x: float, y: float = 0.0) -> LabelledObject:
    return LabelledObject("Car", (x, y, 0.75 - HEIGHT, 4.0, 1.6, 1.5, 0.0))


def test_what_is_nearer_hides_what_is_behind() -> None:
    rng = np.random.default_rng(0)
    alone = scan([_car(12)], [], rng)
    assert alone.visible.tolist() == [1.0]
    wall = Cuboid(6.0, 0, 0, 0.3, 6.0, 6.0, 0.0, 0.5, -1)
    hidden = scan([_car(12)], [wall], rng)
    assert hidden.visible.tolist() == [0.0]
    assert hidden.hits.tolist() == [0]
    behind = scan([_car(8), _car(14)], [], rng)
    assert behind.visible[0] == 1
    assert behind.visible[1] < 0.6


def test_points_lie_on_the_things_but_for_noise() -> None:
    rng = np.random.default_rng(1)
    result = scan([_car(10, 2)], [], rng)
    box = np.array([_car(10, 2).box])
    inside = points_in_boxes(result.points, box, margin=0.1)[0]
    assert inside.sum() >= result.hits[0] > 200
    ground = result.points[~inside]
    expected = rays()[:, 2]
    assert np.abs(ground[:, 2] + HEIGHT).max() < 1.5  # a slope of some thousandths, seen up to 80 m
    assert np.abs(ground[np.hypot(ground[:, 0], ground[:, 1]) < 15, 2] + HEIGHT).max() < 0.3
    assert 0.6 < len(result.points) / (expected < np.sin(np.deg2rad(-1.24))).sum() < 1.0  # some rays are lost
    depth = np.linalg.norm(result.points[inside, :3], axis=1)
    again = np.linalg.norm(scan([_car(10, 2)], [], np.random.default_rng(2)).points[:, :3], axis=1)
    assert np.isin(depth, again).mean() < 0.05  # noise: hardly a distance comes twice
    assert ((result.points[:, 3] >= 0) & (result.points[:, 3] <= 1)).all()


def test_things_stand_apart_on_the_ground() -> None:
    for seed in range(5):
        things, others = place_things(np.random.default_rng(seed), LIMITS, COUNTS)
        boxes = np.array([t.box for t in things] + [b[:7] for b in others])
        assert not np.triu(collides(boxes, boxes), 1).any()
        np.testing.assert_allclose(boxes[:, 2] - boxes[:, 5] / 2, -HEIGHT)
        assert {t.kind for t in things} == {"Car", "Pedestrian", "Cyclist"}
