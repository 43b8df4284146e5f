"""Jigsaw puzzles of nine tiles: sets of permutations that are far apart, and the cutting.

Sets: permutations of nine places differ in at most nine of them. The largest sets whose members differ in at least 9, 8 and 7
places are known and have the structure of a group: the 9 translations of the field of nine elements, its 72 affine maps, and the
504 fractional linear maps of the projective line over the field of eight; with the field's automorphisms these are 1,512, which
differ in at least 6. So sets of up to 1,512 come from one of them, and their distances are the best possible (up to 504) at once,
without the usual greedy search over all 362,880 permutations.

Cutting, as TransNAS-Bench-101 does it: of an image resized to a multiple of three the centred 90% are enlarged to the whole, and
in each of 3 x 3 fields a tile of three quarters of the field's side lies at random.

Shape suffixes: P permutations, C channels, H height, W width.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ncp.data import transforms as T
from ncp.data.rasters import read_plain
from ncp.data.tiles import CENTRE, TILES, tile_side
from ncp.errors import UserError
from ncp.files import printable

_DISTANCES = ((9, 9), (72, 8), (504, 7), (1512, 6))  # at most so many permutations, at least so far apart
MOST = _DISTANCES[-1][0]


def least_distance(count: int) -> int:
    """In how many of the nine places two of ``count`` permutations differ at least, as :func:`permutations` makes them.

    >>> [least_distance(count) for count in (9, 24, 100, 1000)]
    [9, 8, 7, 6]
    """
    return next(distance for most, distance in _DISTANCES if count <= most)


def permutations(count: int, seed: int = 0) -> np.ndarray:
    """``(count, 9)`` int64: different permutations of 0..8, as far apart as the sets above allow, chosen by the seed.

    Raises:
        UserError: for less than 2 or more than 1,512.
    """
    if not 2 <= count <= MOST:
        raise UserError(f"a jigsaw has from 2 to {MOST:,} permutations, given were {count}")
    group = {9: _translations, 8: _affine, 7: _fractional, 6: _semilinear}[least_distance(count)]()
    rng = np.random.default_rng((seed, count))
    chosen = group[np.sort(rng.permutation(len(group))[:count])]
    names, places = rng.permutation(TILES), rng.permutation(TILES)
    return np.ascontiguousarray(names[chosen][:, places])  # renaming tiles and places changes no distance


def _nine(a: int, b: int) -> int:
    """The product in the field of nine, of a0 + 3 a1 for a0 + a1 i with i i = -1."""
    real, other = a % 3 * (b % 3) - a // 3 * (b // 3), a % 3 * (b // 3) + a // 3 * (b % 3)
    return real % 3 + 3 * (other % 3)


def _nine_sum(a: int, b: int) -> int:
    return (a % 3 + b % 3) % 3 + 3 * ((a // 3 + b // 3) % 3)


def _translations() -> np.ndarray:
    return np.array([[_nine_sum(x, b) for x in range(9)] for b in range(9)])


def _affine() -> np.ndarray:
    return np.array([[_nine_sum(_nine(a, x), b) for x in range(9)] for a in range(1, 9) for b in range(9)])


def _eight(a: int, b: int) -> int:
    """The product in the field of eight: polynomials over 0 and 1 modulo x x x + x + 1."""
    out = 0
    for i in range(3):
        out ^= (a << i) * (b >> i & 1)
    for i in (4, 3):
        out ^= (0b1011 << (i - 3)) * (out >> i & 1)
    return out


def _fractional() -> np.ndarray:
    """x -> (a x + b) / (c x + d) on the eight elements and infinity (8), by whichever of c, d comes first being 1."""
    inverse = {x: next(y for y in range(1, 8) if _eight(x, y) == 1) for x in range(1, 8)}

    def image(a: int, b: int, c: int, d: int, x: int) -> int:
        over, under = (a, c) if x == 8 else (_eight(a, x) ^ b, _eight(c, x) ^ d)
        return 8 if under == 0 else _eight(over, inverse[under])

    scaled = [(0, 1), *((1, d) for d in range(8))]
    found = [
        [image(a, b, c, d, x) for x in range(9)]
        for c, d in scaled
        for a, b in itertools.product(range(8), repeat=2)
        if _eight(a, d) != _eight(b, c)
    ]
    return np.array(found)


def _semilinear() -> np.ndarray:
    square = np.array([*(_eight(x, x) for x in range(8)), 8])
    linear = _fractional()
    return np.concatenate([linear, linear[:, square], linear[:, square[square]]])


def read_permutations(path: Path) -> np.ndarray:
    """``(P, 9)`` int64 out of a ``.npy`` file, such as the official one of 1,000.

    Raises:
        UserError: where it cannot be read, or its rows are no different permutations of 0..8 (1..9 is taken, too).
    """
    rows = read_plain(path, 2)
    if rows.dtype.kind == "f" and not (rows == np.floor(rows)).all():
        raise UserError(f"'{printable(path)}' holds no whole numbers; its rows must be permutations of 0 to 8")
    rows = rows.astype(np.int64)
    rows = rows - (1 if rows.size and rows.min() == 1 else 0)
    wrong = rows.shape[1] != TILES or len(rows) < 2 or not (np.sort(rows, 1) == np.arange(TILES)).all()
    if wrong or len(np.unique(rows, axis=0)) < len(rows):
        raise UserError(
            f"'{printable(path)}' must hold different permutations of 0 to 8, one a row; its shape is {rows.shape}"
        )
    return rows


def cut(image_CHW: Tensor, permutation: np.ndarray, rng: np.random.Generator) -> Tensor:
    """``(9, C, t, t)``: tile ``i`` comes from field ``permutation[i]``, counted row by row."""
    field = min(image_CHW.shape[-2:]) // 3
    side, tile = 3 * field, tile_side(min(image_CHW.shape[-2:]))
    image = T.centre_crop(T.resize_image(image_CHW, (side, side)), (side, side), CENTRE)
    corners = rng.integers(0, field - tile + 1, (TILES, 2)) + np.stack([permutation // 3, permutation % 3], 1) * field
    return torch.stack([image[:, top : top + tile, left : left + tile] for top, left in corners.tolist()])
