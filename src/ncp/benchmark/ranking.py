"""Ranks, rank correlations and fronts, in one place. scipy is imported when one is asked for: a look-up needs none of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """``(N,)`` ranks from 1, ascending, ties sharing their mean.

    >>> ranks(np.array([10.0, 30.0, 20.0, 20.0])).tolist()
    [1.0, 4.0, 2.5, 2.5]
    """
    from scipy.stats import rankdata

    found: np.ndarray = rankdata(values)
    return found


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of ``(N,)`` values, -1..1; nan where one of them is constant.

    >>> round(spearman(np.array([1, 2, 3, 4]), np.array([1, 3, 2, 4])), 3)
    0.8
    """
    return float(spearman_matrix(np.stack([a, b], axis=1))[0, 1])


def spearman_matrix(values_NM: np.ndarray) -> np.ndarray:
    """``(M, M)`` Spearman's rank correlation of the columns of ``(N, M)``; NaN for a constant column."""
    ranked = np.stack([ranks(column) for column in np.asarray(values_NM).T])
    centred = ranked - ranked.mean(1, keepdims=True)
    norm = np.sqrt((centred**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix: np.ndarray = centred @ centred.T / np.outer(norm, norm)
    out: np.ndarray = np.clip(matrix, -1, 1)
    return out


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b (ties corrected) of ``(N,)`` values, -1..1; nan where one of them is constant.

    >>> round(kendall(np.array([1, 2, 3, 4]), np.array([1, 3, 2, 4])), 3)
    0.667
    """
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def front(cost: Sequence[float] | np.ndarray, gain: Sequence[float] | np.ndarray) -> list[int]:
    """Indices of the points that no other point beats in both (lower cost, higher gain), by rising cost.

    >>> front([3, 1, 2, 2], [9, 5, 4, 7])
    [1, 3, 0]
    """
    out: list[int] = []
    for i in sorted(range(len(cost)), key=lambda i: (cost[i], -gain[i])):
        if not out or gain[i] > gain[out[-1]]:
            out.append(i)
    return out
