"""The built-in segmentation set: procedural street scenes, drawn from a seed, no files.

A camera looks along a street: road, sidewalks, facades of buildings with windows, fences, hedges and gaps through which the
sky shows, all in perspective and exact per pixel; in it stand cars, people, trees, and poles with signs, near and far.
Colours, light, haze and shadows vary from scene to scene, so that colour alone does not tell the class: texture and context
(depth, receptive field) and fine detail (poles one pixel wide, signs and people of a few: resolution) do.

Ten of Cityscapes' nineteen classes. Shape suffixes: H height, W width, 3 colours; lengths are metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ncp.data.cityscapes import CLASSES as CITYSCAPES
from ncp.data.segmentation import ArrayPairs, SegmentationData, SegmentationSet

NAMES = ("road", "sidewalk", "building", "fence", "pole", "traffic sign", "vegetation", "sky", "person", "car")
ROAD, SIDEWALK, BUILDING, FENCE, POLE, SIGN, VEGETATION, SKY, PERSON, CAR = range(len(NAMES))
CAMERA = 1.6  # height of the camera
FAR = 120.0  # nothing is drawn beyond


class View(NamedTuple):
    """The camera: focal length in pixels, vanishing point, and the light of the scene."""

    focal: float
    x0: float
    y0: float
    haze: float
    sky: np.ndarray
    light: float


class Canvas(NamedTuple):
    """What is being drawn: colours 0..1 and classes."""

    image_HW3: np.ndarray
    label_HW: np.ndarray


def draw_scene(rng: np.random.Generator, size: tuple[int, int] = (64, 128)) -> tuple[np.ndarray, np.ndarray]:
    """One scene: ``(3, H, W)`` uint8 image and ``(H, W)`` uint8 classes."""
    height, width = size
    view = View(
        focal=width * rng.uniform(0.45, 0.65),
        x0=width * rng.uniform(0.35, 0.65),
        y0=height * rng.uniform(0.38, 0.5),
        haze=rng.uniform(0.002, 0.015),
        sky=np.clip(rng.uniform(0.5, 0.95) + rng.uniform(-0.12, 0.12, 3), 0, 1),
        light=rng.uniform(0.7, 1.15),
    )
    canvas = Canvas(np.empty((height, width, 3)), np.empty((height, width), dtype=np.uint8))
    half_road, pavement = rng.uniform(3.0, 6.5), rng.uniform(1.5, 4.0)
    _draw_street(canvas, view, rng, half_road, pavement)
    _draw_things(canvas, view, rng, half_road, pavement)
    image = canvas.image_HW3 * view.light + rng.normal(0, rng.uniform(0.005, 0.025), (height, width, 1))
    image = image + rng.normal(0, 0.008, image.shape)
    return np.clip(image * 255, 0, 255).astype(np.uint8).transpose(2, 0, 1), canvas.label_HW


def _draw_street(canvas: Canvas, view: View, rng: np.random.Generator, half_road: float, pavement: float) -> None:
    """Sky, ground and the two rows of facades, by intersecting every pixel's ray with them."""
    height, width = canvas.label_HW.shape
    y, x = np.mgrid[0:height, 0:width] + 0.5
    across = np.where(np.abs(x - view.x0) < 0.5, 0.5, x - view.x0)
    wall_z = view.focal * (half_road + pavement) / np.abs(across)
    ground_z = np.where(y > view.y0, view.focal * CAMERA / np.maximum(y - view.y0, 1e-3), 1e9)
    canvas.image_HW3[:] = view.sky * (0.75 + 0.25 * (y / height)[..., None]) + 0.04 * np.sin(x / 9 + y / 5)[..., None]
    canvas.label_HW[:] = SKY
    rise = CAMERA + (view.y0 - y) * wall_z / view.focal  # height above ground where the ray meets the facade
    for side in (-1, 1):
        mask = (across * side > 0) & (wall_z < ground_z)
        _draw_facades(canvas, view, rng, mask, np.minimum(wall_z, FAR), rise)

    ground = (ground_z <= wall_z) & (y > view.y0)
    z, lateral = ground_z[ground], (across * ground_z)[ground] / view.focal
    grey = rng.uniform(0.22, 0.5)
    tint = rng.uniform(-0.03, 0.03, 3)
    shadow = 1 - rng.uniform(0, 0.45) * (np.sin(z / rng.uniform(1.5, 5) + rng.uniform(0, 6)) > 0.4)
    stripes = (np.abs(lateral) < 0.12) & (np.mod(z, 6) < 3) | (np.abs(np.abs(lateral) - half_road + 0.3) < 0.1)
    tiles = ((np.mod(lateral, 0.8) < 0.1) | (np.mod(z, 0.8) < 0.1)) & (z < 12)
    walk = grey + rng.uniform(-0.06, 0.2) - 0.1 * tiles
    on_road = np.abs(lateral) < half_road
    colour = (np.where(on_road, grey + 0.4 * stripes, walk) * shadow)[:, None] + tint
    _paint(canvas, view, ground, colour, ground_z, SIDEWALK)
    canvas.label_HW[ground] = np.where(on_road, ROAD, SIDEWALK)


def _draw_facades(
    canvas: Canvas, view: View, rng: np.random.Generator, mask: np.ndarray, z: np.ndarray, rise: np.ndarray
) -> None:
    """One side of the street: segments of buildings, fences with trees or sky above, and hedges."""
    ends = np.cumsum(rng.uniform(5, 16, 24)) + rng.uniform(-3, 3)
    index = np.minimum(np.searchsorted(ends, z), len(ends) - 1)
    kinds = rng.choice([BUILDING, FENCE, VEGETATION], size=len(ends), p=[0.6, 0.22, 0.18])
    tops = np.where(kinds == BUILDING, rng.uniform(5, 16, len(ends)), np.where(kinds == FENCE, 1.7, 2.6))
    colours = np.clip(rng.uniform(0.25, 0.8, (len(ends), 1)) + rng.uniform(-0.16, 0.16, (len(ends), 3)), 0, 1)
    kind, top = kinds[index], tops[index]
    period, floor = rng.uniform(1.6, 3.2, len(ends))[index], rng.uniform(2.4, 3.4, len(ends))[index]

    behind = mask & (rise < 5.5 + np.sin(z * 0.9) * 1.3) & (kind != BUILDING) & (rng.random(len(ends))[index] < 0.6)
    _paint(canvas, view, behind, _leaves(rng, z[behind], rise[behind]), z, VEGETATION)
    visible = mask & (rise < top)

    m = visible & (kind == BUILDING)
    window = (np.mod(z[m], period[m]) < 0.55 * period[m]) & (np.mod(rise[m], floor[m]) > 0.4 * floor[m])
    glass = rng.uniform(-0.35, 0.25, len(ends))[index[m]]
    _paint(canvas, view, m, colours[index[m]] + (glass * window)[:, None], z, BUILDING)
    m = visible & (kind == FENCE)
    slats = np.mod(z[m], 0.7) < 0.3
    _paint(canvas, view, m, colours[index[m]] - 0.22 * slats[:, None], z, FENCE)
    m = visible & (kind == VEGETATION)
    _paint(canvas, view, m, _leaves(rng, z[m], rise[m]), z, VEGETATION)


def _leaves(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A mottled surface, mostly green."""
    colour = np.array([rng.uniform(0.12, 0.45), rng.uniform(0.3, 0.5), rng.uniform(0.08, 0.3)])
    mottle = 0.6 + 0.5 * rng.random(u.shape) + 0.15 * np.sin(3.1 * u) * np.sin(4.3 * v)
    return colour * mottle[..., None]


def _paint(
    canvas: Canvas, view: View, mask_HW: np.ndarray, colour_M3: np.ndarray, depth_HW: np.ndarray, kind: int
) -> None:
    """Give the M masked pixels their colours, fading into the sky's with distance, and label them."""
    fade = np.exp(-view.haze * depth_HW[mask_HW])[:, None]
    canvas.image_HW3[mask_HW] = colour_M3 * fade + view.sky * (1 - fade)
    canvas.label_HW[mask_HW] = kind


class Thing(NamedTuple):
    """Something that stands on the ground: class, lateral place and distance."""

    kind: int
    x: float
    z: float


def _draw_things(canvas: Canvas, view: View, rng: np.random.Generator, half_road: float, pavement: float) -> None:
    """Cars on the road, the rest on the sidewalks; far ones first."""
    things = []
    for kind, number in ((CAR, rng.integers(2, 8)), (PERSON, rng.integers(2, 8)), (POLE, rng.integers(2, 7))):
        things += [_place(kind, rng, half_road, pavement) for _ in range(number)]
    things += [_place(VEGETATION, rng, half_road, pavement) for _ in range(rng.integers(0, 4))]
    for thing in sorted(things, key=lambda t: -t.z):
        _DRAW[thing.kind](canvas, view, rng, thing)


def _place(kind: int, rng: np.random.Generator, half_road: float, pavement: float) -> Thing:
    side = rng.choice([-1.0, 1.0])
    if kind == CAR:
        return Thing(kind, side * rng.uniform(0.35, 0.85) * half_road, 5 + 30 * rng.random() ** 1.4)
    near = 4.0 if kind == PERSON else 5.0
    return Thing(kind, side * (half_road + pavement * rng.uniform(0.1, 0.85)), near + 30 * rng.random() ** 1.5)


def _box(
    canvas: Canvas, view: View, thing: Thing, size: tuple[float, float], up: float = 0.0, side: float = 0.0
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The pixels of an upright rectangle ``size`` (width, height) whose lower edge is ``up`` above the ground.

    Returns the slices, and the coordinates of their pixels inside the rectangle (-1..1 across, 0..1 up). At least one pixel
    wide and high where it is inside the picture at all.
    """
    scale = view.focal / thing.z
    centre, foot = view.x0 + (thing.x + side) * scale, view.y0 + (CAMERA - up) * scale
    w, h = max(1.0, size[0] * scale), max(1.0, size[1] * scale)
    rows = slice(max(0, round(foot - h)), max(0, round(foot)))
    columns = slice(max(0, round(centre - w / 2)), max(0, round(centre + w / 2)))
    region = canvas.label_HW[rows, columns].shape
    v = (foot - (np.arange(region[0]) + rows.start + 0.5)) / h
    u = (np.arange(region[1]) + columns.start + 0.5 - centre) / (w / 2)
    return (rows, columns), *np.meshgrid(u, v)


def _stamp(
    canvas: Canvas, view: View, where: tuple[slice, slice], mask: np.ndarray, colour: np.ndarray, z: float, kind: int
) -> None:
    fade = np.exp(-view.haze * z)
    part = Canvas(canvas.image_HW3[where], canvas.label_HW[where])
    colours = np.broadcast_to(colour, (*mask.shape, 3))
    part.image_HW3[mask] = colours[mask] * fade + view.sky * (1 - fade)
    part.label_HW[mask] = kind


def _draw_car(canvas: Canvas, view: View, rng: np.random.Generator, thing: Thing) -> None:
    where, u, v = _box(canvas, view, thing, (rng.uniform(1.7, 2.1), rng.uniform(1.4, 1.7)))
    body = (v < 0.55) & (v > 0.08) | (np.abs(u) < 0.95 - 0.5 * np.maximum(v - 0.45, 0)) & (v >= 0.5)
    wheels = (np.abs(np.abs(u) - 0.75) < 0.18) & (v < 0.2)
    glass = (np.abs(u) < 0.75) & (v > 0.58) & (v < 0.92)
    colour = np.where(glass[..., None], 0.15, rng.uniform(0.05, 0.9, 3))
    lamps = (np.abs(np.abs(u) - 0.8) < 0.14) & (np.abs(v - 0.42) < 0.1)
    colour = np.where(lamps[..., None], np.array([0.85, 0.2, 0.15]), colour)
    colour = np.where((wheels | (v < 0.12))[..., None], 0.07, colour)
    _stamp(canvas, view, where, body | wheels, colour, thing.z, CAR)


def _draw_person(canvas: Canvas, view: View, rng: np.random.Generator, thing: Thing) -> None:
    where, u, v = _box(canvas, view, thing, (0.6, rng.uniform(1.5, 1.9)))
    shape = (v > 0.84) & (np.abs(u) < 0.4) | (v <= 0.84) & (v > 0.42) & (np.abs(u) < 0.95)
    shape |= (v <= 0.42) & (np.abs(u) < 0.7) & ((np.abs(u) > 0.08) | (v > 0.3))
    top, legs, skin = rng.uniform(0.05, 0.9, 3), rng.uniform(0.05, 0.5, 3), np.array([0.75, 0.55, 0.42])
    colour = np.where((v > 0.84)[..., None], skin * rng.uniform(0.4, 1.2), np.where((v > 0.42)[..., None], top, legs))
    _stamp(canvas, view, where, shape, colour, thing.z, PERSON)


def _draw_pole(canvas: Canvas, view: View, rng: np.random.Generator, thing: Thing) -> None:
    height = rng.uniform(2.8, 6.0)
    where, u, _ = _box(canvas, view, thing, (0.16, height))
    _stamp(canvas, view, where, np.ones(u.shape, dtype=bool), np.full(3, rng.uniform(0.2, 0.6)), thing.z, POLE)
    if rng.random() < 0.65:
        side = rng.uniform(0.6, 0.95)
        where, u, v = _box(canvas, view, thing, (side, side), up=rng.uniform(2.0, height - 0.7))
        disc = rng.random() < 0.5
        shape = (u**2 + (2 * v - 1) ** 2 < 1.1) if disc else np.ones(u.shape, dtype=bool)
        rim = (u**2 + (2 * v - 1) ** 2 > 0.45) if disc else (np.abs(u) > 0.7)
        colour = np.where(rim[..., None], rng.uniform(0.1, 0.95, 3), rng.uniform(0.4, 1.0, 3))
        _stamp(canvas, view, where, shape, colour, thing.z, SIGN)


def _draw_tree(canvas: Canvas, view: View, rng: np.random.Generator, thing: Thing) -> None:
    trunk, crown = rng.uniform(1.6, 2.6), rng.uniform(2.0, 3.6)
    where, u, _ = _box(canvas, view, thing, (0.3, trunk))
    colour = np.array([0.28, 0.2, 0.13]) * rng.uniform(0.7, 1.5)
    _stamp(canvas, view, where, np.ones(u.shape, dtype=bool), colour, thing.z, VEGETATION)
    where, u, v = _box(canvas, view, thing, (crown, crown), up=trunk * 0.9)
    shape = u**2 + (2 * v - 1) ** 2 < 0.8 + 0.3 * np.sin(5 * np.arctan2(2 * v - 1, u) + rng.uniform(0, 6))
    _stamp(canvas, view, where, shape, _leaves(rng, u, v), thing.z, VEGETATION)


_DRAW = {CAR: _draw_car, PERSON: _draw_person, POLE: _draw_pole, VEGETATION: _draw_tree}


def draw_set(count: int, seed: int, size: tuple[int, int]) -> ArrayPairs:
    """Scenes ``0 .. count-1`` of a seed; scene ``i`` does not depend on ``count``."""
    scenes = [draw_scene(np.random.default_rng((seed, i)), size) for i in range(count)]
    empty = (np.empty((0, 3, *size), np.uint8), np.empty((0, *size), np.uint8))
    images, labels = (np.stack(part) for part in zip(*scenes, strict=True)) if scenes else empty
    return ArrayPairs(images, labels)


class Streets(SegmentationData):
    """The scenes as a data set.

    Args:
        scenes, val_scenes: how many for training and for validation.
        eval_size: height and width of a scene.
        crop, scale: of training (see the base).
        scene_seed: of the scenes, apart from the run's seed.
        common: see :class:`ncp.data.base.DataModule`.
    """

    builtin = True
    notice = (
        "data: the built-in street scenes (procedural, 10 classes, 64x128); for Cityscapes: "
        "setting=seg data.root=<folder with leftImg8bit and gtFine>"
    )
    source = "built-in street scenes"
    classes = NAMES
    palette = tuple(colour for name in NAMES for known, _, colour in CITYSCAPES if known == name)

    def __init__(
        self,
        *,
        scenes: int = 384,
        val_scenes: int = 64,
        eval_size: Sequence[int] = (64, 128),
        crop: Sequence[int] = (64, 64),
        scale: Sequence[float] = (1.0, 1.5),
        scene_seed: int = 2022,
        eval_batch: int = 16,
        **common: Any,
    ) -> None:
        super().__init__(crop=crop, scale=scale, eval_batch=eval_batch, **common)
        if self.tiny:
            scenes, val_scenes, eval_size = 4, 2, (32, 64)
        self.scenes, self.val_scenes, self.scene_seed = scenes, val_scenes, scene_seed
        self.eval_size = (eval_size[0], eval_size[1])

    def prepare(self) -> None:
        """Draw both splits (about 2 ms a scene)."""
        assert self.eval_size is not None
        train = draw_set(self.scenes, self.scene_seed, self.eval_size)
        val = draw_set(self.val_scenes, self.scene_seed + 1, self.eval_size)
        # colours stay: the scenes' colours and light vary enough
        self.train_set = SegmentationSet(train, self.seed, self.size, self.scale, colours=None)
        self.val_set = SegmentationSet(val, self.seed)
