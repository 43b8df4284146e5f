"""Tables without pyarrow: the same as those in Parquet files, and as little to be fooled."""

import json
import subprocess
import sys

import numpy as np
import pytest
from release_format import uneven_rows, write_release
from safetensors.numpy import load_file, save_file

from ncp import benchmark
from ncp.benchmark import light, store
from ncp.errors import UserError

NAME = f"seg{light.ENDING}"


@pytest.fixture
def seg():
    return benchmark.from_rows(uneven_rows(), "seg", source="mine", sha256="ab")


def alike(a, b):
    """Everything that a table says is the same."""
    assert (a.setting, a.provenance) == (b.setting, b.provenance)
    np.testing.assert_array_equal(a.codes, b.codes)
    for one, other in ((a.columns, b.columns), (a.flags, b.flags)):
        assert set(one) == set(other)
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_it_holds_what_the_parquet_file_holds(seg, tmp_path):
    seg.to_safetensors(tmp_path / NAME)
    seg.to_parquet(tmp_path / "seg.parquet")
    back = benchmark.load(tmp_path / NAME)
    alike(back, benchmark.load(tmp_path / "seg.parquet"))
    assert back.provenance.refused[0].row == 30
    assert set(back.flags) == {"cost", "metric"}
    assert np.isnan(back.columns["aAcc"][3])
    # another library reads the same numbers
    arrays = load_file(tmp_path / NAME)
    assert arrays["codes"].tolist() == seg.codes.tolist()
    assert arrays["columns"][0].tolist() == seg.columns["mIoU"].tolist()


def test_a_store_holds_one_file_a_setting(seg, tmp_path, monkeypatch):
    assert store.file_of("seg", tmp_path) is None
    assert store.put(seg, tmp_path) == store.file_of("seg", tmp_path) == tmp_path / "seg.parquet"
    with monkeypatch.context() as without:
        without.setattr(store, "find_spec", lambda name: None)
        assert store.put(seg, tmp_path) == store.file_of("seg", tmp_path) == tmp_path / NAME
    assert store.tables_in(tmp_path) == [tmp_path / NAME]
    alike(benchmark.load("seg", tmp_path), seg)  # with pyarrow it is read as well
    assert list(benchmark.load(tmp_path)) == ["seg"]
    store.put(seg, tmp_path)
    (tmp_path / ".seg.abcdefgh.tmp.parquet").touch()  # another process writes one
    assert store.tables_in(tmp_path) == [tmp_path / "seg.parquet"]
    assert list(benchmark.load(tmp_path)) == ["seg"]


def test_tables_are_imported_queried_and_exported_without_pyarrow(tmp_path):
    write_release(tmp_path / "release" / "data", ["seg", "video"], n=12)
    program = f"""
import sys
sys.modules["pyarrow"] = None  # as if it were not installed
import importlib.util
spec = importlib.util.find_spec
from ncp.benchmark import store
store.find_spec = lambda name: None if name == "pyarrow" else spec(name)
from ncp import jobs
def run(*words):
    return jobs.benchmark.answer_to(jobs.options("benchmark", "store={tmp_path}/store", *words))
run("action=import", "source={tmp_path}/release/data")
best = run("action=best", "setting=seg", "k=1").result["records"][0]
records = run("action=query", "architecture=" + best["architecture"]["text"]).result["records"]
found = {{record["setting"]: record for record in records}}
for name in ("seg.csv", "seg.table.safetensors"):
    run("action=export", "setting=seg", "to={tmp_path}/" + name)
try:
    run("action=export", "setting=seg", "to={tmp_path}/seg.parquet")
except ModuleNotFoundError as error:
    print(error.name)
print(sorted(found), best["metrics"]["mIoU"] == found["seg"]["metrics"]["mIoU"], found["seg"]["predicted"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['seg', 'video'] True False"
    assert [path.name for path in store.tables_in(tmp_path / "store")] == [NAME, f"video{light.ENDING}"]
    alike_rows = benchmark.load(tmp_path / NAME), benchmark.load("seg", tmp_path / "store")
    alike(*alike_rows)


def changed(seg, path, arrays=None, **texts):
    """The file with some of its arrays or texts replaced, or (None) left out."""
    from safetensors import safe_open

    seg.to_safetensors(path)
    with safe_open(str(path), framework="np") as file:
        metadata = {**file.metadata(), **texts}
    content = {**load_file(path), **(arrays or {})}
    save_file({k: v for k, v in content.items() if v is not None}, path, {k: v for k, v in metadata.items() if v})


def test_files_that_are_no_such_table_are_refused_in_one_line(seg, tmp_path):
    path = tmp_path / NAME
    seg.to_safetensors(path)
    whole, rows = load_file(path), len(seg)
    names = {"columns": list(seg.columns), "flags": list(seg.flags)}
    odd, high = whole["codes"].copy(), whole["columns"].copy()
    odd[0, 0], high[0, 0] = 12, 120.0
    cases = [
        ({"codes": odd}, {}, "codes outside"),
        ({"columns": high}, {}, "impossible"),
        ({"columns": whole["columns"] * np.inf}, {}, "not finite"),
        ({"columns": whole["columns"][:, :-1].copy()}, {}, "has shape"),
        ({"codes": whole["codes"].astype(np.float64)}, {}, "other numbers"),
        ({"flags": None}, {}, "missing: flags"),
        ({"more": np.zeros(3)}, {}, "unknown: more"),
        ({"codes": whole["codes"].astype(np.int64)}, {}, "holds I64 numbers"),
        ({}, {"ncp": ""}, "no table"),
        ({}, {"ncp": "{"}, "the metadata of"),
        ({}, {"ncp": '{"format": "ncp-table-9"}'}, "ncp-table-9"),
        ({}, {"names": json.dumps({**names, "columns": ["mIoU", "mAcc"]})}, "no column 'aAcc'"),
        ({}, {"names": json.dumps({**names, "columns": [*names["columns"][:-1], "mIoU"]})}, "two columns 'mIoU'"),
        ({}, {"names": json.dumps({**names, "flags": ["evil"]})}, "flags that this version"),
        ({}, {"names": json.dumps({**names, "columns": ["a"] * 2000})}, "names"),
    ]
    for arrays, texts, part in cases:
        changed(seg, path, arrays, **texts)
        with pytest.raises(UserError) as caught:
            benchmark.load(path)
        assert part in str(caught.value), (part, str(caught.value))
        assert "\n" not in str(caught.value)
    assert rows == 30


def test_damage_is_a_users_error(seg, tmp_path):
    path = tmp_path / NAME
    seg.to_safetensors(path)
    whole = path.read_bytes()
    for n in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n])
        with pytest.raises(UserError, match="not a complete safetensors file"):
            benchmark.load(path)
