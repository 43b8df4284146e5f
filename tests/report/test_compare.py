"""One judge predicts all lines alike, measurements stand beside, and nothing in a name is markup or a path."""

import csv
import json

import numpy as np
import recorded_results as recorded

from ncp import predictors
from ncp.report import compare, judgement
from ncp.report import entries as entries_of
from ncp.spaces.multires import SPACE


def compared(tmp_path, *given, **more):
    entries = entries_of.read([str(value) for value in given], **more)
    return entries, judgement.judge(entries.items)


def test_measured_stands_beside_predicted_and_a_baseline_has_no_prediction(tmp_path):
    trained = recorded.training(
        tmp_path / "trained", 1, metrics={"mIoU": 41.5, "mAcc": 50.0, "aAcc": 80.0, "other": 1.0}
    )
    baseline = recorded.training(tmp_path / "baseline", 2, architecture={"text": "resnet50", "code": None})
    entries, judged = compared(tmp_path, "default", trained, baseline, names=["before", "after", "timm"])
    head, *rows = compare.table(entries.items, judged)
    column = {name: i for i, name in enumerate(head)}
    assert [row[0] for row in rows] == ["before", "after", "timm"]
    assert [row[column["seg.mIoU\nmeasured, %"]] for row in rows] == ["-", "41.50", "42.00"]
    assert [row[column["seg.mIoU\npredicted, %\n± doubt ± noise"]] == "-" for row in rows] == [False, False, True]
    assert [row[column["measured on"]] for row in rows] == ["-", "Streets, built in", "Streets, built in"]
    assert [row[column["params\nM"]] for row in rows][2] == "2.000"
    assert all(all(cell for cell in row) for row in rows)  # no empty cell
    default = SPACE.encode([SPACE.default()])
    seg = predictors.load("seg")
    doubt, both = (seg.predict_std(default, noise=noise)["mIoU"][0] for noise in (False, True))
    noise = (both**2 - doubt**2) ** 0.5
    assert rows[0][1] == f"{seg.predict(default)['mIoU'][0]:.2f} ± {doubt:.2f} ± {noise:.2f}"


def test_a_measured_metric_has_its_own_unit(tmp_path):
    normal = recorded.training(
        tmp_path / "normal", 1, task="cls", main_metric="valid_ssim", metrics={"valid_ssim": 0.55},
        setting="transnas-micro/normal",
    )  # fmt: skip
    entries, judged = compared(tmp_path, recorded.training(tmp_path / "seg", 1), normal)
    head, *rows = compare.table(entries.items, judged)
    assert "seg.mIoU\nmeasured, %" in head
    assert [row[head.index("transnas-micro/normal.valid_ssim\nmeasured")] for row in rows] == [
        "-",
        "0.5500",
    ]  # of -1..1, so two would not do


def test_a_training_on_own_data_is_not_judged_by_what_is_known_of_another_set(tmp_path):
    """Nor stand its figures in one column with those of the task's own set."""
    given = recorded.training(tmp_path / "own", 1, setting="fields"), recorded.training(tmp_path / "seg", 2)
    entries, judged = compared(tmp_path, *given)
    head, *rows = compare.table(entries.items, judged)
    assert [row[head.index("fields.mIoU\nmeasured, %")] for row in rows] == ["41.00", "-"]
    assert [row[head.index("seg.mIoU\nmeasured, %")] for row in rows] == ["-", "42.00"]
    assert rows[0][0] == "fields, own"
    _, judged = compared(tmp_path, given[0])
    assert (judged.names, judged.judges) == ([], {})


def test_figures_at_another_overlap_are_another_column(tmp_path):
    given = [
        recorded.training(
            tmp_path / str(overlap), 1, task="det3d", main_metric="moderate", metrics={"moderate": 20.0 + overlap},
            min_overlap={"car": overlap, "pedestrian": 0.5, "cyclist": 0.5},
        )
        for overlap in (0.5, 0.7)
    ]  # fmt: skip
    entries, judged = compared(tmp_path, *given)
    head, *rows = compare.table(entries.items, judged)
    assert "3ddet.moderate (IoU 0.7)\npredicted, %\n± doubt ± noise" in head  # of the released trainings
    columns = [head.index(f"det3d.moderate (IoU {overlap})\nmeasured, %") for overlap in (0.5, 0.7)]
    assert [[row[i] for i in columns] for row in rows] == [["20.50", "-"], ["-", "20.70"]]


def test_the_files_hold_what_the_table_says(tmp_path):
    trained = recorded.training(tmp_path / "trained", 1)
    searched = recorded.search(tmp_path / "searched", 2)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "result.json").write_text("{")
    entries, judged = compared(tmp_path, trained, searched, tmp_path / "broken", names=["=a", "b", "c"])
    files = compare.write_comparison(entries, judged, tmp_path / "out", "$x^{$")
    assert set(files) == {"result", "table", "per_class", "architectures", "trajectories"}
    content = json.loads(files["result"].read_text())
    first, second = content["architectures"]
    assert first["measured"] == {"seg.mIoU": 41.0}
    assert first["per_class"] == {"road": 91.0, "sky": None}
    assert second["predicted"].keys() == first["predicted"].keys() == {"seg.mIoU"}
    assert list(content["left_out"]) == [str(tmp_path / "broken")]
    rows = list(csv.DictReader(files["table"].open()))
    assert rows[0]["name"] == "'=a"  # no formula
    assert float(rows[1]["seg.mIoU, predicted, %"]) == second["predicted"]["seg.mIoU"]
    assert rows[1]["measured on"] == ""
    classes = list(csv.reader(files["per_class"].open()))
    assert classes[1:] == [["road", "91.00"], ["sky", ""]]


def test_what_is_printed_is_literal_and_names_what_was_left_out(tmp_path, capsys):
    trained = recorded.training(tmp_path / "[bold]", 1, per_class={"[/x]\x1b[31m": 5.0, "road": 7.0})
    entries, judged = compared(tmp_path, trained, "nowhere", names=["[/red] a", "b"])
    compare.show(entries, judged, {"result": tmp_path / "[bold]" / "result.json"})
    out, err = capsys.readouterr()
    assert "[/red] a" in out
    assert "[/x]\\x1b[31m" in out
    assert "[bold]/result.json" in out
    assert "\x1b" not in out + err
    assert "nowhere" not in out + err  # told by the command, in the end
    assert entries.mistaken == (entries.left_out["nowhere"],)


def test_many_architectures_make_one_picture_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "MOST_BARS", 3)
    for job in range(30):
        recorded.training(tmp_path / "sweep" / str(job), job)
    entries, judged = compared(tmp_path, tmp_path / "sweep")
    files = compare.write_comparison(entries, judged, tmp_path / "out", "t")
    assert len(json.loads(files["result"].read_text())["architectures"]) == 30
    width, height = np.frombuffer(files["architectures"].read_bytes()[16:24], ">u4")
    assert height < 600
    assert width < 1600


def test_predictions_beyond_the_bounds_of_the_rows_are_marked(tmp_path, monkeypatch, capsys):
    narrow = predictors.load("seg")
    narrow.card.region = {"lower": SPACE.lower.tolist(), "upper": [32.0 if u == 128 else float(u) for u in SPACE.upper]}
    monkeypatch.setattr(predictors, "load", lambda name, **_: narrow)
    small = SPACE.parse([8, 8, 1, 1, 8, 1, 1, 1, 8, 8, 1, 1, 1, 1, 8, 8, 8, 1, 1, 1, 1, 1, 8, 8, 8, 8, 8])
    entries = entries_of.read([small.text, "default", str(recorded.search(tmp_path / "r", 1, ["seg.mIoU"]))])
    judged = judgement.judge(entries.items)
    assert judged.outside == [[], ["seg"], ["seg"]]
    compare.show(entries, judged, {})
    out = capsys.readouterr().out
    assert out.count("*") == 3  # two cells and what the sign means
