"""Errors by hand; folds by counting. Rank correlations are those of ``ncp.benchmark.ranking``."""

import numpy as np
import pytest

from ncp.errors import UserError
from ncp.predictors import evaluation


def test_constants_have_no_correlation() -> None:
    rising, same = np.arange(5.0), np.ones(5)
    assert np.isnan(evaluation.kendall(rising, same))
    assert np.isnan(evaluation.spearman(same, rising))
    assert set(evaluation.errors(["m"], rising[:, None], same[:, None])["m"]) == {"mae", "rmse"}


def test_errors_by_hand() -> None:
    measured, predicted = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [4.0], [2.0]])
    row = evaluation.errors(["m"], measured, predicted, np.full((3, 1), 2.0))["m"]
    assert row["mae"] == pytest.approx(1.0)
    assert row["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert row["kendall"] == pytest.approx(1 / 3)
    assert row["calibration"] == pytest.approx(0.5)


def test_calibration_of_a_normal_distribution() -> None:
    error = np.random.default_rng(0).normal(size=20_000)
    value = evaluation.calibration(np.zeros_like(error), 3 * error, np.full_like(error, 3.0))
    assert value == pytest.approx(np.sqrt(2 / np.pi), abs=0.01)


def test_every_row_is_held_out_once() -> None:
    folds = list(evaluation.k_fold(103, 5, seed=4))
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(103))
    for fitted, held in folds:
        assert not set(fitted) & set(held)
        assert len(fitted) + len(held) == 103
        assert len(held) in (20, 21)
    assert not np.array_equal(folds[0][1], next(evaluation.k_fold(103, 5, seed=5))[1])
    for bad in (1, 104):
        with pytest.raises(UserError, match="cross-validation needs"):
            next(evaluation.k_fold(103, bad))
