"""An architecture as a sequence of choices: what a controller decides one after the other.

Shape suffixes: N architectures, T choices, O options, D dimensions of the code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ncp import spaces
from ncp.spaces.onehot import OneHotSpace


class Choices:
    """The choices of a space: positions of a one-hot space, else dimensions with their grid of values.

    Attributes:
        length: T, how many choices make an architecture.
        options: O, the most options that a choice has.
        open: ``(T, O)`` bool: options that the choice has at all.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space
        if isinstance(space, OneHotSpace):
            self.length, self.options = space.positions, space.options
            self.open = np.ones((self.length, self.options), dtype=bool)
        else:
            levels = np.rint((space.upper - space.lower) / space.step).astype(int) + 1
            self.length, self.options = space.dim, int(levels.max())
            self.open = np.arange(self.options) < levels[:, None]

    def of(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N, T)`` int64 options of valid codes."""
        if isinstance(self.space, OneHotSpace):
            return self.space.choices(codes_ND)
        out: np.ndarray = np.rint((np.asarray(codes_ND) - self.space.lower) / self.space.step).astype(np.int64)
        return out

    def codes(self, options_NT: np.ndarray) -> np.ndarray:
        """``(N, D)`` int64 codes: the nearest valid ones."""
        if isinstance(self.space, OneHotSpace):
            return self.space.round(self.space.one_hot(options_NT))
        return self.space.round(self.space.lower + np.asarray(options_NT) * self.space.step)
