"""The one score of strategies, worked out by hand from predictors whose values are known."""

import numpy as np
import pytest
import torch
from toy_predictors import Toy

from ncp.errors import UserError
from ncp.search.criterion import BROKEN, Criterion, Scores
from ncp.search.limits import Budget, Floor
from ncp.search.objectives import Objectives, cost_scale, parse_objectives
from ncp.search.region import Region
from ncp.spaces.multires import SPACE

CODES = SPACE.sample_codes(6, np.random.default_rng(0))
MACS = np.asarray(SPACE.cost(CODES).macs, dtype=np.float64)
TOY = Toy("seg", lambda x: 60 + x[:, 0] / 8, std=lambda x: x[:, 1] / 64)  # mean 70, scale 5
METRIC, DOUBT = 60 + CODES[:, 0] / 8, CODES[:, 1] / 64


def criterion(floors=(), kappa=1.0, lam=0.5, **limits):
    asked = [(floor.setting, floor.metric, floor.value) for floor in floors]
    goals = Objectives(parse_objectives(["seg"]), {"seg": TOY}, floors=asked)
    return Criterion(goals, Budget(Region(SPACE), floors=floors, **limits), lam, kappa)


def test_without_limits_it_is_the_papers_trade_off():
    cost = MACS / cost_scale("multires")
    for kappa, lam in ((0.0, 0.5), (2.0, 0.1)):
        found = criterion(kappa=kappa, lam=lam).scores(CODES)
        wanted = (METRIC - kappa * DOUBT) / 5 - lam * cost
        np.testing.assert_allclose(found.value - found.value[0], wanted - wanted[0], rtol=1e-9)
        assert (found.excess == 0).all()


def test_a_limit_of_cost_takes_lambdas_place():
    limit = float(np.median(MACS))
    found = criterion(macs=limit).scores(CODES)
    wanted = (METRIC - DOUBT) / 5
    np.testing.assert_allclose(found.value - found.value[0], wanted - wanted[0])
    np.testing.assert_array_equal(found.excess > 0, limit < MACS)
    # whatever keeps the limit comes before whatever does not
    assert found.score[limit >= MACS].min() > found.score[limit < MACS].max()
    np.testing.assert_array_equal(criterion(macs=limit).excess(CODES) > 0, limit < MACS)


def test_above_a_floor_the_cheapest_is_the_best():
    floors = (Floor("seg", "mIoU", float(np.median(METRIC - DOUBT))),)
    asked = criterion(floors)
    assert asked.cheapest
    found = asked.scores(CODES)
    np.testing.assert_array_equal(found.excess > 0, floors[0].value > METRIC - DOUBT)
    good = found.excess == 0
    assert CODES[good][found.score[good].argmax()].tolist() == CODES[good][MACS[good].argmin()].tolist()
    assert "floor.seg.mIoU=" in asked.missed(CODES[0])
    assert isinstance(asked.unreachable(CODES[0], "nothing keeps"), UserError)


def test_one_order_of_value_and_excess():
    scores = Scores(np.array([1.0, 9.0, 5.0]), np.array([0.0, 0.1, 0.2]))
    assert scores.score.argsort().tolist() == [2, 1, 0]
    assert scores.score[1] < BROKEN
    assert len(criterion().scores(np.zeros((0, 27))).value) == 0


def test_terms_have_the_slopes_of_their_values():
    asked = criterion(macs=1e9)
    _, excess, pull = asked.terms(CODES[:2].astype(np.float64))
    slope = pull(np.ones(2), np.zeros((2, 1)))
    np.testing.assert_allclose(slope[:, 0], 1 / 8 / 5)
    np.testing.assert_allclose(slope[:, 1], -1 / 64 / 5)
    np.testing.assert_allclose(excess[:, 0], np.log(MACS[:2] / 1e9))
    x = torch.tensor(CODES[:2].astype(np.float64), requires_grad=True)
    (macs,) = torch.autograd.grad(SPACE.cost(x).macs.log().sum(), x)
    np.testing.assert_allclose(pull(np.zeros(2), np.ones((2, 1))), macs, rtol=1e-9)
    with pytest.raises(UserError, match="kappa"):
        criterion(kappa=-1)
