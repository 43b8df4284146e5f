"""Light in a room: what the walls give back, lamps and windows with their shadows, dark corners, and the camera's own traits.

Shape suffix: N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ncp.data.indoor.casting import F
from ncp.data.indoor.parts import Item
from ncp.data.indoor.surfaces import Surface, dot

CASTING = 2  # so many lights, the strongest ones, cast shadows


class Light(NamedTuple):
    """A point that shines: place in the room, strength at one metre, colour."""

    place: np.ndarray
    strength: float
    colour: np.ndarray


def lights(items: Sequence[Item], warm: np.ndarray, cool: np.ndarray) -> list[Light]:
    """The items' lights, the strongest first: windows are cool, lamps warm."""
    out = []
    for item in items:
        if item.lamp is not None:
            (x, y, z), strength = item.lamp
            cos, sin = np.cos(item.yaw), np.sin(item.yaw)
            place = np.array([item.x + cos * x - sin * y, item.y + sin * x + cos * y, z], dtype=F)
            out.append(Light(place, strength, cool if item.name == "window" else warm))
    return sorted(out, key=lambda light: -light.strength)


class Solids(NamedTuple):
    """The items' boxes, for shadows: frames ``(K, 4)`` (cosine, sine, x, y), half sizes ``(K, 2)``, heights, how dense."""

    frame: np.ndarray
    half: np.ndarray
    high: np.ndarray
    dense: np.ndarray
    item: np.ndarray

    @classmethod
    def of(cls, items: Sequence[Item]) -> Solids:
        """Of the items that hold up light and stand on the floor."""
        kept = [(i, item) for i, item in enumerate(items) if item.dense > 0]
        sizes = np.array([item.size for _, item in kept], dtype=F).reshape(-1, 3)
        return cls(
            np.array([[np.cos(item.yaw), np.sin(item.yaw), item.x, item.y] for _, item in kept], dtype=F).reshape(-1, 4),
            sizes[:, :2] / 2, sizes[:, 2],
            np.array([item.dense for _, item in kept], dtype=F), np.array([i for i, _ in kept]),
        )  # fmt: skip

    def local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(K, N)`` coordinates in every item's frame."""
        cos, sin, x0, y0 = self.frame.T[:, :, None]
        x, y = x - x0, y - y0
        return cos * x + sin * y, cos * y - sin * x

    def corners(self, point_3N: np.ndarray) -> np.ndarray:
        """``(N,)`` share of light that is left beside and beneath what stands on the floor."""
        x, y = self.local(*point_3N[:2])
        away = np.maximum(np.maximum(np.abs(x) - self.half[:, :1], np.abs(y) - self.half[:, 1:]), 0)
        dark = self.dense[:, None] * F(0.55) / (1 + (away * F(1 / 0.12)) ** 2)
        out: np.ndarray = (1 - dark).prod(0)
        return out

    def shadow(self, point_3N: np.ndarray, item_N: np.ndarray, light: np.ndarray) -> np.ndarray:
        """``(N,)`` share of a light that reaches points: an item's box holds up its share, and none of its own."""
        x, y = self.local(*point_3N[:2])
        lx, ly = self.local(*light[:2, None])
        enter, leave = F(0.02), F(0.98)
        for start, end, low, high in (
            (x, lx, -self.half[:, :1], self.half[:, :1]),
            (y, ly, -self.half[:, 1:], self.half[:, 1:]),
            (point_3N[2], light[2], F(0), self.high[:, None]),
        ):
            ray = end - start
            inverse = 1 / np.where(np.abs(ray) < 1e-6, F(1e-6), ray)
            a, b = (low - start) * inverse, (high - start) * inverse
            enter, leave = np.maximum(enter, np.minimum(a, b)), np.minimum(leave, np.maximum(a, b))
        # the longer the way through, the darker: thin crossings give soft edges
        held = np.clip((leave - enter) * F(12), 0, 1) * self.dense[:, None]
        held[self.item[:, None] == item_N] = 0
        out: np.ndarray = (1 - held).prod(0)
        return out


def lit(
    seen: Surface, colour_N3: np.ndarray, room: tuple[float, float, float], items: Sequence[Item], eye: np.ndarray,
    shining: Sequence[Light], ambient: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """``(N, 3)`` light that comes from every point, not yet limited."""
    point, normal = seen.point, seen.normal
    gloss, glow = np.array([[m.gloss, m.glow] for m in seen.materials], dtype=F).T[:, seen.material]
    solids = Solids.of(items)
    base = (F(0.8) + F(0.2) * normal[2]) * _occlusion(seen, room, solids)
    total = base[:, None] * ambient
    shine = np.zeros_like(base)
    back = unit(eye.astype(F)[:, None] - point)
    for number, light in enumerate(shining):
        way = light.place[:, None] - point
        far = np.maximum(np.sqrt(dot(way, way)), F(0.3))
        way /= far
        direct = np.maximum(dot(way, normal), 0) * F(light.strength * 2) / (1 + F(0.45) * far * far)
        if number < CASTING:
            if len(solids.item):
                direct *= F(0.25) + F(0.75) * solids.shadow(point, seen.item, light.place)
            spot = np.maximum(dot(unit(way + back), normal), 0) ** 2
            spot *= spot
            spot *= spot
            shine += spot * spot * spot * gloss * F(light.strength * 0.35)
        total += direct[:, None] * light.colour
    out: np.ndarray = colour_N3 * np.maximum(total, glow[:, None] * F(1.5)) + shine[:, None]
    return out


def _occlusion(seen: Surface, room: tuple[float, float, float], solids: Solids) -> np.ndarray:
    """``(N,)`` share of the walls' light that is left along the room's edges and where things stand."""
    x, y, z = (np.minimum(part, F(side) - part) for part, side in zip(seen.point, room, strict=True))
    # to the second nearest side: 0 along the edges
    near = np.maximum(np.minimum(x, y), np.minimum(np.maximum(x, y), z))
    out = np.where(seen.item < 0, F(0.55) + F(0.45) * near / (near + F(0.12)), F(1))
    floor = np.flatnonzero((seen.item < 0) & (seen.point[2] < 0.01))
    if len(floor) and len(solids.item):
        out[floor] *= solids.corners(seen.point[:, floor])
    return out


def unit(a_3N: np.ndarray) -> np.ndarray:
    """Vectors of length 1."""
    out: np.ndarray = a_3N / np.maximum(np.sqrt(dot(a_3N, a_3N)), F(1e-6))
    return out
