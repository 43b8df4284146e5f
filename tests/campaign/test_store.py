"""The shared folder: exclusive creation under real contention, ages by the file system's own clock."""

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
