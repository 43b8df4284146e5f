"""One KITTI frame: points, calibration, labels, and boxes between the camera's and the LiDAR's frame.

Frames of reference. LiDAR: x forward, y left, z up. Rectified camera: x right, y down, z forward. A box in the LiDAR frame
is ``7`` numbers (x, y, z of its centre, length, width, height, yaw counter-clockwise from x); in the camera frame it is as
in a label: centre of the bottom, height, width, length and rotation_y.

Shape names: P points (x, y, z, reflectance), K boxes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncp import files
from ncp.data.kitti_points import read_points as read_points
from ncp.errors import UserError
from ncp.metrics.kitti_files import Objects, results

CLASSES = ("Car", "Pedestrian", "Cyclist")
DEFAULT_IMAGE = (375, 1242)  # height and width of most KITTI images
LARGEST_SIDE = 2**15  # pixels
LIMIT = 2**16  # bytes of a calibration file, which has about a thousand
UPRIGHT = 0.7  # cosine of the angle between the camera's and the LiDAR's vertical axes, at least
LARGEST = 1e6  # of a calibration's numbers: pixels and metres
NEAREST = 0.1  # metres: what is nearer to the image plane is not projected
_NEEDED = {"P2": 12, "R0_rect": 9, "Tr_velo_to_cam": 12}


@dataclass(frozen=True)
class Calibration:
    """How a frame's sensors stand to each other.

    Attributes:
        projection: ``(3, 4)``, rectified camera to pixels of the left colour image (P2).
        rectification: ``(3, 3)``, reference camera to rectified camera (R0_rect).
        lidar_to_camera: ``(3, 4)``, LiDAR to reference camera (Tr_velo_to_cam).
    """

    projection: np.ndarray
    rectification: np.ndarray
    lidar_to_camera: np.ndarray

    @classmethod
    def read(cls, path: str | Path) -> Calibration:
        """Read a calibration file.

        Raises:
            UserError: for a file that cannot be read, a line that is missing, comes twice or has the wrong count of numbers, and
                as :meth:`check` says; with the file and the line.
        """
        try:
            text = files.read_text(path, LIMIT)
        except UserError as error:
            raise UserError(f"cannot read the calibration: {error}") from None
        return cls.parse(text, files.printable(path))

    @classmethod
    def parse(cls, text: str, shown: str) -> Calibration:
        """As :meth:`read`, from the text of the file ``shown``."""
        lines: dict[str, tuple[int, list[str]]] = {}
        for number, line in enumerate(text.split("\n"), start=1):
            name, _, rest = line.partition(":")
            if name.strip() in lines:
                raise UserError(f"{shown}, line {number}: a second {files.printable(name.strip())}")
            if name.strip():
                lines[name.strip()] = (number, rest.split())
        missing = [name for name in _NEEDED if name not in lines]
        if missing:
            raise UserError(f"{shown}: lines missing: {', '.join(missing)}; a calibration needs {', '.join(_NEEDED)}")
        where = {name: f"{shown}, line {lines[name][0]}" for name in _NEEDED}
        found = {name: _matrix(where[name], name, lines[name][1], count) for name, count in _NEEDED.items()}
        calibration = cls(found["P2"], found["R0_rect"], found["Tr_velo_to_cam"])
        calibration.check(where)
        return calibration

    def check(self, where: Mapping[str, str]) -> None:
        """Refuse what no camera and no LiDAR can be.

        Args:
            where: by line's name, the beginning of the message about it.

        Raises:
            UserError: for rotations that are none, focal lengths that are not positive, and a LiDAR that does not stand upright
                in the camera's picture: boxes turn about one axis alone, which must be up for both.
        """
        for name, rotation in (("R0_rect", self.rectification), ("Tr_velo_to_cam", self.lidar_to_camera[:, :3])):
            if not _is_rotation(rotation):
                raise UserError(f"{where[name]}: {name} is not a rotation")
        focal = min(self.projection[0, 0], self.projection[1, 1])
        ahead = self.projection[2, 2]
        if not (focal > 0 and ahead > 0 and np.abs(self.projection[2, :2]).max() <= 0.01 * ahead):
            raise UserError(
                f"{where['P2']}: P2 projects nothing: its focal lengths (first and sixth number) must be above 0 and its third "
                "row begin with 0 0 1"
            )
        if self.rotation[1, 2] > -UPRIGHT:
            degrees = np.rad2deg(np.arccos(np.clip(-self.rotation[1, 2], -1, 1)))
            raise UserError(
                f"{where['Tr_velo_to_cam']}: Tr_velo_to_cam turns the LiDAR's z axis (up) {degrees:.0f} degrees away from the "
                "camera's up, so that points lie neither in the image nor in the labels; it must bring x forward, y left, z up "
                "into x right, y down, z forward"
            )

    @property
    def rotation(self) -> np.ndarray:
        """``(3, 3)``: LiDAR to rectified camera."""
        out: np.ndarray = self.rectification @ self.lidar_to_camera[:, :3]
        return out

    @property
    def translation(self) -> np.ndarray:
        """``(3,)``: the LiDAR's origin in the rectified camera frame."""
        out: np.ndarray = self.rectification @ self.lidar_to_camera[:, 3]
        return out

    def to_camera(self, points_P3: np.ndarray) -> np.ndarray:
        """Points ``(P, 3)`` from the LiDAR to the rectified camera frame."""
        out: np.ndarray = points_P3 @ self.rotation.T + self.translation
        return out

    def to_lidar(self, points_P3: np.ndarray) -> np.ndarray:
        """Points ``(P, 3)`` from the rectified camera to the LiDAR frame."""
        return np.linalg.solve(self.rotation, (points_P3 - self.translation).T).T

    def to_image(self, points_P3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of the camera frame to pixels ``(P, 2)`` and depths ``(P,)``; only positive depths mean anything."""
        homogeneous = points_P3 @ self.projection[:, :3].T + self.projection[:, 3]
        depth = homogeneous[:, 2]
        return homogeneous[:, :2] / np.where(depth == 0, 1.0, depth)[:, None], depth

    @property
    def heading(self) -> float:
        """Yaw in the LiDAR frame of what has rotation_y 0 (the camera's x axis); about -pi/2."""
        forward = self.rotation[0]  # the camera's x axis as the LiDAR sees it: first row of the rotation
        return float(np.arctan2(forward[1], forward[0]))

    def boxes_to_lidar(self, objects: Objects) -> np.ndarray:
        """Labelled boxes as ``(K, 7)`` float64 in the LiDAR frame."""
        centre = objects.location - np.array([0, 0.5, 0]) * objects.size[:, :1]
        height, width, length = objects.size.T
        yaw = wrap(self.heading - objects.rotation_y)
        return np.column_stack([self.to_lidar(centre), length, width, height, yaw])

    def boxes_to_camera(self, boxes_K7: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes of the LiDAR frame as a label holds them: size (h, w, l), location, rotation_y."""
        boxes = np.asarray(boxes_K7, dtype=np.float64)
        size = boxes[:, [5, 4, 3]]
        location = self.to_camera(boxes[:, :3]) + np.array([0, 0.5, 0]) * size[:, :1]
        return size, location, wrap(self.heading - boxes[:, 6])

    def image_boxes(self, boxes_K7: np.ndarray, image: tuple[int, int] | None = DEFAULT_IMAGE) -> np.ndarray:
        """``(K, 4)``: rectangles around the boxes' corners in the image (x1, y1, x2, y2), cut at its borders if it has any."""
        corners = corners_3d(np.asarray(boxes_K7, dtype=np.float64))
        camera = self.to_camera(corners.reshape(-1, 3))
        camera[:, 2] = np.maximum(camera[:, 2], NEAREST)
        pixels = self.to_image(camera)[0].reshape(-1, 8, 2)
        rectangles = np.concatenate([pixels.min(1), pixels.max(1)], axis=1)
        if image is None:
            return rectangles
        out: np.ndarray = np.clip(rectangles, 0, [image[1] - 1, image[0] - 1] * 2)
        return out

    def in_image(self, points_P: np.ndarray, image: tuple[int, int]) -> np.ndarray:
        """``(P,)``: which points (LiDAR frame) the camera sees; KITTI's objects are labelled only there."""
        pixels, depth = self.to_image(self.to_camera(points_P[:, :3].astype(np.float64)))
        inside = (pixels >= 0).all(1) & (pixels[:, 0] < image[1]) & (pixels[:, 1] < image[0])
        return inside & (depth > 0)

    def results(
        self,
        boxes_K7: np.ndarray,
        labels_K: np.ndarray,
        scores_K: np.ndarray,
        image: tuple[int, int] = DEFAULT_IMAGE,
        classes: Sequence[str] = CLASSES,
    ) -> Objects:
        """Detections in the LiDAR frame as a KITTI result; those outside the image are left out."""
        size, location, rotation_y = self.boxes_to_camera(boxes_K7)
        rectangles = self.image_boxes(boxes_K7, image)
        alpha = wrap(rotation_y - np.arctan2(location[:, 0], location[:, 2]))
        seen = (
            (rectangles[:, 2] > rectangles[:, 0]) & (rectangles[:, 3] > rectangles[:, 1]) & (location[:, 2] > NEAREST)
        )
        names = [classes[int(i)] for i in np.asarray(labels_K)]
        return results(names, alpha, rectangles, size, location, rotation_y, np.asarray(scores_K))[seen]


def _matrix(where: str, name: str, words: list[str], count: int) -> np.ndarray:
    try:
        values = np.array([float(w) for w in words])
    except ValueError:
        raise UserError(f"{where}: {name} holds something that is not a number") from None
    if len(values) != count or not np.isfinite(values).all():
        raise UserError(f"{where}: {name} needs {count} finite numbers, given were {len(values)}")
    if np.abs(values).max() > LARGEST:
        raise UserError(f"{where}: {name} holds {np.abs(values).max():g}; numbers up to {LARGEST:,.0f} are read")
    return values.reshape(3, -1)


def _is_rotation(matrix_33: np.ndarray) -> bool:
    """Whether rows are of length 1, at right angles to each other, and right-handed."""
    (a, b, c), (d, e, f), (g, h, i) = matrix_33.tolist()
    products = (a * a + b * b + c * c - 1, d * d + e * e + f * f - 1, g * g + h * h + i * i - 1)
    angles = (a * d + b * e + c * f, a * g + b * h + c * i, d * g + e * h + f * i)
    handed = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    out: bool = max(map(abs, (*products, *angles))) <= 1e-3 and handed > 0
    return out


def wrap(angle: np.ndarray) -> np.ndarray:
    """Angles to -pi..pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def corners_3d(boxes_K7: np.ndarray) -> np.ndarray:
    """``(K, 8, 3)`` corners of boxes in the LiDAR frame: the four of the bottom counter-clockwise, then those of the top."""
    ahead = np.array([1, -1, -1, 1, 1, -1, -1, 1]) / 2
    left = np.array([1, 1, -1, -1, 1, 1, -1, -1]) / 2
    up = np.array([-1, -1, -1, -1, 1, 1, 1, 1]) / 2
    u, v = boxes_K7[:, 3:4] * ahead, boxes_K7[:, 4:5] * left
    cos, sin = np.cos(boxes_K7[:, 6:7]), np.sin(boxes_K7[:, 6:7])
    offset = np.stack([u * cos - v * sin, u * sin + v * cos, boxes_K7[:, 5:6] * up], -1)
    out: np.ndarray = boxes_K7[:, None, :3] + offset
    return out


def points_in_boxes(points_P: np.ndarray, boxes_K7: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """``(K, P)`` bool: which points lie in which boxes (grown by ``margin`` metres on every side)."""
    inside = np.zeros((len(boxes_K7), len(points_P)), dtype=bool)
    xyz = np.asarray(points_P[:, :3], dtype=np.float64)
    for row, (x, y, z, length, width, height, yaw) in enumerate(np.asarray(boxes_K7, dtype=np.float64).tolist()):
        reach = np.hypot(length, width) / 2 + 2 * margin
        near = np.flatnonzero((np.abs(xyz[:, 0] - x) <= reach) & (np.abs(xyz[:, 1] - y) <= reach))
        dx, dy, dz = (xyz[near] - [x, y, z]).T
        u, v = dx * np.cos(yaw) + dy * np.sin(yaw), dy * np.cos(yaw) - dx * np.sin(yaw)
        fits = (np.abs(u) <= length / 2 + margin) & (np.abs(v) <= width / 2 + margin)
        inside[row, near] = fits & (np.abs(dz) <= height / 2 + margin)
    return inside


def image_size(path: str | Path) -> tuple[int, int] | None:
    """Height and width of a PNG from its first 24 bytes; None when there is no such file.

    Raises:
        UserError: when it cannot be read, is not a PNG, or has a side of 0 or of more than ``LARGEST_SIDE`` pixels.
    """
    if not Path(path).exists():
        return None
    with files.open_regular(path) as file:
        head = file.read(24)
    shown = files.printable(path)
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n") or head[12:16] != b"IHDR":
        raise UserError(f"{shown} is not a PNG image")
    width, height = struct.unpack(">II", head[16:24])
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise UserError(f"{shown}: an image of {height} x {width} pixels; a side has 1 to {LARGEST_SIDE:,}")
    return int(height), int(width)


def difficulty(objects: Objects) -> np.ndarray:
    """``(K,)``: 0 easy, 1 moderate, 2 hard, 3 beyond (limits as in the evaluation)."""
    from ncp.metrics.kitti import MAX_OCCLUSION, MAX_TRUNCATION, MIN_HEIGHT

    height = objects.image_boxes[:, 3] - objects.image_boxes[:, 1]
    level = np.full(len(objects), 3)
    for step in (2, 1, 0):
        fits = (objects.occlusion <= MAX_OCCLUSION[step]) & (objects.truncation <= MAX_TRUNCATION[step])
        level[fits & (height >= MIN_HEIGHT[step])] = step
    return level


def class_ids(types: Sequence[str] | np.ndarray, classes: Sequence[str] = CLASSES) -> np.ndarray:
    """``(K,)`` int64: position in ``classes``, -1 for any other type (Van, DontCare, ...)."""
    position = {name.lower(): i for i, name in enumerate(classes)}
    return np.array([position.get(str(name).lower(), -1) for name in types], dtype=np.int64)
