"""Values with the way back: of a space's own forms what autograd says, and so for functions of tensors."""

import numpy as np
import pytest
import torch

from ncp import spaces
from ncp.matern import matern52
from ncp.slopes import Slope, by_autograd, largest
from ncp.spaces import slopes
from ncp.spaces.multires import SPACE

RNG = np.random.default_rng(0)
CODES = SPACE.project(SPACE.sample_codes(20, RNG) + RNG.uniform(0, 0.4, (20, SPACE.dim)))
SETTING = {"size": (250, 130), "head": "classification", "classes": 10}


def stacked(cost):
    return torch.stack([cost.macs, cost.params], -1)


@pytest.mark.parametrize(
    ("found", "function"),
    [
        (lambda: slopes.features(SPACE, CODES), SPACE.features),
        (lambda: slopes.cost(SPACE, CODES), lambda x: stacked(SPACE.cost(x))),
        (lambda: slopes.work(SPACE, CODES, SETTING), lambda x: SPACE.work(x, **SETTING)),
        (lambda: slopes.memory(SPACE, CODES, batch=3), lambda x: SPACE.memory(x, batch=3)),
        (lambda: slopes.memory(SPACE, CODES, **SETTING), lambda x: SPACE.memory(x, **SETTING)),
    ],
)
def test_closed_forms_of_the_space_are_those_of_autograd(found, function):
    ours, theirs = found(), by_autograd(function, CODES)
    d = np.random.default_rng(1).standard_normal(ours.value.shape)
    np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-12)
    np.testing.assert_allclose(ours.pull(d), theirs.pull(d), rtol=1e-9, atol=1e-9 * np.abs(theirs.pull(d)).max())


def inside(space, n):
    """Continuous codes of a space of choices."""
    return space.project(space.encode(space.sample(n, np.random.default_rng(0))) * 0.8 + 0.05)


@pytest.mark.parametrize("name", ["nasbench201", "transnas-micro", "transnas-macro"])
def test_the_slopes_of_spaces_of_choices_are_those_of_autograd(name):
    """More codes than are asked at a time; what autograd goes through is the same function, of tensors."""
    space = spaces.get(name)
    codes, work = inside(space, 70), getattr(space, "work", lambda x: stacked(space.cost(x)))
    for found, function in (
        (slopes.features(space, codes), space.features),
        (slopes.cost(space, codes), lambda x: stacked(space.cost(x))),
        (slopes.work(space, codes, {}), work),
    ):
        theirs = by_autograd(function, codes)
        d = np.random.default_rng(1).standard_normal(found.value.shape)
        np.testing.assert_allclose(found.value, theirs.value, rtol=1e-12)
        there = theirs.pull(d)
        np.testing.assert_allclose(found.pull(d), there, rtol=1e-9, atol=1e-9 * np.abs(there).max())


class Plain:
    """A space that says nothing about how its slopes are had."""

    features = staticmethod(lambda codes: abs(codes - 0.5))


def test_other_spaces_have_slopes_too():
    assert slopes.features(Plain(), np.array([[0.2, 0.9]])).pull(np.ones((1, 2))).tolist() == [[-1, 1]]
    for name in ("nasbench201", "transnas-macro"):
        space = spaces.get(name)
        codes = inside(space, 4)
        found = slopes.features(space, codes)
        direction = np.random.default_rng(1).standard_normal(codes.shape)
        rise = (space.features(codes + 1e-6 * direction) - space.features(codes - 1e-6 * direction)) / 2e-6
        d = np.random.default_rng(2).standard_normal(found.value.shape)
        np.testing.assert_allclose((found.pull(d) * direction).sum(1), (rise * d).sum(1), rtol=1e-5)
        assert slopes.work(space, codes, {}).value.shape[0] == 4


def test_columns_functions_and_the_largest():
    x = np.array([[1.0, 3.0], [5.0, 2.0], [4.0, 4.0]])
    whole = Slope(x, lambda d: d)
    one, other = whole.column(0), whole.column(1)
    assert one.then(np.exp(one.value), np.exp(one.value)).pull(np.ones(3))[:, 0] == pytest.approx(np.exp(x[:, 0]))
    most = largest([one, other])
    assert most.value.tolist() == [3, 5, 4]
    assert most.pull(np.ones(3)).tolist() == [[0, 1], [1, 0], [0.5, 0.5]]


def test_the_correlation_is_the_formula_and_its_way_back_a_difference_quotient():
    a, b = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3))
    value, back = matern52(a, b, 0.7)
    r = np.sqrt(5) * 0.7 * np.linalg.norm(a[:, None] - b, axis=-1)
    np.testing.assert_allclose(value, (1 + r + r**2 / 3) * np.exp(-r))
    d, tiny = RNG.normal(size=value.shape), 1e-6
    for i in range(3):
        step = tiny * np.eye(3)[i]
        rise = (matern52(a + step, b, 0.7)[0] - matern52(a - step, b, 0.7)[0]) / (2 * tiny)
        np.testing.assert_allclose(back(d)[:, i], (rise * d).sum(1), rtol=1e-6, atol=1e-9)
