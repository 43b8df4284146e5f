"""python -m src.benchmark: import, statistics, queries, and one line for every mistake."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from release_format import release_rows, write_release

from ncp.errors import UserError
from ncp.jobs import benchmark as actions
from ncp.spaces.multires import SPACE, Architecture

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("cls-50-1000", "seg", "3ddet", "video")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Four small tables, imported by the command itself."""
    folder = tmp_path_factory.mktemp("benchmark")
    write_release(folder / "data", SETTINGS)
    done = command(folder, "action=import", f"source={folder / 'data'}", f"store={folder / 'store'}")
    assert done.returncode == 0, done.stderr
    assert "3ddet" in done.stdout
    return folder / "store"


def command(folder, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    line = [sys.executable, "-m", "src.benchmark", f"paths.outputs={folder / 'outputs'}", *arguments]
    return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def result(folder):
    (path,) = folder.glob("outputs/benchmark/*/*/result.json")
    return json.loads(path.read_text()), path.parent


def run(action, store, **options):
    return actions.answer_to(
        actions.Options(**{"action": action, "store": str(store), "predict": False, "k": 3, **options})
    )


def test_statistics_leave_tables_and_pictures(store, tmp_path):
    done = command(tmp_path, "action=stats", f"store={store}", "rows=all")
    assert done.returncode == 0, done.stderr
    assert "Table 6" in done.stdout
    content, folder = result(tmp_path)
    assert list(content["table6"]) == list(SETTINGS)
    assert content["figure4"]["labels"] == ["Cls-A", "Seg", "3dDet", "Video"]
    assert content["figure4"]["rows"] == 60
    for name in ("figure4.png", "figure5b.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    with (folder / "table6.csv").open() as file:
        rows = {row["Setting"]: row for row in csv.DictReader(file)}
    values = [row["mIoU"] for row in release_rows("seg")]
    assert float(rows["seg"]["Mean"]) == pytest.approx(sum(values) / 60, abs=0.006)


def test_statistics_of_one_setting(store):
    answer = run("stats", store, setting="seg")
    assert list(answer.result["table6"]) == ["seg"]
    assert set(answer.result) == {"table6", "figure5b"}
    assert list(answer.tables) == ["Main metric of seg, percent points"]
    short = run("stats", store, losses={"cls": 0.5}).result["table6"]  # a short name is the setting's
    assert short["cls-50-1000"]["prediction_loss"] == 0.5
    assert run("stats", store, setting="det3d", rows="all").result["table6"]["3ddet"]["rows"] == 60
    with pytest.raises(UserError, match=r"no table of 'transnas-micro/jigsaw'.*import them once"):
        run("stats", store, setting="transnas-micro/jigsaw")


def test_query_by_text(store, tmp_path):
    row = release_rows("seg")[7]
    text = Architecture(tuple(row["embedding"])).text
    done = command(tmp_path, "action=query", f"architecture={text}", f"store={store}")
    assert done.returncode == 0, done.stderr
    content, _ = result(tmp_path)
    records = {r["setting"]: r for r in content["records"]}
    assert set(records) == set(SETTINGS)
    assert records["seg"]["metrics"] == {name: row[name] for name in ("mIoU", "mAcc", "aAcc")}
    assert records["seg"]["architecture"]["text"] == text
    assert not records["seg"]["predicted"]


def test_query_of_one_metric(store):
    architecture = list(release_rows("seg")[7]["embedding"])
    answer = run("query", store, architecture=architecture, metric="mAcc")
    found = {record["setting"]: record["metrics"] for record in answer.result["records"]}
    assert found == {"seg": {"mAcc": release_rows("seg")[7]["mAcc"]}}
    with pytest.raises(UserError, match=r"metric is one of top1, .*mIoU.*, given was 'speed'; .*mode=best"):
        run("query", store, architecture=architecture, metric="speed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "action must be one of import, stats, query, best, relations, export; none was given"),
        (("action=plot",), "given was 'plot'"),
        (
            ("action=import", "source=/no/such/folder"),
            "there is no file or folder '/no/such/folder'; give source=<clone of the release of NAS-Bench-MR>/data, the file "
            "of TransNAS-Bench-101 (.pth) or a folder of CSV files",
        ),
        (("action=query", "architecture=[1,2,3]"), "27 numbers"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(store, tmp_path, arguments, message):
    done = command(tmp_path, f"store={store}", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("action", "options", "message"),
    [
        ("import", {}, "what to import"),
        ("query", {}, "which architecture"),
        (
            "query",
            {"architecture": 64642},
            "was read as one number; one of the space multires is written 64_64-2_1_2_64-",
        ),
        ("query", {"architecture": 7, "setting": "transnas-micro/jigsaw"}, "transnas-micro is written 64-41414-"),
        ("query", {"architecture": 7, "setting": "nas-bench-201"}, "nasbench201 is written |nor_conv_3x3~0|+|"),
        ("query", {"architecture": SPACE.default().text}, "is in none of the tables"),
        ("query", {"architecture": list(release_rows("seg")[0]["embedding"]), "epoch": 10}, "after epoch 10"),
        ("best", {}, "best in which setting"),
        ("best", {"setting": "cls-10c"}, "action=import"),
        ("best", {"setting": "seg", "max_macs": 5}, "raise max_macs"),
        ("export", {"setting": "seg"}, "to=seg.csv"),
        ("export", {"setting": "seg", "to": "seg.xls"}, "must end in .csv, .parquet, .table.safetensors"),
        ("stats", {"rows": "some"}, "unknown rule 'some'"),
        ("stats", {"losses": "card"}, "losses is cards, or an error of each setting"),
        ("stats", {"losses": [0.7]}, "losses is cards, or an error of each setting"),
        ("stats", {"losses": {"seg": "low"}}, "losses.seg must be a finite number, given was 'low'"),
        ("stats", {"losses": {"sge": 0.7}}, "unknown setting 'sge'"),
    ],
)
def test_other_mistakes(store, action, options, message):
    with pytest.raises(UserError) as error:
        run(action, store, **options)
    assert message in str(error.value)


def test_best_and_export(store, tmp_path):
    answer = run("best", store, setting="seg", max_macs=3e9)
    metrics = [r["metrics"]["mIoU"] for r in answer.result["records"]]
    assert len(metrics) == 3
    assert metrics == sorted(metrics, reverse=True)
    assert all(r["cost"]["macs"] <= 3e9 for r in answer.result["records"])
    run("export", store, setting="seg", to=str(tmp_path / "seg.csv"))
    with (tmp_path / "seg.csv").open() as file:
        assert [float(row["mIoU"]) for row in csv.DictReader(file)] == [row["mIoU"] for row in release_rows("seg")]


def test_what_was_never_trained_is_predicted(store, monkeypatch):
    class Fake:
        metrics = ("mIoU",)

        def predict(self, codes):
            return {"mIoU": codes.sum(1)}

        def predict_std(self, codes):
            return {"mIoU": codes.sum(1) * 0 + 1}

    asked = []

    def load(name):
        asked.append(name)
        if name != "seg":
            raise UserError("none is bundled")
        return Fake()

    monkeypatch.setattr("ncp.predictors.load", load, raising=False)
    answer = run("query", store, architecture=SPACE.default().text, predict=True)
    assert asked == list(SETTINGS)
    (found,) = answer.result["records"]
    assert found["predicted"] is True
    assert found["metrics"] == {"mIoU": float(sum(SPACE.default().code))}
    asked.clear()
    run("query", store, architecture=list(release_rows("seg")[0]["embedding"]), predict=True)
    assert not asked  # trained everywhere: no predictor is loaded


def test_without_any_table_the_bundled_predictors_answer(tmp_path):
    answer = run("query", tmp_path / "none", architecture=SPACE.default().text, predict=True)
    records = {record["setting"]: record for record in answer.result["records"]}
    assert len(records) == 9
    assert all(record["predicted"] for record in records.values())
    assert records["seg"]["metrics"]["mIoU"] == pytest.approx(
        76, abs=2
    )  # as the cards of the predictors of the space's default
    with pytest.raises(UserError, match="no tables"):
        run("query", tmp_path / "none", architecture=SPACE.default().text, predict=False)


def test_refused_rows_are_written_down(tmp_path):
    write_release(tmp_path / "data", ["seg"], n=5)
    import pickle

    path = tmp_path / "data" / "seg" / "trainval.pkl"
    path.write_bytes(pickle.dumps([*release_rows("seg", 5), {"mIoU": -1}], protocol=3))
    answer = run("import", tmp_path / "store", source=str(tmp_path / "data"))
    assert answer.result["imported"]["seg"]["refused"] == 1
    actions.write_answer(answer, tmp_path)
    with (tmp_path / "refused.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["Setting"], row["Row"]) == ("seg", "5")
    assert "needs one of" in row["Reason"]


@pytest.mark.parametrize(
    ("setting", "architecture", "words"),
    [
        (None, "64-41414-3_31_339", "digit 6 of a cell must be one of 0, 1, 2, 3; given was '9'"),
        (None, "64-41414-3_31_33", "whose cell has 5"),
        (None, "64-2x22-basic", "digit 2 of the modules must be one of 1, 2, 3, 4; given was 'x'"),
        (None, "64-2222-basic", "1 to 4 modules that halve the size"),
        ("transnas-micro/normal", "64-41414-3_31_339", "digit 6 of a cell"),
        ("transnas-macro/normal", "64-41414-3_31_332", "here it must be one of transnas-macro"),
        ("transnas-macro/normal", "64-2231-basic", "no table of 'transnas-macro/normal'.*import them once"),
        (None, "64-41414-3_31_332", "no table of 'transnas-micro/class_scene'.*import them once"),
    ],
)
@pytest.mark.parametrize("predict", [False, True])
def test_what_is_wrong_with_an_architecture_is_said_without_its_table(
    store, tmp_path, setting, architecture, words, predict
):
    for place in (store, tmp_path):
        with pytest.raises(UserError, match=words) as error:
            run("query", place, setting=setting, architecture=architecture, predict=predict)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("scale", "told"), [(0.01, True), (1, False)])
def test_fractions_in_the_place_of_percent_points_are_told(tmp_path, scale, told):
    lines = [f"{net.text},{scale * (50 + i)}" for i, net in enumerate(SPACE.sample(5, np.random.default_rng(0)))]
    (tmp_path / "seg.csv").write_text("\n".join(["architecture,mIoU", *lines]))
    answer = run("import", tmp_path / "store", source=str(tmp_path / "seg.csv"))
    assert any("no mIoU is above 1: are these fractions?" in line for line in answer.lines) == told
