"""Furniture that stands in several kinds of rooms. Every builder draws one item at random; the place comes later."""

from __future__ import annotations

from ncp.data.indoor import materials as m
from ncp.data.indoor.materials import Rng
from ncp.data.indoor.parts import BALL, CYLINDER, Item, Material


def chair(rng: Rng) -> Item:
    """A chair with a back, on four legs or on a foot with castors."""
    item = Item("chair", dense=0.5)
    width, seat, back = rng.uniform(0.4, 0.52), rng.uniform(0.42, 0.48), rng.uniform(0.8, 1.05)
    frame, cover = m.wood(rng), m.fabric(rng) if rng.random() < 0.6 else m.wood(rng)
    if rng.random() < 0.3:
        steel = m.metal(rng)
        item.block(0.07, 0.07, 0.05, seat, steel, kind=CYLINDER)
        item.block(width, width, 0.0, 0.06, steel, kind=CYLINDER)
        cover = m.fabric(rng)
    else:
        item.legs(width, width, seat, 0.05, frame)
    item.block(width, width, seat, seat + 0.06, cover)
    at = (0.0, -width / 2 + 0.025)
    if rng.random() < 0.5:
        item.block(width, 0.05, seat + 0.05, back, cover, at)
    else:
        for side in (-1, 0, 1):
            item.block(0.06, 0.04, seat + 0.05, back, frame, (side * (width / 2 - 0.04), at[1]))
        item.block(width, 0.045, back - 0.14, back, frame, at)
    return item


def armchair(rng: Rng) -> Item:
    """One seat with arms."""
    return _soft_seat(Item("armchair"), rng, rng.uniform(0.75, 0.95), 1)


def sofa(rng: Rng) -> Item:
    """Two or three seats."""
    seats = int(rng.integers(2, 4))
    return _soft_seat(Item("sofa"), rng, 0.35 + seats * rng.uniform(0.6, 0.7), seats)


def _soft_seat(item: Item, rng: Rng, width: float, seats: int) -> Item:
    depth, seat, back, arm = (
        rng.uniform(0.8, 0.98),
        rng.uniform(0.36, 0.44),
        rng.uniform(0.7, 0.95),
        rng.uniform(0.12, 0.2),
    )
    cover = m.fabric(rng)
    cushion = cover if rng.random() < 0.6 else m.fabric(rng)
    item.block(width, depth, 0.07, seat - 0.12, cover)
    item.block(width, 0.22, 0.07, back, cover, (0.0, -depth / 2 + 0.11))
    for side in (-1, 1):
        item.block(arm, depth, 0.07, seat + rng.uniform(0.12, 0.22), cover, (side * (width - arm) / 2, 0.0))
    each = (width - 2 * arm) / seats
    for i in range(seats):
        x = -width / 2 + arm + each * (i + 0.5)
        item.block(each - 0.02, depth - 0.24, seat - 0.12, seat, cushion, (x, 0.1))
        item.block(each - 0.04, 0.14, seat, back - 0.03, cushion, (x, -depth / 2 + 0.28))
    if rng.random() < 0.5:
        pillow = m.fabric(rng)
        item.block(0.36, 0.2, seat, seat + 0.3, pillow, (rng.uniform(-0.3, 0.3) * each, 0.0), kind=BALL)
    return item


def table(rng: Rng, width: float | None = None, depth: float | None = None, height: float | None = None) -> Item:
    """A table on four legs or a column, oblong or round."""
    item = Item("table", dense=0.6)
    width, height = width or rng.uniform(0.8, 1.8), height or rng.uniform(0.7, 0.78)
    depth = depth or rng.uniform(0.7, 0.95)
    top = (m.wood, m.wood, m.stone)[int(rng.integers(3))](rng)
    if rng.random() < 0.25:
        side = min(width, 1.3)
        item.block(side, side, height - 0.04, height, top, kind=CYLINDER)
        item.block(0.12, 0.12, 0.0, height - 0.04, m.metal(rng), kind=CYLINDER)
        item.block(0.5, 0.5, 0.0, 0.05, top, kind=CYLINDER)
    else:
        item.block(width, depth, height - 0.05, height, top)
        item.legs(width - 0.06, depth - 0.06, height - 0.05, rng.uniform(0.05, 0.09), top)
    _things(item, rng, height, min(width, depth) / 2 - 0.1)
    return item


def coffee_table(rng: Rng) -> Item:
    """A low table."""
    return table(rng, rng.uniform(0.7, 1.2), rng.uniform(0.5, 0.7), rng.uniform(0.35, 0.48))


def long_table(rng: Rng) -> Item:
    """A table for meetings."""
    return table(rng, rng.uniform(2.2, 3.2), rng.uniform(1.0, 1.3))


def _things(item: Item, rng: Rng, height: float, reach: float) -> None:
    """Bottles, bowls and books on a top."""
    for _ in range(int(rng.integers(0, 4))):
        at = (rng.uniform(-reach, reach), rng.uniform(-reach, reach))
        if rng.random() < 0.5:
            glass = m.enamel(rng)
            item.block(0.08, 0.08, height, height + rng.uniform(0.12, 0.3), glass, at, "bottle", CYLINDER)
        else:
            item.block(0.26, 0.26, height - 0.04, height + 0.1, m.fabric(rng), at, "bottle", BALL)


def desk(rng: Rng) -> Item:
    """A desk with drawers, and mostly a screen or a lamp on it."""
    item = Item("desk", dense=0.7)
    width, depth, height = rng.uniform(1.1, 1.7), rng.uniform(0.6, 0.8), rng.uniform(0.7, 0.78)
    top = m.wood(rng)
    item.block(width, depth, height - 0.04, height, top)
    item.block(0.04, depth - 0.05, 0.0, height - 0.04, top, (-width / 2 + 0.02, 0.0))
    front = Material("panels", top.first, top.second, (0.42, 0.22), top.gloss, salt=top.salt)
    item.block(0.42, depth - 0.05, 0.05, height - 0.04, front, (width / 2 - 0.21, 0.0))
    if rng.random() < 0.8:
        _screen_on(item, rng, height, (rng.uniform(-0.2, 0.2), -depth / 4), rng.uniform(0.5, 0.65))
    if rng.random() < 0.4:
        at, shade = (width / 2 - 0.15, -depth / 4), m.light(rng)
        item.block(0.03, 0.03, height, height + 0.35, m.metal(rng), at, "floor lamp", CYLINDER)
        item.block(0.22, 0.22, height + 0.3, height + 0.45, shade, at, "floor lamp", CYLINDER)
        item.lamp = ((at[0], at[1] + 0.1, height + 0.55), 0.35)
    return item


def _screen_on(item: Item, rng: Rng, height: float, at: tuple[float, float], width: float) -> None:
    black = Material("plain", (0.06, 0.06, 0.07), gloss=0.6)
    face = m.patterned("screen", rng, (width, width * 0.6), 0.6, rng.uniform(0.0, 0.7))
    tall = width * 0.6
    item.block(0.2, 0.15, height, height + 0.1, black, at, "screen")
    item.block(width, 0.04, height + 0.08, height + 0.08 + tall, black, at, "screen")
    item.block(width - 0.04, 0.02, height + 0.1, height + 0.06 + tall, face, (at[0], at[1] + 0.02), "screen")


def sideboard(rng: Rng) -> Item:
    """A low cabinet, with a large screen where there is one."""
    item = cabinet(rng, rng.uniform(1.2, 1.9), rng.uniform(0.4, 0.6))
    _screen_on(item, rng, item.size[2], (0.0, 0.0), rng.uniform(0.8, 1.25))
    return item


def cabinet(rng: Rng, width: float | None = None, height: float | None = None) -> Item:
    """A chest with drawers or doors."""
    item = Item("cabinet")
    width, height, depth = width or rng.uniform(0.5, 1.2), height or rng.uniform(0.6, 1.1), rng.uniform(0.38, 0.5)
    body = m.wood(rng)
    door = (width / max(1, round(width / 0.5)), float(rng.choice([height - 0.1, (height - 0.1) / 3])))
    front = Material("panels", body.first, body.second, door, body.gloss, salt=body.salt)
    item.block(width, depth, 0.08, height - 0.03, front)
    item.block(width + 0.04, depth + 0.03, height - 0.03, height, body)
    item.block(width - 0.08, depth - 0.08, 0.0, 0.08, body)
    return item


def wardrobe(rng: Rng) -> Item:
    """As high as a door and higher."""
    item = Item("wardrobe")
    doors = int(rng.integers(2, 4))
    width, height, body = doors * rng.uniform(0.45, 0.6), rng.uniform(1.9, 2.3), m.wood(rng)
    front = Material("panels", body.first, body.second, (width / doors, height - 0.1), body.gloss, salt=body.salt)
    item.block(width, 0.58, 0.06, height, front)
    item.block(width + 0.04, 0.62, height, height + 0.04, body)
    return item


def bookcase(rng: Rng) -> Item:
    """Boards with books."""
    item = Item("bookcase")
    width, height, depth, body = rng.uniform(0.7, 1.3), rng.uniform(1.4, 2.2), rng.uniform(0.26, 0.36), m.wood(rng)
    item.block(width, 0.03, 0.0, height, body, (0.0, -depth / 2 + 0.015))
    for side in (-1, 1):
        item.block(0.04, depth, 0.0, height, body, (side * (width / 2 - 0.02), 0.0))
    rows = int(height / 0.36)
    step = height / rows
    for i in range(rows + 1):
        item.block(width, depth, max(0.0, i * step - 0.03), i * step + 0.005, body)
    for i in range(rows):
        if rng.random() < 0.85:
            books = m.patterned("books", rng, (rng.uniform(0.03, 0.055), step - 0.04), 0.1)
            wide = (width - 0.1) * rng.uniform(0.6, 1.0)
            item.block(wide, depth * 0.7, i * step, (i + 1) * step - 0.08, books, ((wide - width) / 2 + 0.05, -0.02))
    return item


def bed(rng: Rng, width: float | None = None) -> Item:
    """A bed, its head at the wall."""
    item = Item("bed")
    width, length, high = width or float(rng.choice([0.95, 1.5, 1.8])), rng.uniform(1.9, 2.1), rng.uniform(0.4, 0.55)
    frame, sheet, cover = m.wood(rng), m.fabric(rng), m.fabric(rng)
    item.block(width, length, 0.12, high - 0.15, frame)
    item.legs(width, length, 0.12, 0.08, frame)
    item.block(width - 0.04, length - 0.06, high - 0.15, high, sheet)
    item.block(width, length * 0.62, high - 0.2, high + 0.03, cover, (0.0, length * 0.18))
    item.block(width, 0.06, 0.0, rng.uniform(0.8, 1.15), frame, (0.0, -length / 2 + 0.03))
    for side in (-1, 1) if width > 1.2 else (0,):
        item.block(
            0.55, 0.36, high - 0.06, high + 0.16, m.fabric(rng), (side * width / 4, -length / 2 + 0.3), kind=BALL
        )
    return item


def small_bed(rng: Rng) -> Item:
    """A child's bed."""
    return bed(rng, 0.8)


def floor_lamp(rng: Rng) -> Item:
    """A lamp on a stand."""
    item, height, steel = Item("floor lamp", dense=0.2), rng.uniform(1.35, 1.75), m.metal(rng)
    item.block(0.28, 0.28, 0.0, 0.03, steel, kind=CYLINDER)
    item.block(0.035, 0.035, 0.0, height - 0.2, steel, kind=CYLINDER)
    item.block(0.36, 0.36, height - 0.25, height, m.light(rng), kind=CYLINDER)
    item.lamp = ((0.0, 0.0, height + 0.15), rng.uniform(0.5, 0.9))
    return item


def plant(rng: Rng) -> Item:
    """A plant in a pot."""
    item, height, pot = Item("plant", dense=0.6), rng.uniform(0.6, 1.6), m.enamel(rng)
    item.block(0.3, 0.3, 0.0, 0.3, pot, kind=CYLINDER)
    item.block(0.05, 0.05, 0.3, height * 0.7, m.wood(rng), kind=CYLINDER)
    green = m.leaves(rng)
    for _ in range(4):
        wide, z = rng.uniform(0.25, 0.5), rng.uniform(0.45, 1.0) * height
        item.block(wide, wide, z - wide / 2, z + wide / 2, green, tuple(rng.uniform(-0.16, 0.16, 2)), kind=BALL)
    return item


def rug(rng: Rng) -> Item:
    """A rug."""
    item = Item("rug", dense=0.0)
    width, depth, cloth = rng.uniform(1.2, 2.4), rng.uniform(0.9, 1.7), m.fabric(rng)
    item.block(width, depth, 0.0, 0.012, m.fabric(rng), kind=CYLINDER if rng.random() < 0.2 else 0)
    if item.parts[0].kind == 0:
        item.block(width - 0.25, depth - 0.25, 0.0, 0.016, cloth)
    return item


def toys(rng: Rng) -> Item:
    """Balls and blocks on the floor."""
    item = Item("toy")
    for _ in range(int(rng.integers(3, 7))):
        at, side = tuple(rng.uniform(-0.45, 0.45, 2)), rng.uniform(0.1, 0.28)
        look = m.patterned("plain", rng, (0.1, 0.1), 0.4)
        item.block(side, side, 0.0, side, look, at, kind=BALL if rng.random() < 0.5 else 0)
    return item
