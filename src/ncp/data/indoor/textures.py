"""Patterns on surfaces: functions of two coordinates, faded where a pixel covers more than the pattern repeats.

Random numbers come from a hash of whole numbers, so they are the same on every machine. Shape suffix: N points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ncp.data.indoor.casting import F
from ncp.data.indoor.surfaces import Surface


def scatter(x: np.ndarray, y: np.ndarray, salt: np.ndarray) -> np.ndarray:
    """``(N,)`` float32 in 0..1 for cells of whole coordinates."""
    mixed = x.astype(np.int64) * 374761393 + y.astype(np.int64) * 668265263 + salt.astype(np.int64) * 974634721
    mixed = mixed.astype(np.uint64).astype(np.uint32)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)
    mixed ^= mixed >> np.uint32(16)
    return (mixed >> np.uint32(8)).astype(F) * F(1 / (1 << 24))


@dataclass
class Cells:
    """A pattern's cells at N points: which cell, where in it (0..1), and how sharp the pattern still is there (0..1)."""

    i: np.ndarray
    j: np.ndarray
    u: np.ndarray
    v: np.ndarray
    salt: np.ndarray
    sharp: np.ndarray

    @classmethod
    def of(cls, across: np.ndarray, up: np.ndarray, size_N2: np.ndarray, salt: np.ndarray, wide: np.ndarray) -> Cells:
        """Cells of a size ``(N, 2)`` at coordinates in metres, where a pixel covers ``wide`` metres."""
        u, v = across / size_N2[:, 0], up / size_N2[:, 1]
        i, j = np.floor(u), np.floor(v)
        sharp = 1 / (1 + (wide / size_N2.min(1)) ** 2)
        return cls(i, j, u - i, v - j, salt, sharp)

    def random(self, extra: int = 0) -> np.ndarray:
        """A number of each cell."""
        return scatter(self.i, self.j, self.salt + 7919 * extra)

    def seams(self, width: float, wide: float | None = None) -> np.ndarray:
        """1 on the borders of the cells (``width`` is a share of the cell), 0 within."""
        out: np.ndarray = (np.minimum(self.u, 1 - self.u) < width) | (np.minimum(self.v, 1 - self.v) < (wide or width))
        return out


# every pattern: cells -> (share of the second colour, brightness around 1)
Look = tuple[np.ndarray, np.ndarray]


def _plain(c: Cells) -> Look:
    return np.zeros_like(c.u), 1 + 0.04 * (c.random() - 0.5)


def _planks(c: Cells) -> Look:
    row = scatter(c.j, c.j * 0, c.salt)
    u = c.u + row
    board = scatter(c.i + np.floor(u), c.j, c.salt)
    seam = (np.minimum(c.v, 1 - c.v) < 0.06) | (np.abs(u - np.floor(u)) < 0.01)
    grain = np.sin(40 * c.v * (0.6 + board) + 9 * np.sin(5 * u + 6 * board))
    return seam * 0.8, 1 + 0.34 * (board - 0.5) + 0.08 * grain


def _tiles(c: Cells) -> Look:
    return c.seams(0.045) * 1.0, 1 + 0.14 * (c.random() - 0.5)


def _checker(c: Cells) -> Look:
    return (c.i + c.j) % 2, 1 + 0.06 * (c.random() - 0.5)


def _brick(c: Cells) -> Look:
    u = c.u + 0.5 * (c.j % 2)
    i = c.i + np.floor(u)
    u = u - np.floor(u)
    seam = (np.minimum(u, 1 - u) < 0.04) | (np.minimum(c.v, 1 - c.v) < 0.1)
    return seam * 1.0, 1 + 0.5 * (scatter(i, c.j, c.salt) - 0.5)


def _stripes(c: Cells) -> Look:
    return (c.u < 0.45) * 1.0, np.ones_like(c.u)


def _dots(c: Cells) -> Look:
    u = c.u + 0.5 * (c.j % 2)
    return ((u - np.floor(u) - 0.5) ** 2 + (c.v - 0.5) ** 2 < 0.06) * 1.0, np.ones_like(c.u)


def _cloth(c: Cells) -> Look:
    return np.zeros_like(c.u), 1 + 0.3 * (c.random() - 0.5)


def _marble(c: Cells) -> Look:
    x, y = c.i + c.u, c.j + c.v
    vein = np.sin(3 * x + 2.5 * np.sin(2.1 * y + c.salt) + 1.3 * np.sin(5.3 * x + 3.1 * y))
    return np.clip(vein - 0.75, 0, 1) * 3, 1 + 0.12 * np.sin(4 * y + 3 * np.sin(2 * x))


def _books(c: Cells) -> Look:
    top = 0.72 + 0.28 * scatter(c.i, c.i * 0, c.salt + 1)
    gap = (c.v > top) | (c.u < 0.06)
    band = (np.abs(c.v - 0.6 * top) < 0.05) * 0.4
    return scatter(c.i, c.i * 0, c.salt + 2) ** 2, np.where(
        gap, 0.12, 0.45 + 1.1 * scatter(c.i, c.i * 0, c.salt) + band
    )


def _panels(c: Cells) -> Look:
    seam = c.seams(0.02, 0.025)
    rim = c.seams(0.12, 0.1) & ~c.seams(0.1, 0.08)
    knob = (np.abs(c.u - np.where(c.i % 2 > 0, 0.12, 0.88)) < 0.035) & (np.abs(c.v - 0.6) < 0.05)
    return seam + 0.9 * knob, 1 - 0.22 * rim


def _screen(c: Cells) -> Look:
    lines = scatter(np.floor(12 * c.v), np.floor(5 * c.u), c.salt)
    return (lines > 0.55) * 0.8 * (np.abs(c.u - 0.5) < 0.42), 0.75 + 0.5 * c.v


def _view(c: Cells) -> Look:
    """Out of a window: sky that pales towards a skyline of houses and trees."""
    line = 0.28 + 0.22 * scatter(np.floor(c.u * 9), c.i * 0, c.salt) + 0.04 * np.sin(60 * c.u)
    land = c.v < line
    return land * 1.0, np.where(
        land, 0.7 + 0.6 * scatter(np.floor(c.u * 22), np.floor(c.v * 22), c.salt), 1.15 - 0.3 * c.v
    )


def _art(c: Cells) -> Look:
    x, y = c.i + c.u, c.j + c.v
    wave = np.sin(2.3 * x + 1.7 * y + c.salt) + np.sin(3.1 * y - 1.1 * x + 2 * c.salt) + np.sin(5 * x)
    return (wave > 0.2) * 1.0, 1 + 0.35 * np.sin(4 * x * y + c.salt)


def _writing(c: Cells) -> Look:
    length = 0.25 + 0.7 * scatter(c.j, c.i, c.salt)
    wave = np.sin(70 * c.u + 8 * scatter(np.floor(12 * c.u), c.j, c.salt))
    line = (np.abs(c.v - 0.5 - 0.16 * wave) < 0.13) & (c.u < length) & (scatter(c.j, c.i, c.salt + 5) > 0.35)
    return line * 0.9, np.ones_like(c.u)


def _folds(c: Cells) -> Look:
    return np.zeros_like(c.u), 1 + 0.3 * np.sin(2 * np.pi * c.u)


def _mirror(c: Cells) -> Look:
    gleam = np.abs(c.u + 0.6 * c.v - 0.5 - 0.4 * scatter(c.i, c.j, c.salt)) < 0.12
    return gleam * 0.7, 0.85 + 0.3 * c.v


def _leaves(c: Cells) -> Look:
    return c.random(1) ** 2 * 0.9, 0.6 + 0.9 * c.random()


PATTERNS: dict[str, Callable[[Cells], Look]] = {
    "plain": _plain, "planks": _planks, "tiles": _tiles, "checker": _checker, "brick": _brick, "stripes": _stripes,
    "dots": _dots, "cloth": _cloth, "marble": _marble, "books": _books, "panels": _panels, "screen": _screen, "view": _view,
    "art": _art, "writing": _writing, "folds": _folds, "mirror": _mirror, "leaves": _leaves,
}  # fmt: skip
_NUMBER = {name: i for i, name in enumerate(PATTERNS)}


def colours(seen: Surface, wide_N: np.ndarray) -> np.ndarray:
    """``(N, 3)`` float32 colours of what is seen, without light; ``wide_N`` is the metres that a pixel covers there."""
    kinds = np.array([_NUMBER[m.pattern] for m in seen.materials])
    numbers = np.array([[*m.first, *m.second, *m.size, m.salt] for m in seen.materials], dtype=F)[seen.material]
    share, bright = np.empty(len(wide_N), F), np.empty(len(wide_N), F)
    kind = kinds[seen.material]
    for number, pattern in enumerate(PATTERNS.values()):
        of = np.flatnonzero(kind == number)
        if len(of):
            cells = Cells.of(seen.across[of], seen.up[of], numbers[of, 6:8], numbers[of, 8], wide_N[of])
            second, light = pattern(cells)
            mean, middle = second.mean(), light.mean()
            share[of] = mean + (second - mean) * cells.sharp
            bright[of] = middle + (light - middle) * cells.sharp
    share = np.clip(share, 0, 1)[:, None]
    out: np.ndarray = ((1 - share) * numbers[:, :3] + share * numbers[:, 3:6]) * bright[:, None]
    return out
