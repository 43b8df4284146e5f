"""Tables as files: read back by pyarrow and by the csv module, which know nothing of ours."""

import csv
import json

import numpy as np
from pyarrow import parquet

from ncp import benchmark
from ncp.benchmark import writing
from ncp.spaces.multires import SPACE


def table(rows=5):
    codes = SPACE.sample_codes(rows, np.random.default_rng(0))
    return benchmark.from_rows(
        [{"code": code.tolist(), "mIoU": 50.0 + i, "mAcc": 60.0, "aAcc": 90.0} for i, code in enumerate(codes)], "seg"
    )


def test_parquet_says_what_it_holds(tmp_path):
    made = table()
    read = parquet.read_table(writing.write(made, tmp_path / "seg.parquet"))
    about = json.loads(read.schema.metadata[b"ncp"])
    assert about["format"] == "ncp-table-1"
    assert about["setting"]["metrics"] == ["mIoU", "mAcc", "aAcc"]
    columns = read.to_pydict()
    assert columns["mIoU"] == [50, 51, 52, 53, 54]
    assert columns["architecture"] == SPACE.texts(made.codes)
    assert columns["exact_macs"] == SPACE.cost(made.codes).macs.tolist()
    np.testing.assert_array_equal(np.stack([columns[name] for name in SPACE.labels], 1), made.codes)


def test_parts_are_one_table(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PART", 2)
    made = table()
    read = parquet.read_table(writing.write(made, tmp_path / "seg.parquet"))
    assert read.column("mIoU").to_pylist() == [50, 51, 52, 53, 54]
    with open(writing.write_csv(made, tmp_path / "seg.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mIoU"]) for row in rows] == [50, 51, 52, 53, 54]
    assert [row["architecture"] for row in rows] == SPACE.texts(made.codes)


def test_an_empty_table_has_its_columns(tmp_path):
    empty = table().select(np.zeros(5, dtype=bool))
    assert "mIoU" in parquet.read_table(writing.write(empty, tmp_path / "x.parquet")).column_names
    header, *rest = writing.write_csv(empty, tmp_path / "x.csv").read_text().splitlines()
    assert "mIoU" in header.split(",")
    assert not rest
