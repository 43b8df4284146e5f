"""Names in arrays, names that are not for us, names that would leave the data set's folder."""

import os
import pickle
from pathlib import Path

import pytest

from ncp.data.imagenet import ImageFiles
from ncp.data.paths import PathList, folders, hidden, inside, visible
from ncp.errors import UserError

NAMES = ["a/b.png", "", "数据/x.png", os.fsdecode(b"caf\xe9.png"), "with space\n.png"]


def test_names_come_back_as_they_were():
    made = PathList(NAMES)
    assert list(made) == NAMES
    assert [made[i] for i in range(-5, 0)] == NAMES
    assert made[1:4:2] == NAMES[1:4:2]
    assert made == NAMES
    assert made != NAMES[::-1]
    assert pickle.loads(pickle.dumps(made)) == made
    assert list(PathList()) == []
    for wrong in (5, -6):
        with pytest.raises(IndexError):
            made[wrong]


def test_names_below_folders():
    made = PathList.below([(Path("/d/x"), ["1.png", "2.png"]), (Path("/d/y"), PathList(["z/3.png"]))])
    assert list(made) == ["/d/x/1.png", "/d/x/2.png", "/d/y/z/3.png"]


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux' account of private memory")
def test_a_loader_process_copies_nothing_of_the_names():
    count = 100_000
    files = ImageFiles(
        [f"/data/train/n{k // 1300:08d}/n_{k}.JPEG" for k in range(count)], [0] * count, (32, 32), 0, True
    )

    def private():
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        before = private()
        for k in range(count):
            files.paths[k], files.labels[k]
        os.write(writing, str(private() - before).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert float(os.read(reading, 64)) < 3  # megabytes; a list of strings: 14
    os.close(reading)
    os.close(writing)


def test_what_tools_leave_behind_is_hidden(tmp_path):
    assert all(map(hidden, (".ipynb_checkpoints", "._a.png", ".DS_Store", "__MACOSX")))
    assert not any(map(hidden, ("a.png", "n01440764", "a._b")))
    for name in ("b/1.png", "a/2.png", "a/._2.png", ".ipynb_checkpoints/3.png", "__MACOSX/4.png", "a/note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert folders(tmp_path) == ["a", "b"]
    assert visible(tmp_path, "*/*.png") == [tmp_path / "a/2.png", tmp_path / "b/1.png"]


@pytest.mark.parametrize("name", ["../a.avi", "/etc/passwd", "a/../../b", "..", "", "a\0b"])
def test_names_that_leave_the_folder_are_refused(name):
    with pytest.raises(UserError, match=r"'list.txt': '.*' leaves the data set's folder"):
        inside(name, "'list.txt'")


def test_other_names_stay():
    for name in ("class/a.avi", "class/a..avi", "c d/…avi", "./a"):
        assert inside(name, "x") == name
