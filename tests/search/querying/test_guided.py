"""Strategies that follow predictors: their evaluations are what searches find."""

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import spaces
from ncp.errors import UserError
from ncp.search import search
from ncp.search.querying import compare
from ncp.search.querying.guided import Guide
from ncp.search.querying.strategies import make

SPACE = spaces.get("multires")
TOY = Toy("seg", capacity(np.linspace(0.5, 2, 27) * SPACE.lower))
BUDGET = {"macs": 8e8}


def problem():
    one = compare.on_predictors({"seg": TOY}, {"seg": "mIoU"}, {"seg": 1.0}, BUDGET, known_best=True)
    one.ground.guide = Guide(("seg",), BUDGET, {"seg": TOY})
    return one


@pytest.mark.parametrize("name", ["paper", "winner_takes_all", "netadapt", "robust"])
def test_the_first_evaluation_is_what_the_search_finds_from_the_default_code(name):
    one = problem()
    strategy = make(name, {"proposals": 2})
    asked = strategy.run(one.ground, 4, [np.random.default_rng(0)])
    assert asked.shape == (1, 4)
    assert (asked[0, 1:] == asked[0, 1]).all()  # no more than two are proposed
    codes = one.ground.codes(asked[0])
    if name != "paper":  # whose walk need not come below a limit; the ground then says what that is worth
        assert SPACE.cost(codes).macs.max() <= BUDGET["macs"]
    if name in ("paper", "winner_takes_all", "netadapt"):  # without random numbers of their own
        found = search(["seg"], strategy=strategy.strategy, predictor={"seg": TOY}, budget=BUDGET)
        assert tuple(codes[0]) == tuple(found.architecture.code)


def test_the_best_of_a_sample_come_best_first():
    one = problem()
    asked = make("neural_predictor", {"proposals": 5}).run(one.ground, 5, [np.random.default_rng(0)])[0]
    values = TOY.predict(one.ground.codes(asked))["mIoU"]
    cost = np.asarray(SPACE.cost(one.ground.codes(asked)).macs)
    assert cost.max() <= BUDGET["macs"]
    assert (np.diff(values) <= 1e-9).all()
    drawn = SPACE.encode(SPACE.sample(200, np.random.default_rng(1)))
    within = drawn[np.asarray(SPACE.cost(drawn.astype(int)).macs) <= BUDGET["macs"]]
    assert values[0] > np.median(TOY.predict(within)["mIoU"])


def test_the_best_that_is_known_is_above_all_runs():
    one = problem()
    found = compare.run([one], ["random", "greedy", "paper"], queries=20, seeds=2, options={"paper": {"proposals": 2}})
    assert all((run.so_far <= one.best + 1e-9).all() for run in found.runs)
    assert one.best == pytest.approx(float(TOY.predict(np.array([one_code(one)]))["mIoU"][0]))


def one_code(one):
    found = search(["seg"], predictor={"seg": TOY}, budget=BUDGET, lam=0, kappa=0)
    return found.architecture.code


def test_without_predictors_they_say_so():
    one = compare.on_predictors({"seg": TOY}, {"seg": "mIoU"}, {"seg": 1.0})
    with pytest.raises(UserError, match="strategy paper is led by predictors, and there are none of these objectives"):
        make("paper").run(one.ground, 4, [np.random.default_rng(0)])
