"""A simulated 64-beam spinning LiDAR in simple street scenes: cars, pedestrians and cyclists among poles, walls and bushes.

Everything stands on a ground plane and is made of upright rotated blocks, so that a ray's way to each is exact: what is nearer
hides what is behind (occlusion), the hit is moved along the ray by range noise, and some rays never come back, more of them
from far, dark or slanting surfaces (drop-out). Beams, height and noise are those of the Velodyne HDL-64E on KITTI's car.

Shape names: R rays, Q blocks, P points; lengths in metres, LiDAR frame (x forward, y left, z up).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

HEIGHT = 1.73  # of the LiDAR above the ground
BEAMS = np.deg2rad(np.concatenate([np.linspace(2.0, -8.33, 32), np.linspace(-8.83, -24.33, 32)]))
AZIMUTH_STEP = np.deg2rad(0.25)
FIELD = np.deg2rad(45.0)  # to either side: a little more than the camera sees
RANGE_NOISE = 0.02
FARTHEST = 80.0
OTHERS = (0, 3)  # poles, walls, bushes in a scene: from, to
# length, width, height: mean and deviation of KITTI's labels, rounded
SIZES = {
    "Car": ((3.9, 0.4), (1.63, 0.1), (1.53, 0.13)),
    "Pedestrian": ((0.84, 0.2), (0.66, 0.12), (1.76, 0.1)),
    "Cyclist": ((1.76, 0.15), (0.6, 0.1), (1.74, 0.1)),
}


class Cuboid(NamedTuple):
    """An upright block: centre, size, yaw, how much of the light it gives back (0..1), and whose part it is (-1: nobody's)."""

    x: float
    y: float
    z: float
    length: float
    width: float
    height: float
    yaw: float
    brightness: float
    owner: int


class LabelledObject(NamedTuple):
    """A labelled object: type and box (x, y, z of the centre, length, width, height, yaw)."""

    kind: str
    box: tuple[float, ...]


class Scan(NamedTuple):
    """What the LiDAR gives, and what stood there.

    Attributes:
        points: ``(P, 4)`` float32: x, y, z, reflectance.
        things: the objects.
        visible: for each object, the share of its rays that no other thing stops; 0 for one that no ray meets.
        hits: for each object, its points.
    """

    points: np.ndarray
    things: list[LabelledObject]
    visible: np.ndarray
    hits: np.ndarray


def _part(
    thing: LabelledObject, owner: int, ahead: float, up: tuple[float, float], size: tuple[float, float], light: float
) -> Cuboid:
    """A block of an object: ``ahead`` of its centre in lengths, between two heights, ``size`` in lengths and widths."""
    x, y, z, length, width, height, yaw = thing.box
    shift = ahead * length
    bottom = z - height / 2
    low, high = bottom + up[0] * height, bottom + up[1] * height
    place = (x + shift * np.cos(yaw), y + shift * np.sin(yaw), (low + high) / 2)
    return Cuboid(*place, size[0] * length, size[1] * width, high - low, yaw, light, owner)


def blocks_of(thing: LabelledObject, owner: int, light: float) -> list[Cuboid]:
    """What an object is made of; front and back differ."""
    if thing.kind == "Car":
        return [
            _part(thing, owner, 0.0, (0.12, 0.58), (1.0, 1.0), light),
            _part(thing, owner, -0.1, (0.58, 1.0), (0.52, 0.88), 0.4 * light),
        ]
    if thing.kind == "Pedestrian":
        return [
            _part(thing, owner, 0.0, (0.0, 0.48), (0.9, 0.5), light),
            _part(thing, owner, 0.02, (0.48, 0.85), (0.45, 1.0), light),
            _part(thing, owner, 0.05, (0.85, 1.0), (0.25, 0.3), 0.6),
        ]
    return [
        _part(thing, owner, 0.0, (0.0, 0.4), (1.0, 0.12), 0.7),
        _part(thing, owner, -0.1, (0.35, 0.62), (0.3, 0.6), light),
        _part(thing, owner, 0.02, (0.62, 0.88), (0.25, 0.9), light),
        _part(thing, owner, 0.05, (0.88, 1.0), (0.12, 0.35), 0.6),
    ]


def place_things(
    rng: np.random.Generator, limits: Sequence[float], counts: dict[str, tuple[int, int]]
) -> tuple[list[LabelledObject], list[Cuboid]]:
    """Objects and other things that do not meet, in the part of ``limits`` that the camera sees."""
    from ncp.metrics.boxes import intersection_bev

    things: list[LabelledObject] = []
    others: list[Cuboid] = []
    taken: list[tuple[float, ...]] = []
    street = rng.normal(0, 0.05)  # the road leads ahead; cars and cyclists follow it, either way

    def room(length: float, width: float, yaw: float, gap: float) -> tuple[float, float] | None:
        for _ in range(30):
            x = rng.uniform(max(limits[0], 3.0), limits[3])
            y = rng.uniform(limits[1], limits[4])
            if abs(y) > 0.75 * x or np.hypot(x, y) < 4:
                continue
            box = np.array([x, y, length + gap, width + gap, yaw])
            if not taken or intersection_bev(box, np.array(taken)).max() <= 0:
                taken.append(tuple(box))
                return x, y
        return None

    for kind, (least, most) in counts.items():
        for _ in range(int(rng.integers(least, most + 1))):
            length, width, height = (max(0.35, rng.normal(*spread)) for spread in SIZES[kind])
            along = street + rng.choice([0, np.pi]) + rng.normal(0, 0.08)
            yaw = rng.uniform(-np.pi, np.pi) if kind == "Pedestrian" else along
            place = room(length, width, yaw, 0.4)
            if place is not None:
                yaw = float((yaw + np.pi) % (2 * np.pi) - np.pi)
                things.append(LabelledObject(kind, (*place, height / 2 - HEIGHT, length, width, height, yaw)))
    shapes = ((0.25, 0.25, 3.0), (1.2, 1.0, 1.1), (5.0, 0.3, 2.0), (1.0, 0.7, 0.9), (2.5, 2.2, 2.6))
    for number in rng.integers(0, len(shapes), int(rng.integers(OTHERS[0], OTHERS[1] + 1))).tolist():
        length, width, height = (side * rng.uniform(0.8, 1.3) for side in shapes[number])
        yaw = rng.uniform(-np.pi, np.pi)
        place = room(length, width, yaw, 0.2)
        if place is not None:
            others.append(Cuboid(*place, height / 2 - HEIGHT, length, width, height, yaw, rng.uniform(0.2, 0.8), -1))
    return things, others


def rays() -> np.ndarray:
    """``(R, 3)`` unit directions of one turn, beam by beam."""
    azimuth = np.arange(-FIELD, FIELD, AZIMUTH_STEP)
    up, across = np.meshgrid(BEAMS, azimuth, indexing="ij")
    return np.stack([np.cos(up) * np.cos(across), np.cos(up) * np.sin(across), np.sin(up)], -1).reshape(-1, 3)


def distances(rays_R3: np.ndarray, blocks: Sequence[Cuboid]) -> tuple[np.ndarray, np.ndarray]:
    """How far each ray goes to each block, ``(R, Q)`` (infinite where it passes), and the cosine of the angle of incidence."""
    count = len(rays_R3)
    distance, incidence = np.full((count, len(blocks)), np.inf), np.ones((count, len(blocks)))
    azimuth = np.arctan2(rays_R3[:, 1], rays_R3[:, 0])
    for q, block in enumerate(blocks):
        reach = np.arcsin(min(1.0, np.hypot(block.length, block.width) / 2 / np.hypot(block.x, block.y)))
        near = np.flatnonzero(np.abs(azimuth - np.arctan2(block.y, block.x)) <= reach)
        cos, sin = np.cos(block.yaw), np.sin(block.yaw)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])  # rows times this: as the block sees it
        d, origin = rays_R3[near] @ turn, -np.array([block.x, block.y, block.z]) @ turn
        half = np.array([block.length, block.width, block.height]) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = (-half - origin) / d, (half - origin) / d
        enters, leaves = np.fmin(a, b), np.fmax(a, b)
        first, last = enters.max(1), leaves.min(1)
        hit = (first <= last) & (first > 0)
        distance[near[hit], q] = first[hit]
        incidence[near[hit], q] = np.abs(np.take_along_axis(d, enters.argmax(1)[:, None], 1)[hit, 0])
    return distance, incidence


def scan(things: Sequence[LabelledObject], others: Sequence[Cuboid], rng: np.random.Generator) -> Scan:
    """One turn of the LiDAR."""
    blocks = [*others]
    for number, thing in enumerate(things):
        blocks += blocks_of(thing, number, rng.uniform(0.35, 0.95))
    directions = rays()
    distance, incidence = distances(directions, blocks)
    slope = rng.normal(0, 0.004, 2)  # the ground is not quite level
    with np.errstate(divide="ignore"):
        ground = -HEIGHT / (directions[:, 2] - directions[:, :2] @ slope)
    ground[(ground <= 0) | ~np.isfinite(ground)] = np.inf
    everything = np.column_stack([distance, ground])
    nearest = everything.argmin(1)
    reach = everything[np.arange(len(nearest)), nearest]
    owners = np.array([block.owner for block in blocks] + [-1])
    light = np.array([block.brightness for block in blocks] + [rng.uniform(0.15, 0.35)])
    cosine = np.column_stack([incidence, np.abs(directions[:, 2])])[np.arange(len(nearest)), nearest]
    echo = light[nearest] * np.sqrt(cosine)

    lost = (
        rng.uniform(size=len(reach)) < 0.03 + 0.25 * np.clip(0.2 - echo, 0, 0.2) / 0.2 + reach.clip(0, FARTHEST) / 400
    )
    back = (reach < FARTHEST) & ~lost
    measured = reach[back] + rng.normal(0, RANGE_NOISE, int(back.sum()))
    points = np.column_stack(
        [directions[back] * measured[:, None], np.clip(echo[back] + rng.normal(0, 0.03, len(measured)), 0, 1)]
    )
    owner = owners[nearest]
    alone = [np.isfinite(distance[:, owners[:-1] == i]).any(1) for i in range(len(things))]
    visible = np.array([(owner[seen] == i).mean() if seen.any() else 0.0 for i, seen in enumerate(alone)])
    hits = np.array([int((owner[back] == i).sum()) for i in range(len(things))])
    return Scan(points.astype(np.float32), list(things), visible, hits)
