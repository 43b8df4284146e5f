"""The plan: pure, published once, verified; shards disjoint, complete, balanced."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncp import options, spaces
from ncp.campaign import plan as plans
from ncp.campaign.growth import Growth, Round
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


def test_plans_that_do_not_grow_are_byte_by_byte_what_they_were():
    """Recorded before plans could grow: builds in progress go on."""
    assert hashlib.sha256(plans.make(config()).content).hexdigest() == (
        "defe6af4e478e7903a15fd35b85c37a793ceb7711b980a8c3ed60682a2c18b1c"
    )
    assert plans.make(config()).total == 12


def growing(**changes):
    return config(sampler="adaptive", count=20, budget={"macs": 1e9}, known="none", **changes)


def test_a_plan_that_grows_lists_its_first_round_and_how_it_goes_on(tmp_path):
    plan = plans.make(growing(rounds=4))
    content = json.loads(plan.content)
    assert content["format"] == "ncp-plan-2"
    assert content["growth"]["sizes"] == [12, 3, 3, 2]
    assert (len(plan), plan.total, plan.rounds) == (12, 20, (range(12),))
    assert plans.make(growing(rounds=4)).content == plan.content
    others = [
        growing(rounds=3),
        growing(rounds=4, seed=4),
        growing(rounds=4, bounds={"c": [8, 64]}),
        config(sampler="adaptive", count=20, rounds=4, budget={"macs": 2e9}, known="none"),
        config(sampler="adaptive", count=20, rounds=4, budget={"macs": 1e9}, known=["seg-4x"]),
    ]
    assert len({plan.hash, *(plans.make(other).hash for other in others)}) == 6
    store = Folder(tmp_path)
    plans.publish(plan, store)
    assert plans.read(store) == plan


def test_shards_of_earlier_rounds_stay_when_a_plan_grows():
    macs = tuple(int(v) for v in np.random.default_rng(0).integers(1, 100, 20))
    texts = tuple(map(str, range(20)))
    growth = Growth((8, 6, 6))
    before = plans.BuildPlan("seg", texts[:8], macs[:8], {}, 0, growth).shards(3)
    after = plans.BuildPlan("seg", texts[:14], macs[:14], {}, 0, growth).shards(3)
    assert [shard[: len(old)] for shard, old in zip(after, before, strict=True)] == before
    assert sorted(unit for shard in after for unit in shard) == list(range(14))


@pytest.mark.parametrize(
    "change",
    [
        {"growth": None},
        {"format": "ncp-plan-1"},
        {"growth": {"sizes": [9, 4]}},
        {"growth": {"sizes": []}},
        {"growth": {"sizes": [8, -1]}},
        {"growth": {"sizes": [8, 4], "budget": {"hours": 3}}},
        {"growth": {"sizes": [8, 4], "bounds": {"c9": [8, 16]}}},
        {"growth": {"sizes": [8, 4], "pool": "x"}},
    ],
)
def test_a_plan_whose_rounds_make_no_sense_is_refused(tmp_path, change):
    content = json.loads(plans.make(growing(rounds=4)).content) | change
    (tmp_path / plans.FILE).write_text(json.dumps(content))
    with pytest.raises(UserError, match="damaged") as error:
        plans.read(Folder(tmp_path))
    assert "\n" not in str(error.value)


def test_a_round_of_other_costs_than_the_exact_ones_is_refused(tmp_path):
    store, plan = Folder(tmp_path), plans.make(growing(rounds=4))
    plans.publish(plan, store)
    text = "8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8"
    others = [text[:-1] + str(width) for width in (16, 24)]
    macs = [int(cost.count(Architecture.parse(t).code, size=(64, 128)).macs) for t in (text, *others)]
    digest = hashlib.sha256(plan.content).hexdigest()
    good = Round(round=1, follows=digest, architectures=[text, *others], macs=macs)
    bad = Round(round=1, follows=digest, architectures=[text, *others], macs=[*macs[:2], macs[2] + 1])
    path = store.path("rounds/1.json")
    path.parent.mkdir()
    path.write_bytes(bad.content)
    with pytest.raises(UserError, match=r"rounds/1\.json .* other costs"):
        plans.follow(plan, store)
    path.write_bytes(good.content)
    grown = plans.follow(plan, store)
    assert (len(grown), grown.hash, grown.content) == (15, plan.hash, plan.content)
    assert plans.read(store) == grown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": "clever"}, "unknown sampler 'clever'; samplers: random, adaptive"),
        ({"rounds": 3}, "rounds is for sampler=adaptive"),
        ({"reach": 2.0}, "reach is for sampler=adaptive"),
        ({"budget": {"macs": 1e9}}, "budget is for sampler=adaptive"),
        ({"sampler": "adaptive", "count": None}, "give count=40"),
        ({"sampler": "adaptive", "count": 5}, "count=8 or more"),
        ({"sampler": "adaptive", "rounds": 13}, "rounds must be at most count, given were rounds=13 and count=12"),
        ({"sampler": "adaptive", "budget": {"macs": 1e6}}, "the smallest architecture of the space has 10,914,816"),
        ({"sampler": "adaptive", "budget": {"flops": 1e6}}, "unknown budget 'flops'"),
        ({"sampler": "adaptive", "budget": {"memory_mb": 9}}, "budget.memory_mb is for src.search"),
        ({"sampler": "adaptive", "known": 3}, "known must be all, none, or of"),
        (
            {"sampler": "adaptive", "bounds": {"b": [1, 1], "n": [1, 1], "c": [8, 8], "i": [8, 8], "o": [8, 64]}},
            "only 8 arch",
        ),
        ({"sampler": "adaptive", "known": ["resnet"]}, "known must be all, none, or of"),
        ({"sampler": "adaptive", "known": ["seg"]}, "given was 'seg'"),
        ({"sampler": "adaptive", "bounds": {"c": [8, 7]}}, "bounds.c must be within"),
        ({"sampler": "adaptive", "proxy": "nowhere.parquet"}, "nowhere.parquet"),
        ({"sampler": "adaptive", "setting": "video", "proxy": "x"}, "setting=video names no proxy"),
        (
            {"sampler": "adaptive", "budget": {"macs": 10_914_816}},
            "only 1 architecture is within the limits (budget.macs=",
        ),
        ({"proxy": "x"}, "proxy is for sampler=adaptive and action=analyse, given was proxy=x"),
        ({"known": ["cls"]}, "known is for sampler=adaptive, given was known=['cls']"),
    ],
)
def test_mistakes_are_one_line_each(changes, words):
    with pytest.raises(UserError) as error:
        plans.make(config(**changes))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_list_of_architectures_can_be_the_pool(tmp_path):
    rng = np.random.default_rng(0)
    codes = np.unique(8 * rng.integers(1, 3, (60, 27)), axis=0)
    space = spaces.get("multires")
    lines = [a.text for a in space.decode(codes)]
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    listed = {"architectures": str(tmp_path / "list.txt")}
    plan = plans.make(config(sampler="adaptive", known="none", build=listed))
    assert set(plan.architectures) <= set(lines)
    (tmp_path / "list.txt").write_text("\n".join(lines[1:]) + "\n")
    assert plans.make(config(sampler="adaptive", known="none", build=listed)).hash != plan.hash
    with pytest.raises(UserError, match=r"list.txt has 59 architectures, given was count=70"):
        plans.make(config(sampler="adaptive", known="none", build=listed, count=70))
    with pytest.raises(UserError, match=r"only \d+ architectures are within the limits"):
        plans.make(config(sampler="adaptive", known="none", build=listed, count=12, budget={"macs": 1.2e7}))
