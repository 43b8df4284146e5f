"""Checkpoints come whole to their place, through no other folder."""

import resource
import subprocess
import sys
import tempfile

import pytest
import torch

from ncp.errors import UserError
from ncp.tasks.storage import WholeFiles, read_checkpoint


def test_no_other_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    path = tmp_path / "new" / "last.ckpt"
    WholeFiles().save_checkpoint({"a": torch.ones(3)}, path)
    assert torch.load(path, weights_only=True)["a"].tolist() == [1, 1, 1]
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_is_named(tmp_path):
    """A limit on the size of files stands for a full disk: both fail in the middle of a write."""
    script = (
        "import resource, sys, torch\nfrom ncp.tasks.storage import WholeFiles\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (20000, {resource.RLIM_INFINITY}))\n"
        "WholeFiles().save_checkpoint({'a': torch.ones(3)}, sys.argv[1])\n"
        "try:\n    WholeFiles().save_checkpoint({'a': torch.ones(100, 100)}, sys.argv[1])\n"
        "except OSError as error:\n    print(error.filename, error.errno)\n"
    )
    path = tmp_path / "last.ckpt"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == [str(path), "27"], done.stderr
    assert torch.load(path, weights_only=True)["a"].shape == (3,)
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_what_is_no_trouble_of_the_disk_stays_what_it_is(tmp_path):
    with pytest.raises((AttributeError, TypeError, RuntimeError)) as error:
        WholeFiles().save_checkpoint({"a": lambda: None}, tmp_path / "last.ckpt")
    assert "lambda" in str(error.value)
    assert not list(tmp_path.iterdir())


GOOD = {
    "architecture": "8_8-x", "task": "cls", "classes": ["a", "b"], "config": {"arch": {}}, "step": 3,
    "position": {"step": 3, "samples": 12, "batch": 4, "set": 7}, "latest": {"top1": 50.0}, "at": 3,
}  # fmt: skip


def test_a_checkpoint_of_ours_is_read(tmp_path):
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": {"network.a": torch.ones(1)}, "ncp": GOOD}, path)
    assert read_checkpoint(path)["ncp"] == GOOD
    torch.save({"state_dict": {}, "ncp": {k: v for k, v in GOOD.items() if k not in ("position", "at")}}, path)
    assert read_checkpoint(path)["ncp"]["step"] == 3  # as earlier versions wrote it


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", -1), ("step", "3"), ("step", None), ("step", 1 << 70), ("step", 2.5), ("architecture", 7), ("classes", "ab"),
        ("classes", [1]), ("config", []), ("position", {"step": "x"}), ("position", {"batch": -4}), ("position", [1]),
        ("latest", {"top1": "high"}), ("latest", None), ("at", -2), ("task", ["cls"]), ("step", torch.ones(1)),
    ],
)  # fmt: skip
def test_an_altered_value_is_one_line_that_names_the_file(tmp_path, key, value):
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": {}, "ncp": {**GOOD, key: value}}, path)
    with pytest.raises(UserError, match=r"the checkpoint '.*x\.ckpt' cannot be used: .*" + key):
        read_checkpoint(path)


@pytest.mark.parametrize("weights", [[1], {"a": 3}, {1: torch.ones(1)}])
def test_weights_are_tensors_by_name(tmp_path, weights):
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": weights, "ncp": GOOD}, path)
    with pytest.raises(UserError, match="its weights are no tensors by name"):
        read_checkpoint(path)
