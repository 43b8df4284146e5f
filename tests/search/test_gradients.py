"""Gradients of the objectives by the code: against difference quotients, and by hand against automatic ones."""

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import predictors
from ncp.search import gradients
from ncp.search.gradients import gradient_function
from ncp.search.objectives import Objectives, parse_objectives
from ncp.spaces.multires import SPACE

CODES = SPACE.sample_codes(4, np.random.default_rng(0)) + 0.25
DZ, DCOST = np.array([[1.0, -0.5]]).repeat(4, 0), np.array([[0.2, 0.1]]).repeat(4, 0)
TOYS = {
    "seg": Toy("seg", capacity(SPACE.lower)),
    "cls-50-1000": Toy("cls-50-1000", lambda x: x[:, 0] ** 2 / 512, ("top1",)),
}


def goals(given, cost="exact"):
    return Objectives(parse_objectives(["seg", "cls-50-1000"]), given, cost=cost)


def loss(run, codes):
    outputs, _ = run(codes)
    return (outputs[0] * DZ).sum(1) + (outputs[1] * DCOST).sum(1)


def test_of_any_predictor_it_is_the_difference_quotient():
    run = gradient_function(goals(TOYS))
    gradient = run(CODES)[1](DZ, DCOST)
    for d in (0, 5, 26):
        step = np.zeros_like(CODES)
        step[:, d] = 1e-4
        np.testing.assert_allclose(
            gradient[:, d], (loss(run, CODES + step) - loss(run, CODES - step)) / 2e-4, rtol=1e-5
        )


@pytest.mark.parametrize("cost", ["exact", "learned"])
def test_in_single_precision_it_is_what_the_predictors_say(cost):
    paper = {name: predictors.load(name, "paper") for name in ("seg", "cls-50-1000")}
    asked = goals(paper, cost)
    run = gradient_function(asked)
    assert isinstance(run, gradients._ByHand)
    for factor in (1.0, 2.0):  # of a second call nothing is kept of the first
        outputs, pull = run(CODES)
        expected, back = gradients._by_slopes(asked, CODES)
        for ours, theirs in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-5)
        np.testing.assert_allclose(pull(factor * DZ, DCOST), back(factor * DZ, DCOST), atol=4e-6)
