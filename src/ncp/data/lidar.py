"""The built-in detection set: simulated LiDAR scenes, written once to a cache in KITTI's own file layout and read from there.

Smaller than KITTI, so that it trains on two cores: about 18 x 18 m, the same pillars, heads and losses. Cars count as found
at an overlap of .5 (pedestrians and cyclists .25) where KITTI wants .7 (.5): the recipe is a minute long.
"""

from __future__ import annotations

import hashlib
import logging
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ncp.data.kitti import Kitti, read_frames
from ncp.data.kitti_frames import DEFAULT_IMAGE, Calibration, wrap
from ncp.data.lidar_scene import Scan, place_things, scan
from ncp.data.sealed import cache_folder, sealed_folder
from ncp.errors import UserError
from ncp.metrics.kitti_files import Objects, write_objects

log = logging.getLogger(__name__)
LIMITS = (0.0, -8.96, -3.0, 17.92, 8.96, 1.0)
COUNTS = {"Car": (9, 13), "Pedestrian": (2, 4), "Cyclist": (2, 4)}  # crowded: much to learn from every scene
_VERSION = "3"  # of the simulation: another version is another cache
# a camera as in KITTI, .27 m ahead of the LiDAR and .08 m below it
_CALIBRATION = {
    "P0": "721.5377 0 609.5593 0 0 721.5377 172.854 0 0 0 1 0",
    "P1": "721.5377 0 609.5593 -387.5744 0 721.5377 172.854 0 0 0 1 0",
    "P2": "721.5377 0 609.5593 44.85728 0 721.5377 172.854 0.2163791 0 0 1 0.002745884",
    "P3": "721.5377 0 609.5593 -339.5242 0 721.5377 172.854 2.199936 0 0 1 0.002729905",
    "R0_rect": "1 0 0 0 1 0 0 0 1",
    "Tr_velo_to_cam": "0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.27",
    "Tr_imu_to_velo": "1 0 0 -0.81 0 1 0 0.32 0 0 1 -0.8",
}


def write_frame(folder: Path, name: str, result: Scan) -> None:
    """Points, labels, calibration and a depth picture of a scan as a KITTI frame below ``folder``."""
    (folder / "velodyne" / f"{name}.bin").write_bytes(result.points.astype("<f4").tobytes())
    path = folder / "calib" / f"{name}.txt"
    path.write_text("".join(f"{key}: {text}\n" for key, text in _CALIBRATION.items()))
    calibration = Calibration.read(path)
    write_objects(folder / "label_2" / f"{name}.txt", labels_of(result, calibration))
    (folder / "image_2" / f"{name}.png").write_bytes(depth_picture(result.points, calibration))


def labels_of(result: Scan, calibration: Calibration) -> Objects:
    """The objects as KITTI would label them: truncation by the image, occlusion by the share of rays that others stop.

    What fewer than five points hit is not labelled.
    """
    known = result.hits >= 5
    boxes = np.array([thing.box for thing in result.things]).reshape(-1, 7)[known]
    size, location, rotation_y = calibration.boxes_to_camera(boxes)
    inside = calibration.image_boxes(boxes)
    truncation = 1 - _area(inside) / np.maximum(_area(calibration.image_boxes(boxes, None)), 1e-9)
    occlusion = np.digitize(-result.visible[known], [-0.7, -0.3, -0.1])
    alpha = wrap(rotation_y - np.arctan2(location[:, 0], location[:, 2]))
    values = np.column_stack([truncation, occlusion, alpha, inside, size, location, rotation_y])
    seen = _area(inside) > 0
    return Objects(np.array([t.kind for t in result.things], dtype="<U16")[known], values)[seen]


def _area(boxes_K4: np.ndarray) -> np.ndarray:
    area: np.ndarray = (boxes_K4[:, 2:] - boxes_K4[:, :2]).prod(1)
    return area


def depth_picture(points_P4: np.ndarray, calibration: Calibration, image: tuple[int, int] = DEFAULT_IMAGE) -> bytes:
    """A grey PNG of ``image`` size in which near points are bright, in the camera's place of KITTI's photographs."""
    canvas = np.zeros(image, dtype=np.uint8)
    seen = points_P4[calibration.in_image(points_P4, image)]
    pixels, depth = calibration.to_image(calibration.to_camera(seen[:, :3].astype(np.float64)))
    order = np.argsort(-depth)  # near points are drawn last
    u, v = pixels[order].astype(int).T
    canvas[v, u] = (55 + 200 / (1 + depth[order] / 10)).astype(np.uint8)
    lines = np.concatenate([np.zeros((image[0], 1), np.uint8), canvas], axis=1).tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", image[1], image[0], 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 3)) + chunk(b"IEND", b"")


def write_set(root: Path, frames: int, seed: int, limits: Sequence[float]) -> None:
    """Simulate frames ``000000 ...`` of a seed into ``root``, in KITTI's layout."""
    for part in ("velodyne", "label_2", "calib", "image_2"):
        (root / "training" / part).mkdir(parents=True, exist_ok=True)
    for i in range(frames):
        rng = np.random.default_rng((seed, i))
        write_frame(root / "training", f"{i:06d}", scan(*place_things(rng, limits, COUNTS), rng))


class Lidar(Kitti):
    """The simulated scenes as a data set; the last ``val_scenes`` are for validation.

    Args:
        scenes, val_scenes: how many for training and for validation.
        scene_seed: of the scenes, apart from the run's seed.
        training_macs: a training ends after so many multiply-adds, so that a large network takes no longer than a small
            one; None for the recipe's length whatever the network.
        limits, pillar, augmentation, cache: see :class:`ncp.data.kitti.Kitti`; the scenes themselves go to ``cache`` too.
        common: see :class:`ncp.data.base.DataModule`.
    """

    builtin = True
    source = "built-in LiDAR scenes"
    min_overlap: Mapping[str, float] = MappingProxyType({"car": 0.5, "pedestrian": 0.25, "cyclist": 0.25})
    notice = (
        "data: the built-in LiDAR scenes (simulated, 18 x 18 m; AP at overlaps .5/.25/.25); for KITTI: "
        "setting=3ddet data.root=<folder with training and ImageSets>"
    )

    def __init__(
        self,
        *,
        scenes: int = 96,
        val_scenes: int = 12,
        scene_seed: int = 2022,
        training_macs: float | None = None,
        limits: Sequence[float] = LIMITS,
        augmentation: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(counts=None, limits=limits, augmentation=augmentation, **common)
        if self.tiny:
            scenes, val_scenes = 4, 2
        if scenes < 1 or val_scenes < 1:
            raise UserError(f"data.scenes and data.val_scenes must be at least 1, given were {scenes} and {val_scenes}")
        self.training_macs = training_macs
        self.scenes, self.val_scenes, self.scene_seed = scenes, val_scenes, scene_seed

    def prepare(self) -> None:
        """Read the scenes, simulating them first where the cache lacks them (about 50 ms a scene)."""
        count = self.scenes + self.val_scenes
        frames = read_frames(self._written(count), [f"{i:06d}" for i in range(count)])
        self.build(frames[: self.scenes], frames[self.scenes :])

    def _written(self, count: int) -> Path:
        """The folder of the scenes, whole."""
        identity = f"{_VERSION} {count} {self.scene_seed} {self.limits}"
        folder = cache_folder(self.cache) / f"lidar-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"

        def make(part: Path) -> None:
            log.info("simulating %d LiDAR scenes, once, into %s", count, folder)
            write_set(part, count, self.scene_seed, self.limits)

        return sealed_folder(folder, make, "the built-in scenes")
