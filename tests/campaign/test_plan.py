"""The plan: pure, published once, verified; shards disjoint, complete, balanced."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncp import options
from ncp.campaign import plan as plans
from ncp.campaign.options import BuildOptions
from ncp.campaign.store import Folder
from ncp.errors import UserError
from ncp.spaces import cost
from ncp.spaces.multires import Architecture

BASE = {
    "setting": "seg",
    "count": 12,
    "seed": 3,
    "task": {"_target_": "x"},
    "data": {"crop": [64, 128], "root": "/here", "workers": 3},
    "recipe": {"length": 10},
    "trainer": {"accelerator": "cpu", "devices": 1, "precision": "auto"},
    "build": {"architectures": "sample"},
}


def config(**changes):
    return options.read(BuildOptions, {**json.loads(json.dumps(BASE)), **changes})


def test_the_plan_is_a_pure_function_of_the_configuration():
    first, second = plans.make(config()), plans.make(config())
    assert first.content == second.content
    assert len(first.hash) == 8
    assert len(set(first.architectures)) == 12


def test_what_decides_about_results_changes_the_plan_and_what_does_not_leaves_it():
    same = [
        {"data": {"crop": [64, 128], "root": "/elsewhere", "workers": 0}},
        {"trainer": {"accelerator": "gpu", "devices": 8, "precision": "auto"}},
        {"shard": 7, "keep": "last", "outputs": "/x"},
    ]
    others = [
        {"seed": 4},
        {"count": 13},
        {"setting": "seg-4x"},
        {"recipe": {"length": 11}},
        {"trainer": {"precision": "32"}},
    ]
    first = plans.make(config())
    assert {plans.make(config(**change)).hash for change in same} == {first.hash}
    assert len({first.hash, *(plans.make(config(**change)).hash for change in others)}) == 1 + len(others)


def test_costs_are_the_exact_ones_at_the_trainings_size():
    plan = plans.make(config())
    for text, macs in zip(plan.architectures, plan.macs, strict=True):
        assert macs == int(cost.count(Architecture.parse(text).code, size=(64, 128)).macs)


def test_an_unknown_setting_is_one_clear_line():
    with pytest.raises(UserError, match="unknown setting 'segment'"):
        plans.make(config(setting="segment"))


@settings(max_examples=60)
@given(macs=st.lists(st.integers(1, 10**12), min_size=1, max_size=200), number=st.integers(1, 40))
def test_shards_are_disjoint_complete_and_balanced(macs, number):
    texts = tuple(str(i) for i in range(len(macs)))
    shards = plans.BuildPlan("seg", texts, tuple(macs), {}, 0).shards(number)
    assert len(shards) == number
    assert sorted(i for shard in shards for i in shard) == list(range(len(macs)))
    loads = [sum(macs[i] for i in shard) for shard in shards]
    # no more than 4/3 of the best possible division, of which these are lower bounds
    ordered = sorted(macs, reverse=True)
    best = max(sum(macs) / number, ordered[0], ordered[number - 1] + ordered[number] if len(macs) > number else 0)
    assert max(loads) <= 4 / 3 * max(best, max(loads) - min(loads)) or max(loads) - min(loads) <= ordered[0]
    assert max(loads) - min(loads) <= ordered[0]


def test_real_architectures_are_balanced_by_cost_and_not_by_count():
    plan = plans.make(config(count=500))
    shards = plan.shards(16)
    loads = np.array([sum(plan.macs[i] for i in shard) for shard in shards], dtype=float)
    blind = np.array([sum(plan.macs[i] for i in range(k, 500, 16)) for k in range(16)], dtype=float)
    assert loads.max() / loads.mean() < 1.005
    assert blind.max() / blind.mean() > 1.05


def test_it_is_published_once_and_verified(tmp_path):
    store, plan = Folder(tmp_path / "build"), plans.make(config())
    plans.publish(plan, store)
    before = (tmp_path / "build" / plans.FILE).stat().st_mtime_ns
    plans.publish(plans.make(config()), store)
    assert (tmp_path / "build" / plans.FILE).stat().st_mtime_ns == before
    assert plans.read(store) == plan
    for change, words in (
        ({"recipe": {"length": 20}}, "recipe.length 10 there, 20 here"),
        ({"count": 13}, "12 architectures there, 13 here"),
        ({"seed": 9}, "seed 3 there, 9 here"),
    ):
        with pytest.raises(UserError, match=words):
            plans.publish(plans.make(config(**change)), store)
    assert plans.read(store) == plan


def test_no_plan_or_a_damaged_one(tmp_path):
    with pytest.raises(UserError, match="no build in this folder"):
        plans.read(Folder(tmp_path))
    (tmp_path / plans.FILE).write_text("{")
    with pytest.raises(UserError, match="damaged"):
        plans.read(Folder(tmp_path))
