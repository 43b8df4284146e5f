"""The end of a discovery: who judges candidates of recorded tables, where they are trained, and when it is over."""

from types import SimpleNamespace

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import benchmark, predictors, spaces
from ncp.errors import UserError
from ncp.jobs.comparing import Comparing
from ncp.jobs.discovery_plan import DiscoveryPlan

SPACE = spaces.get("multires")
KNOWN = Toy("seg", capacity(np.ones(27) * SPACE.lower))


class Small(Comparing):
    def work(self):
        return {"build": 1.0}


@pytest.fixture
def compared(tmp_path):
    def compared(**more):
        given = {
            "names": ("seg",), "words": {"seg": []}, "trainings": 8, "budget": {}, "reference": SPACE.default(),
            "place": tmp_path, "source": "table", **more,
        }  # fmt: skip
        return Small(DiscoveryPlan(**given), tmp_path)

    return compared


def rows(count, seed=0):
    found = SPACE.sample(count, np.random.default_rng(seed))
    made = [{"architecture": a.text, "mIoU": 50.0 + i, "mAcc": 60.0, "aAcc": 70.0} for i, a in enumerate(found)]
    return found, benchmark.from_rows(made, "seg")


def test_a_row_counts_where_there_is_one_and_else_the_judge(compared, monkeypatch):
    drawn, table = rows(3)
    other = SPACE.default()
    monkeypatch.setattr(predictors, "load", lambda name: KNOWN)
    one = compared()
    one.out.tables["seg"] = table
    one.judge({"found": drawn[1], "default": other})
    assert one.out.scores["found"]["seg"].tolist() == [51.0]
    assert one.out.scored_by["found"] == "its row of the table"
    assert one.out.scores["default"]["seg"][0] == pytest.approx(KNOWN.predict(other)["mIoU"][0])
    assert "bundled predictor" in one.out.scored_by["default"]


def test_without_a_bundled_predictor_only_a_whole_table_judges(compared, monkeypatch):
    def none(name):
        raise UserError(f"no bundled predictor for {name}")

    monkeypatch.setattr(predictors, "load", none)
    one, (drawn, table) = compared(), rows(3)
    monkeypatch.setattr(one, "recorded", lambda name: table)
    with pytest.raises(UserError, match="no bundled predictor for seg"):
        one.judge_of("seg")
    monkeypatch.setattr("ncp.jobs.comparing.SOME", 3)
    monkeypatch.setattr(one.space.__class__, "sample", lambda self, n, rng: drawn[:n])
    assert one.judge_of("seg") is None  # the table holds all that was drawn


def test_other_candidates_are_trained_elsewhere(compared):
    one, two = compared(), compared()
    one.out.candidates, two.out.candidates = (
        {"found": SPACE.default()},
        {"found": SPACE.sample(1, np.random.default_rng(1))[0]},
    )
    assert one.compared("seg", 0) != two.compared("seg", 0)
    assert one.compared("seg", 0) != one.compared("seg", 1)
    two.out.candidates = dict(one.out.candidates)
    assert one.compared("seg", 0) == two.compared("seg", 0)


def test_a_baseline_that_cannot_be_trained_is_noted_and_the_rest_goes_on(compared, monkeypatch):
    one, told = compared(source=None, repeats=3), []
    one.out.macs = {"found": 10**9}

    def run(step, command, *words, place):
        told.append(step)
        if len(told) == 2:
            raise UserError(f"the step '{step}' failed (the loss became NaN)")
        return SimpleNamespace(result={"seconds": {"training": 60.0}}, metrics={"mIoU": 41.0})

    monkeypatch.setattr(one.commands, "run", run)
    one.baseline("resnet18")
    assert told == ["compare baseline, seed 1000", "compare baseline, seed 1001"]
    assert one.out.scores["resnet18"]["seg"].tolist() == [41.0]
    assert one.out.notes == [
        "the hand-designed resnet18 is not compared further: the step 'compare baseline, seed 1001' failed (the loss became NaN)"
    ]
    told[:] = ["compare baseline, seed 1000"]
    monkeypatch.setattr(one.out, "scores", {})
    one.baseline("resnet18")
    assert one.out.scores == {}


def test_what_an_earlier_start_has_trained_is_compared_though_no_time_is_left(compared, monkeypatch):
    """The found one is the best sampled one too, so each seed has two trainings; those of two seeds of three are there."""
    one = compared(source=None, repeats=3, hours=1.0)
    (found, default, _), table = rows(3)
    candidates = {"found": found, "default": default, "best sampled": found}
    one.out.candidates = candidates
    monkeypatch.setattr(one.clock, "left", lambda: 0.0)
    monkeypatch.setattr(one, "build", lambda *_, **__: table)
    for repeat in range(2):
        for unit in range(2):
            (one.compared("seg", repeat) / f"units/{unit:06d}").mkdir(parents=True)
            (one.compared("seg", repeat) / f"units/{unit:06d}/record.json").touch()
    one.compare(candidates)
    assert {name: len(of["seg"]) for name, of in one.out.scores.items()} == dict.fromkeys(candidates, 2)
    assert one.out.notes == [
        "hours=1 ended the comparison after 2 of 3 seeds; the same command goes on with the others"
    ]


def test_what_finds_no_time_is_noted(compared, monkeypatch):
    one = compared(hours=2.0)
    monkeypatch.setattr(one.clock, "left", lambda: 0)
    assert not one.over([], "what an earlier start has done")
    assert one.over([1e9], "after one of two seeds")
    assert one.out.notes == ["hours=2 ended after one of two seeds; the same command goes on with the others"]
    monkeypatch.setattr(one.clock, "left", lambda: None)
    assert not one.over([1e9], "after one")
