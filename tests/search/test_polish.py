"""The discrete end of a search against all architectures of a small region."""

import itertools

import numpy as np
import pytest
from toy_predictors import Toy, capacity, exhaustive

from ncp.search.criterion import Criterion
from ncp.search.limits import Budget
from ncp.search.objectives import Objectives, parse_objectives
from ncp.search.polish import Polish
from ncp.search.region import Region
from ncp.spaces.multires import SPACE

NAMES = list(SPACE.labels)
FREE = ["c3_1", "b3", "c4_2"]
ALL = exhaustive(SPACE, FREE)
TOY = Toy("seg", capacity(np.random.default_rng(5).uniform(0.2, 2.0, 27) * SPACE.lower))
MACS = np.asarray(SPACE.cost(ALL).macs)


def criterion(**limits):
    region = Region(SPACE, fixed=[n for n in NAMES if n not in FREE])
    return Criterion(Objectives(parse_objectives(["seg"]), {"seg": TOY}), Budget(region, **limits))


def steps(code):
    """All codes one step of one free dimension away."""
    for name, sign in itertools.product(FREE, (-1, 1)):
        i = NAMES.index(name)
        near = code.copy()
        near[i] += sign * SPACE.step[i]
        if SPACE.lower[i] <= near[i] <= SPACE.upper[i]:
            yield near


def test_every_step_is_the_best_single_one_and_the_end_has_no_better_neighbour():
    goal = criterion()
    for polished in Polish(goal, pairs=0).run(ALL[[0, 300, 700]]):
        for here, there in itertools.pairwise(polished.path):
            near = np.stack(list(steps(here)))
            best = near[goal.scores(near).score.argmax()]
            np.testing.assert_array_equal(there, best)
        assert goal.scores(np.stack(list(steps(polished.path[-1])))).score.max() <= polished.score + 1e-9
        np.testing.assert_allclose(polished.values, goal.scores(polished.path).value)


def test_pairs_reach_what_is_best_under_a_limit():
    limit = float(np.quantile(MACS, 0.4))
    best = TOY.predict(ALL[limit >= MACS])["mIoU"].max()
    goal = criterion(macs=limit)
    (found,) = Polish(goal).run(ALL[[0]])
    (alone,) = Polish(goal, pairs=0).run(ALL[[0]])
    reached, without = (TOY.predict(p.path[-1:])["mIoU"][0] for p in (found, alone))
    assert found.excess == 0
    assert reached >= without
    assert reached == pytest.approx(best, abs=0.02)  # of a range of several points


def test_a_broken_limit_is_mended_first_and_that_alone_where_it_is_asked():
    limit = float(np.quantile(MACS, 0.3))
    goal = criterion(macs=limit)
    (mended,) = Polish(goal, repair_only=True).run(ALL[[-1]])
    kept = np.asarray(SPACE.cost(mended.path.astype(np.int64)).macs) <= limit
    assert kept.tolist() == [False] * (len(kept) - 1) + [True]
    (whole,) = Polish(goal).run(ALL[[-1]])
    np.testing.assert_array_equal(whole.path[: len(mended.path)], mended.path)
    assert whole.score >= mended.score


def test_rounds_bound_the_steps_and_lambda_is_each_candidates_own():
    goal = criterion()
    assert len(Polish(goal, rounds=2).run(ALL[[0]])[0].path) == 3
    cheap, dear = Polish(goal, pairs=0).run(ALL[[500, 500]], lam_C=np.array([5.0, 0.0]))
    assert SPACE.cost(cheap.path[-1:]).macs[0] < SPACE.cost(dear.path[-1:]).macs[0]
    np.testing.assert_array_equal(dear.path[-1], ALL[-1])  # a metric that rises with every number, for nothing


def test_of_all_pairs_the_one_with_the_most_to_gain_is_asked_about():
    """The toy's dimensions add up, so the sum of two steps' effects is what both bring."""
    start = ALL[300]
    near = np.stack(list(steps(start)))
    pairs = np.stack([a + b - start for a, b in itertools.combinations(near, 2)])
    best = pairs[TOY.predict(pairs)["mIoU"].argmax()]
    free = [NAMES.index(name) for name in FREE]
    goal = criterion(params=1e12)  # a limit that binds nothing takes the cost out of the value
    (found,) = Polish(goal, rounds=1, pairs=1).run(start[None])
    np.testing.assert_array_equal(found.path[1][free], best[free])


def test_a_limit_is_mended_where_the_least_is_lost_for_what_is_saved():
    limit = float(np.quantile(MACS, 0.3))
    start = ALL[-1]
    near = np.stack(list(steps(start)))
    saved = np.log(MACS[-1]) - np.log(np.asarray(SPACE.cost(near.astype(np.int64)).macs))
    lost = TOY.predict(start[None])["mIoU"][0] - TOY.predict(near)["mIoU"]
    (found,) = Polish(criterion(macs=limit), rounds=1, pairs=0).run(start[None])
    np.testing.assert_array_equal(found.path[1], near[(saved / lost).argmax()])
    assert (saved / lost).argmax() != (lost / saved).argmax()
