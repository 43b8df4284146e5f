"""Augmentation of LiDAR scenes: sampled objects, moved objects, and flip, rotation, scaling, translation of the whole.

Source: Lang et al. 2019 (PointPillars), section 4.2, whose constants are the defaults of :class:`Augmentation`; the paper's
appendix A.1 follows it.

Shape names: P points (x, y, z, reflectance), K boxes (x, y, z, length, width, height, yaw) in the LiDAR frame.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ncp.data.kitti_frames import points_in_boxes, wrap
from ncp.data.sealed import sealed_folder
from ncp.errors import UserError
from ncp.metrics.boxes import BEV_OF_7, intersection_bev

log = logging.getLogger(__name__)
_COLUMNS = list(BEV_OF_7)
_FORMAT = "1"  # of the database's files


class LabelledScene(NamedTuple):
    """Points ``(P, 4)`` float32, boxes ``(K, 7)`` float64, class numbers ``(K,)`` int64."""

    points: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Augmentation:
    """How much is changed; zeros change nothing.

    Attributes:
        sampled: by class, up to how many objects a scene is filled with sampled ones (section 4.2: 15, 0, 8).
        least_points: by class, points that an object in the database has at least.
        object_turn: every object turns by up to this (radians) ...
        object_shift: ... and moves by a normal step of this standard deviation along each axis (metres).
        flip: probability of mirroring left and right.
        turn: the scene turns by up to this (radians).
        scale: the scene grows by a factor between these.
        shift: the scene moves by a normal step of this standard deviation along each axis (metres).
    """

    sampled: tuple[int, ...] = (15, 0, 8)
    least_points: tuple[int, ...] = (5, 5, 5)
    object_turn: float = np.pi / 20
    object_shift: float = 0.25
    flip: float = 0.5
    turn: float = np.pi / 4
    scale: tuple[float, float] = (0.95, 1.05)
    shift: float = 0.2

    def __post_init__(self) -> None:
        amounts = (self.object_turn, self.object_shift, self.flip, self.turn, self.shift, *self.sampled)
        numbers = (*amounts, *self.scale, *self.least_points)
        counts = len(self.sampled) == len(self.least_points) > 0 and len(self.scale) == 2
        if not counts or not np.isfinite(numbers).all() or min(amounts) < 0 or self.flip > 1:
            raise UserError(
                "an augmentation has finite amounts from 0 up, flip <= 1, one number of sampled and least_points for each "
                f"class, and two of scale; given: {self}"
            )
        if not 0 < self.scale[0] <= self.scale[1]:
            raise UserError(f"an augmentation has 0 < scale[0] <= scale[1]; given was {self.scale}")

    def __call__(
        self, scene: LabelledScene, rng: np.random.Generator, database: Database | None = None
    ) -> LabelledScene:
        """The augmented scene; ``scene`` itself stays as it is."""
        if database is not None:
            scene = database.fill(scene, self.sampled, rng)
        if self.object_turn or self.object_shift:
            scene = move_objects(scene, rng, self.object_turn, self.object_shift)
        return self._whole(scene, rng)

    def _whole(self, scene: LabelledScene, rng: np.random.Generator) -> LabelledScene:
        points, boxes = scene.points.copy(), scene.boxes.copy()
        if rng.uniform() < self.flip:
            points[:, 1] *= -1
            boxes[:, 1] *= -1
            boxes[:, 6] *= -1
        turn, scale = rng.uniform(-self.turn, self.turn), rng.uniform(*self.scale)
        shift = rng.normal(0, self.shift, 3) if self.shift else np.zeros(3)
        cos, sin = np.cos(turn), np.sin(turn)
        matrix = scale * np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])  # for rows
        points[:, :3] = (points[:, :3] @ matrix + shift).astype(np.float32)
        boxes[:, :3] = boxes[:, :3] @ matrix + shift
        boxes[:, 3:6] *= scale
        boxes[:, 6] = wrap(boxes[:, 6] + turn)
        return LabelledScene(points, boxes, scene.labels)


def collides(boxes_K7: np.ndarray, others_M7: np.ndarray) -> np.ndarray:
    """``(K, M)`` bool: which boxes overlap on the ground."""
    a, b = boxes_K7[:, _COLUMNS], others_M7[:, _COLUMNS]
    common: np.ndarray = intersection_bev(a[:, None], b[None])
    return common > 1e-9


def move_objects(
    scene: LabelledScene, rng: np.random.Generator, turn: float, shift: float, tries: int = 20
) -> LabelledScene:
    """Turn and move every object with its points, so that none meets another; an object that finds no room stays."""
    points, boxes = scene.points.copy(), scene.boxes.copy()
    inside = points_in_boxes(points, boxes)
    for k in range(len(boxes)):
        proposals = np.repeat(boxes[k : k + 1], tries, axis=0)
        proposals[:, :3] += rng.normal(0, shift, (tries, 3)) if shift else 0
        turns = rng.uniform(-turn, turn, tries)
        proposals[:, 6] = wrap(proposals[:, 6] + turns)
        free = np.flatnonzero(~collides(proposals, np.delete(boxes, k, axis=0)).any(1))
        if len(free) == 0:
            continue
        new, angle = proposals[free[0]], turns[free[0]]
        mine = inside[k]
        matrix = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        points[mine, :3] = ((points[mine, :3] - boxes[k, :3]) @ matrix + new[:3]).astype(np.float32)
        boxes[k] = new
    return LabelledScene(points, boxes, scene.labels)


@dataclass(frozen=True)
class Database:
    """All labelled objects of a training set with their points, to be put into other scenes.

    Attributes:
        points: ``(sum of counts, 4)`` float32, possibly mapped from a file; those of object i are
            ``points[starts[i]:starts[i + 1]]``.
        starts: ``(N + 1,)`` int64.
        boxes: ``(N, 7)`` float64.
        labels: ``(N,)`` int64.
    """

    points: np.ndarray
    starts: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    by_class: dict[int, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        groups = {int(c): np.flatnonzero(self.labels == c) for c in np.unique(self.labels)}
        object.__setattr__(self, "by_class", groups)

    def __len__(self) -> int:
        return len(self.boxes)

    def of(self, index: int) -> np.ndarray:
        """Points ``(P, 4)`` of an object."""
        return np.asarray(self.points[self.starts[index] : self.starts[index + 1]])

    def fill(self, scene: LabelledScene, wanted: Sequence[int], rng: np.random.Generator) -> LabelledScene:
        """Add objects, each where it stood in its own scene, until a class has ``wanted`` of them.

        An object that would meet another one is left out; points of the scene inside an added box are taken away.
        """
        boxes, added = scene.boxes, []
        for label, count in enumerate(wanted):
            missing = count - int((scene.labels == label).sum())
            group = self.by_class.get(label, np.zeros(0, dtype=np.int64))
            if missing <= 0 or len(group) == 0:
                continue
            for index in rng.permutation(group)[:missing].tolist():
                if not collides(self.boxes[index : index + 1], boxes).any():
                    boxes = np.concatenate([boxes, self.boxes[index : index + 1]])
                    added.append(index)
        if not added:
            return scene
        covered = points_in_boxes(scene.points, self.boxes[added]).any(0)
        points = np.concatenate([scene.points[~covered], *(self.of(i) for i in added)])
        return LabelledScene(points, boxes, np.concatenate([scene.labels, self.labels[added]]))

    @classmethod
    def collect(cls, scenes: Iterable[LabelledScene], least_points: Sequence[int]) -> Database:
        """Cut the objects out of scenes, leaving out those with too few points."""
        points, boxes, labels = [np.zeros((0, 4), dtype=np.float32)], [np.zeros((0, 7))], [np.zeros(0, dtype=np.int64)]
        for scene in scenes:
            inside = points_in_boxes(scene.points, scene.boxes)
            enough = inside.sum(1) >= np.asarray(least_points)[scene.labels]
            points += [scene.points[row] for row in inside[enough]]
            boxes.append(scene.boxes[enough])
            labels.append(scene.labels[enough])
        starts = np.cumsum([0, *(len(p) for p in points[1:])])
        return cls(np.concatenate(points), starts, np.concatenate(boxes), np.concatenate(labels))

    def save(self, folder: Path) -> None:
        """Write the database into a folder."""
        np.save(folder / "points.npy", self.points)
        np.savez(folder / "objects.npz", starts=self.starts, boxes=self.boxes, labels=self.labels)

    @classmethod
    def load(cls, folder: Path) -> Database:
        """Read a database; the points stay on disk until they are needed."""
        with np.load(folder / "objects.npz") as objects:
            return cls(np.load(folder / "points.npy", mmap_mode="r"), **objects)

    @classmethod
    def cached(
        cls, base: Path, identity: Sequence[str], scenes: Iterable[LabelledScene], least_points: Sequence[int]
    ) -> Database:
        """The database of a training set: read when it was built before and is whole, else built and kept under ``base``.

        Args:
            identity: what the objects depend on (frames, label files, points); hashed into the folder's name.

        Raises:
            UserError: where it cannot be written.
        """
        text = "\n".join([_FORMAT, str(tuple(least_points)), *identity])
        folder = base / f"objects-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"

        def make(part: Path) -> None:
            log.info("cutting the labelled objects out of the training set, once, into %s", folder)
            cls.collect(scenes, least_points).save(part)

        return cls.load(sealed_folder(folder, make, "the database of labelled objects"))
