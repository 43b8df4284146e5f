"""The command that compares strategies, on small tables and on a bundled predictor: files, options, mistakes."""

import csv

import numpy as np
import pytest
from transnas_files import TASKS

from ncp import benchmark, jobs, spaces
from ncp.benchmark import settings
from ncp.errors import UserError

MICRO = spaces.get("transnas-micro")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Tables of the seven tasks of the micro space over 80 cells."""
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(0)
    cells = list(dict.fromkeys(MICRO.sample(80, rng)))
    for task in TASKS:
        setting = settings.get(f"transnas-micro/{task}")
        low, high = setting.range(setting.main)
        values = rng.uniform(low, high, len(cells))
        rows = [{"text": cell.text, setting.main: v} for cell, v in zip(cells, values, strict=True)]
        table = benchmark.from_rows(rows, setting)
        benchmark.store.write(table, benchmark.store.path_of(setting.name, folder))
    return folder


def run(folder, *words):
    return jobs.compare.run(jobs.options("compare", *words), folder)


def rows(outcome):
    with outcome.files["runs"].open() as file:
        return list(csv.DictReader(file))


def test_files_of_a_comparison(store, tmp_path, capsys):
    outcome = run(
        tmp_path, "objectives=[transnas-micro/room_layout]", f"store={store}", "strategies=[random,rea]", "seeds=3", "queries=12",
    )  # fmt: skip
    jobs.compare.show(outcome)
    said = capsys.readouterr().out
    assert "12 evaluations a run, 3 runs" in said
    table = benchmark.load("transnas-micro/room_layout", store)
    found = rows(outcome)
    assert [(row["strategy"], row["seed"]) for row in found] == [
        (s, str(n)) for s in ("random", "rea") for n in range(3)
    ]
    values = np.sort(-table.column("valid_neg_loss"))
    for row in found:
        value = table.query(row["architecture"]).metrics["valid_neg_loss"]
        assert float(row["transnas-micro/room_layout.valid_neg_loss"]) == value
        assert int(row["rank"]) == np.searchsorted(values, -value) + 1
        assert (row["objective"], row["queries"]) == ("transnas-micro/room_layout", "12")
    assert outcome.files["picture"].read_bytes().startswith(b"\x89PNG")


def test_all_tasks_of_a_group_apart_or_together(store, tmp_path):
    words = ("objectives=[transnas-micro/all]", f"store={store}", "strategies=[random,local]", "seeds=2", "queries=5")
    apart = rows(run(tmp_path / "a", *words, "each=true"))
    assert {row["objective"] for row in apart} == {f"transnas-micro/{task}" for task in TASKS}
    assert len(apart) == 7 * 2 * 2
    together = rows(run(tmp_path / "b", *words))
    assert len(together) == 4
    assert all(row[f"transnas-micro/{task}.valid_top1"] for row in together for task in ("jigsaw", "class_scene"))
    assert all(1 <= float(row["mean_rank"]) <= 80 for row in together)


@pytest.mark.usefixtures("one_thread")
def test_predictors_answer_for_any_architecture(tmp_path):
    outcome = run(
        tmp_path, "objectives=[seg]", "source=predictor", "strategies=[random,local]", "seeds=2", "queries=10"
    )
    from ncp import predictors

    for row in rows(outcome):
        assert float(row["seg.mIoU"]) == pytest.approx(
            float(predictors.load("seg").predict(spaces.get("multires").parse(row["architecture"]))["mIoU"][0])
        )
        assert row["rank"] == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["objectives=[transnas-micro/depth]"], "unknown objective 'transnas-micro/depth'"),
        (
            ["objectives=[transnas/all]"],
            "no group of settings 'transnas'; there are multires, transnas-macro, transnas-micro",
        ),
        (["objectives=[transnas-micro/jigsaw,transnas-macro/jigsaw]"], "share one space|no table of"),
        (["objectives=[transnas-macro/jigsaw]"], "no table of 'transnas-macro/jigsaw'"),
        (["objectives=[transnas-micro/jigsaw]", "strategies=[annealing]"], "unknown strategy 'annealing'"),
        (["objectives=[transnas-micro/jigsaw]", "strategies=[]"], "strategies is a list of different ones"),
        (["objectives=[transnas-micro/jigsaw]", "known=[transnas-micro/jigsaw]"], "known may not hold an objective"),
        (["objectives=[]"], "needs an objective"),
        (["objectives=[{metric:transnas-micro/jigsaw,weight:0.5}]"], "counts all its objectives alike"),
        (["objectives=[seg.mIoU,seg.mAcc]", "source=predictor"], "one metric of each setting"),
        (
            ["objectives=[transnas-micro/jigsaw]", "known=[seg]"],
            "known are settings of space 'transnas-micro', given was seg",
        ),
        (
            ["objectives=[transnas-micro/jigsaw]", "strategies=[rea]", "strategy.rea.population=0"],
            "at least 1, given was 0",
        ),
    ],
)
def test_mistakes(words, message, store, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        run(tmp_path, f"store={store}", *words)
    assert "\n" not in str(caught.value)
