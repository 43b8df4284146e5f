"""Which row holds an architecture: one sorted array of numbers, for a million rows as for a hundred.

Shape suffixes: N rows, D dimensions of the code, M codes that are looked up.
"""

from __future__ import annotations

import numpy as np


class RowIndex:
    """Finds rows by their codes ``(N, D)`` int64.

    Each code is mixed into one 64-bit number with weights drawn anew in every process, so that no file can be made whose
    codes mix into the same one; what is found is compared with the code itself.
    """

    def __init__(self, codes_ND: np.ndarray) -> None:
        self._codes = codes_ND
        self._weights = np.random.default_rng().integers(-(2**63), 2**63 - 1, codes_ND.shape[1], dtype=np.int64) | 1
        mixed = codes_ND @ self._weights
        self._order = np.argsort(mixed, kind="stable")
        self._mixed = mixed[self._order]

    def find(self, codes_MD: np.ndarray) -> np.ndarray:
        """``(M,)`` the first row that holds each code; -1 where there is none."""
        codes_MD = np.asarray(codes_MD, dtype=np.int64)
        if not len(self._codes):
            return np.full(len(codes_MD), -1, dtype=np.int64)
        mixed = codes_MD @ self._weights
        place = np.searchsorted(self._mixed, mixed).clip(max=len(self._mixed) - 1)
        rows = np.where(self._mixed[place] == mixed, self._order[place], -1)
        for i in np.flatnonzero((rows >= 0) & (self._codes[rows] != codes_MD).any(1)).tolist():  # mixed alike by chance
            same = np.flatnonzero((self._codes == codes_MD[i]).all(1))
            rows[i] = same[0] if len(same) else -1
        return rows

    def first(self) -> np.ndarray:
        """``(N,)`` bool: rows that no earlier row has the same code as."""
        found: np.ndarray = self.find(self._codes) == np.arange(len(self._codes))
        return found
