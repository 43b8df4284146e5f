"""CATCH's parts: how often it explores, and its context as a product of Gaussians."""

from types import SimpleNamespace

import numpy as np
import torch

from ncp.search.querying.catch import Catch, Epsilon, _Mind


def test_exploring_ends_as_published():
    """Supplement of TransNAS-Bench-101: from 1.0 in meta-training and 0.5 at the target, by 0.025 every 4 and 2 steps."""
    strategy = Catch()
    assert [round(strategy.meta_epsilon.at(step), 3) for step in (0, 3, 4, 100, 200)] == [1.0, 1.0, 0.975, 0.375, 0.0]
    assert [round(strategy.epsilon.at(step), 3) for step in (0, 1, 2, 39, 60)] == [0.5, 0.5, 0.475, 0.025, 0.0]
    assert Epsilon(0.1, 1, fall=0.2).at(1) == 0.0


def mind(runs=2, size=3):
    ground = SimpleNamespace(choices=SimpleNamespace(options=4, length=5))
    return _Mind(ground, [np.random.default_rng(i) for i in range(runs)], size, 1e-2, 0.1)


def test_the_context_is_the_product_of_its_gaussians():
    made = mind()
    x = made.seen(np.random.default_rng(0).integers(0, 4, (2, 6, 5)))
    y = torch.randn(2, 6)
    assert x.shape == (2, 6, 20)
    assert x.sum(-1).eq(5).all()
    with torch.no_grad():
        mean, variance = made.context(x, y)
        out = made.encoder(torch.cat([x, y[..., None]], -1)).double()
    # on a grid: a standard normal times one Gaussian for each architecture, normalised
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    for run in range(2):
        for k in range(3):
            log = -0.5 * grid.square()
            for n in range(6):
                log = log - 0.5 * out[run, n, 3 + k].exp() * (grid - out[run, n, k]).square()
            weights = torch.softmax(log, 0)
            centre = (weights * grid).sum()
            assert abs(float(centre - mean[run, k])) < 1e-3
            assert abs(float((weights * (grid - centre).square()).sum() - variance[run, k])) < 1e-3


def test_nothing_seen_is_a_standard_normal_and_learning_fits_what_was():
    made = mind()
    mean, variance = made.context(torch.zeros(2, 0, 20), torch.zeros(2, 0))
    assert mean.abs().max() == 0
    assert variance.eq(1).all()
    x = made.seen(np.random.default_rng(1).integers(0, 4, (2, 8, 5)))
    y = torch.linspace(-1, 1, 8).expand(2, 8)

    def miss():
        with torch.no_grad():
            return (made.score(x, made.context(x, y)[0]) - y).square().mean()

    before = miss()
    made.learn(x, y, 150)
    assert miss() < 0.2 * before
