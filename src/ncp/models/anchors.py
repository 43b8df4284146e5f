"""Anchors of a bird's-eye-view detector in training: whom they match, how boxes are written, what is lost, what is found.

Where they stand and how what is written becomes boxes again: :mod:`ncp.metrics.anchors`, without torch. Source: Lang et al. 2019
(PointPillars), sections 2.2, 2.3 and 4.1.

Boxes are (x, y, z of the centre, length, width, height, yaw) in the LiDAR frame. Shape names: A anchors of a scene, K objects,
B scenes, N classes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ncp.metrics.anchors import DIRECTION_OFFSET, choose, decode, place
from ncp.metrics.anchors import KITTI_ANCHORS as KITTI_ANCHORS
from ncp.metrics.anchors import ROTATIONS as ROTATIONS
from ncp.metrics.anchors import AnchorClass as AnchorClass
from ncp.metrics.boxes import BEV_OF_7, iou_aligned, nearest_bev

BACKGROUND, IGNORED = -1, -2
MOST_PAIRS = 2**26  # of anchors and objects that are looked at together
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
SMOOTH_BETA = 1 / 9  # where smooth L1 turns linear
WEIGHTS = {"box": 2.0, "class": 1.0, "direction": 0.2}  # section 2.3: beta_loc, beta_cls, beta_dir


def make_anchors(
    classes: tuple[AnchorClass, ...], limits: tuple[float, ...], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """:func:`ncp.metrics.anchors.place` as tensors: ``(A, 7)`` float32 and ``(A,)`` int64."""
    anchors, which = place(classes, limits, size)
    return torch.from_numpy(anchors), torch.from_numpy(which)


class Layout(NamedTuple):
    """Where each class's anchors stand; the same in every step, so worked out once.

    Attributes:
        rows: of each class: ``(A_c,)`` int64, which anchors are its own.
        rectangles: of each class: ``(A_c, 4)``, their footprints turned to the nearer axis.
    """

    rows: tuple[Tensor, ...]
    rectangles: tuple[Tensor, ...]


def lay_out(anchors_A7: Tensor, class_A: Tensor, classes: int) -> Layout:
    """The layout of anchors of so many classes."""
    rows = tuple(torch.nonzero(class_A == number)[:, 0] for number in range(classes))
    return Layout(rows, tuple(nearest_bev(anchors_A7[mine][:, list(BEV_OF_7)]) for mine in rows))


def match(
    layout: Layout,
    boxes_BK7: Tensor,
    labels_BK: Tensor,
    classes: tuple[AnchorClass, ...],
    min_pos_iou: float = 0.0,
) -> Tensor:
    """Which object of its scene each anchor is to find: ``(B, A)`` int64, ``BACKGROUND`` for none, ``IGNORED`` for undecided.

    Overlap is that of the footprints turned to the nearer axis. An anchor takes the object of its class with the greatest
    overlap from ``positive`` on; below ``negative`` it is background. The anchors that overlap an object most are always
    its own, however little that is: an object of twice the anchors' size has many such. mmdetection3d gives it none where the
    overlap is below its ``min_pos_iou`` (the ``negative`` of the class, in its configs). Labels below 0 are no objects.

    All scenes at once, and without waiting for a GPU.
    """
    scenes, most = labels_BK.shape
    out_BA = labels_BK.new_full((scenes, sum(map(len, layout.rows))), BACKGROUND)
    if most == 0:
        return out_BA
    rectangles = nearest_bev(boxes_BK7[..., list(BEV_OF_7)])
    for number, (kind, rows, own) in enumerate(zip(classes, layout.rows, layout.rectangles, strict=True)):
        if labels_BK.device.type == "cpu" and not bool((labels_BK == number).any()):
            continue
        at_once = max(1, MOST_PAIRS // (len(own) * most))
        for begin in range(0, scenes, at_once):
            part = slice(begin, begin + at_once)
            wanted_B1K = (labels_BK[part] == number)[:, None]
            overlap_BAK = iou_aligned(own, rectangles[part].flatten(0, 1)).unflatten(1, (-1, most)).transpose(0, 1)
            overlap_BAK = torch.where(wanted_B1K, overlap_BAK, -1)
            best, which = overlap_BAK.max(2)
            found = torch.where(best >= kind.negative, IGNORED, BACKGROUND)
            found = torch.where(best >= kind.positive, which, found)
            most_B1K = overlap_BAK.amax(1, keepdim=True)
            forced = (overlap_BAK == most_B1K) & (most_B1K > 0) & (most_B1K >= min_pos_iou)
            out_BA[part, rows] = torch.where(forced.any(2), forced.int().argmax(2), found)
    return out_BA


def encode(boxes_7: Tensor, anchors_7: Tensor) -> Tensor:
    """Boxes as seen from anchors, both ``(..., 7)``: offsets in units of the anchor's diagonal and height, log sizes, turn."""
    diagonal = torch.hypot(anchors_7[..., 3], anchors_7[..., 4])[..., None]
    plane = (boxes_7[..., :2] - anchors_7[..., :2]) / diagonal
    rise = (boxes_7[..., 2:3] - anchors_7[..., 2:3]) / anchors_7[..., 5:6]
    sizes = torch.log(boxes_7[..., 3:6] / anchors_7[..., 3:6])
    return torch.cat([plane, rise, sizes, boxes_7[..., 6:] - anchors_7[..., 6:]], -1)


def direction_class(yaw: Tensor) -> Tensor:
    """0 or 1: which half of the circle a heading is in, counted from ``DIRECTION_OFFSET``."""
    return ((yaw - DIRECTION_OFFSET).remainder(2 * math.pi) >= math.pi).long()


class Prediction(NamedTuple):
    """What the head writes for every anchor: ``(B, A, N)`` logits, ``(B, A, 7)`` codes, ``(B, A, 2)`` direction logits."""

    classes: Tensor
    boxes: Tensor
    directions: Tensor


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Focal loss of sigmoid outputs against bool targets, elementwise (Lin et al. 2017, alpha .25, gamma 2)."""
    wrong = torch.where(targets, -logits, logits)  # the logit of being wrong
    alpha = torch.where(targets, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    return alpha * torch.sigmoid(wrong) ** FOCAL_GAMMA * F.softplus(wrong)


def losses(
    found: Prediction,
    anchors_A7: Tensor,
    class_A: Tensor,
    boxes_BK7: Tensor,
    labels_BK: Tensor,
    classes: tuple[AnchorClass, ...],
    min_pos_iou: float = 0.0,
    layout: Layout | None = None,
) -> dict[str, Tensor]:
    """The three losses ``box``, ``class``, ``direction`` with their weights: of each scene the sum over its anchors divided by
    the number of its matched ones, then the mean over the scenes.

    The publication divides by "the number of positive anchors" and does not say whether a scene's or a batch's. The code that
    its authors built on (second.pytorch, ``NormByNumPositives``) and OpenPCDet count scene by scene and average over the scenes,
    as here; mmdetection3d counts over the batch, so that scenes with many objects weigh more (for batches of one scene both are
    the same). By scenes, a batch that is accumulated or spread over devices has the gradient of the whole.

    The turn enters as the sine of its error, so that a box and the same box turned round cost the same.
    """
    with torch.no_grad():
        layout = layout or lay_out(anchors_A7, class_A, len(classes))
        owner_BA = match(layout, boxes_BK7, labels_BK, classes, min_pos_iou)
    positive_BA = owner_BA >= 0
    number_B = positive_BA.sum(1).clamp(min=1)
    wanted = F.one_hot(class_A, found.classes.shape[-1]).bool() & positive_BA[..., None]
    classed = focal_loss(at_least_float(found.classes), wanted) * (owner_BA != IGNORED)[..., None]

    scene, anchor = torch.nonzero(positive_BA, as_tuple=True)
    share = 1.0 / (number_B[scene] * len(number_B))
    target = boxes_BK7[scene, owner_BA[scene, anchor]].to(classed.dtype)
    code = encode(target, anchors_A7[anchor].to(classed.dtype))
    written = found.boxes[scene, anchor].to(classed.dtype)
    error = torch.cat([written[:, :6] - code[:, :6], torch.sin(written[:, 6:] - code[:, 6:])], 1)
    boxed = F.smooth_l1_loss(error, torch.zeros_like(error), beta=SMOOTH_BETA, reduction="none").sum(1)
    directions = found.directions[scene, anchor].to(classed.dtype)
    turned = F.cross_entropy(directions, direction_class(target[:, 6]), reduction="none")
    return {
        "box": WEIGHTS["box"] * (boxed * share).sum(),
        "class": WEIGHTS["class"] * (classed.sum((1, 2)) / number_B).mean(),
        "direction": WEIGHTS["direction"] * (turned * share).sum(),
    }


def at_least_float(x: Tensor) -> Tensor:
    """Half precision to single; others as they are."""
    return x if x.dtype == torch.float64 else x.float()


class Detections(NamedTuple):
    """Boxes found in one scene, best first, on the host: ``(K, 7)``, ``(K,)`` class numbers, ``(K,)`` scores 0..1."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


def detect(
    found: Prediction,
    anchors_A7: Tensor,
    score: float = 0.05,
    overlap: float = 0.5,
    rotated: bool = False,
    before: int = 500,
    most: int = 100,
) -> list[Detections]:
    """Boxes of every scene, suppressed class by class.

    Args:
        found: the head's output.
        anchors_A7: the anchors.
        score: lowest score of a detection.
        overlap: of the boxes (footprints) above which the one with the lower score goes.
        rotated: measure overlap of the boxes themselves instead of the axis-aligned rectangles around them.
        before: highest scores of a class that go into the suppression.
        most: detections of a scene.
    """
    ranked = rank(found, anchors_A7, before).detach().cpu().numpy()  # a GPU is waited for here alone
    chosen = (choose(one, score, overlap, rotated, most) for one in ranked)
    return [Detections(*map(torch.from_numpy, one)) for one in chosen]


def rank(found: Prediction, anchors_A7: Tensor, before: int) -> Tensor:
    """Boxes and scores of each class's ``before`` best anchors (of all where there are fewer), best first.

    ``(B, N, K, 8)`` float32, whatever the scores are: of one shape, and nothing waits for a GPU.
    """
    best_BKN, anchor_BKN = torch.topk(torch.sigmoid(found.classes.float()), min(before, len(anchors_A7)), dim=1)
    score_BNK, anchor_BNK = best_BKN.transpose(1, 2), anchor_BKN.transpose(1, 2)
    scene_B11 = torch.arange(len(anchor_BNK), device=anchor_BNK.device)[:, None, None]
    code, direction = found.boxes[scene_B11, anchor_BNK], found.directions[scene_B11, anchor_BNK].argmax(-1)
    boxes = decode(code.float(), anchors_A7[anchor_BNK], direction)
    return torch.cat([boxes, score_BNK[..., None]], -1)
