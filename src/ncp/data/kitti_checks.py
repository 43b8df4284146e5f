"""Whether labels, calibrations and points of a KITTI set fit together, before a training spends hours on them.

Points are read for a few frames spread over the set: a wrong calibration is wrong everywhere.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ncp import files
from ncp.data.kitti_frames import CLASSES, class_ids, difficulty, points_in_boxes
from ncp.data.kitti_points import read_points
from ncp.data.kitti_scan import Frame
from ncp.errors import UserError

log = logging.getLogger(__name__)
LOOKED_AT = 12  # frames
FEW = 0.01  # of the points: KITTI's camera sees about a sixth of what a turning LiDAR sees
LEAST_HELD = 0.25  # of the labelled objects: nearly all of KITTI's hold points
_MODERATE = 1


def check_labels(frames: Sequence[Frame], split: str, evaluated: bool, classes: Sequence[str] = CLASSES) -> None:
    """Warn where no object of a class counts in an evaluation.

    Args:
        frames: of the split.
        split: as messages name it.
        evaluated: whether average precision is counted on it.
        classes: names in the order of the labels.

    Raises:
        UserError: where no label is of any of the classes: there is nothing to learn, or to evaluate.
    """
    labelled, counting = Counter[int](), Counter[int]()
    for frame in frames:
        labels = class_ids(frame.objects.types, classes)
        labelled.update(labels[labels >= 0].tolist())
        counting.update(labels[(labels >= 0) & (difficulty(frame.objects) <= _MODERATE)].tolist())
    if not labelled:
        empty = sum(len(frame.objects) == 0 for frame in frames)
        first = frames[0].folder / "label_2" / f"{frames[0].name}.txt"
        raise UserError(
            f"the {split} has no labelled {', '.join(classes)} in its {len(frames):,} frames ({empty:,} label files are empty; "
            f"the first file is '{files.printable(first)}')"
        )
    for number, name in enumerate(classes if evaluated else ()):
        if labelled[number] and not counting[number]:
            log.warning(
                "the %s has %d labelled objects of %s, of which none counts at moderate difficulty (25 pixels high in the image, "
                "occlusion 0 or 1, truncation to .3): its AP is 0 whatever is found",
                split,
                labelled[number],
                name,
            )


def check_view(frames: Iterable[Frame], classes: Sequence[str] = CLASSES) -> None:
    """Warn where the camera sees hardly a point, or labelled objects hold hardly any: calibration, labels and points do not fit.

    Raises:
        UserError: where no point of the frames looked at is in the image: a training would see empty scenes.
    """
    every = list(frames)
    if not every:
        return
    chosen = [every[i] for i in np.unique(np.linspace(0, len(every) - 1, LOOKED_AT).astype(int))]
    points, seen, objects, held, blind = 0, 0, 0, 0, []
    for frame in chosen:
        cloud, _ = read_points(frame.points_file)
        inside = cloud[frame.calibration.in_image(cloud, frame.image)]
        points, seen = points + len(cloud), seen + len(inside)
        if len(cloud) and not len(inside):
            blind.append(frame.name)
        boxes = frame.calibration.boxes_to_lidar(frame.objects[class_ids(frame.objects.types, classes) >= 0])
        objects, held = objects + len(boxes), held + int(points_in_boxes(inside, boxes).any(1).sum())
    if not points:
        raise UserError(f"{len(chosen)} frames spread over the set were looked at, and none of them has points")
    first = chosen[0].folder / "calib" / f"{(blind or [chosen[0].name])[0]}.txt"
    cause = f"the calibration (P2, R0_rect, Tr_velo_to_cam in '{files.printable(first)}') or the images' size is the likely cause"
    if not seen:
        raise UserError(
            f"of {points:,} points in {len(chosen)} frames that were looked at none lies in the camera's image, so all would be "
            f"left out; {cause}"
        )
    if seen < FEW * points or blind:
        log.warning(
            "of %d points in %d frames that were looked at only %d lie in the camera's image (in %d frames none); %s",
            points,
            len(chosen),
            seen,
            len(blind),
            cause,
        )
    if held < LEAST_HELD * objects:
        log.warning(
            "only %d of %d labelled objects in %d frames that were looked at hold points that the camera sees; %s, or labels",
            held,
            objects,
            len(chosen),
            cause,
        )
