"""The table after a multirun: one judge for all, whatever each search asked."""

import csv
import json

import pytest
import recorded_results as recorded

from ncp import predictors, spaces
from ncp.report import sweep

SPACE = spaces.get("multires")


@pytest.fixture
def job(tmp_path):
    """Write the folder of one search that found a random architecture."""

    def write(number, objectives, predictor, judge, overrides=(), **more):
        architecture = SPACE.parse(recorded.architecture(number)["code"])
        settings = {o.partition(".")[0] for o in objectives}

        def figures(names):
            loaded = {s: predictors.load(s, family=names[s]).predict(architecture) for s in settings}
            return {s: {m: float(v[0]) for m, v in values.items()} for s, values in loaded.items()}

        cost = SPACE.cost([architecture.code])
        folder = recorded.search(
            tmp_path / str(number), number, objectives,
            predicted=figures(dict.fromkeys(settings, predictor)), predictor=dict.fromkeys(settings, predictor),
            judged=figures(dict.fromkeys(settings, judge)), judge=dict.fromkeys(settings, judge),
            cost={"macs": int(cost.macs[0]), "params": int(cost.params[0])}, **more,
        )  # fmt: skip
        recorded.state(folder, overrides=overrides)

    return write


def rows(folder):
    return list(csv.DictReader((folder / "sweep.csv").open()))


def by(family, setting, metric, row):
    return float(predictors.load(setting, family=family).predict(SPACE.parse(row["text"]))[metric][0])


def test_one_judge_for_all(job, tmp_path, capsys):
    job(0, ["seg.mIoU"], "default", "default", ["strategy=robust", "budget.macs=1000000000.0"])
    job(1, ["seg.mIoU"], "paper", "default", ["strategy=paper", "budget.macs=1000000000.0"])
    job(2, ["seg.mIoU"], "paper", "default", ["strategy=paper", "budget.macs=2500000000.0"], keeps_limits=False)
    sweep.summarise(tmp_path)
    for row in rows(tmp_path):
        assert float(row["seg.mIoU"]) == pytest.approx(by("default", "seg", "mIoU", row), rel=1e-5)
        assert float(row["seg.mIoU.own"]) == pytest.approx(by(row["predictor"], "seg", "mIoU", row), rel=1e-5)
        assert row["judge"] == "default"
    assert [row["keeps_limits"] for row in rows(tmp_path)] == ["True", "True", "False"]
    out = capsys.readouterr().out
    assert "strategy=paper budget.macs=2.5e9 (misses its limit)" in out
    assert "strategy=robust budget.macs=1e9" in out
    assert "judged by default" in out
    assert "seg.mIoU, its own" in out


def test_searches_that_name_several_judges_are_judged_by_the_default_one(job, tmp_path):
    job(0, ["seg.mIoU"], "default", "default", ["predictors=default"])
    job(1, ["seg.mIoU"], "paper", "paper", ["predictors=paper"])
    sweep.summarise(tmp_path)
    for row in rows(tmp_path):
        assert float(row["seg.mIoU"]) == pytest.approx(by("default", "seg", "mIoU", row), rel=1e-5)


def test_every_search_is_judged_for_all_objectives(job, tmp_path, capsys):
    job(0, ["seg.mIoU"], "default", "default", ["objectives=[seg]"])
    job(1, ["video.top1"], "default", "default", ["objectives=[video]"])
    job(2, ["video.top1", "seg.mIoU"], "default", "default", ["objectives=[video,seg]"])
    sweep.summarise(tmp_path)
    for row in rows(tmp_path):
        for name in ("seg.mIoU", "video.top1"):
            setting, _, metric = name.partition(".")
            assert float(row[name]) == pytest.approx(by("default", setting, metric, row), rel=1e-5)
            both = float(row[f"{name}.doubt"]) ** 2 + float(row[f"{name}.noise"]) ** 2
            std = predictors.load(setting).predict_std(SPACE.parse(row["text"]))[metric][0]
            assert both**0.5 == pytest.approx(std, rel=1e-3)
    out = capsys.readouterr().out
    for label in ("objectives=[seg]", "objectives=[video]", "objectives=[video,seg]", "± doubt", "± noise"):
        assert label in out  # brackets are no markup


def test_what_cannot_be_judged_or_read_is_named_and_left(job, tmp_path, capsys):
    job(0, ["seg.mIoU"], "default", "default")
    job(1, ["seg.mIoU"], "default", "default")
    for number, judge in ((0, str(tmp_path / "gone.safetensors")), (1, str(tmp_path / "gone.safetensors"))):
        file = tmp_path / str(number) / "result.json"
        content = json.loads(file.read_text()) | {"judge": {"seg": judge}, "judged": {}}
        file.write_text(json.dumps(content))
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "result.json").write_text('{"objectives": 5}')
    job(3, ["seg.mIoU"], "default", "default", architecture={"text": "?", "code": [1, 2, 3]})
    job(4, ["seg.mIoU"], "default", "default", space="nowhere")
    points = sweep.summarise(tmp_path)
    assert len(points) == 2
    assert [row["seg.mIoU"] for row in rows(tmp_path)] == [row["seg.mIoU.own"] for row in rows(tmp_path)]
    err = capsys.readouterr().err
    assert err.count("left out of the summary") == 3
    assert "gone.safetensors" in err


def test_a_result_of_an_earlier_version_is_judged_anew(job, tmp_path):
    job(0, ["seg.mIoU"], "paper", "paper")
    file = tmp_path / "0" / "result.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in content.items() if k not in ("judge", "judged", "predictor")}))
    sweep.summarise(tmp_path)
    (row,) = rows(tmp_path)
    assert float(row["seg.mIoU"]) == pytest.approx(by("default", "seg", "mIoU", row), rel=1e-5)


@pytest.mark.parametrize(("count", "title"), [(1, "1 search"), (2, "2 searches")])
def test_one_search_is_no_searches(job, tmp_path, capsys, count, title):
    for number in range(count):
        job(number, ["seg.mIoU"], "default", "default", [f"seed={number}"])
    sweep.summarise(tmp_path)
    assert title in [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_the_caption_tells_of_what_the_table_shows(job, tmp_path, capsys):
    job(0, ["seg.mIoU", "seg.mAcc"], "default", "default")
    job(1, ["video.top1"], "default", "default")
    sweep.summarise(tmp_path)
    out = capsys.readouterr().out
    assert "±" not in out  # three metrics leave no room for columns of doubt
    assert "the judge's own doubt and the noise of one training's result stand in sweep.csv" in " ".join(out.split())
    assert float(rows(tmp_path)[0]["seg.mAcc.doubt"]) > 0
