"""The camera's rays against the room and its parts.

Each item's parts are met in the item's own frame, by the rays inside the rectangle of pixels that the item can cover; a convex
part is where the intervals of all its slabs overlap. What is nearest stays.

Shape suffixes: H height, W width, N rays, K parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ncp.data.indoor.parts import BALL, BOX, CYLINDER, Item

F = np.float32
FAR = F(1e9)
NEAR = 0.05  # metres in front of the camera that nothing is drawn in


@dataclass(frozen=True)
class Camera:
    """A pinhole.

    Attributes:
        place: ``(3,)`` in the room.
        turn: ``(3, 3)``: columns are the camera's axes in the room: x right, y up, z back (it looks along -z).
        focal: in half widths of the picture.
    """

    place: np.ndarray
    turn: np.ndarray
    focal: float

    def rays(self, size: tuple[int, int]) -> np.ndarray:
        """``(H, W, 3)`` float32 directions through the pixels' centres, not of unit length: depth along -z is 1."""
        height, width = size
        x = (np.arange(width) + 0.5) * (2 / width) - 1
        y = height / width - (np.arange(height) + 0.5) * (2 / width)
        right, up, back = self.turn.T
        across = x[None, :, None] * right / self.focal
        out: np.ndarray = (across + y[:, None, None] * up / self.focal - back).astype(F)
        out[np.abs(out) < 1e-6] = F(1e-6)  # none is quite parallel to a wall
        return out


@dataclass
class Hits:
    """What every ray meets first.

    Attributes:
        depth: ``(H, W)`` along the ray, in multiples of its direction.
        item, part: ``(H, W)`` which item (-1: the room) and which of all parts (of the room: which side, see ``room``).
    """

    depth: np.ndarray
    item: np.ndarray
    part: np.ndarray


def cast(camera: Camera, rays_HW3: np.ndarray, room: tuple[float, float, float], items: Sequence[Item]) -> Hits:
    """The nearest part of every ray. The room is the box from the origin to ``room``; its sides are numbered ``2 axis + far``."""
    height, width = rays_HW3.shape[:2]
    wall = (np.where(rays_HW3 > 0, np.asarray(room, dtype=F), F(0)) - camera.place.astype(F)) / rays_HW3
    axis = wall.argmin(2)
    depth = np.take_along_axis(wall, axis[..., None], 2)[..., 0]
    side = 2 * axis + (np.take_along_axis(rays_HW3, axis[..., None], 2)[..., 0] > 0)
    hits = Hits(depth, np.full((height, width), -1, np.int16), side.astype(np.int16))
    if not items:
        return hits
    corners = np.array([[*p.low, *p.high] for item in items for p in item.parts], dtype=F)
    kinds = np.array([p.kind for item in items for p in item.parts])
    ends = np.cumsum([0, *(len(item.parts) for item in items)])
    windows = _windows(camera, items, corners, ends[:-1], (height, width))
    for number, (item, window) in enumerate(zip(items, windows, strict=True)):
        if window is not None:
            own = slice(ends[number], ends[number + 1])
            found = Hits(depth[window], hits.item[window], hits.part[window])
            _meet(camera, rays_HW3[window], item, corners[own], kinds[own], found, number, int(ends[number]))
    return hits


_CORNERS = np.array([[(i >> axis) & 1 for axis in range(3)] for i in range(8)], dtype=F)


def _windows(
    camera: Camera, items: Sequence[Item], corners_K6: np.ndarray, firsts: np.ndarray, size: tuple[int, int]
) -> list[tuple[slice, slice] | None]:
    """Rows and columns that each item's box can cover, None where it is not in the picture."""
    low = np.minimum.reduceat(corners_K6[:, :3], firsts)[:, None]
    high = np.maximum.reduceat(corners_K6[:, 3:], firsts)[:, None]
    x, y, z = np.moveaxis(low + _CORNERS * (high - low), 2, 0)
    frames = np.array([[math.cos(i.yaw), math.sin(i.yaw), i.x, i.y] for i in items])[:, :, None]
    cos, sin = frames[:, 0], frames[:, 1]
    world = np.stack([frames[:, 2] + cos * x - sin * y, frames[:, 3] + sin * x + cos * y, z], 2)
    seen = (world - camera.place) @ camera.turn
    ahead = -seen[..., 2]
    height, width = size
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (seen[..., 0] / ahead * camera.focal + 1) * width / 2
        v = height / 2 - seen[..., 1] / ahead * camera.focal * width / 2
    nearest, farthest = ahead.min(1).tolist(), ahead.max(1).tolist()
    bounds = np.stack([v.min(1) - 1, v.max(1) + 2, u.min(1) - 1, u.max(1) + 2], 1)
    limits = np.clip(np.nan_to_num(bounds), 0, (height, height, width, width)).astype(int).tolist()
    out: list[tuple[slice, slice] | None] = []
    for near, far, (top, bottom, left, right) in zip(nearest, farthest, limits, strict=True):
        if near < NEAR <= far:  # it reaches behind the camera: anywhere
            out.append((slice(0, height), slice(0, width)))
        else:
            seen_at_all = far >= NEAR and top < bottom and left < right
            out.append((slice(top, bottom), slice(left, right)) if seen_at_all else None)
    return out


def _meet(
    camera: Camera,
    rays_hw3: np.ndarray,
    item: Item,
    corners: np.ndarray,
    kinds: np.ndarray,
    hits: Hits,
    number: int,
    first: int,
) -> None:
    """Write an item's parts into a window of the hits where they are nearer."""
    origin, ray_3N = into_frame(item, camera.place, rays_hw3.reshape(-1, 3))
    enter = np.empty((len(kinds), ray_3N.shape[1]), dtype=F)
    for kind in (BOX, CYLINDER, BALL):
        of = np.flatnonzero(kinds == kind)
        if len(of):
            enter[of] = _enter(kind, origin, ray_3N, corners[of])
    nearest = enter.argmin(0)
    depth = enter[nearest, np.arange(enter.shape[1])].reshape(hits.depth.shape)
    nearer = depth < hits.depth
    hits.depth[nearer] = depth[nearer]
    hits.item[nearer] = number
    hits.part[nearer] = first + nearest.reshape(nearer.shape)[nearer]


def into_frame(item: Item, place: np.ndarray, rays_N3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A place ``(3,)`` and directions ``(3, N)`` as an item's frame has them."""
    cos, sin = F(math.cos(item.yaw)), F(math.sin(item.yaw))
    dx, dy = place[0] - item.x, place[1] - item.y
    origin = np.array([cos * dx + sin * dy, cos * dy - sin * dx, place[2]], dtype=F)
    x, y, z = rays_N3.T
    return origin, np.stack([cos * x + sin * y, cos * y - sin * x, z])


def _enter(kind: int, origin: np.ndarray, ray_3N: np.ndarray, corners_K6: np.ndarray) -> np.ndarray:
    """``(K, N)`` where the rays enter parts of one kind, FAR where they miss."""
    enter, leave = _slab(origin[2], ray_3N[2], corners_K6[:, 2], corners_K6[:, 5])
    if kind == BOX:
        for axis in (0, 1):
            a, b = _slab(origin[axis], ray_3N[axis], corners_K6[:, axis], corners_K6[:, axis + 3])
            np.maximum(enter, a, out=enter)
            np.minimum(leave, b, out=leave)
    else:
        axes = (0, 1) if kind == CYLINDER else (0, 1, 2)
        a, b = round_body(origin, ray_3N, corners_K6, axes)
        enter, leave = (np.maximum(enter, a), np.minimum(leave, b)) if kind == CYLINDER else (a, b)
    return np.where((enter < leave) & (enter > F(NEAR)), enter, FAR)


def _slab(origin: float, ray_N: np.ndarray, low_K: np.ndarray, high_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inverse = 1 / np.where(np.abs(ray_N) < 1e-7, F(1e-7), ray_N)
    a, b = (low_K - origin)[:, None] * inverse, (high_K - origin)[:, None] * inverse
    return np.minimum(a, b), np.maximum(a, b)


def round_body(
    origin: np.ndarray, ray_3N: np.ndarray, corners_K6: np.ndarray, axes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """``(K, N)`` where rays enter and leave the ellipses (two axes) or ellipsoids (three) inside boxes."""
    a = b = c = F(0)
    for axis in axes:
        low, high = corners_K6[:, axis], corners_K6[:, axis + 3]
        radius = (high - low) / 2
        o, d = ((origin[axis] - (low + high) / 2) / radius)[:, None], ray_3N[axis] / radius[:, None]
        a, b, c = a + d * d, b + o * d, c + o * o
    root2 = b * b - a * (c - 1)
    root = np.sqrt(np.maximum(root2, 0))
    miss = root2 <= 0
    a = np.maximum(a, F(1e-9))
    return np.where(miss, FAR, (-b - root) / a), np.where(miss, -FAR, (-b + root) / a)
