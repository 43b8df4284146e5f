"""The shared folder: exclusive creation under real contention, ages by the file system's own clock."""

import math
import multiprocessing
import os
import time

import pytest

from ncp.campaign import store as stores
from ncp.campaign.store import Folder
from ncp.errors import UserError


def race(root, number, out):
    store = Folder(root)
    out.put([store.create(f"races/{i}", f"{number}".encode()) for i in range(40)])


def test_of_several_processes_exactly_one_creates_a_file(tmp_path):
    context = multiprocessing.get_context("fork")
    out = context.SimpleQueue()
    processes = [context.Process(target=race, args=(tmp_path, number, out)) for number in range(4)]
    for process in processes:
        process.start()
    wins = [out.get() for _ in processes]
    for process in processes:
        process.join()
    assert [sum(row) for row in zip(*wins, strict=True)] == [1] * 40
    store = Folder(tmp_path)
    assert len(store.names("races")) == 40  # and nothing that was being written is left or seen
    assert not [name for name in os.listdir(tmp_path / "races") if name.startswith(".")]


def test_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr(stores.os, "link", refuse)
    store = Folder(tmp_path)
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_a_link_whose_answer_was_lost(tmp_path, monkeypatch):
    """NFS may repeat a request that was carried out: the second answer says that the file exists."""
    original = os.link

    def twice(source, target):
        original(source, target)
        original(source, target)

    monkeypatch.setattr(stores.os, "link", twice)
    assert Folder(tmp_path).create("a", b"x")


def test_ages(tmp_path):
    store = Folder(tmp_path)
    assert store.age("x") is None
    store.create("x", b"")
    os.utime(tmp_path / "x", (time.time() - 100,) * 2)
    assert 99 < store.age("x") < 110
    store.touch("x")
    assert store.age("x") < 10
    store.touch("absent")
    assert store.read("absent") is None
    assert store.names("absent") == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"give another build\.dir"):
        Folder(tmp_path / "file" / "build")


def listing(root):
    return {path: path.lstat().st_mtime_ns for path in [root, *root.rglob("*")]}


def test_reading_writes_nothing(tmp_path):
    Folder(tmp_path).create("a/b", b"x")
    before, store = listing(tmp_path), Folder(tmp_path, reading=True)
    assert store.read("a/b") == b"x"
    assert store.names("a") == ["b"]
    assert store.age("a/b") < 10
    assert listing(tmp_path) == before
    assert Folder(tmp_path / "none", reading=True).names("units") == []
    assert listing(tmp_path) == before


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "units/../../x", "a\0b", "a\nb", "..\\x"])
def test_no_name_leaves_the_folder(tmp_path, name):
    with pytest.raises(UserError, match="outside of the build's folder"):
        Folder(tmp_path).path(name)
    assert Folder(tmp_path).path("units/000001/0/a..b") == tmp_path / "units/000001/0/a..b"


def test_what_is_no_regular_file_has_neither_content_nor_age(tmp_path):
    store = Folder(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").symlink_to("nowhere")
    for name in ("pipe", "folder", "broken"):
        with pytest.raises(stores.Unusable, match=name):
            store.read(name)
        assert store.age(name) == math.inf
    store.create("large", b"12345")
    with pytest.raises(stores.Unusable, match="5 bytes"):
        store.read("large", limit=4)


def test_another_name(tmp_path):
    store = Folder(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert store.move("pipe", "moved")
    assert not store.move("pipe", "again")
    assert store.names("") == ["moved"]


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_a_clock_that_is_no_folder_is_named(tmp_path, kind):
    store = Folder(tmp_path)
    store.create("x", b"")
    (tmp_path / ".clock").touch() if kind == "file" else os.mkfifo(tmp_path / ".clock")
    with pytest.raises(UserError, match=r"\.clock"):
        store.age("x")


def test_a_unit_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "units").touch()
    with pytest.raises(UserError, match="units"):
        Folder(tmp_path).names("units/000001")


def test_a_full_disk_leaves_no_half_of_a_file_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "not supported")

    def full(_):
        raise OSError(28, "No space left on device")

    store, sync, calls = Folder(tmp_path), os.fsync, []
    monkeypatch.setattr(stores.os, "link", refuse)
    monkeypatch.setattr(stores.os, "fsync", lambda file: full(file) if calls else calls.append(sync(file)))
    with pytest.raises(UserError, match="No space left"):
        store.create("record.json", b"x")
    assert os.listdir(tmp_path) == []


def test_what_stands_in_a_folders_place_is_refused_and_a_link_never_followed(tmp_path):
    root, outside = tmp_path / "build", tmp_path / "outside"
    store = Folder(root)
    (root / "units").mkdir()
    outside.mkdir()
    (outside / "record.json").write_text("{}")
    (root / "units" / "0").write_text("")
    (root / "units" / "1").symlink_to("1")
    (root / "units" / "2").symlink_to(outside)
    for unit, kind in (("0", "no folder"), ("1", "a link"), ("2", "a link")):
        for use in (
            lambda name: store.names(name),
            lambda name: store.read(f"{name}/record.json"),
            lambda name: store.create(f"{name}/0.lease", b"mine"),
            lambda name: store.folder(f"{name}/0/checkpoints"),
        ):
            with pytest.raises(stores.Unusable, match=rf"units/{unit}' is {kind}"):
                use(f"units/{unit}")
    assert os.listdir(outside) == ["record.json"]
    assert store.folder("units/3/0") == root / "units/3/0"
