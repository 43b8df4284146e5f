"""Cache folders: whole or made anew; damage of every kind is noticed; a full disk and a kill leave nothing that counts."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from ncp.data.sealed import SEAL, broken_seal, cache_folder, read_counts, sealed_folder, stamp, write_counts
from ncp.errors import UserError


def _make(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "points.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "deep" / "labels.txt").write_text("Car 1 2 3\n")
    (folder / "none.bin").write_bytes(b"")


def _refuse(folder: Path) -> None:
    raise AssertionError("made again")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return sealed_folder(tmp_path / "cache" / "set-1", _make, "the set")


def test_what_is_whole_is_used_again(kept: Path) -> None:
    assert sealed_folder(kept, _refuse, "the set") == kept
    assert (kept / "deep" / "labels.txt").read_text() == "Car 1 2 3\n"
    assert [p.name for p in kept.parent.iterdir()] == ["set-1"]  # nothing is left beside it


def _flip(path: Path, at: int = 100) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut off": lambda f: os.truncate(f / "points.bin", 10_000),
    "emptied": lambda f: os.truncate(f / "points.bin", 0),
    "longer": lambda f: os.truncate(f / "points.bin", 20_000),
    "a bit": lambda f: _flip(f / "points.bin"),
    "a letter": lambda f: (f / "deep" / "labels.txt").write_text("Car 1 2 4\n"),
    "missing": lambda f: (f / "none.bin").unlink(),
    "a folder missing": lambda f: shutil.rmtree(f / "deep"),
    "added": lambda f: (f / "deep" / "more.txt").write_text(""),
    "renamed": lambda f: (f / "none.bin").rename(f / "nothing.bin"),
    "no seal": lambda f: (f / SEAL).unlink(),
    "half a seal": lambda f: os.truncate(f / SEAL, 30),
    "an empty seal": lambda f: (f / SEAL).write_text("{}"),
    "another seal": lambda f: (f / SEAL).write_text('{"points.bin": "yes"}'),
    "a deep seal": lambda f: (f / SEAL).write_text("[" * 100_000),
    "a pipe": lambda f: _fifo(f / "points.bin"),
    "a pipe for a seal": lambda f: _fifo(f / SEAL),
    "a file in its place": lambda f: (shutil.rmtree(f), f.write_text("")),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed_and_made_good(kept: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    DAMAGE[kind](kept)
    assert broken_seal(kept) is not None
    assert sealed_folder(kept, _make, "the set") == kept
    assert "the set in" in caplog.text
    assert "made anew" in caplog.text
    assert (kept / "points.bin").read_bytes() == bytes(range(256)) * 40
    assert broken_seal(kept) is None
    assert [p.name for p in kept.parent.iterdir()] == ["set-1"]


def test_a_set_that_another_process_finished_first_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "set-1"

    def overtaken(part: Path) -> None:
        _make(part)
        sealed_folder(folder, _make, "the set")
        (folder / "deep" / "labels.txt").stat()

    before = None

    def noted(part: Path) -> None:
        nonlocal before
        overtaken(part)
        before = (folder / "points.bin").stat().st_ino

    sealed_folder(folder, noted, "the set")
    assert (folder / "points.bin").stat().st_ino == before
    assert [p.name for p in tmp_path.iterdir()] == ["set-1"]


def test_errors_leave_nothing(tmp_path: Path) -> None:
    def bad(part: Path) -> None:
        _make(part)
        raise UserError("000003.bin is bad")

    with pytest.raises(UserError, match=r"000003\.bin is bad"):
        sealed_folder(tmp_path / "cache" / "set-1", bad, "the set")
    assert list((tmp_path / "cache").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the set to .*set data\.cache"):
        sealed_folder(tmp_path / "file" / "set-1", _make, "the set")


def test_names_of_derived_files_follow_the_files(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    none = stamp(path)
    path.write_bytes(b"12")
    os.utime(path, ns=(0, 5))
    assert (none, stamp(path)) == (os.fsencode(path) + b"||", os.fsencode(path) + b"|2|5|")
    os.utime(path, ns=(0, 6))
    assert stamp(str(path)) == os.fsencode(path) + b"|2|6|"


def test_derived_files_go_where_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCP_CACHE", "/own")
    monkeypatch.setenv("HOME", "/home/me")
    assert [cache_folder(given) for given in (None, "/there", "~/here")] == [
        Path("/own"),
        Path("/there"),
        Path("/home/me/here"),
    ]


PROGRAM = """
    import resource, signal, sys
    from pathlib import Path
    import numpy as np
    from ncp.data.sealed import sealed_folder
    from ncp.errors import UserError
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # as a disk with no more room
    def make(part):
        (part / "first.bin").write_bytes(bytes(90_000))
        np.save(part / "second.npy", np.zeros(20_000))
    try:
        sealed_folder(Path(sys.argv[1]), make, "the set")
    except UserError as error:
        print(error)
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "set-1"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"cannot write the set to '{folder.parent}' (")
    assert done.stdout.count("\n") == 1
    assert list(folder.parent.iterdir()) == []


def test_a_kill_leaves_no_set(tmp_path: Path) -> None:
    program = """
        import os, signal, sys
        from pathlib import Path
        from ncp.data.sealed import sealed_folder
        def make(part):
            (part / "first.bin").write_bytes(bytes(90_000))
            os.kill(os.getpid(), signal.SIGKILL)
        sealed_folder(Path(sys.argv[1]), make, "the set")
    """
    folder = tmp_path / "set-1"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not folder.exists()
    assert broken_seal(sealed_folder(folder, _make, "the set")) is None


def test_counts_that_were_altered_are_noticed(tmp_path):
    path, content = tmp_path / "counts.json", [True, {"3": 1200, "255": 7}]
    write_counts(path, content)
    kind = tuple[bool, dict[str, int]]
    assert read_counts(path, kind, 2**20) == (True, content[1])
    whole = path.read_bytes()
    for at in range(len(whole)):
        digit = whole[at : at + 1]
        other = b"9" if digit != b"9" else b"8"
        path.write_bytes(whole[:at] + other + whole[at + 1 :])
        with pytest.raises(UserError):
            read_counts(path, kind, 2**20)
    path.write_bytes(whole[:-9])
    with pytest.raises(UserError):
        read_counts(path, kind, 2**20)
    path.write_bytes(whole)
    with pytest.raises(UserError):
        read_counts(path, list[int], 2**20)
    with pytest.raises(UserError, match="bytes"):
        read_counts(path, kind, 10)
