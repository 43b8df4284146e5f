"""Grounds within limits: what is drawn, near and asked keeps them, or is worth less than all that does."""

import numpy as np
import pytest

from ncp import spaces
from ncp.search.limits import Budget, Region
from ncp.search.querying.bounded import BoundedGround
from ncp.search.querying.evolution import Evolution, Greedy, Local, Random

SPACE = spaces.get("multires")
LIMIT = 4e8
BUDGET = Budget(Region(SPACE), macs=LIMIT)


def width(codes):
    """More channels are better, so that every search presses against the limit."""
    return codes[:, np.asarray(SPACE.step) > 1].sum(1).astype(float)


def macs(codes):
    return np.asarray(SPACE.cost(np.asarray(codes).astype(np.int64)).macs)


@pytest.fixture
def ground():
    return BoundedGround(BUDGET, width, lowest=0.0, sample=50)


@pytest.mark.parametrize("way", [Random(), Evolution(8, 3), Evolution(8, 3, 4, 4), Local(), Local(8), Greedy()])
def test_strategies_stay_within_the_limit(ground, way):
    asked = way.run(ground, 80, [np.random.default_rng(i) for i in range(2)])
    assert asked.shape == (2, 80)
    assert macs(ground.codes(asked.ravel())).max() <= LIMIT
    assert ground.fitness(asked).min() > 0


def test_near_are_all_single_steps_within_the_limit(ground):
    (handle,) = ground.draw(1, np.random.default_rng(3))
    code = ground.codes(np.array([handle]))[0]
    steps = [
        code + sign * step * np.eye(27, dtype=int)[i]
        for i, step in enumerate(SPACE.step.astype(int))
        for sign in (1, -1)
    ]
    expected = {
        tuple(c) for c in steps if (c >= SPACE.lower).all() and (c <= SPACE.upper).all() and macs([c])[0] <= LIMIT
    }
    assert {tuple(c) for c in ground.codes(ground.near(int(handle)))} == expected
    one = ground.mutate(np.array([handle]), np.array([[0.5, 0.99]]))
    assert tuple(ground.codes(one)[0]) in expected


def test_over_the_limit_is_below_everything_and_the_more_the_worse(ground):
    large, larger = (np.full(27, value) for value in (64, 128))
    for code in (large, larger):
        code[np.asarray(SPACE.step) == 1] = 4
    over = ground.fitness(ground.nearest(np.stack([large, larger])))
    assert 0 > over[0] > over[1]
    assert over[1] == pytest.approx(-(macs([larger])[0] / LIMIT - 1))


def test_a_greedy_climb_ends_at_a_summit():
    """No neighbour of the last best one is better, and every move was the best of all steps."""
    ground = BoundedGround(BUDGET, width, lowest=0.0, first=SPACE.lower[None])
    asked = Greedy(again=False).run(ground, 5000, [np.random.default_rng(0)])[0]
    values = ground.fitness(asked)
    best = int(asked[values.argmax()])
    assert ground.fitness(ground.near(best)).max() <= values.max()
    assert len(asked) < 5000
    np.testing.assert_array_equal(ground.codes(asked[:1])[0], SPACE.lower)  # where it was told to begin


def test_evolution_with_children_takes_parents_alive_at_that_time():
    """A line: the fitness is the place, so after a few rounds all alive are children of the best ones."""
    ground = BoundedGround(Budget(Region(SPACE)), width)
    few, many = (Evolution(10, 10, children, 1).run(ground, 60, [np.random.default_rng(1)]) for children in (1, 5))
    assert few.shape == many.shape == (1, 60)
    np.testing.assert_array_equal(few[:, :10], many[:, :10])  # the same first ones
    children = ground.codes(many[0, 10:15])
    parents = ground.codes(many[0, :10])
    best = parents[width(parents).argmax()]
    assert (np.count_nonzero(children - best, axis=1) == 1).all()
