"""The wide gaps of a front: what weighted sums jump over is searched for within limits of cost."""

import numpy as np
import pytest
from toy_predictors import Toy

from ncp import spaces
from ncp.search import gaps, search
from ncp.search.limits import Budget, Region
from ncp.search.quantities import counted
from ncp.search.robust import Robust
from ncp.search.run import prepare
from ncp.search.trade import trade

SPACE = spaces.get("multires")
BENT = Toy("seg", lambda x: 60 + 20 * (x.log2().sum(1) / 130) ** 4)  # the dearer, the more a further step brings


def widest(costs):
    ordered = np.sort(np.asarray(costs, dtype=float))
    return float((ordered[1:] / ordered[:-1]).max())


def test_targets_part_a_gap_evenly_and_leave_narrow_ones():
    cost = np.array([5.0, 1.0, 1.1, 40.0])
    found = gaps.targets(cost, wide=1.5)
    assert widest([*cost, *found]) <= 1.5 + 1e-9
    assert not ((found > 1.0) & (found < 1.1)).any()
    assert widest(cost) > 7


@pytest.mark.parametrize("name", ["macs", "params"])
def test_a_limit_is_added_to_those_that_hold(name):
    budget = Budget(Region(SPACE), macs=1e9)
    quantity = counted(SPACE)[name]
    tight, loose = (gaps.within(budget, quantity, most) for most in (5e8, 5e9))
    assert getattr(tight, name) == 5e8
    assert (loose.macs, loose.params) == (1e9, 5e9 if name == "params" else None)


@pytest.mark.usefixtures("one_thread")
def test_every_gap_has_the_best_within_its_limits():
    """Of a metric that never falls, what is found within a limit spends it."""
    problem = prepare(["seg.mIoU"], "robust", cost="exact", predictor={"seg": BENT})
    ends = np.stack([SPACE.lower, SPACE.upper]).astype(np.int64)
    macs = counted(SPACE)["macs"]
    few = ends.copy()
    few[1] = SPACE.round((0.9 * ends[0] + 0.1 * ends[1])[None])[0]
    found = gaps.filled(problem.objectives, problem.budget, Robust(iterations=10), macs, few, 0)
    limits = gaps.targets(SPACE.cost(few).macs)
    cost = SPACE.cost(found).macs
    assert len(found) == len(limits)
    assert (cost <= limits).all()
    assert (cost > 0.8 * limits).all()


@pytest.mark.usefixtures("one_thread")
def test_a_front_has_no_gap_where_more_always_costs_more():
    front = trade(["seg", "macs"], points=3, starts=1, iterations=15, predictor={"seg": BENT}, kappa=0.0)
    cost = front.values[:, 1]
    assert cost.max() / cost.min() > 100
    assert widest(cost) < 1.5


@pytest.mark.usefixtures("one_thread")
def test_the_front_of_a_bundled_predictor_has_no_gap_and_holds_what_a_limited_search_finds():
    """Weighted sums alone left one of a factor of seven, between 0.67 and 4.98 G."""
    front = trade(["seg", "macs"])
    value, cost = front.values.T
    assert widest(cost) < 1.5
    found = search(["seg"], budget={"macs": 1e9})
    assert value[cost <= 1e9].max() > found.predicted["seg"]["mIoU"] - 0.1
