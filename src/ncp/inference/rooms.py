"""Tasks on rooms beside classes and labels: the layout's numbers, an image made of an image, and a jigsaw's tiles.

Shape suffixes: B batch, P tiles, C channels, H height, W width.
"""

from __future__ import annotations

import zlib

import numpy as np

from ncp.card import NetworkCard
from ncp.data.images import fitted
from ncp.data.tiles import CENTRE, TILES, field_side
from ncp.errors import UserError
from ncp.inference.images import centred, normalised, resized
from ncp.inference.network import Network
from ncp.inference.segmentation import WHOLE


def whole(image_CHW: np.ndarray, network: Network) -> np.ndarray:
    """An image as a network sees it that makes another of it: with its shorter side as in the training; for a fixed input the
    centred window.

    Raises:
        UserError: for one that is too large.
    """
    card = network.card
    if network.fixed is not None:
        return normalised(centred(image_CHW, network.fixed, 1.0), card)
    height, width = image_CHW.shape[-2:]
    size = fitted((height, width), card.use.short or min(card.size))
    if size[0] * size[1] > WHOLE:
        raise UserError(f"has {height} x {width} pixels, which is too long and narrow")
    return normalised(resized(image_CHW, size), card)


def numbers(written: np.ndarray, card: NetworkCard) -> np.ndarray:
    """What a network wrote ``(B, K, ...)`` in the units that its card says, float64."""
    ones = (1,) * (written.ndim - 2)
    scale, shift = (
        np.array(values or [default] * written.shape[1])
        for values, default in ((card.use.scale, 1), (card.use.shift, 0))
    )
    out: np.ndarray = written.astype(np.float64) * scale.reshape(-1, *ones) + shift.reshape(-1, *ones)
    return out


def made(written_BCHW: np.ndarray, card: NetworkCard) -> np.ndarray:
    """``(B, C, H, W)`` uint8."""
    out: np.ndarray = np.clip(np.rint(numbers(written_BCHW, card)), 0, 255).astype(np.uint8)
    return out


def permutations(card: NetworkCard) -> np.ndarray:
    """``(K, 9)`` from 0: those that a jigsaw's classes are called by, ``123456789``.

    Raises:
        UserError: where a class is called otherwise.
    """
    rows = [[int(letter) - 1 for letter in name] for name in card.classes if name.isascii() and name.isdigit()]
    if len(rows) < len(card.classes) or any(sorted(row) != list(range(TILES)) for row in rows):
        raise UserError("this jigsaw's classes are not called by the order of their tiles, such as 123456789")
    return np.array(rows)


def shuffled(name: str, count: int) -> int:
    """Which of ``count`` permutations shuffles the image of that name; the same in every run."""
    return zlib.crc32(name.encode()) % count


def tiles(image_CHW: np.ndarray, permutation_9: np.ndarray, side: int) -> np.ndarray:
    """``(9, C, side, side)``: tile ``i`` comes from the middle of field ``permutation[i]`` of the image's centred part."""
    field = field_side(side)
    image = centred(image_CHW, (3 * field, 3 * field), CENTRE)
    first = (field - side) // 2
    out = [
        image[:, y : y + side, x : x + side]
        for y, x in ((first + f // 3 * field, first + f % 3 * field) for f in permutation_9)
    ]
    return np.stack(out)


def put_together(tiles_PCHW: np.ndarray, permutation_9: np.ndarray) -> np.ndarray:
    """``(C, 3 H, 3 W)``: tile ``i`` laid on field ``permutation[i]``."""
    fields = np.empty_like(tiles_PCHW)
    fields[permutation_9] = tiles_PCHW
    return np.concatenate([np.concatenate(list(fields[i : i + 3]), axis=-1) for i in (0, 3, 6)], axis=-2)
