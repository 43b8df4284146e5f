"""Overlap of rotated boxes, exact and vectorised, and non-maximum suppression. One code for numpy arrays and torch tensors.

The intersection of two rectangles is found without sorting corners: seen from the first rectangle, the second one's
outline is walked edge by edge and the area under each edge, cut off at the first rectangle's sides, is added with the
sign of the edge's direction (Green's theorem for the cut-off height). Every edge contributes two trapezoids, so there are
no special cases: parallel, touching, nested and empty boxes need none, and gradients exist almost everywhere.

Shape names: N, M boxes; ``5`` is (x, y, length, width, yaw), ``7`` is (x, y, z, length, width, height, yaw) with z at the
centre of the box. Lengths in metres, the length along the heading, yaw in radians counter-clockwise from the x axis.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

BEV_OF_7 = (0, 1, 3, 4, 6)  # columns of a 3D box that make its bird's-eye view
AT_ONCE = 64  # boxes that are measured against all worse ones together: few enough for a processor's cache
_AHEAD = (0.5, -0.5, -0.5, 0.5)  # corners counter-clockwise from the front left one, in lengths ...
_LEFT = (0.5, 0.5, -0.5, -0.5)  # ... and in widths


def namespace(array: Any) -> Any:
    """``torch`` for a tensor, ``numpy`` for anything else; torch is never imported for an array."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else np


def corners_bev(boxes_N5: Any) -> tuple[Any, Any]:
    """Corners of boxes ``(..., 5)``: two arrays ``(..., 4)`` of x and y, counter-clockwise from the front left one."""
    xp = namespace(boxes_N5)
    x, y, length, width, yaw = (boxes_N5[..., i] for i in range(5))
    cos, sin = xp.cos(yaw), xp.sin(yaw)
    across = [(a * length, b * width) for a, b in zip(_AHEAD, _LEFT, strict=True)]
    return (
        xp.stack([x + u * cos - v * sin for u, v in across], -1),
        xp.stack([y + u * sin + v * cos for u, v in across], -1),
    )


def _area_under(x1: Any, y1: Any, x2: Any, y2: Any, half_x: Any, half_y: Any) -> Any:
    """Signed area between the edge (x1, y1)-(x2, y2) and the lower side of the rectangle |x| <= half_x, |y| <= half_y.

    The part of the edge beside the rectangle counts nothing, the part above it the full height, the part below it nothing.
    """
    xp = namespace(x1)
    zero, one = xp.zeros_like(x1), xp.ones_like(x1)

    def reached(start: Any, step: Any, level: Any) -> Any:
        """The fraction of the edge, within 0..1, at which it reaches a level."""
        safe = xp.where(step == 0, one, step)
        return xp.minimum(xp.maximum((level - start) / safe, zero), one)

    def cut(value: Any, half: Any) -> Any:
        return xp.minimum(xp.maximum(value, -half), half)

    dx = x2 - x1
    left, right = cut(x1, half_x), cut(x2, half_x)
    dy = y2 - y1
    y_left, y_right = y1 + dy * reached(x1, dx, left), y1 + dy * reached(x1, dx, right)
    rise = y_right - y_left
    knot_low, knot_high = reached(y_left, rise, -half_y), reached(y_left, rise, half_y)
    first, second = xp.minimum(knot_low, knot_high), xp.maximum(knot_low, knot_high)
    h0, h3 = cut(y_left, half_y), cut(y_right, half_y)
    h1, h2 = cut(y_left + rise * first, half_y), cut(y_left + rise * second, half_y)
    doubled = first * (h0 + h1) + (second - first) * (h1 + h2) + (1 - second) * (h2 + h3)
    return (right - left) * (doubled / 2 + half_y)


def intersection_bev(a_5: Any, b_5: Any) -> Any:
    """Area common to boxes ``(..., 5)`` and ``(..., 5)``, which broadcast against each other; shape ``(...)``.

    Exact but for rounding (about 1e-15 of the boxes' extent in float64). Boxes without extent have no area.
    """
    xp = namespace(a_5)
    cos, sin = xp.cos(a_5[..., 4]), xp.sin(a_5[..., 4])
    dx, dy = b_5[..., 0] - a_5[..., 0], b_5[..., 1] - a_5[..., 1]
    x, y = dx * cos + dy * sin, dy * cos - dx * sin  # centre of b as a sees it
    turn = b_5[..., 4] - a_5[..., 4]
    along_x, along_y = xp.cos(turn) * b_5[..., 2] / 2, xp.sin(turn) * b_5[..., 2] / 2
    side_x, side_y = -xp.sin(turn) * b_5[..., 3] / 2, xp.cos(turn) * b_5[..., 3] / 2
    outline = [  # clockwise, so that the area is positive
        (x + s * along_x + t * side_x, y + s * along_y + t * side_y) for s, t in ((1, 1), (1, -1), (-1, -1), (-1, 1))
    ]
    half_x, half_y = a_5[..., 2] / 2 + 0 * x, a_5[..., 3] / 2 + 0 * x
    area = xp.zeros_like(x)
    for (x1, y1), (x2, y2) in zip(outline, outline[1:] + outline[:1], strict=True):
        area = area + _area_under(x1, y1, x2, y2, half_x, half_y)
    return xp.maximum(area, xp.zeros_like(area))


def _ratio(common: Any, union: Any) -> Any:
    """``common / union`` within 0..1, and 0 where there is no union."""
    xp = namespace(common)
    positive = union > 0
    ratio = xp.where(positive, common, xp.zeros_like(common)) / xp.where(positive, union, xp.ones_like(union))
    return xp.minimum(ratio, xp.ones_like(ratio))


def iou_bev(a_N5: Any, b_M5: Any) -> Any:
    """Intersection over union of every pair: ``(N, M)`` of the inputs' kind and precision; 0 for boxes without area."""
    return _iou_bev(a_N5[:, None], b_M5[None])


def _iou_bev(a_5: Any, b_5: Any) -> Any:
    """Of boxes ``(..., 5)`` and ``(..., 5)``, which broadcast against each other."""
    common = intersection_bev(a_5, b_5)
    return _ratio(common, a_5[..., 2] * a_5[..., 3] + b_5[..., 2] * b_5[..., 3] - common)


def iou_3d(a_N7: Any, b_M7: Any) -> Any:
    """Intersection over union of the volumes of every pair: ``(N, M)``; 0 for boxes without volume."""
    xp = namespace(a_N7)
    columns = list(BEV_OF_7)
    a, b = a_N7[:, None], b_M7[None]
    top = xp.minimum(a[..., 2] + a[..., 5] / 2, b[..., 2] + b[..., 5] / 2)
    bottom = xp.maximum(a[..., 2] - a[..., 5] / 2, b[..., 2] - b[..., 5] / 2)
    shared_height = xp.maximum(top - bottom, xp.zeros_like(top))
    common = intersection_bev(a_N7[:, columns][:, None], b_M7[:, columns][None]) * shared_height
    volumes = a[..., 3] * a[..., 4] * a[..., 5] + b[..., 3] * b[..., 4] * b[..., 5]
    return _ratio(common, volumes - common)


def standing_bev(boxes_N5: Any) -> Any:
    """The axis-aligned rectangles ``(..., 4)`` (x1, y1, x2, y2) that enclose the boxes; used by axis-aligned suppression."""
    xp = namespace(boxes_N5)
    half_l, half_w = boxes_N5[..., 2] / 2, boxes_N5[..., 3] / 2
    cos, sin = xp.abs(xp.cos(boxes_N5[..., 4])), xp.abs(xp.sin(boxes_N5[..., 4]))
    reach_x, reach_y = half_l * cos + half_w * sin, half_l * sin + half_w * cos
    x, y = boxes_N5[..., 0], boxes_N5[..., 1]
    return xp.stack([x - reach_x, y - reach_y, x + reach_x, y + reach_y], -1)


def nearest_bev(boxes_N5: Any) -> Any:
    """The boxes ``(..., 5)`` turned to the nearer axis, as rectangles ``(..., 4)``; used to match anchors to objects."""
    xp = namespace(boxes_N5)
    swap = xp.abs(xp.sin(boxes_N5[..., 4])) > xp.abs(xp.cos(boxes_N5[..., 4]))
    length, width = boxes_N5[..., 2], boxes_N5[..., 3]
    half_x, half_y = xp.where(swap, width, length) / 2, xp.where(swap, length, width) / 2
    x, y = boxes_N5[..., 0], boxes_N5[..., 1]
    return xp.stack([x - half_x, y - half_y, x + half_x, y + half_y], -1)


def iou_aligned(a_N4: Any, b_M4: Any) -> Any:
    """Intersection over union of axis-aligned rectangles (x1, y1, x2, y2): ``(N, M)``; 0 where there is no area."""
    return iou_aligned_pairs(a_N4[:, None], b_M4[None])


def iou_aligned_pairs(a: Any, b: Any) -> Any:
    """The same of each rectangle with its own counterpart: ``(..., 4)`` twice to ``(...)``."""
    xp = namespace(a)
    width = xp.minimum(a[..., 2], b[..., 2]) - xp.maximum(a[..., 0], b[..., 0])
    height = xp.minimum(a[..., 3], b[..., 3]) - xp.maximum(a[..., 1], b[..., 1])
    common = xp.maximum(width, xp.zeros_like(width)) * xp.maximum(height, xp.zeros_like(height))
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return _ratio(common, area_a + area_b - common)


def _to_numpy(array: Any) -> np.ndarray:
    return np.asarray(array if namespace(array) is np else array.detach().cpu())


def suppress(
    boxes_N5: Any, scores_N: Any, threshold: float = 0.5, rotated: bool = False, most: int | None = None
) -> np.ndarray:
    """Greedy non-maximum suppression: the indices ``(K,)`` int64 of the boxes kept, best score first, ``most`` at most.

    A box is dropped when it overlaps an already kept one by more than ``threshold``. ``rotated=False`` measures overlap of
    the enclosing axis-aligned rectangles (Lang et al. 2019, section 3.2: as good as rotated, and faster). Equal scores keep
    the order given.
    """
    order = np.argsort(-_to_numpy(scores_N), kind="stable")
    if len(order) == 0:
        return order
    xp = namespace(boxes_N5)
    sorted_boxes = boxes_N5[order] if xp is np else boxes_N5[xp.from_numpy(order).to(boxes_N5.device)]
    rectangles = standing_bev(sorted_boxes)
    alive = np.ones(len(order), dtype=bool)
    for begin in range(0, len(order), AT_ONCE):
        left = begin + np.flatnonzero(alive[begin : begin + AT_ONCE])
        overlap = iou_aligned(rectangles[left], rectangles[begin:])
        if rotated:  # boxes whose rectangles lie apart do so themselves
            mine, other = np.nonzero(_to_numpy(overlap > 0))
            overlap[mine, other] = _iou_bev(sorted_boxes[left[mine]], sorted_boxes[begin + other])
        free = ~_to_numpy(overlap > threshold)
        for i, row in zip(left, free, strict=True):
            if alive[i]:
                alive[i + 1 :] &= row[i + 1 - begin :]
        done = begin + AT_ONCE
        if most is not None and np.count_nonzero(alive[:done]) >= most:  # those after them are not asked for
            alive[done:] = False
            break
    return order[alive][:most]
