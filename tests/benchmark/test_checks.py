"""Recorded costs against exact ones; shifted batches: found where they were put, and nowhere else."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from ncp import spaces
from ncp.benchmark import checks, settings
from ncp.errors import UserError
from ncp.spaces import cost
from ncp.spaces.multires import SPACE


def rows(n=900, seed=0, noise=1.0):
    """Codes and a metric that depends on them smoothly, with noise of heavy tails."""
    rng = np.random.default_rng(seed)
    codes = SPACE.sample_codes(n, rng)
    z = (np.log2(codes) - np.log2(codes).mean(0)) / np.log2(codes).std(0)
    metric = 70 + z @ rng.normal(size=27) * 0.8 - (z[:, 8] * z[:, 20]) + noise * rng.standard_t(5, size=n)
    return codes, metric, rng


@pytest.mark.parametrize("contiguous", [True, False])
def test_a_batch_is_found(contiguous):
    codes, metric, rng = rows(2000)
    wrong = np.zeros(2000, dtype=bool)
    wrong[np.arange(300, 500) if contiguous else rng.permutation(2000)[:200]] = True
    batch = checks.shifted_batch(SPACE, codes, np.where(wrong, metric - 6, metric), None)
    assert batch is not None
    assert batch.shift == pytest.approx(-6, abs=0.7)
    assert batch.share == pytest.approx(0.1, abs=0.02)
    precision, recall = wrong[batch.rows].mean(), batch.rows[wrong].mean()
    assert min(precision, recall) > (0.97 if contiguous else 0.9)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_found_where_nothing_is(seed):
    codes, metric, rng = rows(700, seed)
    metric[rng.permutation(700)[:14]] -= rng.uniform(5, 30, 14)  # single bad trainings are no batch
    assert checks.shifted_batch(SPACE, codes, metric, None) is None


def test_batches_are_looked_for_within_a_group():
    """Forty wrong rows are too few among 1,300, but not among the 400 of their own kind."""
    codes, metric, _ = rows(1300, 3)
    group = np.where(np.arange(1300) < 400, 128, 112)
    wrong = (np.arange(1300) >= 100) & (np.arange(1300) < 140)
    shifted = np.where(wrong, metric - 7, metric)
    batch = checks.shifted_batch(SPACE, codes, shifted, group)
    assert batch is not None
    assert batch.rows[wrong].mean() > 0.95
    assert not batch.rows[group == 112].any()
    assert checks.shifted_batch(SPACE, codes, shifted, None) is None


def test_small_and_unusable_tables_are_not_examined():
    codes, metric, _ = rows(200)
    assert checks.shifted_batch(SPACE, codes, metric, None) is None
    codes, metric, _ = rows(400)
    metric[:150] = np.nan
    assert checks.shifted_batch(SPACE, codes, metric, None) is None


def test_residuals_leave_each_row_out():
    """The closed form equals refitting without the row, for a fit with fixed weights."""
    codes, metric, _ = rows(120)
    few = metric.copy()
    found = checks.residuals(SPACE, codes, few, ridge=200.0)
    assert np.isfinite(found).all()
    few[7] += 40  # one wild row hardly moves the others, and shows itself almost in full
    again = checks.residuals(SPACE, codes, few, ridge=200.0)
    assert again[7] - found[7] == pytest.approx(40, rel=0.15)
    assert np.median(np.abs(np.delete(again - found, 7))) < 0.5


def test_forward_and_backward_by_enumeration():
    """State probabilities of a short chain against the sum over all its paths."""
    rng = np.random.default_rng(0)
    likelihood = rng.uniform(0.1, 1, size=(7, 2))
    chain = np.array([[0.8, 0.2], [0.35, 0.65]])
    start = np.array([0.35, 0.2]) / 0.55
    weights = np.zeros((7, 2))
    pairs = np.zeros((2, 2))
    for path in np.ndindex(*[2] * 7):
        p = start[path[0]] * np.prod([likelihood[t, s] for t, s in enumerate(path)])
        p *= np.prod([chain[a, b] for a, b in pairwise(path)])
        for t, s in enumerate(path):
            weights[t, s] += p
        for a, b in pairwise(path):
            pairs[a, b] += p
    pairs = pairs / weights[0].sum() + 1.0
    state, transitions = checks._smooth(likelihood, chain)
    assert state == pytest.approx(weights / weights.sum(1, keepdims=True))
    assert transitions == pytest.approx(pairs / pairs.sum(1, keepdims=True))


def test_recorded_costs_are_held_against_the_convention_that_the_setting_names():
    codes = SPACE.sample_codes(6, np.random.default_rng(1))
    flops, params = cost.release_units(codes)
    wrong = flops.copy()
    wrong[[1, 4]] += [1e-6, np.nan]
    found = checks.check_cost(settings.get("seg"), SPACE, codes, wrong, params)
    assert found.wrong.tolist() == [False, True, False, False, False, False]  # a row without costs is not wrong
    own = replace(settings.get("seg"), name="own", cost_units="")
    assert not checks.check_cost(own, SPACE, codes, 2 * flops, params).wrong.any()  # another program's multiply-adds
    large, weights = cost.kitti_units(codes, 128)
    small, _ = cost.kitti_units(codes, 112)
    mixed = np.where(np.arange(6) < 3, large, small).round(3)
    found = checks.check_cost(settings.get("3ddet"), SPACE, codes, mixed, weights.round(3))
    assert found.size.tolist() == [128] * 3 + [112] * 3
    assert not found.wrong.any()
    cells = spaces.get("nasbench201")
    some = cells.encode(cells.sample(5, np.random.default_rng(0))).astype(int)
    exact = cells.cost(some)
    macs, weights = (exact.macs / 1e6).round(2), (exact.params / 1e6).round(3)
    macs[3] += 0.02
    found = checks.check_cost(settings.get("nas-bench-201"), cells, some, macs, weights)
    assert found.wrong.tolist() == [False, False, False, True, False]
    with pytest.raises(
        UserError, match="cost_units must be one of release, release-kitti, rounded-millions, given was 'mine'"
    ):
        replace(settings.get("seg"), cost_units="mine")
