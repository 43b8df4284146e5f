"""The default strategy: against exhaustive search of small regions, and the limits it promises to keep."""

import numpy as np
import pytest
import torch
from recorded_runs import load_run, predictor
from toy_predictors import Toy, capacity, exhaustive

from ncp import spaces
from ncp.errors import UserError
from ncp.search import search
from ncp.search.criterion import Criterion
from ncp.search.limits import Budget, Region
from ncp.search.objectives import Objectives, parse_objectives
from ncp.search.polish import Polish, moves

SPACE = spaces.get("multires")
NAMES = list(SPACE.labels)
WEIGHTS = (
    np.random.default_rng(5).uniform(0.2, 2.0, 27) * SPACE.lower
)  # a loss of .2 to 2 points per dimension at the bottom
RISING = Toy("seg", capacity(WEIGHTS))
FREE = ["c3_1", "b3", "c4_2"]  # 16 * 4 * 16 architectures


def small(**arguments):
    return search(["seg"], predictor={"seg": RISING}, fixed=[n for n in NAMES if n not in FREE], seed=1, **arguments)


def test_most_accurate_under_a_cost():
    codes = exhaustive(SPACE, FREE)
    accuracy, macs = RISING.predict(codes)["mIoU"], SPACE.cost(codes).macs
    for limit in np.quantile(macs, [0.05, 0.3, 0.8]):
        found = small(budget={"macs": limit})
        assert found.macs <= limit
        assert found.predicted["seg"]["mIoU"] == pytest.approx(accuracy[macs <= limit].max(), abs=1e-9)


def test_cheapest_above_a_floor():
    codes = exhaustive(SPACE, FREE)
    accuracy, macs = RISING.predict(codes)["mIoU"], SPACE.cost(codes).macs
    for floor in np.quantile(accuracy, [0.2, 0.7, 0.95]):
        found = small(floor={"seg": {"mIoU": floor}})
        assert found.predicted["seg"]["mIoU"] >= floor
        assert found.macs == macs[accuracy >= floor].min()


def test_tradeoff_without_limits():
    codes = exhaustive(SPACE, FREE)
    found = small(lam=0.5)
    scale = found.trajectory.objectives.cost_scale
    value = (RISING.predict(codes)["mIoU"] - 70) / 5 - 0.5 * SPACE.cost(codes).macs / scale
    assert -found.trajectory.walk.loss[-1] == pytest.approx(value.max(), abs=1e-9)


def test_doubt_is_kept_away_from():
    """Two equally good ends, one of which the predictor knows nothing about: it takes the other."""
    peak = Toy(
        "seg",
        lambda x: 70 + 3 * ((x[:, 0] - 64) / 32) ** 2,
        std=lambda x: 4 * torch.sigmoid((x[:, 0] - 80) / 4),
    )
    only = [n for n in NAMES if n != "i1"]
    sure = search(["seg"], predictor={"seg": peak}, fixed=only, budget={"params": 1e9}, kappa=2)
    bold = search(["seg"], predictor={"seg": peak}, fixed=only, budget={"params": 1e9}, kappa=0)
    assert sure.architecture["i1"] == 8
    assert bold.architecture["i1"] == 128
    assert bold.std["seg"]["mIoU"] > 3.9


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("limits", [{"macs": 2.5e8}, {"macs": 9e8, "params": 2.5e6}, {"params": 9e5}])
def test_limits_hold_and_are_used(limits, seed):
    found = search(["seg"], predictor={"seg": RISING}, budget=limits, seed=seed, starts=8)
    assert found.macs <= limits.get("macs", np.inf)
    assert found.params <= limits.get("params", np.inf)
    cost = SPACE.cost(np.array([found.architecture.code]))
    assert (int(cost.macs[0]), int(cost.params[0])) == (found.macs, found.params)
    assert max(found.macs / limits.get("macs", np.inf), found.params / limits.get("params", np.inf)) > 0.97


def test_a_limit_met_by_one_architecture_alone():
    least = SPACE.cost(SPACE.lower[None].astype(int))
    found = search(["seg"], predictor={"seg": RISING}, budget={"macs": int(least.macs[0])})
    assert found.architecture.code == tuple(SPACE.lower.astype(int))


def test_unreachable_floor_says_what_is_reachable():
    best = float(RISING.predict(SPACE.upper[None])["mIoU"][0])
    with pytest.raises(UserError, match=r"floor.seg.mIoU=99 \(reaches ([0-9.]+)") as error:
        search(["seg"], predictor={"seg": RISING}, floor={"seg.mIoU": 99})
    reached = float(str(error.value).split("reaches ")[1].split(" ")[0].rstrip(")"))
    assert best - 0.3 < reached <= best + 0.01
    assert "\n" not in str(error.value)


def test_floor_and_budget_together():
    found = search(["seg"], predictor={"seg": RISING}, floor={"seg": 70}, budget={"params": 3e6})
    assert found.predicted["seg"]["mIoU"] >= 70
    assert found.params <= 3e6


def test_an_objective_with_a_floor_leaves_the_other_free():
    other = Toy("seg-4x", lambda x: 60 + x[:, 0] / 8)
    toys = {"seg": RISING, "seg-4x": other}
    found = search(["seg", "seg-4x"], predictor=toys, floor={"seg": 72}, budget={"macs": 2e9})
    assert found.predicted["seg"]["mIoU"] >= 72
    assert found.architecture["i1"] == 128  # what seg-4x wants


def test_fixed_and_bounds_hold_in_every_strategy():
    seg = predictor(load_run(), "seg")
    for strategy in ("robust", "paper", "winner_takes_all", "random", "greedy", "local", "evolution"):
        found = search(
            ["seg"],
            strategy=strategy,
            predictor={"seg": seg},
            fixed=["i1", "i2"],
            bounds={"c4_4": [8, 48], "b4": [3, 4]},
            **({"queries": 300} if strategy in ("random", "greedy", "local", "evolution") else {}),
        )
        for walk in found.trajectory.walks:
            assert set(walk.codes[:, :2].ravel()) == {64}, strategy
            assert walk.codes[:, NAMES.index("c4_4")].max() <= 48
            assert walk.codes[:, NAMES.index("b4")].min() >= 3
        assert found.architecture["i1"] == found.architecture["i2"] == 64


def test_same_seed_same_answer():
    seg = predictor(load_run(), "seg")
    runs = [search(["seg"], predictor={"seg": seg}, budget={"macs": 9e8}, seed=s) for s in (4, 4)]
    assert runs[0].architecture == runs[1].architecture
    np.testing.assert_array_equal(runs[0].trajectory.walk.codes, runs[1].trajectory.walk.codes)


def test_transfer_starts_from_another_search():
    seg = predictor(load_run(), "seg")
    first = search(["seg"], strategy="paper", predictor={"seg": seg})
    second = search(["seg"], strategy="paper", predictor={"seg": seg}, start=first, iterations=3)
    assert second.start == first.architecture
    assert second.trajectory.walk.codes[0].tolist() == list(first.architecture.code)


def test_table_of_the_trajectory():
    seg = predictor(load_run(), "seg")
    found = search(["seg"], predictor={"seg": seg}, starts=3, iterations=5)
    table = found.trajectory.to_table()
    assert {len(column) for column in table.values()} == {len(found.trajectory)}
    assert set(table["phase"]) == {"propagation", "polish"}
    assert table["macs"][-1] == found.macs
    assert table["rounded.seg.mIoU"][-1] == pytest.approx(found.predicted["seg"]["mIoU"])
    assert tuple(int(table[f"rounded.{n}"][-1]) for n in NAMES) == found.architecture.code
    assert len(found.trajectory.to_table("all")["loss"]) == sum(map(len, found.trajectory.walks))


@pytest.mark.parametrize("name", ["multires", "nasbench201"])
def test_moves_are_the_neighbours(name):
    space = spaces.get(name)
    region = Region(space)
    for architecture in space.sample(20, np.random.default_rng(7)):
        code = np.array(architecture.code, dtype=float)
        near = code + moves(name)
        near = near[region.contains(near)]
        assert {tuple(c) for c in near} == {a.code for a in space.neighbours(architecture)}


def test_polish_finds_pairs_where_single_steps_cannot_help():
    """A budget that the start fills: one dimension must give what another takes."""

    def value(x):
        return 70 + 0.01 * x[:, NAMES.index("c4_4")] - 0.002 * (x[:, NAMES.index("c4_3")] - 64).abs()

    goals = Objectives(parse_objectives(["seg"]), {"seg": Toy("seg", value)})
    start = np.array([SPACE.default().code])
    region = Region(SPACE, fixed=[n for n in NAMES if n not in ("c4_3", "c4_4")])
    criterion = Criterion(goals, Budget(region, macs=float(SPACE.cost(start).macs[0])))
    alone = Polish(criterion, pairs=0).run(start)[0]
    paired = Polish(criterion).run(start)[0]
    assert len(alone.path) == 1
    assert paired.path[-1][NAMES.index("c4_4")] > 64
    assert paired.excess == 0
