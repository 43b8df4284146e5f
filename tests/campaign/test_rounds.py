"""What a round is chosen from."""

import numpy as np
import pytest
from growing_builds import SPACE, truth

from ncp import spaces
from ncp.campaign import proxies, rounds
from ncp.errors import UserError

LIMITS = {"macs": 1e9}


def propose(codes, values, count, **more):
    return rounds.propose("multires", codes, values, count, LIMITS, known="none", **more).codes


def propose_said(codes, values, count):
    return rounds.propose("multires", codes, values, count, LIMITS, known="none").how


@pytest.fixture(scope="module")
def rows():
    codes = propose((), (), 12)
    return codes, truth(codes)


def test_a_proposal_is_the_same_for_the_same_arguments_and_another_for_another_seed(rows):
    codes, values = rows
    first, again, other = (propose(codes, values, 3, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(np.concatenate([codes, first]), axis=0)) == 15
    assert SPACE.cost(first).macs.max() <= 1e9


def test_with_reach_the_first_round_is_drawn_from_what_costs_more_and_the_next_keeps_the_limits():
    first = propose((), (), 24, reach=4.0)
    cost = SPACE.cost(first).macs
    assert len(np.unique(first, axis=0)) == 24
    assert np.median(cost) > 1e9
    assert cost.max() <= 4e9
    assert SPACE.cost(propose(first, truth(first), 4, reach=4.0)).macs.max() <= 1e9
    # where the space has next to none so cheap they are narrowed
    small = rounds.propose("multires", (), (), 8, {"macs": 2e7}, known="none", reach=2.0).codes
    assert SPACE.cost(small).macs.max() <= 4e7


def test_a_real_predictor_of_twelve_rows_leads_to_better_ones(rows):
    codes, values = rows
    assert truth(propose(codes, values, 4)).mean() > values.max()


def test_of_a_recorded_pool_a_round_says_that_it_is_to_learn_from(rows):
    codes, values = rows
    pool = propose((), (), 20, seed=9)
    within, recorded = (
        rounds.propose("multires", codes, values, 2, LIMITS, "none", pool=pool, reach=r).how for r in (1, 2)
    )
    assert "from which most improvement is expected, by a predictor of 12" in within
    assert "from which most is learned, by a predictor of 12" in recorded


def test_where_less_is_better_the_same_are_chosen_for_the_negated_values(rows):
    codes, values = rows
    more, less = (
        rounds.propose("multires", codes, sign * values, 3, LIMITS, known="none", sign=sign) for sign in (1.0, -1.0)
    )
    assert np.array_equal(more.codes, less.codes)
    np.testing.assert_allclose(less.predicted, -more.predicted)


def test_a_round_says_in_words_what_it_is_of(rows):
    codes, values = rows
    assert propose_said((), (), 1).startswith("1 architecture to cover the space")
    said = "1 architecture from which most improvement is expected, by a predictor of 12 trainings"
    assert propose_said(codes, values, 1) == said
    assert propose_said(codes, values, 2).startswith("2 architectures from which")


def test_architectures_do_as_codes_and_what_failed_is_left_out(rows):
    codes, values = rows
    pool = propose((), (), 20, seed=9)
    given = {"pool": pool, "seed": 4}
    assert np.array_equal(propose(SPACE.decode(codes), values, 2, **given), propose(codes, values, 2, **given))
    chosen = propose(codes, values, 2, **given)
    left = propose(codes, values, 2, skip=chosen, **given)
    assert not {tuple(c) for c in left.tolist()} & {tuple(c) for c in chosen.tolist()}


def test_values_without_any_difference_teach_nothing_so_the_space_is_covered(rows):
    chosen = rounds.propose("multires", rows[0], np.full(12, 3.0), 4, LIMITS, known="none")
    assert "cover the space" in chosen.how
    assert len(chosen.predicted) == 0


def test_known_predictors_guide_the_first_round():
    from ncp.predictors import load

    known = load("cls-10c")
    guided = rounds.propose("multires", (), (), 12, LIMITS, known=["cls-10c"]).codes
    alone = propose((), (), 12)
    assert known.predict(guided)["top1"].mean() > known.predict(alone)["top1"].mean() + 1


def test_a_proxy_is_one_more_known_predictor():
    """A proxy that ranks exactly as the truth does: the few rows of the setting itself are then enough."""
    rng = np.random.default_rng(3)
    codes = SPACE.sample_codes(80, rng)
    proxy = proxies.predictor(codes, truth(codes) / 2, "multires", "cheap", "mIoU")
    few = propose((), (), 8)
    drawn = SPACE.sample_codes(200, rng)
    taus = {}
    for name, known in (("alone", "none"), ("proxy", [proxy])):
        predictor = rounds.fit(spaces.get("multires"), few, truth(few), known, 0)
        order = np.argsort(np.argsort(predictor.predict(drawn)["metric"]))
        taus[name] = np.corrcoef(order, np.argsort(np.argsort(truth(drawn))))[0, 1]
    assert taus["proxy"] > max(0.9, taus["alone"] + 0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((), (1.0,), 3), "0 codes and 1 values"),
        (((), (), 3, {"macs": 1e6}), "smallest architecture of the space has 10,914,816"),
        (((), (), 3, {"time": 1e6}), "unknown budget 'time'"),
        ((np.zeros((1, 27)) + 8, (float("nan"),), 3), "a measured value"),
        ((np.zeros((1, 26)) + 8, (1.0,), 3), r"shape (N, 27)"),
    ],
)
def test_mistakes(arguments, words):
    with pytest.raises(UserError) as error:
        rounds.propose("multires", *arguments)
    assert words in str(error.value)
