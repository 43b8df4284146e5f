"""Comparisons: ranks, metrics and curves against what follows from the table by hand."""

import time

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import spaces
from ncp.benchmark import from_rows
from ncp.benchmark.settings import Setting
from ncp.errors import UserError
from ncp.report import strategies as report
from ncp.search.querying import compare

MICRO = spaces.get("transnas-micro")
CELLS = MICRO.sample(60, np.random.default_rng(0))


def table(name, values, smaller=(), cells=CELLS):
    setting = Setting(name, "cls", ("score",), space="transnas-micro", smaller=smaller)
    return from_rows([{"text": cell.text, "score": v} for cell, v in zip(cells, values, strict=True)], setting)


@pytest.fixture(scope="module")
def distinct():
    cells = list(dict.fromkeys(CELLS))
    return cells, np.random.default_rng(1).permutation(len(cells)).astype(float)


def test_one_metric_is_raised_or_lowered(distinct):
    cells, values = distinct
    for smaller, sign in (((), 1), (("score",), -1)):
        problem = compare.on_tables([table("a", values, smaller, cells)], ["score"])
        np.testing.assert_array_equal(problem.ranks[np.argsort(-sign * values)], np.arange(1, len(cells) + 1))
        found = compare.run([problem], ["random", "rea"], queries=20, seeds=4)
        for runs in found.runs:
            reached = values[runs.asked]
            np.testing.assert_array_equal(runs.value("a.score"), (sign * reached).max(1) * sign)
            np.testing.assert_array_equal(runs.rank, problem.ranks[runs.asked].min(1))
            assert (np.diff(runs.so_far, axis=1) >= 0).all()


def test_several_are_searched_by_their_mean_rank(distinct):
    cells, values = distinct
    other = np.roll(values, 7)
    problem = compare.on_tables(
        [table("a", values, (), cells), table("b", other, ("score",), cells)], ["score", "score"]
    )
    ranks = np.stack([len(cells) - values, 1 + other], axis=1)
    np.testing.assert_array_equal(problem.ranks_K, ranks)
    assert problem.best == -ranks.mean(1).min()
    np.testing.assert_array_equal(problem.ground.fitness(np.arange(len(cells))), -ranks.mean(1))


def test_seeds_are_the_same_whatever_their_number(distinct):
    cells, values = distinct
    problem = compare.on_tables([table("a", values, (), cells)], ["score"])
    few, many = (compare.run([problem], ["rea"], 15, seeds, seed) for seeds, seed in ((2, 3), (6, 0)))
    np.testing.assert_array_equal(few.runs[0].asked, many.runs[0].asked[3:5])


def test_repeated_rows_count_once_and_other_tasks_are_known():
    values = np.arange(60.0)
    problem = compare.on_tables([table("a", values)], ["score"], [(table("b", values, ("score",)), "score")])
    assert len(problem.ground) == len(set(CELLS))
    first = [CELLS.index(cell) for cell in dict.fromkeys(CELLS)]
    np.testing.assert_array_equal(problem.ground.values, values[first])
    np.testing.assert_array_equal(problem.ground.known["b.score"], -values[first])


def test_what_another_table_lacks_says_neither_good_nor_bad(distinct):
    cells, values = distinct
    other = table("b", values[:-5], (), cells[:-5])
    problem = compare.on_tables([table("a", values, (), cells)], ["score"], [(other, "score")])
    column = problem.ground.known["b.score"]
    np.testing.assert_array_equal(column[:-5], values[:-5])
    assert (column[-5:] == np.median(values[:-5])).all()
    (runs,) = compare.run([problem], ["rounds_known"], queries=12, seeds=1).runs
    assert runs.rank[0] <= 3


@pytest.mark.parametrize("number", [2, 7])
@pytest.mark.parametrize("name", ["rounds", "rounds_known"])
def test_tables_smaller_than_a_round_are_asked_whole(distinct, name, number):
    cells, values = distinct
    other = table("b", values[:number], (), cells[:number])
    problem = compare.on_tables([table("a", values[:number], (), cells[:number])], ["score"], [(other, "score")])
    (runs,) = compare.run([problem], [name], queries=20, seeds=2).runs
    assert runs.so_far[:, -1].tolist() == [values[:number].max()] * 2


def test_what_is_made_once_is_no_runs_time(distinct, monkeypatch):
    """The first run of a process pays for imports and tables of neighbours."""
    cells, values = distinct
    problems = [compare.on_tables([table(name, values, (), cells)], ["score"]) for name in "ab"]
    calls = []

    class Slow:
        def run(self, ground, queries, generators):
            time.sleep(0.2 if not calls else 0)
            calls.append((ground.name, queries, len(generators)))
            return np.zeros((len(generators), queries), dtype=np.int64)

    monkeypatch.setattr(compare, "make", lambda name, options: Slow())
    found = compare.run(problems, ["slow"], queries=40, seeds=2)
    assert calls == [("a", compare.FIRST, 1), ("a", 40, 2), ("b", 40, 2)]
    assert max(which.seconds for which in found.runs) < 0.05


def test_mistakes(distinct):
    cells, values = distinct
    problem = compare.on_tables([table("a", values, (), cells)], ["score"])
    with pytest.raises(UserError, match="options are given for local"):
        compare.run([problem], ["rea"], options={"local": {}})
    seg = Setting("s", "cls", ("score",))
    multires = from_rows(
        [{"text": a.text, "score": 1.0} for a in spaces.get("multires").sample(5, np.random.default_rng(0))], seg
    )
    with pytest.raises(UserError, match=r"two architectures or more that have a\.score, there are 1"):
        compare.on_tables([table("a", values[:1], (), cells[:1])], ["score"])
    with pytest.raises(UserError, match="share one space; given were multires, transnas-micro"):
        compare.on_tables([table("a", values, (), cells), multires], ["score", "score"])


def test_a_budget_leaves_dear_rows_out(distinct):
    cells, values = distinct
    macs = np.asarray(MICRO.cost(MICRO.encode(cells).astype(int)).macs)
    limit = float(np.median(macs))
    problem = compare.on_tables([table("a", values, (), cells)], ["score"], budget={"macs": limit})
    assert len(problem.ground) == (macs <= limit).sum()
    assert problem.best == values[macs <= limit].max()
    with pytest.raises(UserError, match="0 rows of the table keep the budget"):
        compare.on_tables([table("a", values, (), cells)], ["score"], budget={"macs": 1.0})


def test_what_keeps_no_limit_has_no_figure():
    space = spaces.get("multires")
    toy = Toy("seg", capacity(space.lower))
    problem = compare.on_predictors({"seg": toy}, {"seg": "mIoU"}, {"seg": 1.0}, {"macs": 3e8})
    small, large = problem.ground.nearest(np.stack([space.lower, space.upper]))
    asked = np.array([[large, large], [large, small]])
    runs = compare.Runs(problem, "x", (0, 1), asked, problem.ground.fitness(asked), 0.0)
    assert runs.kept.tolist() == [False, True]
    value = runs.value("seg.mIoU")
    assert np.isnan(value[0])
    assert value[1] == pytest.approx(toy.predict(space.lower[None])["mIoU"][0])
    assert runs.found.tolist() == [large, small]  # however much better the large one is
    assert toy.predict(space.upper[None])["mIoU"][0] > value[1]
    found = compare.Comparison(2, [runs])
    (entry,) = report.summary(found)
    assert entry["within"] == 0.5
    assert entry["values"]["seg.mIoU"]["mean"] == pytest.approx(value[1])
    assert "50% within" in report.table(found)[1][2]
    assert report.rows(found)[1][4] == ""
