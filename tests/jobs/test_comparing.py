"""The end of a discovery: who judges candidates of recorded tables, where they are trained, and when it is over."""

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


def test_what_finds_no_time_is_noted(compared, monkeypatch):
    one = compared(hours=2.0)
    monkeypatch.setattr(one.clock, "left", lambda: 0)
    assert not one.over([], "what an earlier start has done")
    assert one.over([1e9], "after one of two seeds")
    assert one.out.notes == ["hours=2 ended after one of two seeds; the same command goes on with the others"]
    monkeypatch.setattr(one.clock, "left", lambda: None)
    assert not one.over([1e9], "after one")
