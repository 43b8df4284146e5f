"""Tables on disk: written, read back, damaged, missing."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from release_format import release_rows, uneven_rows

from ncp import benchmark
from ncp.benchmark import store
from ncp.errors import UserError
from ncp.spaces.multires import NAMES, Architecture


@pytest.fixture
def seg():
    rows = uneven_rows()
    for i, row in enumerate(rows):
        row["mIoU@50"] = None if i % 2 else 40.0 + i
    return benchmark.from_rows(rows, "seg", source="mine", sha256="ab")


def same(a, b):
    assert a.setting == b.setting
    assert np.array_equal(a.codes, b.codes)
    assert list(a.columns) == list(b.columns)
    for name, values in a.columns.items():
        assert np.array_equal(values, b.columns[name], equal_nan=True), name
    assert set(a.flags) == set(b.flags)
    for name, mask in a.flags.items():
        assert np.array_equal(mask, b.flags[name])


def test_parquet_round_trip(seg, tmp_path):
    path = tmp_path / "anything.parquet"
    seg.to_parquet(path)
    back = benchmark.load(path)
    same(seg, back)
    assert back.provenance == seg.provenance
    assert back.provenance.refused[0].row == 30
    assert set(back.flags) == {"cost", "metric"}


def test_csv_round_trip(seg, tmp_path):
    seg.to_csv(tmp_path / "seg.csv")
    back = benchmark.load(tmp_path / "seg.csv")
    same(seg, back)
    head, first = (tmp_path / "seg.csv").read_text().splitlines()[:2]
    assert head == "architecture,mIoU,mAcc,aAcc,flops,params,mIoU@50,exact_macs,exact_params,flags"
    assert first.startswith(Architecture(tuple(seg.codes[0].tolist())).text)


def test_a_setting_of_ones_own(tmp_path):
    mine = benchmark.settings.Setting("ade", "seg", ("mIoU",), "mIoU", "ADE20K", "ADE")
    table = benchmark.from_rows(release_rows("seg", 5), mine)
    table.to_parquet(tmp_path / "ade.parquet")
    assert benchmark.load(tmp_path / "ade.parquet").setting == mine
    assert list(benchmark.load(tmp_path)) == ["ade"]


def test_other_programs_can_read_the_files(seg, tmp_path):
    seg.to_parquet(tmp_path / "seg.parquet")
    content = parquet.read_table(tmp_path / "seg.parquet")
    assert set(NAMES) <= set(content.column_names)
    rows = content.to_pylist()
    assert [rows[0][name] for name in NAMES] == seg.codes[0].tolist()
    assert rows[0]["architecture"] == Architecture(tuple(seg.codes[0].tolist())).text
    assert [row["exact_macs"] for row in rows] == seg.macs.tolist()
    assert rows[4]["flags"] == "cost"
    metadata = json.loads(content.schema.metadata[b"ncp"])
    assert metadata["provenance"]["source"] == "mine"
    assert metadata["provenance"]["refused"][0]["row"] == 30
    assert metadata["setting"]["name"] == "seg"


def test_load_by_name_and_by_folder(release, tmp_path, monkeypatch):
    monkeypatch.setenv("NCP_DATA", str(tmp_path / "data-of-mine"))
    assert benchmark.folder() == tmp_path / "data-of-mine" / "benchmark"
    imported = benchmark.import_release(release)
    assert benchmark.load("seg").name == "seg"
    assert benchmark.load("det3d").name == "3ddet"
    assert list(benchmark.load()) == list(imported) == list(benchmark.load(benchmark.folder()))
    assert benchmark.load()["cls"].name == "cls-50-1000"
    for name, table in benchmark.load().items():
        same(imported[name], table)
    # the release itself, without importing it first
    same(benchmark.load(release)["video"], imported["video"])
    same(benchmark.load(release / "video" / "trainval.pkl"), imported["video"])


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("NCP_DATA", raising=False)
    for name in ("NCP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert benchmark.folder() == tmp_path / ".cache" / "ncp" / "benchmark"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert benchmark.folder() == tmp_path / "xdg" / "ncp" / "benchmark"


@pytest.mark.parametrize("name", ["seg", "det3d", "nas-bench-201", None])
def test_a_missing_table_tells_the_command(name, tmp_path):
    with pytest.raises(UserError, match=r"ncp benchmark action=import source=<clone of the release>/data"):
        benchmark.load(name, tmp_path)


def test_names_that_are_nothing(tmp_path):
    with pytest.raises(
        UserError, match=r"neither a file or folder nor a setting; settings are cls-50-1000.*in short cls"
    ):
        benchmark.load("sgg")
    with pytest.raises(UserError, match="no tables in"):
        benchmark.load(tmp_path)


def test_damage_is_a_users_error(seg, tmp_path):
    path = tmp_path / "seg.parquet"
    seg.to_parquet(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:n] for n in (0, 3, 100, len(whole) // 2, len(whole) - 1)]
    for _ in range(60):
        data = bytearray(whole)
        for position in rng.integers(0, len(data), size=20):
            data[position] ^= 1 << int(rng.integers(0, 8))
        damaged.append(bytes(data))
    messages = []
    for data in damaged:
        path.write_bytes(data)
        try:
            back = benchmark.load(path)
        except UserError as error:
            messages.append(str(error))
        else:  # the damage lies where it does not matter: every page carries a checksum
            same(seg, back)
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)


def changed(seg, path, column, value):
    """The file with one number replaced, the metadata kept."""
    seg.to_parquet(path)
    content = parquet.read_table(path)
    values = content[column].to_pylist()
    values[0] = value
    at = content.column_names.index(column)
    parquet.write_table(content.set_column(at, column, pa.array(values, content.schema.field(column).type)), path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("i1", 12, "codes outside"),
        ("b1", 0, "codes outside"),
        ("mIoU", 120.0, "impossible"),
        ("mIoU", float("nan"), "impossible"),
    ],
)
def test_files_changed_by_hand_are_checked_again(seg, tmp_path, column, value, message):
    path = tmp_path / "seg.parquet"
    changed(seg, path, column, value)
    with pytest.raises(UserError, match=message):
        benchmark.load(path)


def test_another_format_is_named(seg, tmp_path):
    path = tmp_path / "seg.parquet"
    seg.to_parquet(path)
    content = parquet.read_table(path)
    parquet.write_table(content.replace_schema_metadata({b"ncp": b'{"format": "ncp-table-9"}'}), path)
    with pytest.raises(UserError, match=r"ncp-table-9.*ncp-table-1"):
        benchmark.load(path)


def test_unwritable_folders(seg, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*choose another folder"):
        seg.to_parquet(tmp_path / "file" / "seg.parquet")
    with pytest.raises(UserError, match="cannot write"):
        seg.to_csv(tmp_path / "file" / "seg.csv")


def test_a_failed_write_leaves_the_old_table(seg, tmp_path, monkeypatch):
    path = tmp_path / "seg.parquet"
    seg.to_parquet(path)
    before = path.read_bytes()

    def broken(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet.ParquetWriter, "write_table", broken)
    with pytest.raises(UserError, match="No space left"):
        seg.to_parquet(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["seg.parquet"]


def test_loading_needs_neither_pandas_nor_torch(seg, tmp_path):
    import subprocess
    import sys

    path = tmp_path / "seg.parquet"
    seg.to_parquet(path)
    code = (
        f"import sys, ncp.benchmark as b; t = b.load({str(path)!r}); t.best(k=1); t.query(t.codes[0].tolist());"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'hydra') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_paths(tmp_path):
    assert store.path_of("seg", tmp_path) == tmp_path / "seg.parquet"
