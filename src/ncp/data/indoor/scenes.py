"""One indoor scene and all that is true of it: picture, normals, semantic classes, objects, kind of room, layout.

A scene follows from its generator's seed. Normals are in the camera's coordinates (x right, y up, z towards the camera), as
bytes around 127.5. The layout is the room as a box, as Taskonomy has it: the box's centre in the camera's coordinates, the Euler
angles (static x, y, z) of the camera in a frame whose x axis is the wall direction nearest to where the camera looks, and the
box's size along that frame's axes; standardised by :data:`LAYOUT_MEAN` and :data:`LAYOUT_STD`.

Shape suffixes: H height, W width, N pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ncp.data.indoor.casting import Camera, F, cast
from ncp.data.indoor.lighting import lights, lit
from ncp.data.indoor.materials import Rng
from ncp.data.indoor.names import CEILING, FLOOR, OBJECTS, SCENES, SEMANTIC_OF, WALL
from ncp.data.indoor.rooms import Room, furnish
from ncp.data.indoor.surfaces import Surface, dot, surface
from ncp.data.indoor.textures import colours

# of 4,000 scenes: centre, angles, size; metres and radians
LAYOUT_MEAN = np.array([0.011, 0.119, -1.419, 1.416, 0.001, -1.561, 4.753, 4.221, 2.749])
LAYOUT_STD = np.array([1.144, 0.360, 1.081, 0.140, 0.026, 0.436, 1.611, 1.534, 0.260])
TRIES = 4  # scenes that show hardly any object are drawn again
SHOWN = 0.1  # of the pixels that must show objects
PLAIN = (
    "door",
    "window",
    "picture",
    "hanging lamp",
    "rug",
    "plant",
    "mirror",
)  # what every kind of room has: cameras seldom aim at these


@dataclass(frozen=True)
class Scene:
    """All that is true of one picture.

    Attributes:
        image: ``(3, H, W)`` uint8.
        normal: ``(3, H, W)`` uint8, 127.5 (1 + n).
        semantic: ``(H, W)`` uint8 into :data:`ncp.data.indoor.names.SEMANTIC`.
        objects: ``(28,)`` float32 shares of the pixels that show objects; their sum is 1.
        scene: into :data:`ncp.data.indoor.names.SCENES`.
        layout: ``(9,)`` float32, standardised.
    """

    image: np.ndarray
    normal: np.ndarray
    semantic: np.ndarray
    objects: np.ndarray
    scene: int
    layout: np.ndarray


def draw_scene(rng: Rng, size: tuple[int, int] = (64, 64)) -> Scene:
    """One scene of a kind of room at random."""
    kind = int(rng.integers(len(SCENES)))
    for _ in range(TRIES):
        room = furnish(SCENES[kind], rng)
        camera = _camera(room, rng)
        rays = camera.rays(size)
        hits = cast(camera, rays, room.size, room.items)
        if (hits.item >= 0).mean() > SHOWN:
            break
    ray_3N = np.ascontiguousarray(rays.reshape(-1, 3).T)
    seen = surface(camera, ray_3N, hits, room.size, room.items, room.sides)
    image = _develop(_shade(seen, camera, room, ray_3N, hits.depth, rng), size, rng)
    normal = camera.turn.T.astype(F) @ seen.normal
    return Scene(
        image=image,
        normal=np.rint((normal + 1) * F(127.5)).astype(np.uint8).reshape(3, *size),
        semantic=_semantic(seen).reshape(size),
        objects=_objects(seen),
        scene=kind,
        layout=((layout(camera, room.size) - LAYOUT_MEAN) / LAYOUT_STD).astype(F),
    )


def _camera(room: Room, rng: Rng) -> Camera:
    """At the height of a person, looking into the room, a little down."""
    x, y = room.eye
    aim = rng.uniform(0.25, 0.75, 2) * room.size[:2]
    telling = [item for item in room.items if item.name not in PLAIN]
    if telling and rng.random() < 0.85:
        large = np.array([item.size[0] * item.size[2] for item in telling])
        item = telling[int(rng.choice(len(telling), p=large / large.sum()))]
        aim = np.array([item.x, item.y])
    yaw = math.atan2(aim[1] - y, aim[0] - x) + rng.normal(0, 0.22)
    pitch, roll = math.radians(rng.normal(-9, 8)), math.radians(rng.normal(0, 1.5))
    ahead = np.array([math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    up = np.cross(right, ahead)
    right, up = math.cos(roll) * right + math.sin(roll) * up, math.cos(roll) * up - math.sin(roll) * right
    focal = 1 / math.tan(math.radians(rng.uniform(64, 88)) / 2)
    return Camera(np.array([x, y, rng.uniform(1.2, 1.75)]), np.stack([right, up, -ahead], 1), focal)


def _shade(seen: Surface, camera: Camera, room: Room, ray_3N: np.ndarray, depth: np.ndarray, rng: Rng) -> np.ndarray:
    """``(N, 3)`` light."""
    length = np.sqrt(dot(ray_3N, ray_3N))
    slant = np.abs(dot(ray_3N, seen.normal)) / length
    wide = depth.ravel() * length * F(2 / (camera.focal * depth.shape[1])) / np.maximum(slant, F(0.15))
    warm = np.array([1.0, rng.uniform(0.82, 0.97), rng.uniform(0.6, 0.92)], dtype=F)
    cool = np.array([rng.uniform(0.85, 1.0), rng.uniform(0.94, 1.0), 1.0], dtype=F)
    shining = lights(room.items, warm, cool)[:4]
    ambient = (0.5 * (warm + cool) * rng.uniform(0.25, 0.6)).astype(F)
    return lit(seen, colours(seen, wide), room.size, room.items, camera.place, shining, ambient)


def _develop(light_N3: np.ndarray, size: tuple[int, int], rng: Rng) -> np.ndarray:
    """``(3, H, W)`` uint8: exposed for the scene, with a camera's curve, darker corners and noise."""
    height, width = size
    grey = light_N3 @ np.array([0.3, 0.59, 0.11], dtype=F)
    exposed: np.ndarray = light_N3 * F(rng.uniform(0.50, 0.68) / max(float(np.quantile(grey, 0.7)), 0.05))
    exposed = exposed / (1 + F(0.35) * exposed) * F(1.3)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(F)
    exposed *= (1 - F(rng.uniform(0, 0.12)) * (x * x + y * y)).reshape(-1, 1)
    out = np.power(np.maximum(exposed, 0), F(1 / 1.25))
    out += rng.standard_normal(out.shape, dtype=F) * F(rng.uniform(0.004, 0.015))
    pixels: np.ndarray = np.clip(np.rint(out * 255), 0, 255).astype(np.uint8)
    return pixels.reshape(height, width, 3).transpose(2, 0, 1)


def _semantic(seen: Surface) -> np.ndarray:
    sides = np.array([WALL, WALL, WALL, WALL, FLOOR, CEILING], dtype=np.uint8)
    out: np.ndarray = np.where(seen.what < 0, sides[np.minimum(seen.material, 5)], SEMANTIC_OF[seen.what])
    return out


def _objects(seen: Surface) -> np.ndarray:
    counts = np.bincount(seen.what[seen.what >= 0], minlength=len(OBJECTS)).astype(F)
    total = float(counts.sum())
    return counts / F(total) if total else np.full(len(OBJECTS), 1 / len(OBJECTS), F)


def layout(camera: Camera, room: tuple[float, float, float]) -> np.ndarray:
    """``(9,)`` the room as a box around the camera, in metres and radians (see the head of this module)."""
    ahead = -camera.turn[:, 2]
    quarter = round(math.atan2(ahead[1], ahead[0]) / (math.pi / 2))
    cos, sin = round(math.cos(quarter * math.pi / 2)), round(math.sin(quarter * math.pi / 2))
    world = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])  # into the frame whose x is nearest to the view
    turn = world @ camera.turn
    angles = (
        math.atan2(turn[2, 1], turn[2, 2]),
        math.atan2(-turn[2, 0], math.hypot(turn[0, 0], turn[1, 0])),
        math.atan2(turn[1, 0], turn[0, 0]),
    )
    centre = camera.turn.T @ (np.array(room) / 2 - camera.place)
    return np.array([*centre, *angles, *np.abs(world @ np.array(room))])
