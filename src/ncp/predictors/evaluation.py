"""How good predictions are: errors, rank correlations and calibration; folds that every family shares.

Shape suffixes: N rows, M metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ncp.benchmark.ranking import kendall, spearman
from ncp.errors import UserError

__all__ = ["calibration", "errors", "k_fold", "kendall", "mae", "rmse", "shuffled", "spearman"]


def mae(measured: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error of ``(N,)`` values, in their unit."""
    return float(np.abs(predicted - measured).mean())


def rmse(measured: np.ndarray, predicted: np.ndarray) -> float:
    """Root mean squared error of ``(N,)`` values, in their unit."""
    return float(np.sqrt(np.square(predicted - measured).mean()))


def calibration(measured: np.ndarray, predicted: np.ndarray, std: np.ndarray) -> float:
    """Mean of ``|error| / std`` over ``(N,)`` rows; .80 for a normal distribution of the stated width, 1 is too narrow."""
    return float((np.abs(predicted - measured) / np.maximum(std, 1e-12)).mean())


def errors(
    metrics: Sequence[str], measured_NM: np.ndarray, predicted_NM: np.ndarray, std_NM: np.ndarray | None = None
) -> dict[str, dict[str, float]]:
    """Per metric ``mae``, ``rmse``, ``spearman``, ``kendall`` and, where ``std_NM`` is positive, ``calibration``.

    A figure that is not defined (a rank correlation with a constant) is left out.
    """
    out: dict[str, dict[str, float]] = {}
    for i, name in enumerate(metrics):
        y, p = np.asarray(measured_NM)[:, i], np.asarray(predicted_NM)[:, i]
        row = {"mae": mae(y, p), "rmse": rmse(y, p), "spearman": spearman(y, p), "kendall": kendall(y, p)}
        if std_NM is not None and (np.asarray(std_NM)[:, i] > 0).all():
            row["calibration"] = calibration(y, p, np.asarray(std_NM)[:, i])
        out[name] = {key: value for key, value in row.items() if np.isfinite(value)}
    return out


def shuffled(n: int, seed: int, first: np.ndarray | None = None) -> np.ndarray:
    """The numbers of ``n`` rows in random order; of those of one architecture its first row alone.

    Args:
        n: rows.
        seed: of the order.
        first: ``(n,)`` of each row the first with its architecture; None where no architecture is there twice.
    """
    order = np.random.default_rng(seed).permutation(n)
    return order if first is None else order[first[order] == order]


def k_fold(
    n: int, folds: int = 5, seed: int = 0, first: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """``folds`` pairs of sorted row indices (fitted, held out); every one of ``n`` rows is held out exactly once.

    Rows of one architecture (``first`` as in :func:`shuffled`) are held out together: what was measured of a network is no
    surprise to who has seen another measurement of it.

    Raises:
        UserError: for fewer than two folds or fewer architectures than folds.
    """
    order = shuffled(n, seed, first)
    if not 2 <= folds <= len(order):
        raise UserError(
            f"cross-validation needs 2 folds or more and an architecture for each; given were {folds} folds, {len(order)} "
            "architectures"
        )
    for part in np.array_split(order, folds):
        held = np.sort(part) if first is None else np.flatnonzero(np.isin(first, part))
        yield np.setdiff1d(np.arange(n), held, assume_unique=True), held
