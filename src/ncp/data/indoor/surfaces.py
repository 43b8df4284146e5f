"""From what the rays meet to points, normals, coordinates on the surface and materials.

Shape suffixes: N points, K parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ncp.data.indoor.casting import Camera, F, Hits
from ncp.data.indoor.parts import BALL, BOX, CYLINDER, Item, Material

SIDES = 6  # of a room, numbered 2 * axis + far


@dataclass
class Surface:
    """What every ray sees.

    Attributes:
        point, normal: ``(3, N)`` float32 in the room.
        across, up: ``(N,)`` coordinates on the surface in metres; of walls and upright sides ``up`` is the height.
        material: ``(N,)`` into ``materials``.
        what: ``(N,)`` object, -1 for the room.
        item: ``(N,)`` item, -1 for the room.
        materials: the room's six sides' and the parts'.
    """

    point: np.ndarray
    normal: np.ndarray
    across: np.ndarray
    up: np.ndarray
    material: np.ndarray
    what: np.ndarray
    item: np.ndarray
    materials: list[Material]


def dot(a_3N: np.ndarray, b_3N: np.ndarray) -> np.ndarray:
    """``(N,)`` scalar products."""
    out: np.ndarray = a_3N[0] * b_3N[0] + a_3N[1] * b_3N[1] + a_3N[2] * b_3N[2]
    return out


def surface(
    camera: Camera, ray_3N: np.ndarray, hits: Hits, room: tuple[float, float, float], items: Sequence[Item],
    sides: Sequence[Material],
) -> Surface:  # fmt: skip
    """Look everything up in one pass; ``sides`` are the materials of the room's six sides."""
    item, part = hits.item.ravel(), hits.part.ravel().astype(np.int64)
    point = camera.place.astype(F)[:, None] + hits.depth.reshape(1, -1) * ray_3N
    count = len(item)
    out = Surface(
        point, np.zeros((3, count), F), np.empty(count, F), np.empty(count, F), part,
        np.full(count, -1, np.int64), item, [*sides, *(p.material for i in items for p in i.parts)],
    )  # fmt: skip
    _room(out, np.flatnonzero(item < 0))
    inside = np.flatnonzero(item >= 0)
    if len(inside):
        _parts(out, inside, ray_3N[:, inside], items)
    return out


def _room(out: Surface, of: np.ndarray) -> None:
    side = out.material[of]
    axis, far = side // 2, side % 2
    out.normal[axis, of] = 1 - 2 * far
    x, y, z = out.point[:, of]
    out.across[of] = np.where(axis == 0, y, x)
    out.up[of] = np.where(axis == 2, y, z)


def _parts(out: Surface, of: np.ndarray, ray_3N: np.ndarray, items: Sequence[Item]) -> None:
    """Points on parts: into their item's frame, to the side that was entered, and back."""
    part, parts = out.material[of], [p for i in items for p in i.parts]
    cos, sin, x0, y0 = np.array([[math.cos(i.yaw), math.sin(i.yaw), i.x, i.y] for i in items], dtype=F).T[
        :, out.item[of]
    ]
    corners = np.array([[*p.low, *p.high] for p in parts], dtype=F).T[:, part]
    kind, what = np.array([[p.kind, p.what] for p in parts]).T[:, part]
    low, high = corners[:3], corners[3:]
    x, y, z = out.point[:, of]
    x, y = x - x0, y - y0
    local = np.stack([cos * x + sin * y, cos * y - sin * x, z])
    size = high - low
    scaled = (local - (low + high) / 2) * (2 / size)  # -1..1 inside
    towards = -np.sign(np.stack([cos * ray_3N[0] + sin * ray_3N[1], cos * ray_3N[1] - sin * ray_3N[0], ray_3N[2]]))
    # on a box the side is where the scaled point is at its border, counted in metres, on the side that the ray came from
    gap = np.abs(scaled * towards - 1) * size
    face, columns = gap.argmin(0), np.arange(len(of))
    normal = np.zeros_like(local)
    normal[face, columns] = towards[face, columns]
    upright = kind == CYLINDER
    mantle = upright & (scaled[0] ** 2 + scaled[1] ** 2 > 0.998) & (gap[2] > 1e-4)
    bent = np.flatnonzero((kind == BALL) | mantle)
    if len(bent):
        slope = scaled[:, bent] / size[:, bent]
        slope[2, mantle[bent]] = 0
        normal[:, bent] = slope / np.maximum(np.sqrt(dot(slope, slope)), 1e-9)
    caps = np.flatnonzero(upright & ~mantle)
    normal[:, caps] = 0
    normal[2, caps] = towards[2, caps]
    out.normal[:, of] = np.stack([cos * normal[0] - sin * normal[1], sin * normal[0] + cos * normal[1], normal[2]])
    flat, side = np.abs(normal[2]) > 0.7, np.abs(normal[0]) > np.abs(normal[1])
    out.across[of] = np.where(side & ~flat, local[1] - low[1], local[0] - low[0])
    out.up[of] = np.where(flat & (kind == BOX), local[1] - low[1], local[2] - low[2])
    out.material[of] = SIDES + part
    out.what[of] = what
