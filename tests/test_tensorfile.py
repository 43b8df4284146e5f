"""Safetensors files: what the head says is compared before tensors are read, and only finite ones are written."""

import json
import os
import stat

import pytest
import torch
from safetensors.torch import load_file, save_file

from ncp import tensorfile
from ncp.errors import UserError

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}


def test_what_is_written_is_read_and_others_read_it_too(tmp_path):
    old = os.umask(0o027)
    try:
        path = tensorfile.write(tmp_path / "new" / "x.safetensors", TENSORS, {"about": "é"})
    finally:
        os.umask(old)
    assert tensorfile.head(path) == ({"about": "é"}, {"a": (2, 3), "n": ()})
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    for found in (tensorfile.tensors(path), load_file(path)):
        assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_weights_of_any_memory_format_are_written(tmp_path):
    last = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    path = tensorfile.write(tmp_path / "x", {"a": last}, {})
    assert torch.equal(tensorfile.tensors(path)["a"], last)


def test_numbers_that_are_not_finite_are_neither_written_nor_read(tmp_path):
    bad = {**TENSORS, "a": torch.tensor([1.0, torch.nan])}
    with pytest.raises(UserError, match="the weights are not finite: a"):
        tensorfile.write(tmp_path / "x", bad, {})
    assert not list(tmp_path.iterdir())
    save_file(bad, tmp_path / "x")
    with pytest.raises(UserError, match="are not finite: a"):
        tensorfile.tensors(tmp_path / "x")


@pytest.mark.parametrize(("kind", "size"), [("I32", 4), ("BOOL", 1), ("C64", 8), ("F8_E4M3", 1)])
def test_other_types_are_refused(tmp_path, kind, size):
    head = json.dumps({"a": {"dtype": kind, "shape": [3], "data_offsets": [0, 3 * size]}}).encode()
    (tmp_path / "x").write_bytes(len(head).to_bytes(8, "little") + head + bytes(3 * size))
    with pytest.raises(UserError, match=r"numbers \(a\); read are F16"):
        tensorfile.head(tmp_path / "x")


def test_heads_are_measured_first(tmp_path, monkeypatch):
    path = tensorfile.write(tmp_path / "x", TENSORS, {"long": "x" * 1000})
    monkeypatch.setattr(tensorfile, "MAX_HEAD", 500)
    with pytest.raises(UserError, match="its head is larger than 500"):
        tensorfile.head(path)
    with pytest.raises(UserError, match="at most 100 are read"):
        tensorfile.head(path, limit=100)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"a": (2,)}, "missing: b"),
        ({"a": (2,), "b": (1,), "c": (1,), "d": (1,)}, r"unknown: c and 1 more"),
        ({"a": (2,), "b": (10**12,)}, r"b has shape \(1000000000000,\), not \(1,\)"),
    ],
)
def test_shapes_that_differ_are_named(found, message):
    with pytest.raises(UserError, match=f"they differ .*{message}"):
        tensorfile.check_shapes(found, {"a": (2,), "b": (1,)}, "they differ")
    tensorfile.check_shapes({"b": (1,), "a": (2,)}, {"a": (2,), "b": (1,)}, "they differ")
