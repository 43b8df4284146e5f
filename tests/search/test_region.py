"""Multiples and relations: every strategy keeps them, against brute force where it can be, and impossible ones are refused."""

import itertools

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import spaces
from ncp.errors import UserError
from ncp.search import search
from ncp.search.region import Region
from ncp.search.strategies import names

SPACE = spaces.get("multires")
LABELS = list(SPACE.labels)
RISING = Toy("seg", capacity(np.linspace(0.5, 2, 27) * SPACE.lower))
RELATIONS = ["c2_1<=c3_1", "n3_1=n4_1", "c3_1 < c4_1", "b2>=b1"]


def kept(codes):
    column = {label: codes[:, i] for i, label in enumerate(LABELS)}
    return (
        (column["c2_1"] <= column["c3_1"])
        & (column["n3_1"] == column["n4_1"])
        & (column["c3_1"] < column["c4_1"])
        & (column["b2"] >= column["b1"])
    )


def test_whatever_comes_in_what_comes_out_keeps_them():
    region = Region(SPACE, multiple_of=16, relations=RELATIONS)
    rng = np.random.default_rng(0)
    widths = SPACE.step > 1
    for codes in (
        region.sample(300, rng),
        region.round(rng.uniform(-50, 300, (300, 27))),
        region.round(region.clamp(rng.uniform(0, 130, (300, 27)))),
        region.cheapest()[None],
    ):
        assert kept(codes).all()
        assert (codes[:, widths] % 16 == 0).all()
        assert region.contains(codes).all()
        np.testing.assert_array_equal(region.round(codes), codes)  # what is valid stays
    assert not region.contains(SPACE.encode([SPACE.default()]))[0]  # c3_1 < c4_1 is broken there


def test_moves_reach_every_code_of_a_small_region():
    free = ["n3_1", "n4_1", "c2_1", "c3_1"]
    start = SPACE.encode([SPACE.default()])[0]
    region = Region(SPACE, start, [n for n in LABELS if n not in free], {"c2_1": [64, 96], "c3_1": [64, 96]},
                    relations=["n3_1=n4_1", "c2_1<=c3_1"])  # fmt: skip
    wanted = {
        (n, n, a, b) for n in (1, 2, 3, 4) for a, b in itertools.product((64, 72, 80, 88, 96), repeat=2) if a <= b
    }
    reached, waiting = set(), [region.cheapest().astype(float)]
    while waiting:
        code = waiting.pop()
        key = tuple(int(code[LABELS.index(n)]) for n in free)
        if key in reached:
            continue
        reached.add(key)
        near = code + region.moves()
        waiting += list(near[region.contains(near)])
    assert reached == wanted


@pytest.mark.parametrize("strategy", names())
def test_every_strategy_keeps_them(strategy):
    found = search(
        ["seg"], predictor={"seg": RISING}, strategy=strategy, relations=RELATIONS, multiple_of=16, iterations=8, starts=2,
        queries=150, start=None,
    )  # fmt: skip
    code = np.array([found.architecture.code])
    assert kept(code).all()
    assert (code[:, SPACE.step > 1] % 16 == 0).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"multiple_of": 256}, "multiple_of=256 leaves no value of i1"),
        ({"multiple_of": 0}, "multiple_of must be a positive"),
        ({"relations": ["c2_1<c3_1", "c3_1<=c2_1"]}, "contradict each other"),
        ({"relations": ["c2_1=n3_1"]}, "no value in common"),
        ({"relations": ["c2_1<=c3_1"], "bounds": {"c2_1": [64, 128], "c3_1": [8, 32]}}, "cannot be kept"),
        ({"relations": ["c2_1<c3_1"], "bounds": {"c3_1": [8, 8]}}, "cannot be kept"),
        ({"relations": ["c5<=c3_1"]}, "unknown dimension 'c5'"),
        ({"relations": ["c2_1<=64"]}, "a limit of one dimension is bounds"),
        ({"relations": ["c2_1<=c2_1"]}, "with itself"),
        ({"relations": [3]}, "a relation is DIMENSION<=DIMENSION"),
        ({"relations": {"a": 1}}, "relations are a list"),
    ],
)
def test_impossible_ones(given, message):
    with pytest.raises(UserError, match=message) as error:
        search(["seg"], predictor={"seg": RISING}, **given)
    assert "\n" not in str(error.value)


def test_a_space_of_choices_has_neither():
    cells = spaces.get("nasbench201")
    for given in ({"multiple_of": 16}, {"relations": ["a<=b"]}):
        with pytest.raises(UserError):
            Region(cells, **given)
