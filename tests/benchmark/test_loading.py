"""Tables by name, file and folder."""

import numpy as np
import pytest

from ncp import benchmark
from ncp.benchmark.loading import load
from ncp.errors import UserError
from ncp.spaces.multires import SPACE


@pytest.fixture
def store(tmp_path):
    code = SPACE.sample_codes(1, np.random.default_rng(0))[0].tolist()
    for name, row in (("seg", {"mIoU": 50.0, "mAcc": 60.0, "aAcc": 90.0}), ("video", {"top1": 40.0, "top5": 70.0})):
        benchmark.store.write(benchmark.from_rows([{"code": code, **row}], name), tmp_path / f"{name}.parquet")
    return tmp_path


def test_by_name_by_file_and_all_of_a_folder(store):
    assert load("seg", store).name == load(store / "seg.parquet").name == "seg"
    assert list(load(store)) == list(load(None, store)) == ["seg", "video"]


def test_what_is_not_there_says_how_to_get_it(store, tmp_path):
    with pytest.raises(UserError, match=r"no table of 'seg-4x' .*action=import source=<clone of the release>/data"):
        load("seg-4x", store)
    with pytest.raises(UserError, match=r"source=<the file of TransNAS-Bench-101"):
        load("transnas-micro/jigsaw", store)
    with pytest.raises(UserError, match="neither a file or folder nor a setting"):
        load("sge")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no tables in"):
        load(tmp_path / "empty")


def test_two_tables_of_one_setting_are_refused(store):
    (store / "other.parquet").write_bytes((store / "seg.parquet").read_bytes())
    with pytest.raises(UserError, match="holds two tables of seg"):
        load(store)
