"""Which rows of a table a predictor is fitted on."""

from pathlib import Path

import fit_rows
import numpy as np
import pytest

from ncp import benchmark, spaces
from ncp.benchmark import importing, settings
from ncp.benchmark.table import Provenance, Table
from ncp.errors import UserError
from ncp.predictors.rows import Rows, from_table
from ncp.spaces.cost import kitti_units


def codes(n: int) -> np.ndarray:
    return spaces.get("multires").encode(spaces.get("multires").sample(n, np.random.default_rng(0))).astype(int)


def test_only_the_good_run_of_3ddet_counts_and_the_rest_is_kept() -> None:
    table = Table(
        settings.get("3ddet"),
        codes(5),
        {"moderate": [78, 77, 55, 70, 76], "flops": [1, 1, 1, 2, 2], "flops_input": [112, 112, 112, 128, 128]},
        {"failed": [False, False, True, False, False], "suspect": [False, False, False, True, False]},
    )
    rows = from_table(table)
    assert len(rows) == 5
    assert rows.good.tolist() == [True, True, False, False, False]
    assert rows.only_good().targets[:, 0].tolist() == [78, 77]
    assert "2 of 5 rows" in rows.rule()
    assert "112 pixels" in rows.rule()
    assert "60 AP" in rows.rule()


def test_the_rule_of_3ddet_on_the_real_table(shared: Path) -> None:
    rows = from_table(benchmark.load(shared / "nas-bench-mr" / "data" / "3ddet" / "trainval.pkl"))
    flops_g, _ = kitti_units(rows.codes.astype(int), 112)
    run = np.abs(flops_g - rows.targets[:, 1]) < 1e-3
    assert run.sum() == 1361  # counted in provenance.csv
    np.testing.assert_array_equal(rows.good, run & (rows.targets[:, 0] >= 60))
    assert rows.metrics == ("moderate", "flops", "params")
    assert "2,272 of its 2,507 rows (about 91%)" in rows.source
    assert "ask its authors" in rows.licence


def test_rows_that_lack_a_metric_are_left_out_and_counted() -> None:
    nan = float("nan")
    columns = {"mIoU": [70, 71, 72], "mAcc": [80, nan, 82], "aAcc": [nan] * 3, "flops": [1, 2, 3]}
    provenance = Provenance(source="mine.csv", rows_read=4, refused=(importing.Refusal(3, "no mIoU"),))
    rows = from_table(Table(settings.get("seg"), codes(3), columns, provenance=provenance))
    assert rows.metrics == ("mIoU", "mAcc", "flops")
    assert rows.targets[:, 0].tolist() == [70, 72]
    assert rows.lost == "1 row without one of mIoU, mAcc, flops; 1 row cannot be used (the first: no mIoU)"
    assert rows.source == "mine.csv"
    assert rows.licence == ""
    assert rows.rule() == ""
    assert from_table(Table(settings.get("seg"), codes(3), columns), costs=False).metrics == ("mIoU", "mAcc")


def test_malformed_rows_are_refused() -> None:
    good = fit_rows.make(4)
    with pytest.raises(UserError, match=r"codes of shape \(N, 27\)"):
        Rows(good.codes[:, :26], good.targets, good.metrics, "seg")
    with pytest.raises(UserError, match=r"targets of shape \(4, 3\)"):
        Rows(good.codes, good.targets[:, :2], good.metrics, "seg")
    with pytest.raises(UserError, match="not finite"):
        Rows(good.codes, good.targets * np.nan, good.metrics, "seg")


@pytest.mark.parametrize(
    ("value", "setting", "odd"),
    [(0.75, "seg", True), (75.0, "seg", False), (0.75, "mine", False), (0.0, "seg", False)],
)
def test_fractions_in_the_place_of_percent_points_are_noticed(value: float, setting: str, odd: bool) -> None:
    assert Rows(codes(3), np.full((3, 1), value), ("mIoU",), setting).as_fractions() is odd
