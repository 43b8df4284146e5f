"""Batches of architectures: within the limits, apart from each other, and where a predictor expects most."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from toy_predictors import Toy, capacity

from ncp import predictors, spaces
from ncp.campaign import acquisition
from ncp.errors import UserError
from ncp.predictors.telling import most_telling
from ncp.search.limits import Budget, Region

SPACE = spaces.get("multires")
WEIGHTS = np.linspace(1, 40, 27)


def within(macs=1e9, **region):
    return Budget(Region(SPACE, **region), macs)


def first(count, limits, seed=0, **more):
    return acquisition.first_batch(SPACE, count, limits, np.random.default_rng(seed), **more)


def nearest(codes):
    """Distance to the nearest other code, in units of the space."""
    scaled = (codes - SPACE.center) / SPACE.scale
    squares = np.square(scaled[:, None] - scaled).sum(-1) + 1e9 * np.eye(len(codes))
    return np.sqrt(squares.min(1))


@pytest.mark.parametrize("count", [1, 3, 16])
def test_a_first_batch_keeps_the_limits_and_repeats_none(count):
    codes = first(count, within(bounds={"c4_4": [8, 64]}))
    assert codes.shape == (count, 27)
    assert codes.dtype == np.int64
    assert len(np.unique(codes, axis=0)) == count
    assert SPACE.cost(codes).macs.max() <= 1e9
    assert codes[:, SPACE.labels.index("c4_4")].max() <= 64
    assert np.array_equal(SPACE.round(codes), codes)


def test_a_first_batch_has_cheap_ones_and_dear_ones_and_lies_further_apart_than_chance():
    macs, spread, chance = [], [], []
    for seed in range(4):
        codes = first(16, within(), seed)
        macs.append(SPACE.cost(codes).macs / 1e9)
        spread.append(nearest(codes).min())
        drawn = acquisition._candidates(SPACE, within(), np.random.default_rng(seed), 16, None)
        chance.append(nearest(drawn).min())
    counts = np.histogram(np.concatenate(macs), [0, 0.45, 0.6, 0.8, 1.0])[0]
    assert counts.min() >= 4
    assert np.mean(spread) > 1.1 * np.mean(chance)


def test_a_limit_leaves_some_dimensions_wide():
    """Not all are narrowed alike, as if architectures were only scaled."""
    codes = first(32, within(0.5e9))
    channels = codes[:, [i for i, label in enumerate(SPACE.labels) if label.startswith("c")]]
    assert np.median(channels.max(1)) >= 96
    assert np.median(channels.min(1)) == 8


def test_what_other_settings_think_little_of_is_left_out():
    index = SPACE.labels.index("n4_1")
    guided = first(12, within(), guess=lambda codes: codes[:, index])[:, index]
    assert guided.mean() > first(12, within())[:, index].mean() + 1
    assert guided.min() > 1


def test_a_pool_is_all_that_is_chosen_among():
    pool = np.concatenate([first(30, within(), 5), SPACE.encode(SPACE.sample(30, np.random.default_rng(0)))]).astype(
        int
    )
    codes = first(20, within(), pool=pool)
    rows = {tuple(code) for code in pool.tolist()}
    assert {tuple(code) for code in codes.tolist()} <= rows
    assert SPACE.cost(codes).macs.max() <= 1e9
    inside = int((SPACE.cost(pool).macs <= 1e9).sum())
    with pytest.raises(UserError, match=f"only {inside} architectures are within the limits"):
        first(inside + 1, within(), pool=pool)


@pytest.mark.parametrize(("mean", "std", "best"), [(70.0, 2.0, 71.0), (75.0, 0.5, 71.0), (60.0, 3.0, 71.0)])
def test_expected_improvement_is_the_integral_that_it_stands_for(mean, std, best):
    exact, _ = integrate.quad(lambda y: (y - best) * stats.norm.pdf(y, mean, std), best, best + 60)
    found = acquisition.expected_improvement(np.array([mean]), np.array([std]), best)[0]
    assert found == pytest.approx(exact, abs=1e-9)


def test_a_later_batch_holds_better_ones_than_any_random_one():
    predictor = Toy("seg", capacity(WEIGHTS), std=lambda x: torch.full((len(x),), 0.1, dtype=x.dtype))
    measured = first(16, within())
    batch = acquisition.next_batch(predictor, measured, 6, within(), np.random.default_rng(1))
    assert len(np.unique(np.concatenate([batch, measured]), axis=0)) == 22
    assert SPACE.cost(batch).macs.max() <= 1e9

    def value(codes):
        return 80.0 - (WEIGHTS / codes).sum(1)

    drawn = first(800, within(), 2)
    assert value(batch).min() > value(measured).max()
    assert value(batch).max() > value(drawn).max()


def test_a_batch_does_not_choose_one_architecture_six_times_over():
    """The best by expected improvement are neighbours of one code; a batch looks elsewhere too."""
    predictor = Toy("seg", lambda x: 70.0 - (x[:, 0] - 64).abs() / 500, std=lambda x: 1.0 + 0 * x[:, 0])
    pool = first(200, within())
    center = pool[20].copy()
    center[0] = 64
    near = SPACE.encode(SPACE.neighbours(SPACE.decode(center[None])[0])).astype(int)
    near = np.concatenate([near[near[:, 0] == 64], pool])  # two dozen neighbours of one code have the highest mean
    mean, std = acquisition.answers(predictor, near)
    greedy = near[np.argsort(-acquisition.expected_improvement(mean, std, 70.0), kind="stable")[:6]]
    batch = acquisition.next_batch(predictor, pool[:10], 6, within(2e9), np.random.default_rng(1), near)
    assert nearest(batch).min() > 2 * nearest(greedy).min()


def test_where_a_predictor_doubts_more_is_tried_of_two_that_it_thinks_the_same_of():
    index = SPACE.labels.index("c2_1")
    predictor = Toy("seg", lambda x: 70.0 + 0 * x[:, 0], std=lambda x: 0.1 + x[:, index] / 100)
    pool = first(100, within())
    batch = acquisition.next_batch(predictor, pool[:10], 1, within(), np.random.default_rng(0), pool)
    assert batch[0, index] == pool[10:, index].max()


def test_a_wild_doubt_downwards_is_no_hope():
    """A process of warped values may doubt a bad one by a hundred points; the spread of the rows bounds that."""
    predictor = Toy(
        "seg", lambda x: torch.where(x[:, 0] > 64, 70.0, 20.0), std=lambda x: torch.where(x[:, 0] > 64, 1.0, 90.0)
    )
    pool = first(100, within())
    batch = acquisition.next_batch(predictor, pool[:10], 4, within(), np.random.default_rng(0), pool)
    assert (batch[:, 0] > 64).all()


def test_the_second_space_is_served_too():
    space = spaces.get("nasbench201")
    limits = Budget(Region(space), 90e6)
    codes = acquisition.first_batch(space, 12, limits, np.random.default_rng(0))
    assert len(np.unique(codes, axis=0)) == 12
    assert space.cost(codes).macs.max() <= 90e6
    weights = np.linspace(0, 1, space.dim)
    predictor = Toy("nas-bench-201", lambda x: x @ torch.as_tensor(weights), metrics=("Acc",), space="nasbench201")
    batch = acquisition.next_batch(predictor, codes, 4, limits, np.random.default_rng(0))
    assert (batch @ weights).max() >= (codes @ weights).max()
    assert space.cost(batch).macs.max() <= 90e6


def test_a_pool_with_hardly_any_left_within_the_limits_teaches_by_dearer_ones():
    predictor = Toy("seg", capacity(WEIGHTS), std=lambda x: torch.full((len(x),), 0.1, dtype=x.dtype))
    cheap, dear = first(3, within()), first(40, within(16e9), 3)
    dear = dear[SPACE.cost(dear).macs > 1e9]
    for left, count in ((2, 6), (0, 6), (0, 1)):
        measured, pool = cheap[left:], np.concatenate([cheap, dear])
        rng = np.random.default_rng(0)
        batch = acquisition.next_batch(predictor, measured, count, within(), rng, pool, within(16e9))
        assert len(np.unique(batch, axis=0)) == count
        assert (SPACE.cost(batch).macs <= 1e9).sum() == left


def test_of_a_recorded_pool_those_are_chosen_that_tell_most_of_where_the_search_ends():
    measured = first(16, within(4e9))
    predictor = predictors.fit(measured, {"mIoU": 80.0 - (WEIGHTS / measured).sum(1)}, known="none")
    pool = np.unique(first(60, within(4e9), 5), axis=0)
    chosen = acquisition.next_batch(predictor, measured, 5, within(), np.random.default_rng(0), pool, within(3e9))
    left = pool[SPACE.cost(pool).macs <= 3e9]
    ends = np.unique(acquisition._ascended(predictor, within(), np.random.default_rng(0)), axis=0)
    assert chosen.tolist() == left[most_telling(predictor, left, ends, 5)].tolist()
    with pytest.raises(UserError, match="only 3 further architectures can be chosen, given was a batch of 5"):
        acquisition.next_batch(predictor, pool[3:], 5, within(), np.random.default_rng(0), pool, within(4e9))


@pytest.mark.parametrize("name", ["transnas-macro", "transnas-micro"])
@pytest.mark.parametrize("share", [1.0, 1.5, 3.0])
def test_what_keeps_the_limits_is_counted_to_the_last(name, share):
    """Against all architectures of the space, one by one."""
    space = spaces.get(name)
    codes = np.unique(space.encode(space.all()).astype(np.int64), axis=0)
    macs = np.asarray(space.cost(codes).macs)
    limits = Budget(Region(space), float(macs.min()) * share)
    assert acquisition.within(limits, 10**6) == (macs <= limits.macs).sum()
    assert acquisition.within(limits, 2) == min(2, (macs <= limits.macs).sum())
    assert acquisition.within(limits, 10**6, codes[::3]) == (macs[::3] <= limits.macs).sum()
