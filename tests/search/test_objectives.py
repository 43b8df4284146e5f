"""What is asked for: objectives, limits, the region of a search, and the refusals."""

import gc
import weakref

import numpy as np
import pytest
import torch
from toy_predictors import Toy

from ncp import spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.predictors import load
from ncp.search import search
from ncp.search.limits import Budget, Region, parse_costs, parse_floors
from ncp.search.objectives import Objective, Objectives, cost_scale, narrowed, parse_objectives

SPACE = spaces.get("multires")
FLAT = Toy("seg", lambda x: 70 + 0 * x[:, 0])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("cls", Objective("cls-50-1000", "top1")),
        ("cls-50-1000.top5", Objective("cls-50-1000", "top5")),
        ("det3d", Objective("3ddet", "moderate")),
        ("seg.flops", Objective("seg", "flops", "min")),
        ({"metric": "seg.mAcc", "weight": 0.5}, Objective("seg", "mAcc", "max", 0.5)),
        ({"metric": "video-p", "direction": "min"}, Objective("video-p", "top1", "min", 1.0)),
        ("nas-bench-201", Objective("nas-bench-201", "Acc")),
    ],
)
def test_objectives_are_read(given, expected):
    assert parse_objectives([given]) == (expected,)
    assert parse_objectives(given) == (expected,)


def test_unknown_objective_lists_the_nine_and_the_four():
    with pytest.raises(UserError) as error:
        parse_objectives(["cls", "depth"])
    assert "'depth'" in str(error.value)
    for name in (*settings.PAPER, *settings.SHORT):
        assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "needs an objective"),
        (["seg.iou"], "mIoU, mAcc, aAcc"),
        (["seg", "seg.mIoU"], "given twice"),
        ([{"metric": "seg", "weight": -1}], "positive number"),
        ([{"metric": "seg", "weight": "much"}], "positive number"),
        ([{"metric": "seg", "direction": "up"}], "max or min"),
        ([{"setting": "seg"}], "keys metric, weight and direction"),
        ([7], "an objective is"),
        (7, "objectives are a list, such as .cls,seg., given was 7"),
        ([{"metric": "seg", "weight": True}], "positive number"),
    ],
)
def test_malformed_objectives(given, words):
    with pytest.raises(UserError, match=words):
        parse_objectives(given)


def test_a_setting_of_ones_own():
    toy = Toy("depth", lambda x: x[:, :1], ("rmse",))
    assert parse_objectives(["depth"], {"depth": toy}) == (Objective("depth", "rmse"),)


def test_objectives_share_a_space():
    cell = Toy("nas-bench-201", lambda x: x[:, 0], ("Acc",), space="nasbench201")
    with pytest.raises(UserError, match="share one space"):
        search(["seg", "nas-bench-201"], predictor={"seg": FLAT, "nas-bench-201": cell})


@pytest.mark.parametrize(
    "make", [lambda: load("seg"), lambda: load("seg", "paper"), lambda: Toy("seg", lambda x: x[:, :1])]
)
def test_what_is_made_of_a_predictor_for_searches_goes_with_it(make):
    predictor = make()
    assert narrowed(predictor, ("mIoU",)) is narrowed(predictor, ("mIoU",))  # once for all searches
    gone = weakref.ref(predictor)
    del predictor
    gc.collect()
    assert gone() is None


def test_standardised_outputs_and_cost():
    toy = Toy("seg", lambda x: torch.stack([x[:, 2], -x[:, 2]], 1), ("mIoU", "flops"), mean=2.0, scale=4.0)
    goals = Objectives(parse_objectives(["seg.mIoU", {"metric": "seg.flops"}]), {"seg": toy})
    code = SPACE.encode([SPACE.default()])
    forward = goals.forward(code)
    assert forward.z_NK.tolist() == [[0.0, 1.0]]  # (2 - 2) / 4, and -(-2 - 2) / 4 since flops are to be lowered
    macs = 1969946624  # the default's, counted layer by layer
    np.testing.assert_allclose(forward.cost_NK, [[macs / cost_scale("multires")] * 2])


def test_region_keeps_what_is_fixed():
    start = np.array(SPACE.default().code, dtype=float)
    region = Region(SPACE, start, fixed=["i1", "b2"], bounds={"c4_4": [8, 32], "n1_1": [3, 4]})
    codes = region.round(np.random.default_rng(0).uniform(-50, 200, size=(200, 27)))
    names = list(SPACE.labels)
    assert set(codes[:, names.index("i1")]) == {64}
    assert set(codes[:, names.index("b2")]) == {2}
    assert set(codes[:, names.index("c4_4")]) <= {8, 16, 24, 32}
    assert set(codes[:, names.index("n1_1")]) <= {3, 4}
    assert region.contains(codes).all()
    assert region.contains(region.sample(50, np.random.default_rng(1))).all()
    assert not region.contains(start[None])[0]  # c4_4 = 64 lies outside
    near = region.neighbours(codes[0])
    assert len(near) > 20
    assert region.contains(near).all()


def test_region_of_a_one_hot_space():
    space = spaces.get("nasbench201")
    start = space.encode([space.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|none~2|")])[0]
    fixed = [label for label in space.labels if label.startswith("0>1")]
    region = Region(space, start, fixed=fixed, bounds={"0>2 none": [0, 0]})
    codes = region.round(np.random.default_rng(0).normal(size=(300, 30)))
    assert (codes[:, :5] == start[:5]).all()
    assert (codes[:, 6] == 0).all()
    assert all(tuple(c) == space.decode(c[None])[0].code for c in codes)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fixed": ["c5"]}, "unknown dimension 'c5'"),
        ({"bounds": {"c4_4": [8, 200]}}, r"within 8..128 in steps of 8, given was \[8, 200\]"),
        ({"bounds": {"c4_4": [12, 64]}}, "in steps of 8"),
        ({"bounds": {"b1": [3, 2]}}, "within 1..4"),
        ({"bounds": {"b1": 3}}, r"\[lower, upper\]"),
        ({"budget": {"latency": 3}}, "unknown budget 'latency'"),
        ({"budget": {"macs": -1}}, "must be positive"),
        ({"budget": {"macs": "a lot"}}, "finite number"),
        ({"floor": {"seg": {"top1": 3}}}, "mIoU, mAcc, aAcc"),
        ({"floor": {"seg.mIoU": float("nan")}}, "finite number"),
        ({"strategy": "annealing"}, "robust, paper, winner_takes_all"),
        ({"lam": -0.1}, "lam must not be negative"),
        ({"kappa": -1}, "kappa must not be negative"),
        ({"starts": 0}, "at least 1"),
        ({"iterations": 0}, "positive whole number"),
        ({"combine": "product"}, "sum or mean"),
        ({"cost": "energy"}, "exact, learned or latency"),
        ({"cost": "latency"}, "needs a measured machine: latency=FILE"),
        ({"budget": {"latency_ms": 3}}, "needs a measured machine: latency=FILE"),
        ({"start": "64_64"}, "27 numbers"),
        ({"seed": -1}, "seed must be a whole number from 0, given was -1"),
        ({"seed": 1.5}, "whole number from 0"),
        ({"seed": None}, "given was null"),
        ({"seed": True}, "given was true"),
        ({"starts": 1.5}, "whole number"),
        ({"iterations": None}, "whole number"),
        ({"strategy": "random", "queries": 2.5}, "queries must be a positive whole number"),
        ({"lam": None}, "lam must be a finite number, given was null"),
        ({"kappa": "much"}, "kappa must be a finite number"),
        ({"floor": 77}, r"floors are {setting: {metric: value}}, .* given was 77"),
        ({"floor": [77]}, "floors are"),
        (
            {"floor": {"mIoU": 76}},
            r"floor\.mIoU: 'mIoU' is a metric .* such as seg\.mIoU \(settings with mIoU: seg, seg-4x\)",
        ),
        ({"floor": {"seg": {"mIoU": {"least": 77}}}}, "floor.seg.mIoU must be a finite number"),
        ({"floor": {"seg": [77]}}, "finite number"),
        ({"budget": 1e9}, "a budget is {macs: 1e9"),
        ({"bounds": [8, 64]}, "bounds are {dimension: .lower, upper.}"),
        ({"bounds": {"c4_4": {"lower": 8}}}, r"\[lower, upper\]"),
        ({"bounds": {"c4_4": [8, 16, 24]}}, r"\[lower, upper\]"),
        ({"bounds": {"c4_4": None}}, r"\[lower, upper\]"),
        ({"fixed": 5}, "fixed is a list of dimensions"),
        ({"fixed": {"i1": 3}}, "fixed is a list of dimensions"),
        ({"fixed": ["c4_4"], "bounds": {"c4_4": [8, 32]}}, "the start's c4_4=64 is not within 8..32"),
        ({"options": {"keep": 0}}, "keep must be a positive whole number"),
        ({"options": {"learning_rate": None}}, "learning_rate must be a finite number"),
        ({"options": {"penalty": -1}}, "penalty must be positive"),
        ({"options": {"polish": 3}}, "polish is true or false"),
        ({"options": 5}, "options of strategy robust are"),
        ({"options": {"width": 5}}, "no option 'width'"),
        ({"strategy": "paper", "options": {"learning_rate": "fast"}}, "learning_rate must be a finite number"),
        ({"strategy": "paper", "options": {"round_every": -1}}, "round_every must be a whole number from 0"),
        ({"strategy": "paper", "options": {"step": "far"}}, "the step of the targets must be a finite number"),
        (
            {"strategy": "paper", "options": {"targets": {"seg.mIoU": "high"}}},
            "the target of seg.mIoU must be a finite",
        ),
        (
            {"strategy": "paper", "options": {"targets": {"seg": 77, "macs": "1G"}}},
            "the target of macs must be a finite",
        ),
        ({"strategy": "evolution", "options": {"population": 0}}, "population must be a positive whole number"),
    ],
)
def test_refusals(given, words):
    with pytest.raises(UserError, match=words) as error:
        search(["seg"], predictor={"seg": FLAT}, **given)
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("strategy", "plain", "other"),
    [
        (
            "robust",
            {"keep": 3, "penalty": 4, "learning_rate": 0.1},
            {"keep": 3.0, "penalty": "4", "learning_rate": "0.1"},
        ),
        (
            "paper",
            {"learning_rate": 3, "round_every": 2, "step": 1},
            {"learning_rate": "3", "round_every": 2.0, "step": "1"},
        ),
        ("evolution", {"children": 4, "tournament": 3}, {"children": 4.0, "tournament": 3.0}),
    ],
)
def test_numbers_may_be_written_otherwise(strategy, plain, other):
    given = {"strategy": strategy, "predictor": {"seg": FLAT}, "iterations": 3, "queries": 90}
    found = search(["seg"], starts=2, options=plain, **given)
    assert search(["seg"], starts=2.0, options=other, **given).architecture == found.architecture


def test_limits_are_read():
    assert parse_costs({"macs": "1e9", "params": None}) == {"macs": 1e9}
    forms = [{"seg": {"mIoU": 77, "mAcc": None}}, {"seg.mIoU": 77}, {"seg": 77}]
    assert len({parse_floors(form) for form in forms}) == 1
    assert parse_floors(forms[0])[0].name == "seg.mIoU"


def test_smallest_possible_cost_is_stated():
    macs = int(SPACE.cost(SPACE.lower[None].astype(int)).macs[0])
    with pytest.raises(UserError, match=f"smallest architecture of the space has {macs:,} multiply-adds"):
        search(["seg"], predictor={"seg": FLAT}, budget={"macs": 1e6})
    with pytest.raises(UserError, match=r"within the bounds and fixed dimensions has [0-9,]+ parameters"):
        search(["seg"], predictor={"seg": FLAT}, budget={"params": 3e4}, fixed=["c4_4"])


def test_excess_is_exact():
    region = Region(SPACE)
    codes = np.array([SPACE.default().code])
    macs = int(SPACE.cost(codes).macs[0])
    assert Budget(region, macs=macs).excess(codes)[0] == 0
    assert Budget(region, macs=macs - 1).excess(codes)[0] > 0


def test_a_metric_without_its_setting_is_told_the_settings_that_have_it():
    with pytest.raises(
        UserError, match=r"'moderate' is a metric and needs its setting before it, such as 3ddet\.moderate"
    ):
        search(["moderate"])
