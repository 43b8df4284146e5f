"""Detection in LiDAR scenes: KITTI's point files, with or without a calibration beside them, to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ncp.card import SeenSpace, Suppression
from ncp.data import rasters
from ncp.data.kitti_frames import DEFAULT_IMAGE, Calibration, image_size
from ncp.data.kitti_points import read_points
from ncp.errors import UserError
from ncp.files import printable
from ncp.inference.network import Network, Ranked
from ncp.metrics.anchors import AnchorClass, Found, choose, find, grid_size, place
from ncp.metrics.kitti_files import Objects


class Scene(NamedTuple):
    """Points of a scene within the detector's limits, and how its camera sees it.

    Attributes:
        points: ``(P, 4)`` float32: x, y, z, reflectance.
        calibration: where there is one: only points that the camera sees are kept then, as in KITTI's evaluation.
        image: height and width of the camera's image.
    """

    points: np.ndarray
    calibration: Calibration | None
    image: tuple[int, int]


class Boxes(NamedTuple):
    """The boxes found, in LiDAR coordinates, and as a KITTI result where there is a calibration."""

    found: Found
    kitti: Objects | None


def read_scene(path: Path, space: SeenSpace, calib: Path | None) -> Scene:
    """A scene's points and, where it lies beside, its calibration.

    Args:
        path: a ``.bin`` of four float32 a point, or a ``.npy`` of N x 4.
        space: the detector's.
        calib: a folder of calibrations, or one for all; None: they are looked for beside the points, as KITTI has them
            (``velodyne/000001.bin``, ``calib/000001.txt``, ``image_2/000001.png``).

    Raises:
        UserError: for files that cannot be used, and a calibration that was given and is not there.
    """
    points = _numbers(path) if path.suffix.lower() == ".npy" else read_points(path)[0]
    file = _calibration_of(path, calib)
    calibration, image = None, DEFAULT_IMAGE
    if file is not None:
        calibration = Calibration.read(file)
        image = image_size(path.parent.parent / "image_2" / f"{path.stem}.png") or DEFAULT_IMAGE
        points = points[calibration.in_image(points, image)]
    low, high = np.array(space.limits[:3]), np.array(space.limits[3:])
    points = points[((points[:, :3] >= low) & (points[:, :3] < high)).all(1)]
    return Scene(np.ascontiguousarray(points), calibration, image)


def _numbers(path: Path) -> np.ndarray:
    head = rasters.array_head(path)
    if len(head.shape) != 2 or head.shape[1] != 4:
        raise UserError(f"'{printable(path)}' has the shape {head.shape}; points are N x 4: x, y, z, reflectance")
    points: np.ndarray = rasters.read_array(path)[0].astype(np.float32)
    if not np.isfinite(points).all():
        raise UserError(f"'{printable(path)}' holds numbers that are not finite")
    return points


def _calibration_of(path: Path, calib: Path | None) -> Path | None:
    if calib is None:
        beside = path.parent.parent / "calib" / f"{path.stem}.txt"
        return beside if beside.is_file() else None
    file = calib / f"{path.stem}.txt" if calib.is_dir() else calib
    if not file.is_file():
        raise UserError(f"there is no calibration '{printable(file)}'; leave calib out for boxes in LiDAR coordinates")
    return file


class Finder:
    """What a detector finds.

    Args:
        network: of the task det3d.
        score: lowest score of a box; None for the training's.
    """

    def __init__(self, network: Network, score: float | None = None) -> None:
        space = network.card.use.space
        assert space is not None
        if score is not None and not 0 <= score <= 1:
            raise UserError(f"score is a number from 0 to 1, given was {score}")
        self.network, self.space = network, space
        self.nms = {name: getattr(space.nms, name) for name in Suppression.__struct_fields__}
        if score is not None:
            self.nms["score"] = score
        height, width = grid_size(space.limits, space.pillar)
        kinds = [AnchorClass(a.name, a.length, a.width, a.height, a.bottom, 0.0, 0.0) for a in space.anchors]
        cells = (-(-height // space.stride), -(-width // space.stride))
        self.anchors, _ = place(kinds, space.limits, cells)

    def __call__(self, scene: Scene) -> Boxes:
        """The boxes of a scene."""
        written = self.network.scene(scene.points)
        if written.size != (len(self.anchors), len(self.network.card.classes)):
            raise UserError(
                f"the detector writes {list(written.size)} where {len(self.anchors)} anchors and "
                f"{len(self.network.card.classes)} classes belong"
            )
        if isinstance(written, Ranked):
            options = {name: value for name, value in self.nms.items() if name != "before"}  # they are that many
            found = choose(written.boxes, **options)
        else:
            found = find(*written, self.anchors, **self.nms)
        if scene.calibration is None:
            return Boxes(found, None)
        names: Sequence[str] = self.network.card.classes
        return Boxes(found, scene.calibration.results(*found, scene.image, names))
