"""What is being written: gone after an error and after every signal, and after a kill at the next start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ncp import files, scratch, signals

pytest.importorskip("fcntl", reason="Windows has no locks that end with their process: nothing is removed there")
# begins a file and a folder beside their places and waits; told to end it ends as a command of ours does
WRITER = """
import signal, sys, time
from pathlib import Path
from ncp import files, scratch, signals
for number in (signal.SIGINT, signal.SIGHUP):  # jobs in a shell's background have them ignored
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
place = Path(sys.argv[1])
try:
    with signals.handled(), scratch.folder_beside(place / "set"), files.replacing(place / "a.png") as made:
        made.write_bytes(b"half")
        print("ready", flush=True)
        time.sleep(60)
except KeyboardInterrupt as stop:
    sys.exit(signals.exit_code(stop))
"""


NAME = f"{scratch.HERE}-abcdefgh"
"""As a killed process of this machine leaves it between its place's name and the ending."""


def begun(folder: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def left(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[1][:4] for path in folder.iterdir() if path.name.startswith("."))


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    killed, living = begun(tmp_path), begun(tmp_path)
    assert left(tmp_path) == ["a", "a", "part", "part"]
    killed.kill()
    killed.wait()
    try:
        files.write_text(tmp_path / "other", "x")
        assert left(tmp_path) == ["a", "part"]
    finally:
        living.kill()
        living.wait()
    scratch.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_this_machine_left_goes(tmp_path):
    for name in (f".a.{NAME}.tmp", f".a.{NAME}.tmp.png", f"..{NAME}.tmp", f".a\n.b.{NAME}.tmp"):
        (tmp_path / name).touch()
    (tmp_path / f".part-{NAME}" / "new").mkdir(parents=True)
    scratch.clear(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_only_looks_like_it_stays(tmp_path):
    odd = (
        ".a.tmp", ".a.tmp.png", f"a.{NAME}.tmp", f".a.{scratch.HERE}-ABCDEFGH.tmp", ".part-short", f".a.{NAME}.tmpx",
        f".part-{NAME}",
    )  # fmt: skip
    for name in odd:
        (tmp_path / name).touch()
    (tmp_path / f".a.{NAME}.tmp").mkdir()
    (tmp_path / "target").touch()
    (tmp_path / f".b.{NAME}.tmp").symlink_to("target")
    (tmp_path / f".part-{scratch.HERE}-bcdefghi").symlink_to(".")
    os.mkfifo(tmp_path / f".c.{NAME}.tmp")
    before = sorted(path.name for path in tmp_path.iterdir())
    scratch.clear(tmp_path)
    scratch.clear(tmp_path / "missing")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_what_other_programs_and_other_machines_write_stays(tmp_path):
    """Their locks may not be seen here."""
    for name in (".a.abcdefgh.tmp", ".a.abcdefgh.tmp.png", ".a.0123456z-abcdefgh.tmp"):
        (tmp_path / name).touch()
    (tmp_path / ".part-abcdefgh").mkdir()
    scratch.clear(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("number", signals.END)
def test_a_process_that_is_told_to_end_leaves_nothing(tmp_path, number):
    (tmp_path / "a.png").write_bytes(b"good")
    process = begun(tmp_path)
    process.send_signal(number)
    assert process.wait(timeout=30) == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"good"


def test_signals_at_any_moment_leave_the_old_file_or_the_new_one_and_nothing_else(tmp_path):
    path, outcomes = tmp_path / "a", set()
    for delay in range(40):
        path.write_text("old")
        number = os.getpid()
        child = os.fork()
        if child == 0:
            time.sleep(delay * 5e-5)
            os.kill(number, signal.SIGTERM)
            os._exit(0)
        try:
            with signals.handled():
                for _ in range(200):
                    files.write_text(path, "new")
                    signals.check()
                time.sleep(5)
        except signals.Interrupted:
            pass
        os.waitpid(child, 0)
        outcomes.add(path.read_text())
        assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert outcomes <= {"old", "new"}


def test_one_that_was_taken_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    """Between its creation and its lock."""
    hold, seen = scratch._hold, []

    def late(descriptor):
        if not seen:
            scratch.clear(tmp_path)
        seen.append(descriptor)
        return hold(descriptor)

    monkeypatch.setattr(scratch, "_hold", late)
    files.write_text(tmp_path / "a", "x")
    assert (len(seen), (tmp_path / "a").read_text()) == (2, "x")


def test_without_locks_nothing_is_taken_away(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr(scratch.fcntl, "flock", refuse)
    (tmp_path / ".a.abcdefgh.tmp").touch()
    files.write_text(tmp_path / "a", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.abcdefgh.tmp", "a"]
