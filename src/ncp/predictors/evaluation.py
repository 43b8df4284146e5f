"""How good predictions are: errors, rank correlations and calibration, in numpy alone; folds that every family shares.

Shape suffixes: N rows, M metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ncp.errors import UserError

_BLOCK = 2_000_000  # pairs compared at once in Kendall's tau


def mae(measured: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error of ``(N,)`` values, in their unit."""
    return float(np.abs(predicted - measured).mean())


def rmse(measured: np.ndarray, predicted: np.ndarray) -> float:
    """Root mean squared error of ``(N,)`` values, in their unit."""
    return float(np.sqrt(np.square(predicted - measured).mean()))


def ranks(values: np.ndarray) -> np.ndarray:
    """``(N,)`` ranks from 1, ties sharing their mean.

    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of ``(N,)`` values, -1..1; nan where one of them is constant.

    >>> round(spearman(np.array([1, 2, 3, 4]), np.array([1, 3, 2, 4])), 3)
    0.8
    """
    x, y = ranks(a), ranks(b)
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm > 0 else float("nan")


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b (ties corrected) of ``(N,)`` values, -1..1; nan where one of them is constant.

    All pairs are compared, in blocks: N squared time, little memory.

    >>> round(kendall(np.array([1, 2, 3, 4]), np.array([1, 3, 2, 4])), 3)
    0.667
    """
    x, y = ranks(a).astype(np.float32), ranks(b).astype(np.float32)
    n = len(x)
    agreement = 0
    untied_x = untied_y = 0
    block = max(1, _BLOCK // max(n, 1))
    for start in range(0, n, block):
        sign_x = np.sign(x[start : start + block, None] - x).astype(np.int8)
        sign_y = np.sign(y[start : start + block, None] - y).astype(np.int8)
        agreement += int((sign_x * sign_y).sum(dtype=np.int64))
        untied_x += int(np.count_nonzero(sign_x))
        untied_y += int(np.count_nonzero(sign_y))
    norm = np.sqrt(float(untied_x) * float(untied_y))
    return float(agreement / norm) if norm > 0 else float("nan")


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


def k_fold(n: int, folds: int = 5, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """``folds`` pairs of sorted row indices (fitted, held out); every one of ``n`` rows is held out exactly once.

    Raises:
        UserError: for fewer than two folds or fewer rows than folds.
    """
    if not 2 <= folds <= n:
        raise UserError(
            f"cross-validation needs 2 folds or more and a row for each; given were {folds} folds, {n} rows"
        )
    order = np.random.default_rng(seed).permutation(n)
    for part in np.array_split(order, folds):
        held = np.sort(part)
        yield np.setdiff1d(np.arange(n), held, assume_unique=True), held
