"""Several tables side by side: aligned by architecture as a dictionary would align them."""

import numpy as np
import pytest

from ncp import benchmark
from ncp.benchmark.collection import Benchmark
from ncp.errors import UserError
from ncp.spaces.multires import SPACE

CODES = SPACE.sample_codes(12, np.random.default_rng(0))
VIDEO = {"top1": 40.0, "top5": 70.0}


def table(setting, rows, **fixed):
    main = "mIoU" if setting.startswith("seg") else "top1"
    more = {"mIoU": 1, "mAcc": 60.0, "aAcc": 90.0} if main == "mIoU" else {"top1": 1, "top5": 70.0}
    return benchmark.from_rows([{"code": CODES[i].tolist(), **more, main: value} for i, value in rows.items()], setting)


SEG = {i: 50.0 + i for i in range(8)}
CLS = {i: 30.0 - i for i in (11, 7, 3, 5, 1)}


@pytest.fixture
def both():
    return Benchmark({"seg": table("seg", SEG), "cls-50-1000": table("cls-50-1000", CLS)}, "here")


def test_columns_are_aligned_by_architecture(both):
    codes, values = both.aligned()
    rows = {tuple(code): value for code, value in zip(codes.tolist(), values.tolist(), strict=True)}
    assert rows == {tuple(CODES[i].tolist()): [CLS[i], SEG[i]] for i in set(SEG) & set(CLS)}
    with pytest.raises(UserError, match="unknown rule 'good'"):
        both.aligned(rows="good")


def test_names_are_in_the_papers_order_and_may_be_short(both):
    assert list(both) == ["cls-50-1000", "seg"] == list(both.paper)
    assert both["cls"] is both["cls-50-1000"]
    assert "cls" in both
    assert "video" not in both
    with pytest.raises(UserError, match="no table of 'video' in here; it has cls-50-1000, seg"):
        both["video"]
    with pytest.raises(UserError, match="unknown setting 'sge'"):
        both["sge"]


def test_what_is_known_of_one_architecture(both):
    found = both.query(CODES[3].tolist())
    assert {name: record.metrics[both[name].main] for name, record in found.items()} == {"cls-50-1000": 27, "seg": 53}
    assert list(both.query(CODES[11].tolist())) == ["cls-50-1000"]
    with pytest.raises(UserError, match="is in none of the tables"):
        both.query(CODES[9].tolist())
    with pytest.raises(UserError, match="there are no tables"):
        Benchmark({}).query(CODES[0].tolist())
