"""Images of any number of channels as people see them."""

from __future__ import annotations

from typing import Any

import numpy as np


def shown(image_CHW: Any) -> np.ndarray:
    """``(H, W, 3)`` uint8 of a network's input ``(C, H, W)``: RGB as it is, one channel as grey, of others the first three
    (of two the second twice)."""
    array = np.asarray(image_CHW)
    channels = {1: (0, 0, 0), 2: (0, 1, 1)}.get(len(array), (0, 1, 2))
    out: np.ndarray = array[list(channels)].transpose(1, 2, 0)
    return out
