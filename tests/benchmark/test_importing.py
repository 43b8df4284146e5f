"""Imports: every row arrives, or is refused with a reason, or carries a flag."""

import csv
import hashlib
import pickle
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from release_format import NAMES, release_rows, row_of, write_release

from ncp import benchmark
from ncp.errors import UserError
from ncp.spaces import cost
from ncp.spaces.multires import SPACE, Architecture


def test_a_release_becomes_tables(release, tmp_path):
    tables = benchmark.import_release(release, tmp_path / "store")
    assert list(tables) == list(NAMES)
    assert {p.name for p in (tmp_path / "store").iterdir()} == {f"{name}.parquet" for name in NAMES}
    for name, table in tables.items():
        rows = release_rows(name)
        source = release / name / "trainval.pkl"
        assert len(table) == len(rows) == 60
        assert table.codes.tolist() == [[int(v) for v in row["embedding"]] for row in rows]
        for metric in table.metrics:
            assert table.column(metric).tolist() == [row[metric] for row in rows]
        flops, params = ("Flops", "Params") if name == "nas-bench-201" else ("flops", "params")
        assert table.column("recorded_flops").tolist() == [row[flops] for row in rows]
        assert table.column("recorded_params").tolist() == [row[params] for row in rows]
        assert table.provenance.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
        assert table.provenance.source == f"{name}/trainval.pkl"
        assert table.provenance.rows_read == 60
        assert not table.provenance.refused
        assert not table.flagged("cost", "failed", "suspect", "metric").any()
        assert datetime.fromisoformat(table.provenance.date).tzinfo is not None


def test_from_the_clone_one_setting_or_one_file(release, tmp_path):
    store = tmp_path / "store"
    assert list(benchmark.import_release(release.parent, store, ["det3d"])) == ["3ddet"]
    assert list(benchmark.import_release(release / "seg", store)) == ["seg"]
    assert list(benchmark.import_release(release / "video" / "trainval.pkl", store)) == ["video"]
    assert list(benchmark.load(store)) == ["seg", "3ddet", "video"]


def bad_rows():
    """Rows and the reason for which each must be refused."""
    good = release_rows("seg", 40)
    code = list(good[0]["embedding"])
    return [
        ({**good[1], "mIoU": float("nan")}, "mIoU must be in 0..100, given was nan"),
        ({**good[2], "mIoU": 100.5}, "mIoU must be in 0..100, given was 100.5"),
        ({**good[3], "mIoU": -1}, "mIoU must be in 0..100"),
        ({**good[4], "mIoU": float("inf")}, "mIoU must be in 0..100"),
        ({**good[5], "mIoU": "high"}, "mIoU must be in 0..100, given was high"),
        ({**good[5], "mIoU": "7_0"}, "mIoU must be in 0..100, given was 7_0"),
        ({k: v for k, v in good[6].items() if k != "mIoU"}, "mIoU is missing; the row has embedding|the row has "),
        ({**good[7], "embedding": [12, *code[1:]]}, "i1 must be in 8..128 in steps of 8, given was 12"),
        ({**good[8], "embedding": code[:-1]}, "b|i1|describe different"),
        ({**good[9], "embedding": good[10]["embedding"]}, "'embedding' and 'blocks' describe different architectures"),
        ({**good[11], "last_channel": 136}, "o1 must be in 8..128"),
        ({"arch": "64_64", "mIoU": 70.0}, "this one has arch, mIoU"),
        ({**good[12], "embedding": [[[[[8]]]]] * 27}, "nested deeper"),
        ({**good[13], "embedding": list(range(5000))}, "longer than any architecture"),
        ({**good[14], "embedding": {"a": 1}}, "holds a mapping"),
        ([1, 2, 3], "a row is a mapping"),
        (None, "a row is a mapping"),
    ]


def test_unusable_rows_are_refused_with_a_reason(tmp_path):
    good = release_rows("seg", 40)[20:]
    bad = bad_rows()
    path = tmp_path / "seg" / "trainval.pkl"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps([*good[:5], *(row for row, _ in bad), *good[5:]], protocol=3))
    table = benchmark.import_file(path)
    assert len(table) == 20
    assert table.provenance.rows_read == 20 + len(bad)
    assert [r.row for r in table.provenance.refused] == list(range(5, 5 + len(bad)))
    for refusal, (_, reason) in zip(table.provenance.refused, bad, strict=True):
        assert any(part in refusal.reason for part in reason.split("|")), refusal
    table.to_parquet(tmp_path / "seg.parquet")
    assert benchmark.load(tmp_path / "seg.parquet").provenance == table.provenance


def test_doubtful_rows_are_kept_and_flagged():
    rows = release_rows("seg", 12)
    rows[1]["flops"] += 1e-9
    rows[2]["params"] *= 2
    rows[3]["mAcc"] = float("nan")
    rows[4]["aAcc"] = 1000.0
    del rows[5]["aAcc"]
    rows.append({**rows[6], "mIoU": 33.0})
    table = benchmark.from_rows(rows, "seg")
    assert len(table) == 13
    assert np.flatnonzero(table.flagged("cost")).tolist() == [1, 2]
    assert np.flatnonzero(table.flagged("metric")).tolist() == [3, 4, 5]
    assert np.isnan(table.column("aAcc")[[4, 5]]).all()
    assert np.flatnonzero(table.flagged("repeat")).tolist() == [12]
    assert table.query(rows[6]["embedding"]).row == 6
    assert table.at(12).flags == ("repeat",)
    assert set(table.provenance.rules) == {"cost", "metric", "repeat"}
    assert "2 of 13 rows" in table.provenance.rules["cost"]


def test_detection_tells_the_input_size_of_its_recorded_flops():
    rows = release_rows("3ddet", 30)
    rows[4]["flops"] += 0.002
    rows[7]["moderate"] = 12.0
    table = benchmark.from_rows(rows, "det3d")
    wanted = [112 if i % 3 else 128 for i in range(30)]
    wanted[4] = 0
    assert table.column("flops_input").tolist() == wanted
    assert np.flatnonzero(table.flagged("cost")).tolist() == [4]
    assert np.flatnonzero(table.flagged("failed")).tolist() == [7]
    assert table.rows("paper").tolist() == [size == 112 for size in wanted]
    assert table.rows("clean").sum() == 29


def test_the_recorded_tables(released):
    """What was found in the release by other means: see the tables' notes."""
    det, cells = released["3ddet"], released["nas-bench-201"]
    assert [len(released[name]) for name in released.paper] == [2272] * 9
    assert {size: int((det.column("flops_input") == size).sum()) for size in (112, 128)} == {112: 1361, 128: 911}
    assert (int(det.flagged("failed").sum()), int(det.flagged("cost").sum())) == (24, 0)
    assert (len(cells), int(cells.flagged("cost").sum())) == (15625, 150)
    for name, table in released.items():
        assert not table.provenance.refused
        if name not in ("3ddet", "nas-bench-201"):
            assert not table.flagged().any(), name
    assert det.rows("paper").sum() == 1361


def test_the_runs_of_detection(released, shared):
    det = released["3ddet"]
    with (shared / "nas-bench-mr" / "provenance.csv").open(newline="") as file:
        truth = {row["arch"]: row for row in csv.DictReader(file)}
    mine = [truth[Architecture(tuple(code)).text] for code in det.codes.tolist()]
    assert det.column("flops_input").tolist() == [float(row["kitti_flops_input"]) for row in mine]
    assert det.rows("paper").tolist() == [row["kitti_run"] == "5" for row in mine]
    wrong = np.array([row["kitti_suspect"] == "True" for row in mine])
    found = det.flagged("suspect")
    usable = ~det.flagged("failed")
    precision, recall = wrong[found].mean(), found[wrong & usable].mean()
    assert wrong.sum() == 205
    assert precision > 0.88
    assert recall > 0.97


@pytest.mark.parametrize("form", ["text", "columns", "embedding"])
def test_parquet_and_csv_of_others(tmp_path, form):
    rows = release_rows("seg", 15)
    flat = []
    for row in rows:
        architecture = Architecture(tuple(row["embedding"]))
        keys = {"text": {"architecture": architecture.text}, "embedding": {"code": str(list(architecture.code))}}
        keys["columns"] = dict(zip(SPACE.labels, architecture.code, strict=True))
        flat.append(
            {**keys[form], **{k: row[k] for k in ("mIoU", "mAcc", "aAcc")}, "mIoU@50": row["mIoU"] - 3, "who": "me"}
        )
    with (tmp_path / "seg.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, flat[0])
        writer.writeheader()
        writer.writerows(flat)
    parquet.write_table(pa.Table.from_pylist(flat), tmp_path / "seg.parquet")
    for path in (tmp_path / "seg.csv", tmp_path / "seg.parquet"):
        table = benchmark.load(path)
        assert table.codes.tolist() == [row["embedding"] for row in rows]
        assert table.column("mIoU").tolist() == [row["mIoU"] for row in rows]
        assert table.epochs == (50,)
        assert table.provenance.ignored == ("who",)


def test_nasbench_text_in_csv(tmp_path):
    path = tmp_path / "nas-bench-201.csv"
    path.write_text("architecture,Acc\n|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|,33.5\n")
    table = benchmark.load(path)
    assert (len(table), table.column("Acc")[0], int(table.macs[0])) == (1, 33.5, 7788800 + 3932160)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("seg/trainval.pkl", b"", "refused|corrupt"),
        ("seg/trainval.pkl", pickle.dumps({"a": 1}), "holds a mapping; a table is a list"),
        ("seg/trainval.pkl", pickle.dumps([]), "no row that can be used"),
        ("seg/trainval.pkl", pickle.dumps([{"mIoU": 1.0}] * 3), "no row that can be used as seg; the first: a mapping"),
        ("seg/trainval.pkl", pickle.dumps([print]), "refused"),
        ("seg.csv", b"\xff\xfe\x00", "cannot read the CSV"),
        ("seg.csv", b"", "its first line is empty"),
        ("seg.csv", b"a,b\n1,2\n", "no row that can be used"),
        ("seg.parquet", b"PAR1 and so on", "not a readable table"),
        ("other.csv", b"a\n1\n", "cannot tell the setting"),
        ("seg.xlsx", b"", "is not one of"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        benchmark.load(path)
    assert "\n" not in str(error.value)


def test_one_bad_file_does_not_keep_the_others_out(tmp_path):
    release = write_release(tmp_path / "data", ["seg", "video", "cls-10c"], n=5)
    (release / "seg" / "trainval.pkl").write_bytes(pickle.dumps([print]))
    with pytest.raises(UserError, match=r"seg.*refused.*; imported were cls-10c, video"):
        benchmark.import_release(release, tmp_path / "store")
    assert list(benchmark.load(tmp_path / "store")) == ["cls-10c", "video"]


@pytest.mark.parametrize(
    ("source", "only", "message"), [("nowhere", (), "holds no table"), ("data", ["seg"], "no table of seg")]
)
def test_nothing_to_import(tmp_path, source, only, message):
    write_release(tmp_path / "data", ["video"], n=3)
    with pytest.raises(UserError, match=message):
        benchmark.import_release(tmp_path / source, tmp_path / "store", only)


def test_rows_by_class_and_epoch():
    """KITTI has 27 metrics and a training many epochs: they are further columns."""
    architectures = SPACE.sample(3, np.random.default_rng(0))
    rows = [
        {
            "architecture": a.text,
            "moderate": 70.0 + i,
            "car/3d/hard/AP40": 60.0 + i,
            "car/3d/hard/AP40@40": 50.0 + i,
            "moderate@40": 65.0 + i,
        }
        for i, a in enumerate(architectures)
    ]
    rows[2]["car/3d/hard/AP40"] = 140.0
    table = benchmark.from_rows(rows, "3ddet")
    assert table.query(architectures[1]).metrics == {"moderate": 71.0, "car/3d/hard/AP40": 61.0}
    assert table.query(architectures[1], epoch=40).metrics == {"moderate": 66.0, "car/3d/hard/AP40": 51.0}
    assert np.flatnonzero(table.flagged("metric")).tolist() == [2]
    assert "flops_input" not in table.columns


def test_row_of_is_what_the_release_writes():
    """The tests' own rows carry costs that the recorded rows in tests/spaces confirm."""
    architecture = SPACE.default()
    row = row_of(architecture, {})
    assert row["flops"] == float(cost.release_units(architecture)[0])
    assert row["inverted_residual_setting"][0] == [1, [2], [64]]
