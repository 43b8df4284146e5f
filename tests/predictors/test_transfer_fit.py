"""Fitting from few rows: the posterior density against scipy's, mixtures against their definition."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from ncp.errors import UserError
from ncp.predictors import transfer_fit as tf
from ncp.predictors.transfer import JITTER, LEVEL, Inputs, covariance

KNOWN = 2
RNG = np.random.default_rng(0)
ROWS = Inputs(*(torch.from_numpy(RNG.normal(size=(14, d))) for d in (4, 2 + KNOWN)))
VALUES = torch.from_numpy(RNG.normal(size=14))


def process(structure=tf.TRANSFER, keep=None, lengths=False):
    keep = torch.ones(1, 14, dtype=torch.bool) if keep is None else keep
    return tf.Process(ROWS, VALUES, structure, KNOWN, keep, lengths)


def density(structure, q, keep):
    """Log of prior times likelihood of the metric by scipy, of one part of the rows."""
    names = [name for name in tf.HYPER if name not in structure.without]
    hyper = dict.fromkeys(tf.HYPER, 0.0)
    for name, x in zip(names, q, strict=True):
        mean, deviation = structure.priors[name]
        hyper[name] = math.exp(mean + deviation * x)
    values = VALUES.numpy()[keep]
    top = values.max() + hyper["top"]
    u = -np.log(top - values)
    width = u.std(ddof=1)
    t = (u - u.mean()) / width
    linear, smooth = ROWS.linear.numpy(), ROWS.smooth.numpy()
    strength = np.array([hyper["average"], *[hyper["each"]] * KNOWN, hyper["cost"]])
    distance = math.sqrt(5) * hyper["shrink"] * np.linalg.norm(smooth[:, None] - smooth[None], axis=-1)
    matern = (1 + distance + distance**2 / 3) * np.exp(-distance)
    k = LEVEL**2 + (linear * strength**2) @ linear.T + hyper["smooth"] ** 2 * matern
    k += (hyper["noise"] ** 2 + JITTER * (1 + np.diag(k).mean())) * np.eye(len(k))
    k = k[keep][:, keep]
    likelihood = (
        stats.multivariate_normal(np.zeros(len(t)), k).logpdf(t) + (-np.log(top - values) - np.log(width)).sum()
    )
    return likelihood + stats.norm.logpdf(q).sum()


STRUCTURES = (*tf.MIXTURES["usual"].structures, tf.LARGE)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_the_loss_is_minus_the_log_of_prior_times_likelihood(structure):
    keep = torch.ones(2, 14, dtype=torch.bool)
    keep[1, [0, 3, 9]] = False
    made = process(structure, keep)
    q = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 2, len(made.names))))
    found = made.loss(q).numpy()
    for b in range(2):
        expected = [-density(structure, one.numpy(), keep[b].numpy()) for one in q[:, b]]
        np.testing.assert_allclose(found[:, b] - found[0, b], np.array(expected) - expected[0], atol=1e-5)


def test_the_end_of_a_fit_is_a_minimum_within_the_priors():
    made = process()
    q = made.fit()
    assert q.abs().max() < 4
    here = made.loss(q).item()
    for d in range(q.shape[1]):
        for step in (-0.2, 0.2):
            moved = q.clone()
            moved[0, d] += step
            assert made.loss(moved).item() > here - 1e-6


def test_parts_that_a_structure_lacks_have_no_strength_and_the_top_is_above_the_best():
    q = torch.zeros(1, 7, dtype=torch.float64)
    for structure in STRUCTURES:
        made = process(structure)
        hyper = made.hyper(q[:, : len(made.names)])[0]
        for name, value in zip(tf.HYPER[:-1], hyper, strict=False):
            assert (value == 0) == (name in structure.without), name
        assert hyper[-1] == pytest.approx(VALUES.max().item() + math.exp(0.5))
    made = process(lengths=True)
    wide = torch.zeros(1, len(made.mean), dtype=torch.float64)
    wide[0, -1] = 2.0
    np.testing.assert_allclose(made.length(wide)[0], [1, 1, 1, math.exp(0.6)])
    np.testing.assert_array_equal(process().length(q), np.ones((1, 4)))


def fitted(components=3, seed=0):
    rng = np.random.default_rng(seed)
    hyper = torch.from_numpy(np.exp(rng.normal(-0.5, 0.3, (components, 7))))
    hyper[:, -1] += VALUES.max()
    return tf.Fitted(hyper, torch.from_numpy(rng.normal(size=components)), torch.ones(4, dtype=torch.float64))


def answers(fit):
    new = Inputs(*(torch.from_numpy(np.random.default_rng(5).normal(size=(6, d))) for d in (4, 2 + KNOWN)))
    return tf.answers(ROWS, VALUES, new, fit, KNOWN)


def test_more_components_are_the_same_mixture():
    fit = fitted()
    wide = tf.padded(fit, 7)
    assert wide.hyper.shape == (7, 7)
    for ours, expected in zip(answers(wide), answers(fit), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9)
    assert tf.padded(fit, 3) is fit


def test_a_stack_is_the_mixture_of_its_parts_by_their_weights():
    parts, weights = (fitted(2, 1), fitted(4, 2)), (0.3, 0.7)
    mean, std = answers(tf.stacked(parts, weights))
    each = [answers(part) for part in parts]
    expected = sum(w * m for w, (m, _) in zip(weights, each, strict=True))
    squares = sum(w * (s**2 + m**2) for w, (m, s) in zip(weights, each, strict=True))
    np.testing.assert_allclose(mean, expected, rtol=1e-9)
    np.testing.assert_allclose(std, np.sqrt(squares - expected**2), rtol=1e-7)


def test_components_of_one_are_the_best_itself_and_draws_are_reproducible():
    made = process()
    q = made.fit()
    (one,) = made.components(q, 1, seed=0)
    torch.testing.assert_close(one.hyper, made.hyper(q))
    (first,), (again,), (other,) = (made.components(q, 6, seed) for seed in (0, 0, 1))
    torch.testing.assert_close(first.hyper, again.hyper)
    assert not torch.allclose(first.hyper, other.hyper)
    # drawn in pairs about the best, in logarithms
    middle = first.hyper[:, :-1].log().reshape(2, 3, 6).mean(0)
    torch.testing.assert_close(middle, made.hyper(q)[:, :-1].log().expand(3, 6))


def test_a_metric_that_never_varies_is_answered_by_its_value():
    values = torch.full((14,), 0.25, dtype=torch.float64)
    fit = tf.fit(ROWS, values, tf.TRANSFER, KNOWN)
    mean, std = tf.answers(ROWS, values, ROWS, fit, KNOWN)
    np.testing.assert_allclose(mean, 0.25, atol=1e-6)
    assert std.max() < 1e-2


def test_numbers_without_a_factor_are_the_users():
    wild = Inputs(ROWS.smooth * math.nan, ROWS.linear)
    with pytest.raises(UserError, match="look for outliers among the rows"):
        tf.fit(wild, VALUES, tf.TRANSFER, KNOWN)


def test_log_density_is_scipys():
    error, std = RNG.normal(size=9), RNG.uniform(0.1, 2, 9)
    np.testing.assert_allclose(tf.log_density(error, std), stats.norm.logpdf(error, scale=std))


def test_the_kernel_is_a_covariance():
    hyper = fitted().hyper
    assert torch.linalg.eigvalsh(covariance(ROWS, ROWS, hyper, KNOWN)).min() > -1e-8
