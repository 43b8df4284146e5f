"""The small copies of a segmentation set: made once, whole, and anew where they are wrong."""

import os
import resource

import numpy as np
import pytest
import torch
from layouts import make_cityscapes, set_up
from PIL import Image

from ncp.data.base import Key
from ncp.data.cityscapes import Cityscapes
from ncp.errors import UserError


@pytest.fixture
def cityscapes(tmp_path):
    return make_cityscapes(tmp_path / "cityscapes")


def test_resized_copies_are_made_once(cityscapes, tmp_path):
    options = {"crop": (32, 32), "resized": (32, 64), "cache": str(tmp_path / "cache")}
    data = set_up(Cityscapes, cityscapes, **options)
    first = data.val_set[Key(-1, 0)]
    assert first["image"].shape == (3, 32, 64)
    assert data.eval_size == (32, 64)
    image = Image.open(sorted((cityscapes / "leftImg8bit/val/frankfurt").iterdir())[0])
    other = np.asarray(image.resize((64, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(first["image"].permute(1, 2, 0).numpy() - other).max() <= 1
    folders = sorted((tmp_path / "cache").iterdir())
    assert len(folders) == 2
    dates = [path.stat().st_mtime_ns for folder in folders for path in folder.iterdir()]
    again = set_up(Cityscapes, cityscapes, **options)
    assert torch.equal(again.val_set[Key(-1, 0)]["label"], first["label"])
    assert dates == [path.stat().st_mtime_ns for folder in folders for path in folder.iterdir()]
    set_up(Cityscapes, cityscapes, **{**options, "resized": (48, 96)})
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_an_unwritable_cache_is_a_clear_error(cityscapes, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the resized copies to .*set data.cache"):
        set_up(Cityscapes, cityscapes, crop=(32, 32), resized=(32, 64), cache=str(tmp_path / "file"))


def test_copies_that_are_not_whole_are_made_anew(cityscapes, tmp_path):
    options = {"crop": (32, 32), "resized": (32, 64), "cache": str(tmp_path / "cache")}
    data = set_up(Cityscapes, cityscapes, **options)
    wanted = [data.val_set[Key(-1, i)] for i in range(2)]
    whole = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    for path, content in whole.items():
        damaged = (content[: len(content) // 2], content[:-9] + bytes([content[-9] ^ 1]) + content[-8:], b"", None)
        for wrong in damaged:
            path.unlink() if wrong is None else path.write_bytes(wrong)
            again = set_up(Cityscapes, cityscapes, **options)
            for i, item in enumerate(wanted):
                assert torch.equal(again.val_set[Key(-1, i)]["image"], item["image"]), path
                assert torch.equal(again.val_set[Key(-1, i)]["label"], item["label"]), path
    assert {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()} == whole


def test_a_full_disk_is_said_at_once_and_leaves_nothing(cityscapes, tmp_path, monkeypatch):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr("ncp.data.images.read_bytes", lambda *a: pytest.fail("an image was read before there was room"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # no file may be larger, as if the disk were full
    try:
        with pytest.raises(UserError, match=r"cannot write the resized copies to '.*cache' \(.*set data.cache"):
            set_up(Cityscapes, cityscapes, crop=(32, 32), resized=(32, 64), cache=str(tmp_path / "cache"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_room_is_taken_before_it_is_written(cityscapes, tmp_path, monkeypatch):
    """A file with holes ends the process when the disk is full (it cannot be told from a whole one by its size)."""
    taken = []
    real = os.posix_fallocate
    monkeypatch.setattr(os, "posix_fallocate", lambda *a: (taken.append(a[2]), real(*a)))
    set_up(Cityscapes, cityscapes, crop=(32, 32), resized=(32, 64), cache=str(tmp_path / "cache"))
    sizes = [path.stat().st_size for path in (tmp_path / "cache").rglob("*.npy")]
    assert sorted(taken) == sorted(sizes)


def test_an_image_that_cannot_be_read_leaves_nothing(cityscapes, tmp_path):
    image = sorted((cityscapes / "leftImg8bit/train/bochum").iterdir())[0]
    image.write_bytes(b"broken")
    with pytest.raises(UserError, match=rf"{image.name}' is corrupt"):
        set_up(Cityscapes, cityscapes, crop=(32, 32), resized=(32, 64), cache=str(tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []
