"""Records of hand-made results become one table: what each column holds, what is flagged, what the predictors make of it."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ncp.benchmark import importing
from ncp.benchmark import store as tables
from ncp.benchmark.table import Table
from ncp.campaign import merge
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import RecordedEvaluation, TrainingRecord
from ncp.campaign.status import read_units
from ncp.campaign.store import Folder
from ncp.errors import UserError
from ncp.predictors import rows
from ncp.report import campaign as report
from ncp.spaces import cost
from ncp.spaces.multires import SPACE

N = 120
BY_CLASS = [
    f"{kind}/{view}/{level}" for kind in ("car", "cyclist") for view in ("3d", "bev") for level in ("easy", "hard")
]


def built(root, setting, metrics, target="x.lidar.Lidar", count=N):
    """A folder of ``count`` recorded units; ``metrics(i)`` are those of unit i, made by ``node<i mod 6>``."""
    codes = SPACE.sample_codes(count, np.random.default_rng(0))
    texts = tuple(a.text for a in SPACE.decode(codes))
    plan = BuildPlan(setting, texts, (1,) * count, {"data": {"_target_": target}}, 1)
    store = Folder(root)
    for i, (name, text) in enumerate(zip(plan.units, texts, strict=True)):
        final = metrics(i)
        record = TrainingRecord(
            name, setting, text, codes[i].tolist(), 1, final,
            evaluations=[RecordedEvaluation(10, 1.0, {k: v / 2 for k, v in final.items()}), RecordedEvaluation(20, 2.0, final)],
            worker={"host": f"node{i % 6}"}, finished=f"2026-01-01T00:{i // 60:02d}:{i % 60:02d}+00:00", seconds=7.0,
        )  # fmt: skip
        store.create(f"units/{name}/0.lease", b"{}")
        store.create(f"units/{name}/record.json", json.dumps(record.as_json()).encode())
    return plan, store


def test_kitti_by_class_difficulty_and_kind_can_be_asked_by_epoch_and_every_row_can_be_fitted(tmp_path):
    plan, store = built(
        tmp_path,
        "3ddet",
        lambda i: {"moderate": 20 + i / 10, **{name: 10 + j + i / 10 for j, name in enumerate(BY_CLASS)}},
    )
    table = merge.merge(plan, read_units(plan, store)).table
    assert table.query(plan.architectures[30]).metrics["moderate"] == 23.0
    row = plan.architectures.index(table.query(plan.architectures[30]).architecture.text)
    assert table.column("cyclist/bev/hard")[row] == pytest.approx(10 + 7 + 3.0)
    assert table.column("car/3d/easy@1")[row] == pytest.approx((10 + 3.0) / 2)
    assert table.query(plan.architectures[30], epoch=1).metrics["moderate"] == 11.5
    # a low value is a result: what failed is known from the records, not from the threshold of the release's own table
    assert not table.flagged().any()
    assert rows.from_table(table).good.all()
    flops, params = cost.kitti_units(table.codes, 112)
    np.testing.assert_array_equal(table.columns["flops"], flops)
    np.testing.assert_array_equal(table.columns["params"], params)


def test_a_machine_that_computes_something_else_is_flagged_and_left_out_of_the_fit(tmp_path):
    weights = np.random.default_rng(1).normal(size=SPACE.dim)

    def metrics(i):
        code = SPACE.sample_codes(N, np.random.default_rng(0))[i]
        value = 60 + float(np.log2(code) @ weights) / 3 - 9.0 * (i % 6 == 4)
        return {"top1": value, "top5": 95.0}

    plan, store = built(tmp_path, "cls-50-1000", metrics, "x.digits.Digits")
    merged = merge.merge(plan, read_units(plan, store))
    assert [(a.what, a.value) for a in merged.anomalies] == [("machine", "node4")]
    assert merged.table.flagged("suspect").tolist() == [i % 6 == 4 for i in range(N)]
    assert "node4" in merged.table.provenance.rules["suspect"]
    assert rows.from_table(merged.table).good.tolist() == [i % 6 != 4 for i in range(N)]


def test_merging_again_changes_no_byte_and_order_of_writing_none_either(tmp_path):
    def metrics(i):
        return {"mIoU": 40.0 + i, "mAcc": 50.0 + i, "aAcc": 60.0 + i}

    files = []
    for folder in ("a", "b"):
        plan, store = built(tmp_path / folder, "seg", metrics, "x.streets.Streets", count=12)
        for _ in range(2):
            files.append(merge.write_table(plan, store, merge.merge(plan, read_units(plan, store))).read_bytes())
    assert len(set(files)) == 1
    (store.root / "units/000003/record.json").unlink()
    fewer = merge.merge(plan, read_units(plan, store)).table
    assert len(fewer) == 11
    [refusal] = fewer.provenance.refused
    assert "not trained yet" in refusal.reason
    assert plan.architectures[3] in refusal.reason


def test_a_build_that_cannot_be_written_is_merged_elsewhere(tmp_path, monkeypatch):
    plan, store = built(tmp_path / "build", "seg", lambda i: {"mIoU": 40.0, "mAcc": 50.0, "aAcc": 60.0}, count=3)
    reader = Folder(store.root, reading=True)
    merged = merge.merge(plan, read_units(plan, reader))
    monkeypatch.setattr(merge.os, "access", lambda path, mode: False)
    assert merge.write_table(plan, reader, merged, instead=tmp_path / "run") == tmp_path / "run/seg.parquet"
    assert not (store.root / "seg.parquet").exists()
    monkeypatch.undo()
    assert merge.write_table(plan, reader, merged, instead=tmp_path / "run") == store.root / "seg.parquet"


def test_reading_a_build_changes_nothing_in_it(tmp_path):
    plan, _ = built(tmp_path, "seg", lambda i: {"mIoU": 40.0, "mAcc": 50.0, "aAcc": 60.0}, count=3)
    (tmp_path / "units/000002/record.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    units = read_units(plan, Folder(tmp_path, reading=True))
    merge.merge(plan, units)
    assert units[2].state == "running"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_table_states_from_which_overlap_its_boxes_count_and_mixes_none(tmp_path):
    plan, store = built(tmp_path, "3ddet", lambda i: {"moderate": 20 + i / 10}, count=8)
    at_half, at_seven = ({"car": car, "pedestrian": 0.25, "cyclist": 0.25} for car in (0.5, 0.7))
    for i, name in enumerate(plan.units):
        path = store.path(f"units/{name}/record.json")
        content = json.loads(path.read_text())
        content |= {
            "dataset": "simulated LiDAR scenes",
            "min_overlap": at_seven if i == 3 else at_half if i != 5 else {},
        }
        path.write_text(json.dumps(content))
    merged = merge.merge(plan, read_units(plan, store))
    assert merged.table.setting.min_overlap == at_half
    assert len(merged.table) == 7
    (refused,) = merged.table.provenance.refused
    assert refused.row == 3
    assert "IoU car 0.7, pedestrian 0.25, cyclist 0.25, those of this table from car 0.5" in refused.reason
    file = merge.write_table(plan, store, merged)
    for again in (importing.import_file(file), importing.import_file(file, "3ddet")):  # named by the user too
        assert again.setting.min_overlap == rows.from_table(again).min_overlap == at_half
        assert again.setting.dataset == "simulated LiDAR scenes"
        assert again.best(k=1)[0].min_overlap == at_half


def test_a_table_is_not_imported_over_one_of_another_overlap(tmp_path):
    plan, store = built(tmp_path / "build", "3ddet", lambda i: {"moderate": 20 + i / 10}, count=4)
    released = merge.merge(plan, read_units(plan, store)).table
    assert released.setting.min_overlap == {
        "car": 0.7,
        "pedestrian": 0.5,
        "cyclist": 0.5,
    }  # of KITTI, where nothing else is said
    tables.write(released, tmp_path / "store" / "3ddet.parquet")
    mine = replace(released.setting, min_overlap={"car": 0.5}, dataset="scenes")
    tables.write(Table(mine, released.codes, released.columns), tmp_path / "mine" / "3ddet.parquet")
    with pytest.raises(UserError, match=r"holds moderate \(IoU 0.5\), the one in .* moderate \(IoU 0.7\)"):
        importing.import_release(tmp_path / "mine", tmp_path / "store")
    assert importing.import_file(tmp_path / "store" / "3ddet.parquet").setting.min_overlap["car"] == 0.7
    importing.import_release(tmp_path / "mine", tmp_path / "other")
    assert importing.import_file(tmp_path / "other" / "3ddet.parquet").setting.min_overlap == {"car": 0.5}


@pytest.mark.parametrize(
    ("overlap", "words"),
    [
        ({"car": 7}, "min_overlap must be above 0 and at most 1"),
        ({"\x1b[31mcar": 0.5}, "control characters"),
        ({f"class{i}": 0.5 for i in range(101)}, "more than 100 metrics or classes"),
        ({"car": "half"}, "min_overlap"),
        ([0.5], "min_overlap"),
    ],
)
def test_what_a_received_table_may_say_of_overlaps(tmp_path, overlap, words):
    plan, store = built(tmp_path / "build", "3ddet", lambda i: {"moderate": 20 + i / 10}, count=3)
    table = merge.merge(plan, read_units(plan, store)).table
    about = table.setting.described() | {"min_overlap": overlap}
    odd = Table(SimpleNamespace(**{**vars(table.setting), "described": lambda: about}), table.codes, table.columns)
    path = tables.write(odd, tmp_path / "3ddet.parquet")
    with pytest.raises(UserError, match=words) as error:
        importing.import_file(path, "3ddet")
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(("count", "told"), [(7, None), (30, True), (500, False)])
def test_the_next_command_fits_few_rows_with_all_of_them(tmp_path, capsys, count, told):
    plan, store = built(tmp_path, "seg", lambda i: {"mIoU": 20 + i / 50, "mAcc": 1.0, "aAcc": 1.0}, count=count)
    merged = merge.merge(plan, read_units(plan, store))
    report.show_merged(merged, tmp_path / "seg.parquet")
    out = " ".join(capsys.readouterr().out.split())
    assert ("next: " in out) == (told is not None)
    assert ("protocol=all-rows" in out) == bool(told)
