"""One number of a training by epochs: numpy's own reductions over curves that lie in the table."""

import numpy as np
import pytest

from ncp import benchmark
from ncp.benchmark import modes
from ncp.errors import UserError
from ncp.spaces.multires import SPACE

CODES = SPACE.sample_codes(4, np.random.default_rng(0))
CURVES = np.random.default_rng(1).uniform(10, 60, (4, 3))


@pytest.fixture
def table():
    rows = [
        {"code": code.tolist(), "mIoU": 60.0, "mAcc": 61.0, "aAcc": 90.0,
         **{f"mIoU@{e}": float(v) for e, v in zip((0, 4, 9), curve, strict=True)}}
        for code, curve in zip(CODES, CURVES, strict=True)
    ]  # fmt: skip
    return benchmark.from_rows(rows, "seg")


def test_they_are_reductions_of_the_curve(table):
    np.testing.assert_allclose(modes.values(table, "mIoU", "list"), CURVES)
    np.testing.assert_allclose(modes.values(table, "mIoU", "final"), CURVES[:, -1])
    np.testing.assert_allclose(modes.values(table, "mIoU", 4), CURVES[:, 1])
    np.testing.assert_allclose(modes.values(table, "mIoU", -3), CURVES[:, 0])
    assert modes.values(table, "mIoU", "best").tolist() == [60.0] * 4  # the table's own column
    row = table.query(CODES[2].tolist()).row
    assert modes.value(table, CODES[2].tolist(), "mIoU", "list") == pytest.approx(CURVES[row].tolist())


@pytest.mark.parametrize(
    ("metric", "mode", "line"),
    [
        ("mIoU", "worst", "mode is one of best, largest, final, list or an epoch"),
        ("mIoU", True, "mode is one of"),
        ("mIoU", 5, "no values after epoch 5 of mIoU"),
        ("speed", "best", "has no metric 'speed'; it has"),
        ("mAcc", "list", "no values by epoch of mAcc"),
        ("mAcc", "final", "no last values of mAcc"),
    ],
)
def test_what_is_not_told_is_named(table, metric, mode, line):
    with pytest.raises(UserError, match=line):
        modes.values(table, metric, mode)
