"""A furnished room: placing what its kind holds, at walls, in the middle, around tables, in rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ncp.data.indoor import fixtures as x
from ncp.data.indoor import furniture as f
from ncp.data.indoor import materials as m
from ncp.data.indoor.kinds import FREE, KINDS, ROWS, SEATS, Build, Wish
from ncp.data.indoor.materials import Rng
from ncp.data.indoor.parts import Item, Material

CLEAR = 0.55  # metres around the camera where nothing stands
BEFORE = 1.2  # metres around it where nothing hangs from the ceiling
TRIES = 20


@dataclass
class Room:
    """A furnished room: its size, the materials of its six sides (``2 axis + far``), its items, and where the camera stands."""

    size: tuple[float, float, float]
    sides: list[Material]
    eye: tuple[float, float]
    items: list[Item] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)  # footprints: x0, y0, x1, y1
    hung: list[tuple[int, float, float]] = field(default_factory=list)  # wall, from, to

    def stand(self, item: Item, x: float, y: float, yaw: float, apart: float = 0.04) -> bool:
        """Put an item down where nothing else is; False where it does not fit."""
        width, depth, _ = item.size
        cos, sin = abs(math.cos(yaw)), abs(math.sin(yaw))
        half = (cos * width + sin * depth) / 2, (sin * width + cos * depth) / 2
        x0, y0, x1, y1 = x - half[0], y - half[1], x + half[0], y + half[1]
        if x0 < -0.01 or y0 < -0.01 or x1 > self.size[0] + 0.01 or y1 > self.size[1] + 0.01:
            return False
        flat = item.dense == 0  # rugs lie beneath everything
        if not flat:
            gap = math.hypot(max(x0 - self.eye[0], 0, self.eye[0] - x1), max(y0 - self.eye[1], 0, self.eye[1] - y1))
            if gap < CLEAR or any(
                x0 < c + apart and a < x1 + apart and y0 < d + apart and b < y1 + apart for a, b, c, d in self.taken
            ):
                return False
            self.taken.append((x0, y0, x1, y1))
        item.x, item.y, item.yaw = x, y, yaw
        self.items.append(item)
        return True

    def at_wall(self, item: Item, rng: Rng) -> bool:
        """Put an item somewhere with its back to a wall; what hangs there needs that part of the wall for itself."""
        width, depth, height = item.size
        hanging = item.dense == 0 or item.name == "door"
        for _ in range(TRIES):
            wall = int(rng.integers(4))
            length = self.size[wall % 2]
            if length < width + 0.1:
                continue
            along, off = rng.uniform(width / 2, length - width / 2), depth / 2
            if rng.random() < 0.35 and not hanging:  # into the corner
                along = width / 2 if rng.random() < 0.5 else length - width / 2
            span = (wall, along - width / 2, along + width / 2)
            # below a hanging thing only what is low may stand, before a door nothing
            if (hanging or height > 0.8) and any(w == wall and a < span[2] and span[1] < b for w, a, b in self.hung):
                continue
            # wall 0 is at y = 0 and its things look to +y; the others follow counter-clockwise
            x, y = (
                (along, off),
                (self.size[0] - off, along),
                (length - along, self.size[1] - off),
                (off, length - along),
            )[wall]
            if hanging:
                item.x, item.y, item.yaw = x, y, wall * math.pi / 2
                self.items.append(item)
                self.hung.append(span)
                if item.name == "door":
                    self._keep_free(wall, x, y, width)
                return True
            if self.stand(item, x, y, wall * math.pi / 2):
                self.hung.append(span) if height > 1.2 else None
                return True
        return False

    def _keep_free(self, wall: int, x: float, y: float, width: float) -> None:
        deep = (width / 2, 0.7) if wall % 2 == 0 else (0.7, width / 2)
        self.taken.append((x - deep[0], y - deep[1], x + deep[0], y + deep[1]))

    def free(self, item: Item, rng: Rng) -> bool:
        """Put an item somewhere in the room, turned as it likes."""
        for _ in range(TRIES):
            x, y = rng.uniform(0.2, 0.8) * self.size[0], rng.uniform(0.2, 0.8) * self.size[1]
            turn = int(rng.integers(4)) * math.pi / 2 + (rng.uniform(-0.3, 0.3) if item.size[0] < 1 else 0.0)
            if self.stand(item, x, y, turn):
                return True
        return False

    def with_seats(self, build: Build, rng: Rng) -> None:
        """A table with chairs around it, all of one make."""
        table = build(rng)
        if not self.free(table, rng):
            return
        width, depth, _ = table.size
        seed = int(rng.integers(1 << 31))
        for side in (0, 1, 2, 3):
            length, off = (width, depth / 2) if side % 2 == 0 else (depth, width / 2)
            seats = max(1, int(length / 0.65)) if side % 2 == 0 else 1
            for i in range(seats):
                if rng.random() < 0.15:
                    continue
                seat = f.chair(np.random.default_rng(seed))
                along, out = (i + 0.5) / seats * length - length / 2, off + rng.uniform(0.1, 0.35)
                dx, dy = ((along, out), (-out, along), (-along, -out), (out, -along))[side]
                cos, sin = math.cos(table.yaw), math.sin(table.yaw)
                yaw = table.yaw + math.pi + side * math.pi / 2 + rng.uniform(-0.2, 0.2)
                self.stand(seat, table.x + cos * dx - sin * dy, table.y + sin * dx + cos * dy, yaw, apart=-0.3)

    def in_rows(self, build: Build, rng: Rng, most: int) -> None:
        """The same thing in rows that look the same way, to the board where there is one."""
        boards = [item.yaw for item in self.items if item.name == "board"]
        yaw = (boards[0] if boards else 0.0) + math.pi
        seed, (width, depth, _) = int(rng.integers(1 << 31)), self.size
        columns, rows = max(1, int(width / 1.6)), max(1, int(depth / 1.6))
        count = 0
        for i in range(columns):
            for j in range(rows):
                if count < most and rng.random() < 0.9:
                    item = build(np.random.default_rng(seed))
                    count += self.stand(item, (i + 0.5) / columns * width, (j + 0.5) / rows * depth, yaw, apart=-0.2)


def furnish(name: str, rng: Rng) -> Room:
    """A room of a kind, with everything in it."""
    kind = KINDS[name]
    size = rng.uniform(*kind.width), rng.uniform(*kind.depth), rng.uniform(2.3, 3.2)
    wall = _any(kind.walls, rng)
    accent = _any(kind.walls, rng) if rng.random() < 0.25 else wall
    walls = [wall] * 4
    walls[int(rng.integers(4))] = accent
    ceiling = m.hsv(rng.uniform(0.05, 0.2), rng.uniform(0, 0.06), rng.uniform(0.85, 1.0))
    room = Room(size, [*walls, _any(kind.floors, rng), Material("plain", ceiling)], _eye(size, rng))
    if name != "corridor":
        room.at_wall(x.door(rng), rng)
    for _ in range(int(rng.integers(0, 3 if name != "corridor" else 2))):
        room.at_wall(x.window(rng), rng)
    for wish in kind.wishes:
        _fulfil(room, wish, rng)
    for _ in range(1 if size[0] * size[1] < 22 else 2):
        lamp = x.hanging_lamp(rng, size[2])
        lamp.x, lamp.y = rng.uniform(0.3, 0.7) * size[0], rng.uniform(0.3, 0.7) * size[1]
        if math.hypot(lamp.x - room.eye[0], lamp.y - room.eye[1]) > BEFORE and rng.random() < 0.85:
            room.items.append(lamp)
    return room


def _any(choices: tuple[Callable[[Rng], Material], ...], rng: Rng) -> Material:
    return choices[int(rng.integers(len(choices)))](rng)


def _eye(size: tuple[float, float, float], rng: Rng) -> tuple[float, float]:
    """Where the camera stands: mostly towards an end of the room, never in the wall."""
    share = rng.beta(0.4, 0.4, 2)
    return tuple(0.35 + (side - 0.7) * part for side, part in zip(size[:2], share, strict=True))  # type: ignore[return-value]


def _fulfil(room: Room, wish: Wish, rng: Rng) -> None:
    for number in range(wish.most):
        if rng.random() > wish.chance * 0.75**number:
            break
        if wish.where == SEATS:
            room.with_seats(wish.build, rng)
        elif wish.where == ROWS:
            room.in_rows(wish.build, rng, wish.most)
            break
        elif wish.where == FREE:
            room.free(wish.build(rng), rng)
        else:
            room.at_wall(wish.build(rng), rng)
