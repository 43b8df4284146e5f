"""The frames of a KITTI folder: splits, and the files of every frame read or measured before a training begins.

All that is wrong is told at once, with file and line. Point files are only looked at: their sizes, and the beginnings of those
whose size would fit another layout. 7,481 frames take a few seconds.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncp import files
from ncp.data.kitti_augment import LabelledScene
from ncp.data.kitti_frames import CLASSES, DEFAULT_IMAGE, Calibration, class_ids, image_size
from ncp.data.kitti_frames import LIMIT as CALIBRATION_LIMIT
from ncp.data.kitti_points import file_problem, read_points
from ncp.data.paths import visible
from ncp.data.problems import Problems
from ncp.errors import UserError
from ncp.metrics.kitti_files import Objects, read

log = logging.getLogger(__name__)
EVERY_FRAME = "all"
_NUMBER = re.compile(r"[0-9]{1,20}")
_PARTS = (("velodyne", "bin"), ("label_2", "txt"), ("calib", "txt"))
# in the place of one that cannot be used, while the rest of its frame is looked at
_NO_CALIBRATION = Calibration(np.eye(3, 4), np.eye(3), np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0.0]]))


@dataclass(frozen=True)
class Frame:
    """One labelled frame: its files' place, name, calibration, labels and image size (height, width)."""

    folder: Path
    name: str
    calibration: Calibration
    objects: Objects
    image: tuple[int, int]

    @property
    def points_file(self) -> Path:
        """The file of its points."""
        return self.folder / "velodyne" / f"{self.name}.bin"

    def points(self) -> tuple[np.ndarray, int]:
        """Points ``(P, 4)`` that the camera sees, and how many were left out for not being finite."""
        points, bad = read_points(self.points_file)
        return points[self.calibration.in_image(points, self.image)], bad

    def scene(self, classes: Sequence[str] = CLASSES) -> tuple[LabelledScene, int]:
        """Points with the boxes of the known classes, and how many points were left out."""
        points, bad = self.points()
        labels = class_ids(self.objects.types, classes)
        known = labels >= 0
        return LabelledScene(points, self.calibration.boxes_to_lidar(self.objects[known]), labels[known]), bad


def read_split(root: Path, split: str) -> list[str]:
    """The frames of a split: the lines of ``<root>/<split>``, or every frame with points for ``all``.

    Raises:
        UserError: for a file that is missing or empty, holds anything else than frames, or names one twice; with the line.
    """
    if split == EVERY_FRAME:
        folder = root / "training" / "velodyne"
        names = sorted(path.stem for path in visible(folder, "*.bin"))
        if not names:
            raise UserError(f"'{files.printable(folder)}' holds no frames (000000.bin, ...)")
        return [files.safe_name(name, "name of a frame") for name in names]
    path = root / split
    shown = files.printable(path)
    try:
        text = files.read_text(path)
    except UserError as error:
        raise UserError(
            f"'{shown}' cannot be read: a split is a file of frames, one a line (such as 000000), below data.root; "
            f"'{EVERY_FRAME}' takes every frame ({error})"
        ) from None
    names = []
    for number, line in enumerate(text.split("\n"), start=1):
        for word in line.split():
            if not _NUMBER.fullmatch(word):
                raise UserError(
                    f"'{shown}', line {number}, holds '{files.printable(word)[:80]}', which is no frame number"
                )
            names.append(word)
    if not names:
        raise UserError(f"'{shown}' holds no frames")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"'{shown}' lists {len(twice)} frames more than once, the first is {twice[0]}")
    return names


def read_frames(root: Path, names: Sequence[str]) -> list[Frame]:
    """Calibration, labels and image sizes of frames; point files are only looked at.

    Raises:
        UserError: naming files and lines, for whatever is missing, cut off or malformed.
    """
    problems = Problems(f"KITTI in '{files.printable(root)}'")
    frames = scan(root, names, problems)
    problems.check()
    return frames


def scan(
    root: Path,
    names: Sequence[str],
    problems: Problems,
    classes: Sequence[str] = CLASSES,
    folder: Path | None = None,
) -> list[Frame]:
    """As :func:`read_frames`; what is wrong goes to ``problems`` and its frames are left out.

    Unknown types, missing images, missing boxes in the image and empty files are reported once, with a count. Where a labelled
    object of the known classes has no box in the image, the rectangle around its box in space stands for it (it decides how
    difficult the object is).

    Args:
        root: of the set.
        names: of the frames.
        problems: what is wrong.
        classes: types of objects that are to be learnt.
        folder: what holds the frames' files; None: ``training`` below the root.
    """
    folder = root / "training" if folder is None else folder
    absent: set[str] = set()
    for part, ending in _PARTS:
        missing = [n for n in names if not (folder / part / f"{n}.{ending}").is_file()]
        absent.update(missing)
        if missing:
            problems.add(
                f"{len(missing)} of {len(names)} frames have no file in '{files.printable(folder / part)}', the first is "
                f"{missing[0]}.{ending}"
            )
    frames: list[Frame] = []
    counts: Counter[str] = Counter()
    known: dict[bytes, Calibration] = {}
    for name in names:
        if name not in absent:
            with problems.collecting():
                frames.append(_frame(folder, name, problems, counts, known, classes))
    _report(frames, len(names), counts, classes)
    return frames


def _frame(
    folder: Path,
    name: str,
    problems: Problems,
    counts: Counter[str],
    known: dict[bytes, Calibration],
    classes: Sequence[str],
) -> Frame:
    points = folder / "velodyne" / f"{name}.bin"
    size = os.stat(points).st_size
    with problems.collecting():
        wrong = file_problem(points, size)
        if wrong:
            problems.add(wrong)
    image = None
    with problems.collecting():
        image = image_size(folder / "image_2" / f"{name}.png")
        counts["no image"] += image is None
    calibration = None
    with problems.collecting():
        calibration = _calibration(folder / "calib" / f"{name}.txt", known)
    objects = read(folder / "label_2" / f"{name}.txt", scores=False, solid=classes)
    if calibration is None:
        calibration = _NO_CALIBRATION
    objects, filled = with_image_boxes(objects, calibration, image or DEFAULT_IMAGE, classes)
    counts["no points"] += size == 0
    counts["no objects"] += len(objects) == 0
    counts["filled"] += filled
    return Frame(folder, name, calibration, objects, image or DEFAULT_IMAGE)


def _calibration(path: Path, known: dict[bytes, Calibration]) -> Calibration:
    """A frame's calibration; frames of one day have the same, which is read and kept once."""
    content = files.read_bytes(path, CALIBRATION_LIMIT)
    if content not in known:
        known[content] = Calibration.read(path)
    return known[content]


def with_image_boxes(
    objects: Objects, calibration: Calibration, image: tuple[int, int], classes: Sequence[str] = CLASSES
) -> tuple[Objects, int]:
    """Objects of which those of ``classes`` all have a box in the image, where they are seen, and how many were given one."""
    lacking = objects.of(classes) & ~objects.in_image
    if not lacking.any():
        return objects, 0
    values = objects.values.copy()
    values[lacking, 3:7] = calibration.image_boxes(calibration.boxes_to_lidar(objects[lacking]), image)
    behind = values[:, 12] <= 0
    values[lacking & behind, 3:7] = 0
    return Objects(objects.types, values), int(lacking.sum())


def _report(frames: Sequence[Frame], total: int, counts: Counter[str], classes: Sequence[str]) -> None:
    """Say once, with counts, what is unusual but usable; ``total``: frames that were looked at, good or not."""
    if counts["no image"]:
        log.warning(
            "%d of %d frames have no image; their size is taken to be %dx%d", counts["no image"], total, *DEFAULT_IMAGE
        )
    if counts["no points"]:
        log.warning("%d of %d frames have no points", counts["no points"], total)
    if counts["no objects"]:
        log.warning("%d of %d label files are empty: frames without objects", counts["no objects"], total)
    if counts["filled"]:
        log.warning(
            "%d labelled objects have no box in the image: the rectangle around their box in space stands for it and decides "
            "their difficulty",
            counts["filled"],
        )
    learnt = {name.lower() for name in classes}
    unknown = Counter(name for frame in frames for name in frame.objects.unknown() if name.lower() not in learnt)
    if unknown:
        shown = {files.printable(name): count for name, count in unknown.most_common(10)}
        log.warning("objects of types that KITTI does not have are left out: %s", shown)
