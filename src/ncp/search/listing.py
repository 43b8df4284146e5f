"""Spaces so small that a search can look at all of them in its last step.

A cell of six edges has some thousands of forms: a predictor tells of all of them in a second, and what is best under the
criterion is then known instead of approached.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ncp.search.criterion import Criterion

LISTED = 20_000
"""Architectures that a space has at most to be looked at whole."""
CHUNK = 1024


@lru_cache(maxsize=4)
def whole_space(space: Any) -> np.ndarray | None:
    """``(N, D)`` codes of all architectures; None of a space that has too many, or that does not list them."""
    architectures = space.all() if hasattr(space, "all") else []
    if not 0 < len(architectures) <= LISTED:
        return None
    codes: np.ndarray = space.encode(architectures).astype(np.float64)
    codes.flags.writeable = False
    return codes


def ranked(criterion: Criterion, codes_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes within the region that keep all limits, the best first, and their scores; equal scores in the order given."""
    codes = codes_ND[criterion.budget.region.contains(codes_ND)]
    parts = [criterion.scores(codes[i : i + CHUNK]) for i in range(0, len(codes), CHUNK)]
    if not parts:
        return codes, np.zeros(0)
    score = np.concatenate([part.score for part in parts])
    kept = np.concatenate([part.excess for part in parts]) == 0
    order = np.argsort(-score, kind="stable")
    order = order[kept[order]]
    return codes[order], score[order]
