"""Anchors of a bird's-eye-view detector in training: whom they match, how boxes are written, what is lost, what is found.

Where they stand and how what is written becomes boxes again: :mod:`ncp.metrics.anchors`, without torch. Source: Lang et al. 2019
(PointPillars), sections 2.2, 2.3 and 4.1.

Boxes are (x, y, z of the centre, length, width, height, yaw) in the LiDAR frame. Shape names: A anchors of a scene, K objects,
B scenes, N classes.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ncp.metrics.anchors import DIRECTION_OFFSET, choose, decode, place
from ncp.metrics.anchors import KITTI_ANCHORS as KITTI_ANCHORS
from ncp.metrics.anchors import ROTATIONS as ROTATIONS
from ncp.metrics.anchors import AnchorClass as AnchorClass
from ncp.metrics.boxes import BEV_OF_7, iou_aligned_pairs, nearest_bev

BACKGROUND, IGNORED = -1, -2
MOST_PAIRS = 2**22  # of objects and anchors around them that are looked at together, 180 bytes each
ROUNDED = 1e-5
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
SMOOTH_BETA = 1 / 9  # where smooth L1 turns linear
WEIGHTS = {"box": 2.0, "class": 1.0, "direction": 0.2}  # section 2.3: beta_loc, beta_cls, beta_dir


def make_anchors(
    classes: tuple[AnchorClass, ...], limits: tuple[float, ...], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """:func:`ncp.metrics.anchors.place` as tensors: ``(A, 7)`` float32 and ``(A,)`` int64."""
    anchors, which = place(classes, limits, size)
    return torch.from_numpy(anchors), torch.from_numpy(which)


class Stands(NamedTuple):
    """Where a class's anchors stand, on the host.

    Attributes:
        begin: of its anchors among those of all classes (:class:`Layout`).
        y, x: ``(H,)`` and ``(W,)`` metres, ascending: the cells' centres.
        turns: anchors at each.
        half: metres, half of the longest side.
    """

    begin: int
    y: np.ndarray
    x: np.ndarray
    turns: int
    half: float


class Layout(NamedTuple):
    """Anchors class by class, of each its rows, columns and turns; the same in every step, so worked out once.

    Attributes:
        stands: of each class.
        order: ``(A,)`` int64, which anchor each of them is.
        rectangles: ``(A, 4)``, their footprints turned to the nearer axis.
    """

    stands: tuple[Stands, ...]
    order: Tensor
    rectangles: Tensor


def lay_out(anchors_A7: Tensor, class_A: Tensor, classes: int, device: torch.device | str | None = None) -> Layout:
    """The layout of anchors of so many classes, as :func:`make_anchors` places them; a GPU is waited for.

    Args:
        anchors_A7, class_A: the anchors and their classes.
        classes: how many.
        device: where it is read; None: where the anchors are.
    """
    placed, which = anchors_A7.cpu().numpy(), class_A.cpu().numpy()
    order = np.lexsort((placed[:, 0], placed[:, 1], which))
    stands, begin = [], 0
    for number in range(classes):
        mine = placed[which == number]
        x, y = np.unique(mine[:, 0]), np.unique(mine[:, 1])
        turns, rest = divmod(len(mine), len(x) * len(y))
        assert rest == 0, "anchors of a class stand in every cell"
        stands.append(Stands(begin, y, x, turns, float(mine[:, 3:5].max()) / 2))
        begin += len(mine)
    rectangles = nearest_bev(_bev(torch.from_numpy(placed[order])))
    device = anchors_A7.device if device is None else device
    return Layout(tuple(stands), torch.from_numpy(order).to(device), rectangles.to(device))


def _bev(boxes_7: Tensor) -> Tensor:
    """Column by column: a list of their numbers would be copied from the host, which waits."""
    return torch.stack([boxes_7[..., column] for column in BEV_OF_7], -1)


class Windows(NamedTuple):
    """The anchors around each object, which alone can overlap it: ``(N,)`` each, N objects, on the host.

    Attributes:
        scene, slot, kind: whose k-th object, of which class.
        first: the first anchor of the window, in the order of :class:`Layout`.
        width: anchors of a row of the window.
        line: from one row to the next.
        size: anchors of the window.
    """

    scene: np.ndarray
    slot: np.ndarray
    kind: np.ndarray
    first: np.ndarray
    width: np.ndarray
    line: np.ndarray
    size: np.ndarray


def windows(layout: Layout, boxes_BK7: np.ndarray, labels_BK: np.ndarray, classes: tuple[AnchorClass, ...]) -> Windows:
    """Wide enough for every turn of the object and of the anchors; objects around which none stand are left out.

    Overlaps are worked out in single precision: what it may round a place or a side by is far less than ``ROUNDED`` of it.
    """
    parts = []
    finite_BK = np.isfinite(boxes_BK7).all(2)  # what is not overlaps nothing
    for number, (kind, stands) in enumerate(zip(classes, layout.stands, strict=True)):
        scene, slot = np.nonzero((labels_BK == number) & finite_BK)
        boxes = boxes_BK7[scene, slot].astype(np.float64)
        reach = stands.half + np.abs(boxes[:, 3:5]).max(1, initial=0) / 2
        reach += ROUNDED * (np.abs(boxes[:, :2]).max(1, initial=0) + reach)
        if kind.negative <= 0:  # no anchor is too far away to be undecided
            reach[:] = np.inf
        (low_y, high_y), (low_x, high_x) = (
            (np.searchsorted(side, boxes[:, i] - reach), np.searchsorted(side, boxes[:, i] + reach, "right"))
            for i, side in ((1, stands.y), (0, stands.x))
        )
        line = len(stands.x) * stands.turns
        width = (high_x - low_x) * stands.turns
        first = stands.begin + low_y * line + low_x * stands.turns
        parts.append(
            (scene, slot, np.full_like(slot, number), first, width, np.full_like(slot, line), (high_y - low_y) * width)
        )
    found = Windows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return Windows(*(column[found.size > 0] for column in found))


class Matches(NamedTuple):
    """Whom anchors match.

    Attributes:
        owner: ``(B, A)`` int64, which object of its scene an anchor is to find: ``BACKGROUND`` for none, ``IGNORED`` for
            undecided.
        anchor: ``(P,)`` int64, of every pair of an object and an anchor that stands around it: the anchor, those of all scenes
            one after the other. Whoever has an owner is among them, once with each object around which it stands. Where pairs
            are more than anchors (objects are huge), of the anchors that have an owner alone, for which a GPU is waited for.
        slot: ``(P,)`` int64, which object of the scene.
    """

    owner: Tensor
    anchor: Tensor
    slot: Tensor


def match(
    layout: Layout,
    boxes_BK7: Tensor,
    labels_BK: Tensor,
    classes: tuple[AnchorClass, ...],
    min_pos_iou: float = 0.0,
) -> Matches:
    """Which object of its scene each anchor is to find, and which anchors stand around an object: as many as the host can tell
    from boxes and labels alone.

    Overlap is that of the footprints turned to the nearer axis. An anchor takes the object of its class with the greatest
    overlap from ``positive`` on; below ``negative`` it is background. The anchors that overlap an object most are always
    its own, however little that is: an object of twice the anchors' size has many such. mmdetection3d gives it none where the
    overlap is below its ``min_pos_iou`` (the ``negative`` of the class, in its configs). Labels below 0 are no objects.

    So many pairs at a time as memory can hold. Boxes and labels are read on the host: where they lie on a GPU it is waited for.
    """
    (scenes, most), device = labels_BK.shape, layout.order.device
    boxes_BK7 = at_least_float(boxes_BK7)
    given = boxes_BK7.cpu().numpy()
    around = windows(layout, given, labels_BK.cpu().numpy(), classes)
    total, everyone = int(around.size.sum()), scenes * len(layout.order)
    if total == 0:
        nobody = layout.order.new_empty(0)
        return Matches(layout.order.new_full((scenes, len(layout.order)), BACKGROUND), nobody, nobody)
    limits = np.array([[kind.positive for kind in classes], [kind.negative for kind in classes]], given.dtype)
    footprints_BK4 = nearest_bev(_bev(sent(boxes_BK7, device)))
    told, anchors, slots = None, [], []
    with _any_order():
        for part in _parts(around):
            own, anchor, slot = _told(layout, part, footprints_BK4, limits.take(part.kind, 1), min_pos_iou)
            told = own if told is None else _both(told, own, most)
            if total <= everyone:
                anchors.append(anchor)
                slots.append(slot)
    assert told is not None
    slot = torch.arange(most, device=device)
    meaning = torch.cat([slot, slot, slot.new_full((1,), IGNORED), slot.new_full((1,), BACKGROUND)])
    owner = meaning.index_select(0, told.said)
    if total > everyone:
        anchors = [torch.nonzero(owner >= 0)[:, 0]]
        slots = [owner[anchors[0]]]
    return Matches(owner.view(scenes, -1), torch.cat(anchors), torch.cat(slots))


class Told(NamedTuple):
    """What pairs say of the anchors of all scenes, of ``most`` objects each.

    Attributes:
        best: ``(B * A,)``, the greatest overlap; -1 for none.
        said: ``(B * A,)`` int32: k, it is the object k's whatever its overlap; most + k, it takes the object k; 2 most, it is
            undecided; 2 most + 1, it is background.
    """

    best: Tensor
    said: Tensor


def _parts(around: Windows) -> Iterator[Windows]:
    """The objects, in their order, so many at a time that not many more than ``MOST_PAIRS`` anchors stand around them."""
    part_N = (np.cumsum(around.size) - 1) // MOST_PAIRS
    for number in np.unique(part_N):
        yield Windows(*(column[part_N == number] for column in around))


def _told(
    layout: Layout, around: Windows, footprints_BK4: Tensor, limits_2N: np.ndarray, min_pos_iou: float
) -> tuple[Told, Tensor, Tensor]:
    """What some objects say, and the pairs: anchors and slots.

    Args:
        layout, around, min_pos_iou: see :func:`match`.
        footprints_BK4: of all objects, turned to the nearer axis.
        limits_2N: each object's ``positive`` and ``negative``.
    """
    pairs, anchors, device = int(around.size.sum()), len(layout.order), layout.order.device
    scenes, most = footprints_BK4.shape[:2]
    limits = sent(limits_2N, device)
    begin = np.cumsum(around.size) - around.size
    told = (around.scene, around.slot, around.first, around.width, around.line, begin, around.size)
    told_7N = sent(np.stack(told), device)

    object_P = torch.repeat_interleave(told_7N[6], output_size=pairs)
    scene, slot, first, width, line, start = told_7N[:6, object_P]
    within = torch.arange(pairs, device=device) - start
    place = first + within // width * line + within % width
    anchor = scene * anchors + layout.order[place]
    overlap = iou_aligned_pairs(layout.rectangles[place], footprints_BK4.flatten(0, 1)[scene * most + slot])
    positive, negative = limits[:, object_P]
    # the object's greatest overlap, and the anchor's
    top = torch.segment_reduce(overlap, "max", lengths=told_7N[6], unsafe=True)[object_P]
    best = overlap.new_full((scenes * anchors,), -1).scatter_reduce_(0, anchor, overlap, "amax")
    forced = (overlap == top) & (top > 0) & (top >= min_pos_iou)
    taken = (overlap == best[anchor]) & (overlap >= positive)
    # of what the pairs say of an anchor the lowest number counts
    says = torch.where(overlap >= negative, 2 * most, 2 * most + 1)
    says = torch.where(forced, slot, torch.where(taken, most + slot, says)).int()
    said = says.new_full((scenes * anchors,), 2 * most + 1).scatter_reduce_(0, anchor, says, "amin")
    return Told(best, said), anchor, slot


def _both(one: Told, other: Told, most: int) -> Told:
    """What objects say together, those of ``one`` being the first of their scenes."""
    least = torch.minimum(one.said, other.said)
    said = torch.where(least < most, least, torch.where(other.best > one.best, other.said, one.said))
    return Told(torch.maximum(one.best, other.best), said)


def sent(given: Tensor | np.ndarray, device: torch.device) -> Tensor:
    """On the device; from the host without waiting for it."""
    x = torch.from_numpy(given) if isinstance(given, np.ndarray) else given
    if device.type == "cuda" and x.device.type == "cpu":
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


@contextlib.contextmanager
def _any_order() -> Iterator[None]:
    """For the greatest and the least of numbers, the same in any order: where it must repeat itself, torch would refuse them."""
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if strict:
        torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        if strict:
            torch.use_deterministic_algorithms(True, warn_only=warns)


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


def focal_loss(logits: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """Focal loss of sigmoid outputs against bool targets, elementwise (Lin et al. 2017, alpha .25, gamma 2); 0 where not
    ``counted``."""
    wrong = logits * torch.where(targets, -1.0, 1.0)  # the logit of being wrong
    alpha = torch.where(targets, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    alpha = torch.where(counted, alpha, 0)
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
    counted: bool | None = None,
) -> dict[str, Tensor]:
    """The three losses ``box``, ``class``, ``direction`` with their weights: of each scene the sum over its anchors divided by
    the number of its matched ones, then the mean over the scenes.

    The publication divides by "the number of positive anchors" and does not say whether a scene's or a batch's. The code that
    its authors built on (second.pytorch, ``NormByNumPositives``) and OpenPCDet count scene by scene and average over the scenes,
    as here; mmdetection3d counts over the batch, so that scenes with many objects weigh more (for batches of one scene both are
    the same). By scenes, a batch that is accumulated or spread over devices has the gradient of the whole.

    The turn enters as the sine of its error, so that a box and the same box turned round cost the same.

    Args:
        found: the head's output.
        anchors_A7, class_A: the anchors and their classes.
        boxes_BK7, labels_BK: the objects, on the host; where they lie on a GPU it is waited for.
        classes: the kinds of anchors.
        min_pos_iou: see :func:`match`.
        layout: of the anchors, where it is known.
        counted: look at the matched anchors alone, whose number a GPU is waited for, instead of at all that stand around an
            object; None: on CPUs.
    """
    with torch.no_grad():
        layout = layout or lay_out(anchors_A7, class_A, len(classes))
        owner_BA, anchor, slot = match(layout, boxes_BK7, labels_BK, classes, min_pos_iou)
        boxes_BK7 = sent(boxes_BK7, owner_BA.device)
    positive_BA = owner_BA >= 0
    if counted is None:
        counted = anchor.device.type == "cpu"
    if counted:
        anchor = torch.nonzero(positive_BA.flatten())[:, 0]
        slot = owner_BA.flatten()[anchor]
    number_B = positive_BA.sum(1).clamp(min=1)
    number_N = torch.arange(found.classes.shape[-1], device=class_A.device)
    wanted = (class_A[:, None] == number_N) & positive_BA[..., None]
    classed = focal_loss(at_least_float(found.classes), wanted, (owner_BA != IGNORED)[..., None])

    # a row that is nobody's finds itself and weighs nothing
    own = owner_BA.flatten()[anchor] == slot
    scene = anchor // owner_BA.shape[1]
    share = torch.where(own, 1.0 / (number_B[scene] * len(number_B)), 0)
    stands = anchors_A7[anchor % owner_BA.shape[1]].to(classed.dtype)
    target = boxes_BK7.flatten(0, 1)[scene * boxes_BK7.shape[1] + slot].to(classed.dtype)
    target = torch.where(own[:, None], target, stands)
    code = encode(target, stands)
    written = found.boxes.flatten(0, 1).index_select(0, anchor).to(classed.dtype)
    written = torch.where(own[:, None], written, code)
    error = torch.cat([written[:, :6] - code[:, :6], torch.sin(written[:, 6:] - code[:, 6:])], 1)
    boxed = F.smooth_l1_loss(error, torch.zeros_like(error), beta=SMOOTH_BETA, reduction="none").sum(1)
    directions = found.directions.flatten(0, 1).index_select(0, anchor).to(classed.dtype)
    directions = torch.where(own[:, None], directions, 0)
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
