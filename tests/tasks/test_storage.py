"""Checkpoints come whole to their place, through no other folder."""

import resource
import subprocess
import sys
import tempfile

import pytest
import torch

from ncp.tasks.storage import WholeFiles


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
