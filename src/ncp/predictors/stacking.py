"""Several kinds of process for the same rows: how much each counts, by how likely it made rows that it did not see.

Shape suffixes: R rows, S structures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncp.predictors.transfer_fit import LEAST_WEIGHT, log_density

Answers = tuple[np.ndarray, np.ndarray]
"""Means and standard deviations, ``(R,)`` each."""


def weights(
    values_R: np.ndarray,
    tried: Sequence[Answers],
    prior_S: Sequence[float],
    least_S: Sequence[float] | None = None,
    rows: float = 5.0,
) -> np.ndarray:
    """``(S,)`` weights of structures, which sum to 1 (stacking of predictive densities: Yao and others, 2018).

    Those under which the left-out values are most likely, as a mixture, together with a prior that counts like ``rows`` rows.
    A structure whose weight is below its ``least_S`` (None: :data:`LEAST_WEIGHT`) is left out.
    """
    log_RS = np.stack([log_density(values_R - mean, std) for mean, std in tried], axis=1)
    likely_RS = np.exp(log_RS - log_RS.max(axis=1, keepdims=True))
    prior = np.asarray(prior_S, dtype=np.float64) / np.sum(prior_S)
    found = prior.copy()
    for _ in range(200):  # expectation and maximisation; the problem is convex
        share_RS = likely_RS * found
        share_RS /= share_RS.sum(axis=1, keepdims=True)
        found = (share_RS.sum(axis=0) + rows * prior) / (len(values_R) + rows)
    found[found < (LEAST_WEIGHT if least_S is None else np.asarray(least_S))] = 0.0
    out: np.ndarray = found / found.sum()
    return out


def mixed(tried: Sequence[Answers], weight_S: np.ndarray) -> Answers:
    """Mean and standard deviation of the mixture."""
    mean_RS, std_RS = (np.stack([answer[i] for answer in tried], axis=1) for i in range(2))
    mean_R = mean_RS @ weight_S
    square_R = (np.square(std_RS) + np.square(mean_RS - mean_R[:, None])) @ weight_S
    return mean_R, np.sqrt(square_R)
