"""3D detection on a user's LiDAR frames in KITTI's layout, with classes, range and anchors of the user's own.

    <root>/[training/]velodyne/NAME.bin  label_2/NAME.txt  calib/NAME.txt  [image_2/NAME.png]
    <root>/ImageSets/train.txt and val.txt, or the seeded split

An empty label file is a frame without objects; a frame without a label file is not labelled and is left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files
from ncp.data.folder.files import OwnData, what_is_there, wrong_level
from ncp.data.folder.layouts import frames_folder, holds_frames, other_task
from ncp.data.folder.look import Look, Refusals, samples
from ncp.data.kitti import PILLAR, RANGE, Kitti, as_augmentation
from ncp.data.kitti_checks import check_labels, check_view
from ncp.data.kitti_frames import class_ids, points_in_boxes
from ncp.data.kitti_scan import Frame, scan
from ncp.data.paths import PathList, visible
from ncp.data.problems import Problems
from ncp.errors import UserError
from ncp.files import printable
from ncp.metrics.kitti_files import read
from ncp.numeric import several

AUTO = "auto"
NOT_LEARNT = ("dontcare", "misc")
ANCHOR = ("length", "width", "height", "bottom", "positive", "negative")
LONG = 2.5  # metres: what is longer is found from an overlap of .7 on, as KITTI's cars
LARGE = 3.0  # square metres on the ground: anchors of what is larger have the overlaps of KITTI's cars
MOST_SAMPLED, LEAST_POINTS = 15, 5
MOST_CLASSES = 50


class FolderKitti(OwnData, Kitti):
    """LiDAR frames with boxes.

    Args:
        root, common: see :class:`ncp.data.folder.files.OwnData` and :class:`ncp.data.kitti.Kitti`.
        classes: types of the labels that are learnt, in any spelling of case; ``auto``: all of the training labels but DontCare
            and Misc.
        limits, pillar, cache: see :class:`ncp.data.kitti.Kitti`.
        anchors: ``{class: {length, width, height, bottom, positive, negative}}``, the overlaps may be left out; ``auto``: from
            the training labels.
        min_overlap: ``{class: overlap}`` from which a box counts as found; ``auto``: see :data:`LONG`.
        augmentation: as KITTI's, with ``fill`` in place of ``sampled`` and ``least_points``: objects that each class is filled up
            to; None for twice its average.
    """

    layout = "it must hold velodyne, label_2 and calib (and image_2), at the top or below training"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        classes: list[str] | str = AUTO,
        limits: Sequence[float] = RANGE,
        pillar: float = PILLAR,
        anchors: dict[str, dict[str, float]] | str = AUTO,
        min_overlap: dict[str, float] | str = AUTO,
        augmentation: Any = None,
        cache: str | os.PathLike[str] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(root, limits=limits, pillar=pillar, cache=cache, **common)
        for name, value in (("classes", classes), ("anchors", anchors), ("min_overlap", min_overlap)):
            if isinstance(value, str) and value != AUTO:
                raise UserError(f"data.{name} is auto or written out, given was '{printable(value)}'")
        self.wanted, self.given_anchors, self.given_overlap = classes, anchors, min_overlap
        self.given_augmentation = None if augmentation is None else dict(augmentation)
        self.frames: dict[str, list[Frame]] = {}

    def find(self, root: Path, problems: Problems) -> None:
        """Frames of both splits, classes, anchors."""
        folder = frames_folder(root)
        if folder is None:
            text = f"data.root='{printable(self.root)}' holds no velodyne, neither at the top nor below training"
            hint = wrong_level(root, holds_frames) or other_task(root, "det3d")
            raise UserError(f"{text} ({self.layout}); it holds {what_is_there(root)}{hint}")
        splits = self._split(root, folder)
        if not (folder / "label_2").is_dir():
            raise UserError(f"'{printable(folder)}' holds no label_2, so there are no labels; {self.layout}")
        for split, names in splits.items():
            labelled = [name for name in names if (folder / "label_2" / f"{name}.txt").is_file()]
            if len(labelled) < len(names):
                self.notes.append(
                    f"left out of {split}: {several(len(names) - len(labelled), 'frame')} without a label file"
                )
            labelled = labelled[: 4 if split == "train" else 2] if self.tiny else labelled
            if self.partial:
                labelled = [name for name in labelled if _whole(folder, name)]
            if not labelled:
                problems.add(f"the {'training' if split == 'train' else 'validation'} split holds no labelled frame")
            self.names[split] = PathList(labelled)
        if len(problems):
            return
        self._find_classes(folder)
        for split, kept in self.names.items():
            self.frames[split] = scan(root, list(kept), problems, self.classes, folder)
        if len(problems):
            return
        for split, frames in self.frames.items():
            with problems.collecting():
                check_labels(frames, f"{split} split", split == "val", self.classes)
        with problems.collecting():
            check_view([frame for frames in self.frames.values() for frame in frames], self.classes)
        with problems.collecting():
            self._settle()

    def _split(self, root: Path, folder: Path) -> dict[str, list[str]]:
        lists = self.lists(root)
        every = [files.safe_name(path.stem, "name of a frame") for path in visible(folder / "velodyne", "*.bin")]
        if not every:
            raise UserError(f"'{printable(folder / 'velodyne')}' holds no frames (NAME.bin)")
        if lists is not None:
            known = set(every)
            absent = [name for names in lists.values() for name in names if name not in known]
            if absent:
                raise UserError(f"{len(absent):,} listed frames have no points, first: {printable(absent[0])}")
            return lists
        labelled = [name for name in every if (folder / "label_2" / f"{name}.txt").is_file()]
        if len(labelled) < len(every):
            self.notes.append(
                f"left out: {several(len(every) - len(labelled), 'frame')} of {len(every):,} without a label file"
            )
        if len(labelled) < 2:
            raise UserError(
                f"{len(labelled)} of {len(every):,} frames are labelled; at least two are needed: one trains, one validates"
            )
        chosen = self.rule.divided(labelled, self._groups(folder, labelled))
        words = self.rule.words("the frames, type by type,")
        self.notes.append(f"split: {words} ({len(chosen['train']):,} train, {len(chosen['val']):,} validate)")
        return {split: [labelled[number] for number in numbers] for split, numbers in chosen.items()}

    def _groups(self, folder: Path, names: Sequence[str]) -> np.ndarray:
        """``(N,)``: by the rarest type in a frame that is learnt; frames without one, and those that cannot be read, are one."""
        types: list[set[str]] = []
        for name in names:
            try:
                found = read(folder / "label_2" / f"{name}.txt", scores=False).types.tolist()
            except UserError:  # told when the frames are read
                found = []
            types.append({kind.lower() for kind in found} - set(NOT_LEARNT))
        if not isinstance(self.wanted, str):
            types = [kinds & {name.lower() for name in self.wanted} for kinds in types]
        often = Counter(kind for kinds in types for kind in kinds)
        order = {kind: i for i, kind in enumerate(sorted(often, key=lambda kind: (often[kind], kind)))}
        return np.array([min((order[kind] for kind in kinds), default=-1) for kinds in types])

    def _find_classes(self, folder: Path) -> None:
        if not isinstance(self.wanted, str):
            names = list(self.wanted)
            if not names or len({name.lower() for name in names}) < len(names):
                raise UserError(f"data.classes must list different types of the labels, given was {names}")
        else:
            found: Counter[str] = Counter()
            for frame in self.names["train"]:
                found.update(read(folder / "label_2" / f"{frame}.txt", scores=False).types.tolist())
            spelled: dict[str, str] = {}
            for name, _ in found.most_common():
                spelled.setdefault(name.lower(), name)
            names = sorted(name for lower, name in spelled.items() if lower not in NOT_LEARNT)
            if not names:
                raise UserError(
                    f"no training label in '{printable(folder / 'label_2')}' names an object, so there is nothing to learn"
                )
        if len(names) > MOST_CLASSES:
            raise UserError(f"the labels have {len(names)} types; name at most {MOST_CLASSES} with data.classes=[...]")
        self.classes = [files.safe_name(name, "type of an object") for name in names]

    def _settle(self) -> None:
        """Anchors, overlaps, and what the augmentation fills scenes with."""
        boxes = self._boxes()
        anchors = self.anchors = self._anchors(boxes)
        if isinstance(self.given_overlap, str):
            self.min_overlap = {name.lower(): 0.7 if anchors[name]["length"] > LONG else 0.5 for name in self.classes}
        else:
            given = {name.lower(): float(value) for name, value in self.given_overlap.items()}
            lacking = [name for name in self.classes if not 0 < given.get(name.lower(), 0) < 1]
            if lacking:
                raise UserError(
                    f"data.min_overlap needs an overlap between 0 and 1 for {lacking[0]}, given was {given}"
                )
            self.min_overlap = {name.lower(): given[name.lower()] for name in self.classes}
        if self.given_augmentation is not None:
            changes = dict(self.given_augmentation)
            fill = changes.pop("fill", None)
            average = [len(boxes[name]) / max(1, len(self.frames["train"])) for name in self.classes]
            sampled = [min(MOST_SAMPLED, round(2 * a)) if fill is None else int(fill) for a in average]
            self.augmentation = as_augmentation(
                {"sampled": sampled, "least_points": [LEAST_POINTS] * len(self.classes), **changes}
            )

    def _boxes(self) -> dict[str, np.ndarray]:
        """By class ``(K, 7)``: the training boxes in the LiDAR frame."""
        parts: dict[str, list[np.ndarray]] = {name: [np.zeros((0, 7))] for name in self.classes}
        for frame in self.frames["train"]:
            labels = class_ids(frame.objects.types, self.classes)
            if (labels >= 0).any():
                found = frame.calibration.boxes_to_lidar(frame.objects[labels >= 0])
                for number in np.unique(labels[labels >= 0]):
                    parts[self.classes[number]].append(found[labels[labels >= 0] == number])
        return {name: np.concatenate(part) for name, part in parts.items()}

    def _anchors(self, boxes: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
        lacking = [name for name in self.classes if not len(boxes[name])]
        if isinstance(self.given_anchors, str):
            if lacking:
                raise UserError(
                    f"no training label is of {', '.join(lacking)}, so there are no anchors; leave the type out of data.classes "
                    "or give data.anchors"
                )
            made = {name: anchor_of(boxes[name]) for name in self.classes}
            for name, anchor in made.items():
                self.notes.append(
                    f"anchor of {name}: {anchor['length']:.2f} x {anchor['width']:.2f} x {anchor['height']:.2f} m, bottom at "
                    f"{anchor['bottom']:.2f} m ({several(len(boxes[name]), 'label')})"
                )
            return made
        given = {name.lower(): dict(value) for name, value in self.given_anchors.items()}
        out = {}
        for name in self.classes:
            one = given.get(name.lower())
            if one is None:
                raise UserError(
                    f"data.anchors lacks {name}; give {{{name}: {{length: ..., width: ..., height: ..., bottom: ...}}}}"
                )
            unknown = set(one) - set(ANCHOR)
            absent = {"length", "width", "height", "bottom"} - set(one)
            if unknown or absent:
                raise UserError(
                    f"data.anchors.{name} has the keys {', '.join(ANCHOR)}, given were {', '.join(map(str, one))}"
                )
            out[name] = {
                **_overlaps(float(one["length"]) * float(one["width"])),
                **{k: float(v) for k, v in one.items()},
            }
            if min(out[name][side] for side in ("length", "width", "height")) <= 0 or not (
                0 < out[name]["negative"] <= out[name]["positive"] < 1
            ):
                raise UserError(
                    f"data.anchors.{name} needs sides above 0 and 0 < negative <= positive < 1, given was {one}"
                )
        return out

    def make_sets(self) -> None:
        """The two sets of the frames. Raises ``UserError`` where labels or anchors could not be made out."""
        if self.anchors is None or not all(self.frames.get(split) for split in self.names):
            raise UserError("there are no sets, since some frames or labels cannot be used")
        super().build(self.frames["train"], self.frames["val"])

    def content_files(self, root: Path) -> Callable[[str, int], Path]:
        """The frames' points."""
        folder = frames_folder(root)
        assert folder is not None
        return lambda split, number: folder / "velodyne" / f"{self.names[split][number]}.bin"

    def look_at(self, found: Look, look: int | None, problems: Problems, tell: Callable[[float, str], None]) -> None:
        """Count labels (they were all read), and points of some frames."""
        if not self.frames or self.anchors is None:
            return
        boxes = []
        for split, frames in self.frames.items():
            numbers: Counter[str] = Counter(dict.fromkeys(self.classes, 0))
            empty = 0
            for frame in frames:
                labels = class_ids(frame.objects.types, self.classes)
                numbers.update(self.classes[i] for i in labels[labels >= 0])
                empty += not (labels >= 0).any()
                if (labels >= 0).any():
                    boxes.append(frame.calibration.boxes_to_lidar(frame.objects[labels >= 0]))
            found.counts[split] = dict(numbers)
            found.facts[f"{split} frames without objects"] = empty
        total = sum(found.counts["train"].values())
        found.shares = {name: number / total for name, number in found.counts["train"].items()} if total else {}
        found.measured["boxes"] = np.concatenate(boxes) if boxes else np.zeros((0, 7))
        for name, one in self.anchors.items():
            found.facts[f"anchor of {name}"] = ", ".join(f"{key} {value:g}" for key, value in one.items())
        points, held, labelled = [], 0, 0
        refused = Refusals(problems, "frames that cannot be read")
        for split, number, _ in samples(self, found, look, tell):
            frame = self.frames[split][number]
            try:
                scene, _ = frame.scene(self.classes)
            except UserError as error:
                refused.add(str(error))
                continue
            points.append(len(scene.points))
            labelled += len(scene.boxes)
            held += int(points_in_boxes(scene.points, scene.boxes).any(1).sum())
            found.sizes[frame.image] += 1
            found.kinds["KITTI frame"] += 1
        refused.end()
        if points:
            found.facts |= {"points that the camera sees, median": float(np.median(points))}
        if labelled:
            found.facts["labelled objects that hold points"] = held / labelled

    def resolved(self) -> dict[str, Any]:
        """Classes, anchors and overlaps, which a checkpoint needs wherever it is evaluated."""
        assert self.anchors is not None
        anchors = {name: dict(one) for name, one in self.anchors.items()}
        overlap = {name: self.min_overlap[name.lower()] for name in self.classes}
        return {"classes": list(self.classes), "anchors": anchors, "min_overlap": overlap}


def anchor_of(boxes_K7: np.ndarray) -> dict[str, float]:
    """The anchor of labelled boxes: their mean size, and the median of their bottoms."""
    length, width, height = (round(float(side), 3) for side in boxes_K7[:, 3:6].mean(0))
    bottom = round(float(np.median(boxes_K7[:, 2] - boxes_K7[:, 5] / 2)), 3)
    return {"length": length, "width": width, "height": height, "bottom": bottom, **_overlaps(length * width)}


def _overlaps(ground: float) -> dict[str, float]:
    """Lang et al. 2019, section 4.1: of cars .6 and .45, of people and bicycles .5 and .35."""
    large = ground > LARGE
    return {"positive": 0.6 if large else 0.5, "negative": 0.45 if large else 0.35}


def _whole(folder: Path, name: str) -> bool:
    return all((folder / part / f"{name}.{end}").is_file() for part, end in (("velodyne", "bin"), ("calib", "txt")))
