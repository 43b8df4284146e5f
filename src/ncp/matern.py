"""The Matern 5/2 correlation of points with its backward step: what all Gaussian processes here share.

Shape suffixes: N points, U other points, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

SQRT5 = math.sqrt(5.0)
LEAST = 1e-10  # of squared distances: at 0 a distance has no derivative


def matern52(
    a_NF: np.ndarray, b_UF: np.ndarray, scale: Any = 1.0, least: float = LEAST
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Correlations ``(..., N, U)``, and the way back: their derivatives to those ``(..., N, F)`` by the first points.

    Args:
        a_NF, b_UF: points divided by their length scales, ``(..., N, F)`` and ``(..., U, F)``.
        scale: a further factor of all distances, a number or ``(..., 1, 1)``.
        least: of squared distances.
    """
    far = a_NF @ b_UF.mT  # one array for all steps: of many points this is what takes the time
    far *= -2
    far += np.square(a_NF).sum(-1)[..., :, None]
    far += np.square(b_UF).sum(-1)[..., None, :]
    np.maximum(far, least, out=far)
    np.sqrt(far, out=far)
    far = far * (SQRT5 * scale)
    falling = np.exp(-far)
    value = (far / 3 + 1) * far
    value += 1
    value *= falling

    def back(d_NU: np.ndarray) -> np.ndarray:
        d_NU = d_NU * (1 + far) * falling * (-5 / 6 * np.square(scale))  # by the squared distances
        return np.asarray(2 * (a_NF * d_NU.sum(-1)[..., None] - d_NU @ b_UF))

    return value, back
