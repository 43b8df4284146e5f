"""Anchor boxes of a bird's-eye-view detector: where they stand, what a box written from one is, which boxes are found.

Arrays alone: what a detector writes becomes boxes without torch (``decode`` takes tensors too). Boxes are (x, y, z of the centre,
length, width, height, yaw) in the LiDAR frame. Shape names: A anchors of a scene, N classes, K boxes.

Source: Lang et al. 2019 (PointPillars), sections 2.2, 2.3 and 4.1; heights, positions and the offset of the direction classes
are those of the open implementations (the publication has car height 1.5 and z centres of its own).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ncp.errors import UserError
from ncp.metrics.boxes import BEV_OF_7, namespace, suppress

ROTATIONS = (0.0, math.pi / 2)
DIRECTION_OFFSET = math.pi / 4  # the direction classes part here, away from the headings along the axes
MOST_PILLARS = 2**24  # of a scene; KITTI's map has 214,272
LARGEST_LOG = 4.0  # of a side's ratio to its anchor's


class AnchorClass(NamedTuple):
    """Anchors of one class: size and bottom in metres, overlaps from which an anchor is an object's and below which nobody's."""

    name: str
    length: float
    width: float
    height: float
    bottom: float
    positive: float
    negative: float


KITTI_ANCHORS = (
    AnchorClass("Car", 3.9, 1.6, 1.56, -1.78, 0.6, 0.45),
    AnchorClass("Pedestrian", 0.8, 0.6, 1.73, -0.6, 0.5, 0.35),
    AnchorClass("Cyclist", 1.76, 0.6, 1.73, -0.6, 0.5, 0.35),
)


class Found(NamedTuple):
    """Boxes found in one scene, best first: ``(K, 7)``, ``(K,)`` class numbers, ``(K,)`` scores 0..1."""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def grid_size(limits: Sequence[float], pillar: float) -> tuple[int, int]:
    """Pillars along y and x (the bird's-eye view's height and width).

    Raises:
        UserError: for an empty space, one that is not a whole number of pillars, and one where single precision does not tell
            pillars apart.
    """
    finite = np.isfinite([*limits, pillar]).all()
    if len(limits) != 6 or not finite or pillar <= 0 or any(limits[i] >= limits[i + 3] for i in range(3)):
        raise UserError(
            f"data.limits are x, y, z from and x, y, z to, in metres; given were {list(limits)} and pillar {pillar}"
        )
    with np.errstate(over="ignore"):
        step = float(np.spacing(np.float32(max(abs(limits[i]) for i in (0, 1, 3, 4)))))
    if not step <= pillar / 4:  # anchors of two cells would stand in one place
        raise UserError(
            f"data.limits lie so far from 0 that points there are known to {step:.2g} m (single precision), and pillars are "
            f"{pillar} m; move points, objects and limits near 0, given were {list(limits)}"
        )
    sides = [(limits[4] - limits[1]) / pillar, (limits[3] - limits[0]) / pillar]
    if any(abs(side - round(side)) > 1e-6 for side in sides):
        raise UserError(f"data.limits must span a whole number of pillars of {pillar} m, given were {list(limits)}")
    size = round(sides[0]), round(sides[1])
    if size[0] * size[1] > MOST_PILLARS:
        raise UserError(
            f"data.limits span {size[0]:,} x {size[1]:,} pillars of {pillar} m; at most {MOST_PILLARS:,} are possible"
        )
    return size


def place(
    classes: Sequence[AnchorClass], limits: Sequence[float], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Anchors at the centres of a map's cells.

    Args:
        classes: one kind of anchor each, in every rotation.
        limits: x, y, z from and to of the space that the map covers, metres.
        size: cells along y and x.

    Returns:
        ``(A, 7)`` float32 and the class of each ``(A,)`` int64; rows, then columns, classes and rotations.
    """
    y = limits[1] + (np.arange(size[0]) + 0.5) * (limits[4] - limits[1]) / size[0]
    x = limits[0] + (np.arange(size[1]) + 0.5) * (limits[3] - limits[0]) / size[1]
    kinds = [(c.bottom + c.height / 2, c.length, c.width, c.height, turn) for c in classes for turn in ROTATIONS]
    anchors = np.zeros((size[0], size[1], len(kinds), 7))
    anchors[..., 0], anchors[..., 1] = x[None, :, None], y[:, None, None]
    anchors[..., 2:] = np.array(kinds)
    which = np.tile(np.repeat(np.arange(len(classes)), len(ROTATIONS)), size[0] * size[1])
    return anchors.reshape(-1, 7).astype(np.float32), which


def decode(codes_7: Any, anchors_7: Any, direction: Any) -> Any:
    """Boxes ``(..., 7)`` from what the network writes; ``direction`` ``(...)`` is the class that tells front from back.

    The turn is known up to half a turn only (its loss is that of a sine), the direction class adds which half.
    """
    xp = namespace(codes_7)
    diagonal = xp.hypot(anchors_7[..., 3], anchors_7[..., 4])[..., None]
    plane = codes_7[..., :2] * diagonal + anchors_7[..., :2]
    rise = codes_7[..., 2:3] * anchors_7[..., 5:6] + anchors_7[..., 2:3]
    sizes = xp.exp(xp.clip(codes_7[..., 3:6], None, LARGEST_LOG)) * anchors_7[..., 3:6]
    turn = codes_7[..., 6] + anchors_7[..., 6]
    yaw = xp.remainder(turn - DIRECTION_OFFSET, math.pi) + DIRECTION_OFFSET + math.pi * direction
    yaw = xp.remainder(yaw + math.pi, 2 * math.pi) - math.pi
    return xp.concatenate([plane, rise, sizes, yaw[..., None]], -1)


def find(
    logits_AN: np.ndarray,
    codes_A7: np.ndarray,
    directions_A2: np.ndarray,
    anchors_A7: np.ndarray,
    score: float = 0.05,
    overlap: float = 0.5,
    rotated: bool = False,
    before: int = 500,
    most: int = 100,
) -> Found:
    """The boxes of one scene, suppressed class by class; as :func:`ncp.models.anchors.detect` finds them, without torch.

    Args:
        logits_AN, codes_A7, directions_A2: what the head writes for every anchor.
        anchors_A7: the anchors.
        score, overlap, rotated, before, most: see :func:`ncp.models.anchors.detect`.
    """
    scores_AN = 1 / (1 + np.exp(-np.clip(logits_AN.astype(np.float32), -80, 80)))
    ranked = []
    for column in scores_AN.T:
        anchor = np.flatnonzero(column >= score)
        anchor = anchor[np.argsort(-column[anchor], kind="stable")[:before]]
        boxes = decode(codes_A7[anchor].astype(np.float32), anchors_A7[anchor], directions_A2[anchor].argmax(1))
        ranked.append(np.column_stack([boxes, column[anchor]]).astype(np.float32))
    return choose(ranked, score, overlap, rotated, most)


def choose(
    ranked: Iterable[np.ndarray],
    score: float = 0.05,
    overlap: float = 0.5,
    rotated: bool = False,
    most: int = 100,
) -> Found:
    """The boxes of one scene from each class's best ones, suppressed class by class.

    Args:
        ranked: of each class ``(K, 8)`` float32: boxes and their scores, the best ones first.
        score, overlap, rotated, most: see :func:`ncp.models.anchors.detect`.
    """
    parts = []
    for number, boxes_K8 in enumerate(ranked):
        good = boxes_K8[boxes_K8[:, 7] >= score]
        # of a class no more than of the scene: further ones would stand behind as many of their own class
        kept = suppress(good[:, list(BEV_OF_7)], good[:, 7], overlap, rotated, most)
        parts.append((good[kept], np.full(len(kept), number)))
    boxes, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
    best = np.argsort(-boxes[:, 7], kind="stable")[:most]
    return Found(boxes[best, :7], labels[best], boxes[best, 7])
