"""Where a search may move: every code that a region makes lies in it, on the space's grid, whatever it was made of."""

import numpy as np
import pytest

from ncp import spaces
from ncp.errors import UserError
from ncp.search.limits import Budget, Region, parse_costs, parse_floors

SPACES = [spaces.get(name) for name in ("multires", "nasbench201")]
MULTIRES = SPACES[0]
RNG = np.random.default_rng(0)


def on_the_grid(space, codes):
    return bool((space.round(codes) == codes).all())


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_everything_that_a_region_makes_lies_in_it(space):
    start = space.encode(space.sample(1, RNG))[0]
    region = Region(space, start, fixed=[space.labels[0], space.labels[-1]])
    wild = RNG.normal(size=(200, space.dim)) * 1e3
    for codes in (region.round(wild), region.sample(100, RNG), region.neighbours(region.sample(1, RNG)[0])):
        assert region.contains(codes).all()
        assert on_the_grid(space, codes)
        assert (codes[:, [0, -1]] == start[[0, -1]]).all()
    assert ((region.clamp(wild) >= region.lower) & (region.clamp(wild) <= region.upper)).all()


def test_narrower_bounds_are_filled_and_kept():
    region = Region(MULTIRES, bounds={"c4_4": [8, 32], "b1": [2, 2]})
    codes = region.sample(400, RNG)
    i, j = (MULTIRES.labels.index(label) for label in ("c4_4", "b1"))
    assert set(codes[:, i]) == {8.0, 16.0, 24.0, 32.0}
    assert set(codes[:, j]) == {2.0}
    assert not region.whole
    assert region.cheapest()[i] == 8
    outside = codes[:1].copy()
    outside[0, i] = 40
    assert not region.contains(outside)[0]
    assert not region.contains(codes[:1] + 0.5)[0]


def test_what_the_predictors_know_bounds_it_and_is_named():
    lower, upper = MULTIRES.lower.copy(), MULTIRES.upper.copy()
    upper[MULTIRES.labels.index("c4_4")] = 32
    region = Region(MULTIRES, np.minimum(MULTIRES.encode([MULTIRES.default()])[0], upper), known=(lower, upper))
    assert region.sample(200, RNG)[:, MULTIRES.labels.index("c4_4")].max() <= 32
    with pytest.raises(UserError, match=r"bounds.c4_4=\[40,64\] lies outside of the architectures .* 8\.\.32"):
        Region(MULTIRES, bounds={"c4_4": [40, 64]}, known=(lower, upper))


def test_excess_is_counted_by_exact_integers():
    default = MULTIRES.encode([MULTIRES.default()])
    macs = int(MULTIRES.cost(default.astype(int)).macs[0])
    region = Region(MULTIRES)
    assert Budget(region, macs=macs).excess(default)[0] == 0
    assert Budget(region, macs=macs - 1).excess(default)[0] == pytest.approx(macs / (macs - 1) - 1)
    assert Budget(region, macs=macs / 2, params=1).excess(default)[0] > 1
    assert Budget(region).excess(default)[0] == 0
    narrow = MULTIRES.parse("8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8")
    least = int(MULTIRES.cost([narrow.code]).macs[0])
    with pytest.raises(UserError, match=f"the smallest architecture of the space has {least:,} multiply-adds"):
        Budget(region, macs=1000).check_reachable()


def test_limits_as_people_write_them():
    assert parse_costs({"macs": "1e9", "params": None}) == {"macs": 1e9}
    assert [(f.name, f.value) for f in parse_floors({"seg": 77, "cls": {"top5": 90}})] == [
        ("seg.mIoU", 77),
        ("cls-50-1000.top5", 90),
    ]
    with pytest.raises(UserError, match="unknown budget 'flops'"):
        parse_costs({"flops": 1})


@pytest.mark.parametrize(
    ("given", "most"), [({"seg": 100.1}, 100), ({"seg": {"mAcc": 1e9}}, 100), ({"transnas-micro/normal": 1.5}, 1)]
)
def test_a_floor_beyond_its_metric_is_refused_before_any_search(given, most):
    with pytest.raises(UserError, match=f"cannot be reached: .* lies in .*{most}$"):
        parse_floors(given)


def test_a_floor_may_be_the_largest_value_or_of_a_metric_with_other_values():
    assert parse_floors({"seg": 100})[0].value == 100
    assert parse_floors({"seg.params": 1e6})[0].value == 1e6
