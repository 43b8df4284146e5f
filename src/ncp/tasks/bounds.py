"""How large the whole numbers of a configuration may be: a few digits must not ask for all memory, or for years."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ncp.card import LARGEST, LONGEST

WHOLE = 10_000_000  # a number of which nothing more is known, less its seed
MOST = {
    **{"workers": 256, "eval_batch": 65_536, "size": LONGEST, "crop": LONGEST, "eval_size": LONGEST},
    **dict.fromkeys(("scenes", "val_scenes", "videos", "val_videos"), 20_000),  # which are drawn
    **dict.fromkeys(("frames", "clips"), 4_096),  # of a video
}
"""Of the data, by key."""
ANY = ("seed", "macs")
"""Endings of keys whose numbers may be of any size."""
_NUMBERS = ("low", "high")  # of the data, lists that hold no sides of images


class Excess(NamedTuple):
    """A number that is too large, where it stands, and what is allowed there."""

    key: str
    value: int
    most: int


def excesses(value: Any, most: int = WHOLE, key: str = "") -> Iterator[Excess]:
    """The whole numbers beyond ``most`` within plain values."""
    if isinstance(value, int) and abs(value) > most:
        yield Excess(key, value, most)
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not str(name).endswith(ANY):
                yield from excesses(item, most, f"{key}.{name}" if key else str(name))
    for item in value if isinstance(value, (list, tuple)) else ():
        yield from excesses(item, most, key)


def data_excesses(data: Mapping[str, Any]) -> Iterator[Excess]:
    """The same of the options of a data set, each with the bound of its key."""
    for key, value in data.items():
        if not key.endswith(ANY):
            sides = isinstance(value, (list, tuple)) and key not in _NUMBERS
            yield from excesses(value, LONGEST if sides else MOST.get(key, WHOLE), key)


def too_large(channels: int, frames: int, *sizes: tuple[int, int] | None) -> str:
    """Which of a sample's sizes is of more numbers than any input may have, in words; empty where none is."""
    for size in sizes:
        if size is not None and math.prod(size) * channels * frames > LARGEST:
            return f"{channels} x {frames} x {size[0]} x {size[1]} numbers"
    return ""
