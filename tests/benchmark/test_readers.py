"""Other people's files: no row disappears, none spoils another, and no file takes more memory than a table may."""

import logging
import os
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from release_format import release_rows

from ncp import benchmark
from ncp.benchmark import importing, readers, settings, store
from ncp.errors import UserError
from ncp.spaces.multires import SPACE

CODES = SPACE.sample_codes(60, np.random.default_rng(0))
TEXTS = SPACE.texts(CODES)


def lines(head="architecture,mIoU,mAcc,aAcc"):
    return [head, *(f"{text},{20 + i},60,70" for i, text in enumerate(TEXTS))]


def read_csv(folder, content):
    path = folder / "seg.csv"
    path.write_bytes(content if isinstance(content, bytes) else "\n".join(content).encode())
    return benchmark.load(path)


@pytest.mark.parametrize("where", [0, 30, 59])
@pytest.mark.parametrize("quotes", ['"', '"""', '"x'])
def test_a_stray_quote_spoils_its_own_line_alone(tmp_path, where, quotes):
    rows = lines()
    rows[1 + where] = quotes + rows[1 + where]
    table = read_csv(tmp_path, rows)
    (refusal,) = table.provenance.refused
    assert (len(table), table.provenance.rows_read, refusal.row) == (59, 60, where)
    assert "stray quote" in refusal.reason
    assert sorted(table.column("mIoU")) == [20 + i for i in range(60) if i != where]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_separate_too(tmp_path, separator):
    rows = [line.replace(",", separator) for line in lines()]
    rows[7] = rows[7].replace("60", "6,0")  # a comma is then nothing but a comma
    table = read_csv(tmp_path, rows)
    assert len(table) == 60
    assert table.column("mIoU").tolist() == [20 + i for i in range(60)]
    assert np.isnan(table.column("mAcc")).tolist() == [i == 6 for i in range(60)]


def test_two_stray_quotes_do_not_swallow_what_lies_between(tmp_path):
    rows = lines()
    rows[11], rows[41] = '"' + rows[11], rows[41] + '"'
    table = read_csv(tmp_path, rows)
    assert [r.row for r in table.provenance.refused] == [10]
    assert len(table) == 59
    assert np.flatnonzero(table.flagged("metric")).tolist() == [39]  # row 40: its last number is none


def test_every_kind_of_bad_line_is_refused_by_itself(tmp_path):
    rows = [line.encode() for line in lines()]
    rows[3] += b",1"
    rows[5] = rows[5].rsplit(b",", 1)[0]
    rows[7] = rows[7].replace(b"60", b"\xff\xfe")
    rows[9] = b"8" * (readers.MAX_LINE + 5)
    rows[11] = b""  # an empty line is no row
    rows[13] = rows[13].replace(TEXTS[12].encode(), b"9" * 6000)
    rows[15] = b"\x00" + rows[15]
    table = read_csv(tmp_path, b"\n".join(rows))
    assert [r.row for r in table.provenance.refused] == [2, 4, 6, 8, 11, 13]
    assert (len(table), table.provenance.rows_read) == (53, 59)
    reasons = ("5 fields", "3 fields", "UTF-8", "longer", "characters", "UTF-8|whole")
    for refusal, reason in zip(table.provenance.refused, reasons, strict=True):
        assert any(part in refusal.reason for part in reason.split("|")), refusal


def test_line_ends_and_quotes_as_spreadsheets_write_them(tmp_path):
    rows = lines()
    rows[4] = '"' + rows[4].replace(",", '","') + '"'
    for end in ("\r\n", "\r", "\n"):
        table = read_csv(tmp_path, ("\ufeff" + end.join(rows) + end).encode())
        assert len(table) == 60
        assert not table.provenance.refused


@pytest.mark.parametrize("name", ["mIoU", "mIoU ", "architecture"])
def test_a_column_that_is_there_twice(tmp_path, name):
    with pytest.raises(UserError, match=f"two columns '{name.strip()}'"):
        read_csv(tmp_path, lines(f"architecture,mIoU,{name},aAcc"))
    with pytest.raises(UserError, match="two columns 'flops'"):
        read_csv(tmp_path, lines("architecture,mIoU,Flops,flops"))
    path = tmp_path / "seg.parquet"
    table = pa.table([TEXTS, [50.0] * 60, [51.0] * 60], names=["architecture", "mIoU", "mIoU"])
    for metadata in (None, store_metadata(tmp_path)):
        parquet.write_table(table.replace_schema_metadata(metadata), path)
        with pytest.raises(UserError, match=r"two columns 'mIoU'|no column 'i1'"):
            benchmark.load(path)


def store_metadata(folder):
    path = store.write(benchmark.from_rows(release_rows("seg", 5), "seg"), folder / "own" / "seg.parquet")
    return parquet.read_schema(path).metadata


def test_a_row_in_two_spellings_is_refused():
    rows = [{"text": TEXTS[0], "mIoU": 50.0, "flops": 1.0, "Flops": 2.0}, {"text": TEXTS[1], "mIoU": 50.0}]
    assert [r.row for r in benchmark.from_rows(rows, "seg").provenance.refused] == [0]


def test_rows_are_counted_before_they_are_read(tmp_path):
    path = tmp_path / "seg.parquet"
    n = readers.MAX_ROWS + 1
    ones = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), pa.array([TEXTS[0]]))
    parquet.write_table(pa.table({"architecture": ones, "mIoU": np.full(n, 50.0)}), path)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"2,000,001 rows; tables of up to 2,000,000"):
            benchmark.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * 2**20


def test_columns_and_numbers_are_counted(tmp_path, monkeypatch):
    many = [{"text": text, "mIoU": 50.0, **{f"c{i}_{k}": 1.0 for k in range(40)}} for i, text in enumerate(TEXTS)]
    with pytest.raises(UserError, match="tables of up to 1,000"):
        benchmark.from_rows(many, "seg")
    with pytest.raises(UserError, match="tables of up to 1,000"):
        read_csv(tmp_path, lines("architecture,mIoU," + ",".join(f"c{i}" for i in range(2000))))
    monkeypatch.setattr(readers, "MAX_CELLS", 100)
    with pytest.raises(UserError, match="60 rows of 3 columns; up to 100 numbers"):
        benchmark.from_rows([{"text": text, "mIoU": 50.0} for text in TEXTS], "seg")
    monkeypatch.setattr(importing, "MAX_REFUSED", 10)
    with pytest.raises(UserError, match="more than 10 rows cannot be used as video; the first: top1 is missing"):
        benchmark.from_rows([{"text": text, "mIoU": 50.0} for text in TEXTS], "video")


def test_long_text_that_is_stored_once(tmp_path):
    path = tmp_path / "seg.parquet"
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(60, np.int8)), pa.array(["x" * 10**6]))
    parquet.write_table(pa.table({"architecture": TEXTS, "mIoU": [50.0] * 60, "note": long}), path)
    with pytest.raises(UserError, match="text of 1,000,000 bytes in 'note'"):
        benchmark.load(path)


def test_a_list_that_is_stored_as_one_number_repeated(tmp_path):
    path, n = tmp_path / "seg.parquet", 10**6
    code = pa.ListArray.from_arrays(pa.array([0, n], pa.int32()), pa.array(np.zeros(n, np.int8)))
    parquet.write_table(pa.table({"code": code, "mIoU": [50.0]}), path)
    assert path.stat().st_size < 2000
    with pytest.raises(UserError, match="lists of more than 500 numbers"):
        benchmark.load(path)
    codes = pa.array(CODES.tolist())
    parquet.write_table(pa.table({"code": codes, "mIoU": [50.0] * 60}), path, row_group_size=7)
    assert benchmark.load(path).codes.tolist() == CODES.tolist()


@pytest.mark.parametrize("name", ["seg.csv", "seg.parquet", "seg/trainval.pkl"])
def test_a_pipe_is_no_table(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="no regular file"):
        importing.import_file(tmp_path / name)


def renamed(folder, name, metrics=("mIoU", "mAcc", "aAcc")):
    mine = settings.Setting("mine", "seg", metrics, metrics[0], "", "")
    object.__setattr__(mine, "name", name)
    rows = [{"text": text, **dict.fromkeys(metrics, 50.0)} for text in TEXTS]
    return store.write(benchmark.from_rows(rows, mine), folder / "any.parquet")


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "a/../../b", "a\x1b[31mb", "", "."])
def test_a_name_out_of_a_table_is_no_path(tmp_path, name, caplog):
    path = renamed(tmp_path, name)
    with pytest.raises(UserError, match=r"cannot be part of a path|name is made of"):
        benchmark.load(path)
    with caplog.at_level(logging.WARNING):
        assert importing.import_file(path, "seg").setting is settings.get("seg")  # what the user says counts more
    assert "it is read as seg, as asked" in caplog.text
    assert "\x1b" not in caplog.text
    if name != "a/../../b":
        with pytest.raises(UserError, match="cannot be part of a path"):
            store.path_of(name, tmp_path)
    assert store.path_of("a/../../b", tmp_path).parent == tmp_path


def test_a_table_of_something_else_is_not_read_as_what_the_user_says(tmp_path):
    path = renamed(tmp_path, "video", ("top1", "top5"))
    assert benchmark.load(path).name == "video"
    with pytest.raises(UserError, match="has no column 'mIoU', which a table of seg needs"):
        importing.import_file(path, "seg")
    assert importing.import_release(path, tmp_path / "store", ["cls-50-100"])["cls-50-100"].main == "top1"


def test_a_file_cannot_give_one_of_our_names_another_meaning(tmp_path):
    path = renamed(tmp_path, "seg", ("mAcc", "mIoU", "aAcc"))
    assert benchmark.load(path).main == "mIoU"
    with pytest.raises(UserError, match="no column 'top1'"):
        benchmark.load(renamed(tmp_path, "video"))


def test_two_tables_of_one_setting_in_a_folder(tmp_path):
    table = benchmark.from_rows([{"text": text, "mIoU": 50.0} for text in TEXTS], "seg")
    for name in ("a", "b"):
        store.write(table, tmp_path / f"{name}.parquet")
    with pytest.raises(UserError, match=r"two tables of seg; one is 'b\.parquet'"):
        benchmark.load(tmp_path)


def test_progress_is_told_and_reaches_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "BATCH", 25)
    (tmp_path / "seg.csv").write_text("\n".join(lines()))
    told = []
    importing.import_release(tmp_path, tmp_path / "store", progress=lambda part, text: told.append((part, text)))
    assert [text for _, text in told] == ["seg, 25 rows", "seg, 50 rows", "seg, 60 rows"]
    assert told[-1][0] == 1


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    """What a reader has handed out it forgets."""
    monkeypatch.setattr(readers, "BATCH", 200)
    head = "architecture,mIoU,mAcc,aAcc," + ",".join(f"note{i}" for i in range(20))
    peaks = []
    for n in (10, 40):  # times 60 rows
        rows = [line + ",abcdefghij" * 20 for line in lines()[1:]] * n
        (tmp_path / "seg.csv").write_text("\n".join([head, *rows]))
        tracemalloc.start()
        batches = readers.from_csv(tmp_path / "seg.csv")
        assert sum(len(rows) for _, rows in batches) == 60 * n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
