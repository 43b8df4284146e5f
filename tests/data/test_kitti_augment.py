"""Augmented scenes: objects keep their points and do not meet, whatever is turned, moved or added."""

from typing import Any

import numpy as np
import pytest

from ncp.data.kitti_augment import Augmentation, Database, LabelledScene, collides, move_objects
from ncp.data.kitti_frames import points_in_boxes

NO_CHANGE = {
    "sampled": (0, 0, 0),
    "object_turn": 0,
    "object_shift": 0,
    "flip": 0,
    "turn": 0,
    "scale": (1, 1),
    "shift": 0,
}


def _scene(rng: np.random.Generator) -> LabelledScene:
    boxes = np.array([[10.0, 2, -1, 4, 1.6, 1.5, 0.4], [20, -5, -1, 0.8, 0.6, 1.7, -2]])
    near = np.concatenate([rng.uniform(-0.25, 0.25, (50, 4)) + np.append(box[:3], 0.5) for box in boxes])
    points = np.concatenate([near, rng.uniform([0, -20, -2, 0], [40, 20, 1, 1], (500, 4))])
    return LabelledScene(points.astype(np.float32), boxes, np.array([0, 1]))


def _local(scene: LabelledScene) -> list[np.ndarray]:
    """Each object's points as the object sees them, in lengths of its box."""
    out = []
    for box in scene.boxes:
        inside = scene.points[points_in_boxes(scene.points, box[None], margin=1e-4)[0], :3] - box[:3]
        cos, sin = np.cos(box[6]), np.sin(box[6])
        out.append((inside @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])) / box[3:6])
    return out


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": 1.0},
        {"turn": 0.7},
        {"scale": (1.1, 1.2)},
        {"shift": 0.5},
        {"object_turn": 0.3, "object_shift": 0.5},
        {"flip": 1.0, "turn": 0.7, "scale": (0.8, 1.2), "shift": 0.5, "object_turn": 0.3, "object_shift": 0.5},
    ],
)
def test_objects_keep_their_points(changes: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    before = _scene(rng)
    after = Augmentation(**{**NO_CHANGE, **changes})(before, np.random.default_rng(5))
    mirrored = np.array([1, -1, 1]) if changes.get("flip") else np.ones(3)
    moved = "object_shift" in changes  # a moved object may land on points of the ground, which are then inside as well
    for a, b in zip(_local(before), _local(after), strict=True):
        assert len(a) >= 50
        distance = np.linalg.norm((a * mirrored)[:, None] - b[None], axis=-1).min(1)
        assert np.sort(distance)[: 50 if moved else None].max() < 1e-4
    assert np.allclose(before.boxes, after.boxes, atol=1e-12) == (not changes)
    assert len(after.points) == len(before.points)


def test_moved_objects_do_not_meet() -> None:
    boxes = np.array([[10.0 + 0.1 * i, 2.2 * i, -1, 4, 1.6, 1.5, 0.0] for i in range(6)])
    scene = LabelledScene(np.zeros((0, 4), np.float32), boxes, np.zeros(6, dtype=np.int64))
    moved = move_objects(scene, np.random.default_rng(0), 0.2, 0.5)
    assert not np.triu(collides(moved.boxes, moved.boxes), 1).any()
    assert (np.abs(moved.boxes - boxes).max(1) > 0).sum() >= 3


def test_sampling_fills_up_to_the_wanted_number() -> None:
    rng = np.random.default_rng(1)
    scenes = [_scene(rng) for _ in range(3)]
    for i, scene in enumerate(scenes):
        scene.boxes[:, 1] += 8 * i
        scene.points[:, 1] += 8 * i
    database = Database.collect(scenes, (5, 5, 5))
    assert len(database) == 6
    empty = LabelledScene(np.zeros((0, 4), np.float32), np.zeros((0, 7)), np.zeros(0, dtype=np.int64))
    filled = database.fill(empty, (2, 9, 4), rng)
    assert sorted(filled.labels.tolist()) == [0, 0, 1, 1, 1]
    occupied = database.fill(scenes[0], (15, 0, 0), rng)
    assert occupied.labels.tolist().count(0) == 3  # its own, which blocks its copy, and the two others
    assert occupied.labels.tolist().count(1) == 1
    assert database.fill(scenes[0], (0, 0, 0), rng) is scenes[0]
    assert len(Database.collect(scenes, (10**6, 5, 5))) == 3
    assert len(Database.collect([], (5, 5, 5)).fill(empty, (3, 3, 3), rng).boxes) == 0
