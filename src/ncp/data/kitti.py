"""KITTI's object detection set in its official layout, for LiDAR detection.

    <root>/training/{velodyne,label_2,calib,image_2}/000000.{bin,txt,txt,png}
    <root>/ImageSets/{train,val}.txt                       one frame a line (Chen et al. 2015: 3,712 and 3,769)

Only points that the left colour camera sees are used, since only objects there are labelled. Of the images no more than the
size is read; without images the usual 375 x 1242 is taken, and said.

Source: paper, appendix A.1; Lang et al. 2019, section 4.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ncp import files, options
from ncp.data.base import DataModule, Fixed, Key, Sample, find_root, sample_rng
from ncp.data.colours import DRAWN
from ncp.data.kitti_augment import Augmentation, Database, LabelledScene
from ncp.data.kitti_checks import check_labels, check_view
from ncp.data.kitti_frames import CLASSES
from ncp.data.kitti_scan import Frame as Frame
from ncp.data.kitti_scan import read_frames as read_frames
from ncp.data.kitti_scan import read_split as read_split
from ncp.data.kitti_scan import scan
from ncp.data.problems import Problems
from ncp.data.sealed import cache_folder
from ncp.errors import UserError
from ncp.metrics.anchors import grid_size as grid_size
from ncp.metrics.kitti import MIN_OVERLAP
from ncp.metrics.kitti_files import Objects
from ncp.numeric import shown

log = logging.getLogger(__name__)
RANGE = (0.0, -39.68, -3.0, 69.12, 39.68, 1.0)  # metres: x, y, z from; x, y, z to
PILLAR = 0.16
SPLIT_COUNTS = (3712, 3769)


class KittiSet(Dataset[Sample]):
    """Frames as samples ``{"points": (P, 4), "boxes": (K, 7), "labels": (K,), "index": int, "dropped": int}``.

    Boxes and points are float32 in the LiDAR frame, inside ``limits``; ``dropped`` counts points that were not finite. In
    training (``key.epoch >= 0``) the scene is augmented.

    Args:
        frames: what to read.
        limits: the six sides of the space that is kept, see ``RANGE``.
        augmentation: for training; None leaves the scenes as they are.
        database: objects to sample from.
        classes: names in the order of the labels.
        seed: of the augmentation.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        limits: Sequence[float] = RANGE,
        augmentation: Augmentation | None = None,
        database: Database | None = None,
        classes: Sequence[str] = CLASSES,
        seed: int = 0,
    ) -> None:
        self.frames, self.classes, self.seed = list(frames), tuple(classes), seed
        self.limits = np.asarray(limits, dtype=np.float64)
        self.augmentation, self.database = augmentation, database

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, key: Key) -> Sample:
        scene, dropped = self.frames[key.item].scene(self.classes)
        if key.epoch >= 0 and self.augmentation is not None:
            scene = self.augmentation(scene, sample_rng(self.seed, key), self.database)
        low, high = self.limits[:3], self.limits[3:]
        points = scene.points[((scene.points[:, :3] >= low) & (scene.points[:, :3] < high)).all(1)]
        kept = ((scene.boxes[:, :2] >= low[:2]) & (scene.boxes[:, :2] < high[:2])).all(1)
        return {
            "points": torch.from_numpy(np.ascontiguousarray(points)),
            "boxes": torch.from_numpy(scene.boxes[kept].astype(np.float32)),
            "labels": torch.from_numpy(scene.labels[kept]),
            "index": key.item,
            "dropped": dropped,
        }

    def truth(self, index: int) -> Objects:
        """The labels of a frame as its file has them."""
        return self.frames[index].objects

    def results(self, index: int, boxes_K7: np.ndarray, labels_K: np.ndarray, scores_K: np.ndarray) -> Objects:
        """Detections in a frame (LiDAR frame) as a KITTI result."""
        frame = self.frames[index]
        return frame.calibration.results(boxes_K7, labels_K, scores_K, frame.image, self.classes)


def collate(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Samples as one batch; everything but the points is read on the host (:attr:`Kitti.stay`).

    Returns:
        ``points`` ``(sum of P, 4)`` with ``counts`` ``(B,)`` points of each scene one after the other; ``boxes``
        ``(B, K, 7)`` and ``labels`` ``(B, K)`` filled up with -1; ``index`` and ``dropped`` ``(B,)``.
    """
    most = max(len(s["labels"]) for s in samples)
    boxes = torch.zeros(len(samples), most, 7)
    labels = torch.full((len(samples), most), -1, dtype=torch.int64)
    for row, s in enumerate(samples):
        boxes[row, : len(s["labels"])] = s["boxes"]
        labels[row, : len(s["labels"])] = s["labels"]
    return {
        "points": torch.cat([s["points"] for s in samples]),
        "counts": torch.tensor([len(s["points"]) for s in samples]),
        "boxes": boxes,
        "labels": labels,
        "index": torch.tensor([s["index"] for s in samples]),
        "dropped": torch.tensor([s["dropped"] for s in samples]),
    }


class Kitti(DataModule):
    """KITTI's frames with their split.

    Args:
        root: folder that holds ``training`` and ``ImageSets``.
        train_split, val_split: files of frames below ``root``, or ``all``.
        counts: how many frames the two splits must have, or None for any.
        limits: the six sides of the detector's space in metres (see ``RANGE``).
        pillar: side of a pillar in metres; must divide the space.
        augmentation: of the training scenes; a mapping of :class:`Augmentation`'s attributes, or None for no change.
        cache: where the object database goes (default: the user's cache folder).
        common: see :class:`ncp.data.base.DataModule`.
    """

    task = "det3d"
    source = "KITTI object detection"
    classes: Sequence[str] = CLASSES
    in_channels = 64
    stay = (DRAWN, "counts", "boxes", "labels", "index", "dropped")
    min_overlap: Mapping[str, float] = MIN_OVERLAP  # what counts as found
    anchors: Mapping[str, Mapping[str, float]] | None = None  # by class, where they are not KITTI's

    def __init__(
        self,
        *,
        root: str | os.PathLike[str] | None = None,
        train_split: str = "ImageSets/train.txt",
        val_split: str = "ImageSets/val.txt",
        counts: Sequence[int] | None = SPLIT_COUNTS,
        limits: Sequence[float] = RANGE,
        pillar: float = PILLAR,
        augmentation: Any = None,
        cache: str | os.PathLike[str] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.root, self.splits, self.counts = root, (train_split, val_split), counts
        self.limits, self.pillar = tuple(float(v) for v in limits), float(pillar)
        self.grid_size = self.size = self.eval_size = grid_size(self.limits, self.pillar)
        self.augmentation = as_augmentation(augmentation)
        if self.augmentation is not None and len(self.augmentation.sampled) != len(self.classes):
            raise UserError(
                f"data.augmentation needs sampled and least_points for each of the {len(self.classes)} classes, given were "
                f"{len(self.augmentation.sampled)}"
            )
        self.cache = cache
        self.collate = collate

    def prepare(self) -> None:
        """Read splits, labels and calibrations; build the object database when it is needed and not there."""
        root = find_root(self.root, ["training"], "KITTI")
        problems = Problems(f"KITTI in '{files.printable(root)}'")
        names: list[list[str]] = []
        for split in self.splits:
            with problems.collecting():
                names.append(read_split(root, split))
        whole = len(names) == len(self.splits)
        if whole and self.counts is not None and not self.tiny and [len(n) for n in names] != list(self.counts):
            problems.add(
                f"the splits hold {len(names[0])} and {len(names[1])} frames where {self.counts[0]} and {self.counts[1]} are "
                "expected; set data.counts=null to use them all the same"
            )
        both = set(names[0]) & set(names[1]) if whole and self.splits[0] != self.splits[1] else set()
        if both:
            log.warning(
                "%d frames are in both %s and %s, the first is %s: the scores say little of frames that were not trained on",
                *(len(both), *map(files.printable, self.splits), min(both)),
            )
        if whole and self.tiny:
            names = [names[0][:4], names[1][:2]]
        frames: dict[str, Frame] = {}
        for part in names:
            new = [name for name in part if name not in frames]
            frames.update((frame.name, frame) for frame in scan(root, new, problems))
        problems.check()
        train, val = ([frames[name] for name in part] for part in names)
        for kind, split, chosen in zip(("training", "validation"), self.splits, (train, val), strict=True):
            with problems.collecting():
                check_labels(chosen, f"{kind} split ({files.printable(split)})", kind == "validation", self.classes)
        with problems.collecting():
            check_view(frames.values(), self.classes)
        problems.check()
        self.build(train, val)

    def build(self, train: Sequence[Frame], val: Sequence[Frame]) -> None:
        """The two sets of frames that were read."""
        database = self._database(train)
        self.train_set = KittiSet(train, self.limits, self.augmentation, database, self.classes, self.seed)
        self.val_set = KittiSet(val, self.limits, None, None, self.classes, self.seed)

    def _database(self, frames: Sequence[Frame]) -> Database | None:
        if self.augmentation is None or not any(self.augmentation.sampled):
            return None
        identity = [identity_of(frame) for frame in frames]
        if tuple(self.classes) != CLASSES:
            identity.append(f"classes {list(self.classes)}")
        scenes = _scenes(frames, self.classes)
        return Database.cached(cache_folder(self.cache), identity, scenes, self.augmentation.least_points)

    def describe(self, folder: Path) -> None:
        """Write the frames of both splits beside the run."""
        for name, data in (("train", frames_of(self.train_set)), ("val", frames_of(self.val_set))):
            (folder / f"{name}_frames.txt").write_text("".join(f"{frame.name}\n" for frame in data.frames))


def frames_of(data: Dataset[Sample]) -> KittiSet:
    """The frames behind a split, also where ``data.overfit`` fixed a few of them."""
    inner = data.data if isinstance(data, Fixed) else data
    assert isinstance(inner, KittiSet)
    return inner


def _scenes(frames: Sequence[Frame], classes: Sequence[str]) -> Iterator[LabelledScene]:
    for frame in frames:
        yield frame.scene(classes)[0]


def identity_of(frame: Frame) -> str:
    """What the objects of a frame depend on: its place, labels, calibration and image, size and time of its points."""
    points = os.stat(frame.points_file)
    calibration, objects = frame.calibration, frame.objects
    content = hashlib.sha256("\n".join([*objects.types.tolist(), str(frame.image)]).encode())
    for array in (objects.values, calibration.projection, calibration.rectification, calibration.lidar_to_camera):
        content.update(np.ascontiguousarray(array).tobytes())
    return f"{frame.folder.resolve()}/{frame.name} {points.st_size} {points.st_mtime_ns} {content.hexdigest()}"


def as_augmentation(value: Any) -> Augmentation | None:
    """An augmentation from one, from a mapping of its attributes, or None.

    Raises:
        UserError: for attributes that it does not have.
    """
    if value is None or isinstance(value, Augmentation):
        return value
    if not isinstance(value, Mapping):
        known = ", ".join(Augmentation.__dataclass_fields__)
        raise UserError(f"data.augmentation takes {known}; given was {shown(value)}")
    return options.read(Augmentation, value, "data.augmentation")
