"""What the two spaces of TransNAS-Bench-101 share: the stem, the modules of a network, and how architectures are read.

A network is ``64-MODULES-CELL``: a stem to 64 channels at a quarter of the image's size, then modules of two cells each. A
module's digit says what its first cell changes: 1 nothing, 2 twice the channels, 3 half the size, 4 both.

Source: Duan et al., CVPR 2021, and its public code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ncp import files
from ncp.errors import UserError

T = TypeVar("T")

BASE = 64
STEM_CHANNELS = 32
STEM_STRIDE = 4
STEM_PARAMS = 9 * 3 * STEM_CHANNELS + 2 * STEM_CHANNELS + 9 * STEM_CHANNELS * BASE + 2 * BASE
SIZE = (224, 224)
"""Height and width in pixels at which the benchmark counts multiply-adds."""
LONGEST_TEXT = 100


def halved(size: tuple[int, int], times: int) -> tuple[int, int]:
    """Height and width after ``times`` strides of two, which round up."""
    height, width = size
    for _ in range(times):
        height, width = (height + 1) // 2, (width + 1) // 2
    return height, width


def pixels(size: tuple[int, int], times: int) -> int:
    """Their product."""
    height, width = halved(size, times)
    return height * width


def stem_macs(size: tuple[int, int]) -> int:
    """Multiply-adds of the two strided 3x3 convolutions."""
    return 9 * 3 * STEM_CHANNELS * pixels(size, 1) + 9 * STEM_CHANNELS * BASE * pixels(size, 2)


def doubles(digit: int) -> bool:
    """Whether a module of this digit doubles the channels."""
    return digit in (2, 4)


def halves(digit: int) -> bool:
    """Whether a module of this digit halves the size."""
    return digit in (3, 4)


def read(
    value: Any,
    kind: type[T],
    what: str,
    from_text: Callable[[str], T],
    from_code: Callable[[Sequence[Any] | np.ndarray], T],
) -> T:
    """An architecture out of any form: one of its kind, text, a code, or a mapping with one of the latter two.

    Raises:
        UserError: for anything else.
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        text = value.strip()
        if len(text) > LONGEST_TEXT:
            raise UserError(f"{what} has at most {LONGEST_TEXT} characters, given were {len(text):,}")
        return from_text(text)
    if isinstance(value, Mapping):
        for key in ("code", "text", "arch"):
            if value.get(key) is not None and not isinstance(value[key], Mapping):
                return read(value[key], kind, what, from_text, from_code)
        keys = ", ".join(files.shown(key, 40) for key in list(value)[:20])
        raise UserError(f"a mapping that describes {what} needs code, text or arch; given were {keys}")
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (bytes, bytearray)):
        return from_code(value)
    raise UserError(f"{what} is a text or a code; given was {files.kind_of(value)}")


def digits(text: str, allowed: str, what: str, given: str) -> tuple[int, ...]:
    """The digits of ``text``; raises ``UserError`` naming the first that is not ``allowed``."""
    for place, letter in enumerate(text, start=1):
        if letter not in allowed:
            raise UserError(
                f"digit {place} of {what} must be one of {', '.join(allowed)}; given was '{files.shown(letter)}' in "
                f"'{files.shown(given)}'"
            )
    return tuple(map(int, text))
