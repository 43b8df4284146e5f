"""What belongs to kitchens, bathrooms and classrooms, and what hangs on walls or from the ceiling."""

from __future__ import annotations

from ncp.data.indoor import materials as m
from ncp.data.indoor.furniture import chair
from ncp.data.indoor.materials import Rng
from ncp.data.indoor.parts import BALL, CYLINDER, Item, Material

_WHITE = Material("plain", (0.93, 0.94, 0.95), gloss=0.8)
_BLACK = Material("plain", (0.05, 0.05, 0.06), gloss=0.6)


def counter(rng: Rng) -> Item:
    """A row of kitchen cabinets with a worktop, a sink and a stove, cabinets above."""
    item = Item("cabinet")
    units = int(rng.integers(3, 6))
    width, depth = units * 0.6, 0.62
    body, top = (m.wood, m.enamel)[int(rng.integers(2))](rng), m.stone(rng)
    front = Material(
        "panels", body.first, m.darker(body.first, 0.6), (0.6, float(rng.choice([0.72, 0.36]))), 0.3, salt=body.salt
    )
    item.block(width, depth - 0.04, 0.1, 0.86, front)
    item.block(width, depth, 0.86, 0.9, top)
    places = rng.permutation(units)
    x = -width / 2 + 0.3 + 0.6 * places
    steel = m.metal(rng)
    item.block(0.5, 0.4, 0.895, 0.915, steel, (x[0], 0.0), "sink")
    item.block(0.03, 0.03, 0.9, 1.2, steel, (x[0], -0.22), "sink", CYLINDER)
    item.block(0.03, 0.2, 1.17, 1.2, steel, (x[0], -0.12), "sink")
    _stove(item, rng, x[1])
    if rng.random() < 0.75:
        low = rng.uniform(1.4, 1.5)
        for unit in range(2, units):
            item.block(0.58, 0.34, low, low + 0.7, front, (x[unit], -depth / 2 + 0.17))
        item.block(0.6, 0.4, low + 0.1, low + 0.25, steel, (x[1], -depth / 2 + 0.2), "stove")
    for _ in range(int(rng.integers(1, 4))):
        at = (rng.uniform(-width / 2, width / 2) * 0.9, rng.uniform(-0.2, 0.15))
        item.block(0.1, 0.1, 0.9, 0.9 + rng.uniform(0.12, 0.3), m.enamel(rng), at, "bottle", CYLINDER)
    return item


def _stove(item: Item, rng: Rng, x: float) -> None:
    item.block(0.58, 0.6, 0.1, 0.88, m.enamel(rng), (x, 0.03), "stove")
    item.block(0.46, 0.02, 0.3, 0.66, _BLACK, (x, 0.33), "stove")
    item.block(0.56, 0.56, 0.88, 0.91, _BLACK, (x, 0.0), "stove")
    for at in ((-0.14, -0.14), (0.14, -0.14), (-0.14, 0.14), (0.14, 0.14)):
        item.block(0.2, 0.2, 0.9, 0.925, Material("plain", (0.25, 0.2, 0.2)), (x + at[0], at[1]), "stove", CYLINDER)


def refrigerator(rng: Rng) -> Item:
    """A tall refrigerator with two doors."""
    item, height, look = Item("refrigerator"), rng.uniform(1.5, 2.0), (m.enamel, m.metal)[int(rng.integers(2))](rng)
    cut = height * rng.uniform(0.55, 0.7)
    item.block(0.64, 0.58, 0.03, height, look)
    for low, high in ((0.06, cut - 0.01), (cut + 0.01, height - 0.02)):
        item.block(0.62, 0.06, low, high, look, (0.0, 0.31))
        item.block(0.03, 0.04, low + 0.1, min(high, low + 0.55), _BLACK, (-0.25, 0.36))
    return item


def washing_machine(rng: Rng) -> Item:
    """A machine with a round door."""
    item, look = Item("washing machine"), m.enamel(rng)
    item.block(0.6, 0.58, 0.03, 0.85, look)
    front = Material("panels", look.first, (0.2, 0.2, 0.25), (0.2, 0.1), 0.6, salt=look.salt)
    item.block(0.6, 0.02, 0.74, 0.84, front, (0.0, 0.29))
    item.block(0.42, 0.1, 0.2, 0.62, _BLACK, (0.0, 0.29), kind=BALL)
    item.block(0.3, 0.13, 0.26, 0.56, m.metal(rng), (0.0, 0.29), kind=BALL)
    return item


def toilet(rng: Rng) -> Item:
    """A bowl and a cistern."""
    item, look = Item("toilet"), _WHITE if rng.random() < 0.8 else m.enamel(rng)
    item.block(0.4, 0.2, 0.36, 0.8, look, (0.0, -0.24))
    item.block(0.24, 0.3, 0.0, 0.3, look, (0.0, 0.02), kind=CYLINDER)
    item.block(0.38, 0.52, 0.25, 0.42, look, (0.0, 0.1), kind=CYLINDER)
    item.block(0.36, 0.48, 0.42, 0.45, look if rng.random() < 0.5 else m.wood(rng), (0.0, 0.1), kind=CYLINDER)
    return item


def bathtub(rng: Rng) -> Item:
    """A tub along the wall, its inside a shade darker."""
    item, look = Item("bathtub"), _WHITE if rng.random() < 0.8 else m.enamel(rng)
    length, high = rng.uniform(1.5, 1.75), rng.uniform(0.5, 0.62)
    side = m.tiles(rng, 0.15) if rng.random() < 0.4 else look
    item.block(length, 0.75, 0.0, high - 0.05, side)
    item.block(length, 0.75, high - 0.05, high - 0.02, look)
    for y in (-0.34, 0.34):
        item.block(length, 0.07, high - 0.05, high, look, (0.0, y))
    for x in (-length / 2 + 0.04, length / 2 - 0.04):
        item.block(0.08, 0.75, high - 0.05, high, look, (x, 0.0))
    item.block(length - 0.2, 0.58, high - 0.03, high - 0.015, Material("plain", (0.6, 0.72, 0.78), gloss=0.9))
    item.block(0.04, 0.14, high, high + 0.25, m.metal(rng), (-length / 2 + 0.1, -0.25))
    if rng.random() < 0.4:
        item.block(length * 0.4, 0.03, 0.25, 2.0, m.fabric(rng), (length * 0.28, 0.36), "curtain")
    return item


def basin(rng: Rng) -> Item:
    """A wash basin on a column or a cabinet, mostly with a mirror above."""
    item, look = Item("sink"), _WHITE if rng.random() < 0.8 else m.enamel(rng)
    width = rng.uniform(0.5, 0.75)
    if rng.random() < 0.5:
        item.block(0.2, 0.2, 0.0, 0.75, look, (0.0, -0.08), kind=CYLINDER)
    else:
        body = m.wood(rng)
        item.block(
            width,
            0.44,
            0.12,
            0.75,
            Material("panels", body.first, body.second, (width / 2, 0.6), 0.3, salt=1),
            what="cabinet",
        )
    item.block(width, 0.48, 0.72, 0.86, look, kind=BALL if rng.random() < 0.4 else 0)
    item.block(
        width - 0.14, 0.3, 0.85, 0.865, Material("plain", (0.7, 0.76, 0.8), gloss=0.9), (0.0, 0.04), kind=CYLINDER
    )
    item.block(0.03, 0.12, 0.86, 1.02, m.metal(rng), (0.0, -0.16))
    if rng.random() < 0.8:
        tall = rng.uniform(0.6, 0.9)
        item.block(width, 0.02, 1.15, 1.15 + tall, m.metal(rng), (0.0, -0.23), "mirror")
        item.block(width - 0.05, 0.02, 1.18, 1.12 + tall, _glass(rng), (0.0, -0.22), "mirror")
    return item


def _glass(rng: Rng) -> Material:
    grey = rng.uniform(0.55, 0.8)
    return Material(
        "mirror", (grey, grey * 1.02, grey * 1.05), (0.95, 0.96, 0.98), (0.9, 0.9), 0.9, salt=int(rng.integers(99))
    )


def school_desk(rng: Rng) -> Item:
    """A small desk, with its chair on the side away from the front."""
    item = Item("desk", dense=0.5)
    top, steel = m.wood(rng), m.metal(rng)
    item.block(0.7, 0.5, 0.7, 0.74, top)
    item.legs(0.66, 0.46, 0.7, 0.04, steel)
    for part in chair(rng).parts:
        (x0, y0, z0), (x1, y1, z1) = part.low, part.high
        item.add(part._replace(low=(x0, y0 - 0.5, z0), high=(x1, y1 - 0.5, z1)))
    return item


# ---- on walls: the back at y = -depth / 2 as ever


def door(rng: Rng) -> Item:
    """A door in its frame."""
    item, look = Item("door"), (m.wood, m.enamel)[int(rng.integers(2))](rng)
    width, height = rng.uniform(0.78, 0.95), rng.uniform(1.95, 2.1)
    frame = m.wood(rng)
    item.block(width + 0.14, 0.05, 0.0, height + 0.07, frame)
    panel = Material(
        "panels" if rng.random() < 0.6 else look.pattern, look.first, look.second, (width / 2, height / rng.choice([2, 3])), 0.3,
        salt=look.salt,
    )  # fmt: skip
    item.block(width, 0.03, 0.0, height, panel, (0.0, 0.02))
    item.block(0.12, 0.06, 0.98, 1.02, m.metal(rng), (rng.choice([-1, 1]) * (width / 2 - 0.1), 0.05))
    return item


def window(rng: Rng) -> Item:
    """A window with bars, by day or by night; curtains beside some."""
    item = Item("window", dense=0.0)
    width, low, tall = rng.uniform(0.8, 1.9), rng.uniform(0.7, 1.0), rng.uniform(1.0, 1.4)
    frame, high = m.enamel(rng), low + tall
    day = rng.random() < 0.8
    sky = m.hsv(
        rng.uniform(0.52, 0.62), rng.uniform(0.05, 0.45), rng.uniform(0.8, 1.0) if day else rng.uniform(0.05, 0.2)
    )
    land = m.hsv(rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.5), rng.uniform(0.3, 0.6) if day else 0.06)
    view = Material("view", sky, land, (width, tall), 0.3, rng.uniform(0.7, 1.0), int(rng.integers(1 << 16)))
    item.block(width, 0.03, low, high, view, (0.0, 0.0))
    for z in (low - 0.03, high - 0.03):
        item.block(width + 0.1, 0.06, z, z + 0.06, frame)
    bars = int(rng.integers(2, 5))
    for i in range(bars):
        item.block(0.05, 0.06, low, high, frame, (width * (i / (bars - 1) - 0.5), 0.0))
    if rng.random() < 0.5:
        item.block(width, 0.06, low + tall * 0.6, low + tall * 0.6 + 0.04, frame)
    if rng.random() < 0.45:
        cloth, wide = m.fabric(rng), rng.uniform(0.2, 0.45)
        cloth = cloth._replace(pattern="folds", size=(0.16, 0.16))
        for side in (-1, 1):
            bottom = 0.05 if rng.random() < 0.6 else low - 0.1
            item.block(wide, 0.08, bottom, high + 0.15, cloth, (side * (width / 2 + wide * 0.3), 0.05), "curtain")
        item.block(width + 0.8, 0.04, high + 0.15, high + 0.19, m.metal(rng), (0.0, 0.05), "curtain")
    if day:
        item.lamp = ((0.0, 0.25, low + tall / 2), rng.uniform(0.9, 1.6))
    return item


def picture(rng: Rng) -> Item:
    """One picture in its frame."""
    item = Item("picture", dense=0.0)
    width, tall, middle = rng.uniform(0.3, 1.0), rng.uniform(0.3, 0.8), rng.uniform(1.45, 1.7)
    item.block(width, 0.03, middle - tall / 2, middle + tall / 2, m.wood(rng))
    art = m.patterned("art", rng, (width / 2, tall / 2), 0.3)
    item.block(width - 0.08, 0.03, middle - tall / 2 + 0.04, middle + tall / 2 - 0.04, art, (0.0, 0.01))
    return item


def mirror(rng: Rng) -> Item:
    """A mirror on the wall (it shows no room, only its gleam)."""
    item = Item("mirror", dense=0.0)
    width, tall = rng.uniform(0.4, 0.8), rng.uniform(0.7, 1.4)
    item.block(width, 0.03, 1.85 - tall, 1.85, m.wood(rng))
    item.block(width - 0.08, 0.03, 1.89 - tall, 1.81, _glass(rng), (0.0, 0.01))
    return item


def board(rng: Rng) -> Item:
    """A blackboard or a whiteboard."""
    item = Item("board", dense=0.0)
    width, dark = rng.uniform(1.6, 3.0), rng.random() < 0.5
    ground, ink = ((0.1, 0.22, 0.17), (0.85, 0.87, 0.85)) if dark else ((0.93, 0.94, 0.95), (0.15, 0.2, 0.55))
    item.block(width, 0.04, 0.85, 2.0, m.metal(rng))
    face = Material("writing", ground, ink, (0.5, 0.13), 0.3, salt=int(rng.integers(1 << 16)))
    item.block(width - 0.08, 0.04, 0.89, 1.96, face, (0.0, 0.01))
    return item


def wall_screen(rng: Rng) -> Item:
    """A large screen on the wall."""
    item = Item("screen", dense=0.0)
    width = rng.uniform(1.0, 1.9)
    item.block(width, 0.05, 1.2 - width * 0.28, 1.2 + width * 0.28, _BLACK)
    face = m.patterned("screen", rng, (width, width * 0.5), 0.7, rng.uniform(0.0, 0.8))
    item.block(width - 0.06, 0.04, 1.23 - width * 0.28, 1.17 + width * 0.28, face, (0.0, 0.02))
    return item


# ---- from the ceiling, at a height that the room gives


def hanging_lamp(rng: Rng, ceiling: float) -> Item:
    """A lamp on a cord, or flat under the ceiling."""
    item = Item("hanging lamp", dense=0.0)
    shade, kind = m.light(rng), (BALL, CYLINDER, 0)[int(rng.integers(3))]
    wide = rng.uniform(0.25, 0.5)
    drop = rng.uniform(0.35, 0.75) if kind != 0 else 0.06
    if kind != 0:
        item.block(0.02, 0.02, ceiling - drop, ceiling, m.metal(rng))
        item.block(wide, wide, ceiling - drop - wide * 0.5, ceiling - drop, shade, kind=kind)
    else:
        item.block(wide * 2.4, wide, ceiling - drop, ceiling, shade)
    item.lamp = ((0.0, 0.0, ceiling - drop - wide * 0.6 - 0.05), rng.uniform(0.8, 1.4))
    return item
