"""Weights of structures: against scipy's optimum of the same likelihood, and mixtures against draws."""

import numpy as np
from scipy import optimize, stats

from ncp.predictors import stacking

RNG = np.random.default_rng(0)
TRUE = RNG.normal(0, 1, 60)
GOOD = (TRUE + RNG.normal(0, 0.3, 60), np.full(60, 0.3))
POOR = (RNG.normal(0, 1, 60), np.full(60, 1.0))
MIDDLE = (TRUE + RNG.normal(0, 0.6, 60), np.full(60, 0.6))


def test_they_are_the_most_likely_ones():
    tried, prior = [GOOD, POOR, MIDDLE], np.array([0.5, 0.25, 0.25])
    densities = np.stack([stats.norm.pdf(TRUE, mean, std) for mean, std in tried], 1)

    def loss(x):
        weights = np.exp(x) / np.exp(x).sum()
        return -np.log(densities @ weights).sum() - 5.0 * (prior * np.log(weights)).sum()

    best = optimize.minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    wanted = np.exp(best.x) / np.exp(best.x).sum()
    wanted[wanted < stacking.LEAST_WEIGHT] = 0
    found = stacking.weights(TRUE, tried, prior)
    np.testing.assert_allclose(found, wanted / wanted.sum(), atol=2e-3)
    assert found[0] > 0.8


def test_without_rows_that_tell_the_prior_stays():
    np.testing.assert_allclose(stacking.weights(TRUE[:3], [(TRUE[:3], np.ones(3))] * 2, [3, 1]), [0.75, 0.25])


def test_a_mixture_has_the_moments_of_its_draws():
    weights = np.array([0.7, 0.3])
    mean, std = stacking.mixed([(np.array([1.0]), np.array([0.5])), (np.array([4.0]), np.array([2.0]))], weights)
    which = RNG.random(400_000) < 0.7
    draws = np.where(which, RNG.normal(1, 0.5, which.size), RNG.normal(4, 2, which.size))
    assert abs(mean[0] - draws.mean()) < 0.02
    assert abs(std[0] - draws.std()) < 0.02
