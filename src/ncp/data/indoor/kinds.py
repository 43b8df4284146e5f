"""Kinds of rooms: how large they are, what stands and hangs in them, and their floors and walls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ncp.data.indoor import fixtures as x
from ncp.data.indoor import furniture as f
from ncp.data.indoor import materials as m
from ncp.data.indoor.materials import Rng
from ncp.data.indoor.parts import Item, Material

Build = Callable[[Rng], Item]
WALL, FREE, SEATS, ROWS = (
    "wall",
    "free",
    "seats",
    "rows",
)  # at a wall; in the middle; a table with chairs; desks in rows


@dataclass
class Wish:
    """What a room may hold: a builder, where, how probable the first of it is, and how many there can be."""

    build: Build
    where: str = WALL
    chance: float = 1.0
    most: int = 1


@dataclass
class Kind:
    """A kind of room.

    Attributes:
        width, depth: ranges in metres.
        wishes: what it holds, the important things first.
        floors, walls: materials to choose from.
    """

    width: tuple[float, float]
    depth: tuple[float, float]
    wishes: list[Wish]
    floors: tuple[Callable[[Rng], Material], ...] = (m.parquet, m.parquet, m.carpet)
    walls: tuple[Callable[[Rng], Material], ...] = (m.paint, m.paint, m.wallpaper)


_ART = Wish(x.picture, chance=0.7, most=3)
_GREEN = Wish(f.plant, chance=0.45, most=2)
_RUG = Wish(f.rug, FREE, 0.5)
_LAMP = Wish(f.floor_lamp, chance=0.55)
_TILED = (m.tiles, m.tiles, m.stone)

KINDS: dict[str, Kind] = {
    "bathroom": Kind(
        (2.2, 3.6), (2.4, 3.8),
        [Wish(x.bathtub, chance=0.85), Wish(x.toilet, chance=0.95), Wish(x.basin, most=2), Wish(x.washing_machine, chance=0.2),
         Wish(f.cabinet, chance=0.4), Wish(x.mirror, chance=0.4)],
        _TILED, (m.tiles, m.tiles, m.paint),
    ),
    "bedroom": Kind(
        (3.0, 4.8), (3.2, 5.0),
        [Wish(f.bed), Wish(f.wardrobe, chance=0.85), Wish(f.cabinet, chance=0.85, most=2), _RUG, _LAMP,
         Wish(x.mirror, chance=0.3), Wish(f.armchair, chance=0.25), _ART, _GREEN],
    ),
    "child's room": Kind(
        (2.8, 4.2), (3.0, 4.5),
        [Wish(f.small_bed), Wish(f.toys, FREE, 1.0, 3), Wish(f.desk, chance=0.6), Wish(f.bookcase, chance=0.6),
         Wish(f.wardrobe, chance=0.4), _RUG, _ART],
    ),
    "classroom": Kind(
        (5.5, 8.0), (6.0, 9.0),
        [Wish(x.board), Wish(x.school_desk, ROWS, 1.0, 9), Wish(f.bookcase, chance=0.3), Wish(f.cabinet, chance=0.4), _ART],
        (m.parquet, m.carpet, m.tiles), (m.paint, m.paint, m.brick),
    ),
    "conference room": Kind(
        (4.2, 6.5), (5.0, 8.0),
        [Wish(f.long_table, SEATS), Wish(x.wall_screen, chance=0.75), Wish(x.board, chance=0.4),
         Wish(f.cabinet, chance=0.3), _GREEN, _ART],
        (m.carpet, m.carpet, m.parquet), (m.paint, m.paint, m.brick),
    ),
    "corridor": Kind(
        (1.4, 2.2), (5.5, 10.0),
        [Wish(x.door, chance=1.0, most=4), Wish(f.cabinet, chance=0.3), Wish(x.mirror, chance=0.3), _ART, _GREEN,
         Wish(f.chair, chance=0.2)],
        (m.parquet, m.carpet, m.tiles, m.stone), (m.paint, m.wallpaper, m.brick),
    ),
    "dining room": Kind(
        (3.2, 5.0), (3.4, 5.5),
        [Wish(f.table, SEATS), Wish(f.cabinet, chance=0.7, most=2), _RUG, _LAMP, _ART, _GREEN, Wish(x.mirror, chance=0.2)],
    ),
    "kitchen": Kind(
        (2.6, 4.4), (2.8, 4.6),
        [Wish(x.counter), Wish(x.refrigerator, chance=0.9), Wish(x.counter, chance=0.6), Wish(f.table, SEATS, 0.4),
         Wish(f.cabinet, chance=0.2), _ART],
        (m.tiles, m.tiles, m.parquet, m.stone), (m.paint, m.tiles, m.paint),
    ),
    "laundry room": Kind(
        (2.2, 3.6), (2.4, 3.8),
        [Wish(x.washing_machine, most=3), Wish(x.basin, chance=0.5), Wish(f.cabinet, chance=0.8, most=2),
         Wish(f.wardrobe, chance=0.3),
         Wish(f.table, chance=0.3)],
        _TILED, (m.paint, m.tiles, m.brick),
    ),
    "library": Kind(
        (3.4, 6.0), (4.0, 7.0),
        [Wish(f.bookcase, most=9), Wish(f.armchair, chance=0.7, most=3), Wish(f.table, SEATS, 0.45), _LAMP, _RUG, _GREEN],
        (m.parquet, m.carpet),
    ),
    "living room": Kind(
        (3.6, 6.0), (4.0, 6.5),
        [Wish(f.sofa, most=3), Wish(f.sideboard, chance=0.9), Wish(f.coffee_table, FREE, 0.95),
         Wish(f.armchair, chance=0.5, most=2),
         _RUG, _LAMP, Wish(f.bookcase, chance=0.3), _ART, _GREEN],
    ),
    "office": Kind(
        (2.8, 5.0), (3.2, 5.5),
        [Wish(f.desk, most=4), Wish(f.chair, FREE, 1.0, 4), Wish(f.bookcase, chance=0.6, most=2), Wish(x.board, chance=0.3),
         Wish(f.cabinet, chance=0.5), _GREEN, _ART],
        (m.carpet, m.carpet, m.parquet), (m.paint, m.paint, m.brick),
    ),
}  # fmt: skip
