"""A discovery's own decisions and its page, from hand-made tables; the commands: tests/commands/test_loop.py."""

from dataclasses import replace

import numpy as np
import pytest

from ncp import benchmark, spaces
from ncp.campaign import discovery as found_
from ncp.errors import UserError
from ncp.jobs import discovering as job
from ncp.report import discovery as report
from ncp.spaces.multires import SPACE

METRICS = {"cls-50-1000": ("top1", "top5"), "seg": ("mIoU", "mAcc", "aAcc")}


def table(setting, mains, seed=0):
    codes = SPACE.sample_codes(len(mains), np.random.default_rng(seed))
    rows = [
        {"code": c.tolist(), **dict.fromkeys(METRICS[setting], float(m))} for c, m in zip(codes, mains, strict=True)
    ]
    return benchmark.from_rows(rows, setting)


@pytest.fixture
def loop():
    """Ten sampled architectures; number 7 is best in one setting, 2 in the other, 4 good in both."""
    first, second = np.full(10, 50.0), np.full(10, 20.0)
    first[[7, 4]], second[[2, 4]] = (60, 58), (30, 29)
    tables = {"cls-50-1000": table("cls-50-1000", first), "seg": table("seg", second)}
    made = found_.Discovery(tuple(tables), {"macs": 1e12}, tables)
    found, default = SPACE.sample(2, np.random.default_rng(5))
    made.candidates = {"found": found, "default": default, "best sampled": found_.best_sampled(made)}
    made.macs = {name: found_.cost_of(SPACE, architecture) for name, architecture in made.candidates.items()}
    made.scores = {
        "found": {"cls-50-1000": np.array([59.0, 61.0]), "seg": np.array([24.0, 26.0])},
        "default": {"cls-50-1000": np.array([55.0, 57.0]), "seg": np.array([26.0, 28.0])},
        "best sampled": {"cls-50-1000": np.array([58.0, 58.0]), "seg": np.array([25.0, 25.0])},
    }
    made.errors = {name: {"mae": 2.5, "kendall": 0.31} for name in tables}
    made.predicted = {"cls-50-1000": 63.0, "seg": 31.0}
    made.std = {"cls-50-1000": 2.0, "seg": 1.5}
    made.commands = {"build seg": "python -m src.build setting=seg", "search": "python -m src.search"}
    made.seconds, made.cpu_seconds = {"build seg": 100.0, "search": 20.0}, {"build seg": 180.0, "search": 15.0}
    return made


def test_the_best_sampled_one_is_good_in_all_settings_and_within_the_limit(loop):
    codes = loop.tables["seg"].codes
    assert list(loop.candidates["best sampled"].code) == codes[4].tolist()
    loop.budget["macs"] = int(SPACE.cost(codes[[4]]).macs[0]) - 1
    assert list(found_.best_sampled(loop).code) != codes[4].tolist()
    loop.budget["macs"] = 1
    with pytest.raises(UserError, match="within the limits of cost"):
        found_.best_sampled(loop)


def test_where_less_is_better_the_best_is_the_least(loop, tmp_path):
    """The same trainings as errors: what was best and won still does."""
    tables = {name: _as_errors(each) for name, each in loop.tables.items()}
    scores = {c: {name: 100 - v for name, v in of.items()} for c, of in loop.scores.items()}
    less = replace(loop, tables=tables, scores=scores)
    assert found_.best_sampled(less) == loop.candidates["best sampled"]
    for name in loop.names:
        for more, fewer in zip(report.against(loop, name), report.against(less, name), strict=True):
            assert more.rpartition(": ")[2] == fewer.rpartition(": ")[2]
            assert float(fewer.split()[0]) == -float(more.split()[0])
        assert "(less is better)" in report.verdict(less, name)
    page = report.write_page(less, tmp_path, "loop")["page"].read_text()
    assert "the best within the limit 40.00" in page
    assert "the best within the limit 70.00" in page


def _as_errors(table):
    setting = replace(table.setting, smaller=table.metrics)
    rows = zip(table.codes, *(100 - table.columns[name] for name in table.metrics), strict=True)
    return benchmark.from_rows(
        [{"code": c.tolist(), **dict(zip(table.metrics, v, strict=True))} for c, *v in rows], setting
    )


def test_the_page_says_what_was_measured_also_where_the_found_one_loses(loop, tmp_path):
    files = report.write_page(loop, tmp_path, "loop")
    page = files["page"].read_text()
    assert "| found |" in page
    assert "60.00 ± 1.41" in page  # of 59 and 61
    assert "+4.00 against the default" in page
    # the pooled variance of six trainings is (2 + 2 + 0) / 3, and Student's t of three degrees of freedom 3.18
    assert "+4.00 against the default (standard error 1.15: won)" in page
    assert "-2.00 against the default (standard error 1.15: too close to call)" in page
    loop.scores["default"]["seg"] = np.array([40.0, 40.0])
    assert "-15.00 against the default (standard error 0.82: lost)" in report.page(loop)
    loop.scores["found"]["cls-50-1000"] = np.array([58.5, 60.3])  # less than 3.18 times 1.10
    loop.scores["default"]["cls-50-1000"] = np.array([55.0, 57.0])
    assert "+3.40 against the default (standard error 1.10: too close to call)" in report.page(loop)
    for values in loop.scores.values():
        values["seg"] = np.full(2, values["seg"].mean())
    assert "ended alike, the noise is not known" in report.page(loop)
    assert "python -m src.build setting=seg" in page
    assert "63.00" in page  # as predicted, beside what came of it
    assert files["picture"].stat().st_size > 10_000


def test_one_training_each_tells_no_noise(loop, tmp_path):
    loop.scores = {name: {s: values[:1] for s, values in of.items()} for name, of in loop.scores.items()}
    assert "the noise is not known" in report.write_page(loop, tmp_path, "loop")["page"].read_text()
    summary = found_.summary(loop)
    assert summary["compared"]["found"]["scores"]["seg"]["std"] is None
    assert summary["cpu_seconds"]["total"] == 195.0


def test_what_is_not_said_about_a_dimension_is_a_mistake():
    with pytest.raises(UserError, match="'o1' is missing"):
        job.values(SPACE, {"i": 8, "b": 1, "n": 1, "c": 8})
    assert job.values(SPACE, {"i": 8, "i2": 16, "b": 1, "n": 1, "c": 8, "o1": 24}).tolist()[:2] == [8, 16]


def test_a_table_of_a_whole_space_needs_no_other_judge(tmp_path):
    """All 4,096 cells of a space for which no predictor is bundled: what is found is judged by its own row."""
    space = spaces.get("transnas-micro")
    cells = space.all()
    worth = np.array([sum(int(letter) for letter in cell.text if letter.isdigit()) for cell in cells], dtype=float)
    worth = 40 + 50 * (worth - worth.min()) / np.ptp(worth)
    rows = [
        {"code": list(cell.code), "valid_top1": value, "valid_top5": value}
        for cell, value in zip(cells, worth, strict=True)
    ]
    path = benchmark.store.write(benchmark.from_rows(rows, "transnas-micro/jigsaw"), tmp_path / "all.parquet")
    name = "transnas-micro/jigsaw"
    plan = job.DiscoveryPlan((name,), {}, 12, {"macs": 1e12}, space.default(), tmp_path, source=str(path))
    steps = job._Steps(plan, tmp_path / "run")
    steps.check()
    steps.collect(name)
    assert len(benchmark.load(tmp_path / "sample-transnas-micro-jigsaw" / "transnas-micro-jigsaw.parquet")) == 12
    steps.judge({"found": cells[7], "default": space.default()})
    truth = dict(zip([cell.text for cell in cells], worth, strict=True))
    assert steps.out.scores["found"][name] == pytest.approx(truth[cells[7].text])
    assert steps.out.scores["default"][name] == pytest.approx(truth[space.default().text])
    assert set(steps.out.scored_by.values()) == {"its row of the table"}
    half = benchmark.store.write(benchmark.from_rows(rows[::2], name), tmp_path / "half.parquet")
    with pytest.raises(UserError, match="no bundled default predictor for 'transnas-micro/jigsaw'"):
        job._Steps(replace(plan, source=str(half)), tmp_path / "other").check()


def test_the_search_goes_far_where_no_training_could_be_chosen(tmp_path, monkeypatch):
    """Random trainings, and rows of a table that holds but a part of the space, seldom lie where it goes."""
    monkeypatch.setattr(job._Steps, "whole", lambda self, name: self.plan.source == "whole")
    plan = job.DiscoveryPlan(("seg",), {}, 12, {"macs": 1e12}, SPACE.default(), tmp_path, known=["video"])
    far = {
        (sampler, source): job._Steps(replace(plan, sampler=sampler, source=source), tmp_path).far
        for sampler in ("adaptive", "random")
        for source in (None, "part", "whole")
    }
    assert [key for key, goes in far.items() if not goes] == [("adaptive", None), ("adaptive", "whole")]
    others = [{"known": "none"}, {"names": ("seg", "video")}, {"family": "default"}]
    assert not any(job._Steps(replace(plan, sampler="random", **other), tmp_path).far for other in others)


def test_one_process_at_a_time_works_in_a_place(tmp_path, monkeypatch):
    """Two would fit and search each other's rows."""
    plan = job.DiscoveryPlan(("seg",), {}, 12, {"macs": 1e12}, SPACE.default(), tmp_path / "place", source="table")
    monkeypatch.setattr(job._Steps, "check", lambda self: None)
    monkeypatch.setattr(job, "_carried_out", lambda *_: "done")
    with job.runs.locked(tmp_path), pytest.raises(UserError, match="another discovery works in"):
        job.carry_out(replace(plan, place=tmp_path), tmp_path / "run")
    assert job.carry_out(plan, tmp_path / "run") == "done"
    with job.runs.locked(plan.place):
        assert job.carry_out(plan, plan.place) == "done"  # the command's own folder, which it holds
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/x' cannot be written \(Not a directory\); give another with dir="):
        job.carry_out(replace(plan, place=tmp_path / "file" / "x"), tmp_path / "run")
