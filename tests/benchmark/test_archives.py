"""The archive of a checkpoint: what torch writes is read, and nothing else."""

import io
import pickle
import zipfile

import pytest
import torch

from ncp.benchmark import archives
from ncp.errors import UserError


def read(path):
    return archives.read(path, "a checkpoint", 2**20, 2**16)


def zipped(path, parts, how=zipfile.ZIP_STORED, comment=b""):
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in parts:
            archive.writestr(name, content)
        archive.comment = comment
    return path


def test_what_torch_writes_is_read(tmp_path):
    torch.save({"a": torch.arange(5), "b": "text"}, tmp_path / "x.ckpt")
    data, parts = read(tmp_path / "x.ckpt")
    with zipfile.ZipFile(tmp_path / "x.ckpt") as archive:
        assert data == archive.read("x/data.pkl")
    assert parts["data/0"].file_size == 5 * 8
    assert b"text" in data


@pytest.mark.parametrize(
    ("parts", "more", "line"),
    [
        ([("x/data.pkl", b"1")], {"how": zipfile.ZIP_DEFLATED}, "packed"),
        ([("x/data.pkl", b"1")], {"comment": b"hello"}, "no checkpoint of torch"),
        ([("x/data.pkl", b"1"), ("y/data/0", b"1")], {}, "several folders"),
        ([("x/other", b"1")], {}, "no data.pkl"),
        ([("x/data.pkl", b"1"), ("x/constants.pkl", b"1")], {}, "no data.pkl"),
        ([("x/data.pkl", bytes(2**16 + 1))], {}, "65,537 bytes"),
    ],
)
def test_anything_else_is_refused(tmp_path, parts, more, line):
    path = zipped(tmp_path / "x.ckpt", parts, **more)
    with pytest.raises(UserError, match=line):
        read(path)


def test_a_file_that_is_no_archive_or_cut_off_is_refused(tmp_path):
    torch.save({"a": torch.arange(500)}, tmp_path / "x.ckpt")
    whole = (tmp_path / "x.ckpt").read_bytes()
    for content in (b"", b"PK", whole[:-1], whole[: len(whole) // 2], pickle.dumps({"a": 1}), whole + b"\0"):
        (tmp_path / "y.ckpt").write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as a checkpoint"):
            read(tmp_path / "y.ckpt")
    assert zipfile.is_zipfile(io.BytesIO(whole))
