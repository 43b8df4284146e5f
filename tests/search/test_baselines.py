"""The baselines: budgets of queries, scores that never fall, and known answers."""

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import spaces
from ncp.errors import UserError
from ncp.search import search
from ncp.search.limits import Region
from ncp.search.starts import Starts
from ncp.search.strategies import names

SPACE = spaces.get("multires")
RISING = Toy("seg", capacity(np.linspace(0.5, 2, 27) * SPACE.lower))
BASELINES = [n for n in names() if n not in ("robust", "paper", "winner_takes_all")]


class Counting(Toy):
    """Counts the codes it is asked about."""

    asked = 0

    def posterior(self, codes_ND):
        self.asked += len(codes_ND)
        return super().posterior(codes_ND)


def test_all_five_are_there():
    assert set(BASELINES) == {"random", "neural_predictor", "greedy", "local", "evolution"}


@pytest.mark.parametrize("strategy", BASELINES)
def test_queries_are_kept(strategy):
    toy = Counting("seg", RISING.function)
    found = search(["seg"], strategy=strategy, predictor={"seg": toy}, queries=500, budget={"macs": 1e9})
    assert found.trajectory.queries <= 500
    assert toy.asked <= 500 + 2 * len(found.trajectory) + 4  # the result is described with a few more
    assert found.macs <= 1e9
    score = -found.trajectory.walk.loss
    assert (np.diff(score) > 0).all()
    assert len(score) > 1


@pytest.mark.parametrize("strategy", ["greedy", "local", "evolution"])
def test_they_climb_a_hill(strategy):
    """No limit, no lambda, every dimension helps: the top corner is the answer."""
    found = search(["seg"], strategy=strategy, predictor={"seg": RISING}, lam=0, queries=4000)
    best = float(RISING.predict(SPACE.upper[None])["mIoU"][0])
    assert found.predicted["seg"]["mIoU"] > best - 0.3


def test_more_queries_are_no_worse():
    values = [
        search(["seg"], strategy="random", predictor={"seg": RISING}, lam=0, queries=n).predicted["seg"]["mIoU"]
        for n in (10, 100, 1000)
    ]
    assert values == sorted(values)


def test_nothing_found_within_the_queries():
    with pytest.raises(UserError, match="within 1 queries nothing was met that keeps"):
        search(["seg"], strategy="greedy", predictor={"seg": RISING}, budget={"macs": 2e8}, queries=1)
    with pytest.raises(UserError, match="at least 1"):
        search(["seg"], strategy="random", predictor={"seg": RISING}, queries=0)


@pytest.mark.parametrize("strategy", ["paper", "winner_takes_all"])
def test_a_limit_that_no_step_keeps_gives_the_nearest_step_and_says_so(strategy):
    given = {"strategy": strategy, "predictor": {"seg": RISING}, "iterations": 4, "lam": 5}
    found = search(["seg"], budget={"macs": 2e7}, **given)
    walk = found.trajectory.walk.rounded
    costs = SPACE.cost(walk).macs
    assert found.macs == costs.min() > 2e7
    assert not found.kept
    assert f"no step of this walk keeps budget.macs=2e7 (has {found.macs:,} multiply-adds)" in found.reason
    within = search(["seg"], budget={"macs": int(np.median(costs))}, **given)
    assert within.kept
    assert within.macs <= np.median(costs)
    assert "no step" not in within.reason
    assert within.macs in costs  # the same walk, another step of it


def test_of_many_walks_one_that_keeps_the_limit_is_found():
    """However much better the others are by their loss."""
    codes = Starts(Region(SPACE), np.array(SPACE.default().code), 60, np.random.default_rng(0)).all()
    limit = int(np.sort(SPACE.cost(codes.astype(int)).macs)[2])  # met by three of the starts, before they grow
    given = {"strategy": "paper", "predictor": {"seg": RISING}, "starts": 60, "iterations": 1, "lam": 0}
    found = search(["seg"], budget={"macs": limit}, **given)
    assert found.kept
    assert found.macs <= limit
