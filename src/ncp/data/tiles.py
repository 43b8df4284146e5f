"""How large a jigsaw's tiles are, for its cutting in trainings and for predictions, which need no torch."""

from __future__ import annotations

TILES = 9
CENTRE = 0.9  # share of an image's side that is cut
SHARE = 64 / 85  # of a field's side that a tile covers


def tile_side(side: int) -> int:
    """Pixels of a tile of an image of ``side`` pixels.

    >>> tile_side(256), tile_side(64)
    (64, 16)
    """
    return round(side // 3 * SHARE)


def field_side(tile: int) -> int:
    """Pixels of a field in which a tile of ``tile`` pixels lies.

    >>> field_side(64), field_side(16)
    (85, 21)
    """
    return round(tile / SHARE)
