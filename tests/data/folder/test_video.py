"""Videos by class, in folders and in a table."""

import pytest
from layouts import make_own_videos, set_up

from ncp.data.base import Key
from ncp.data.folder.video import FolderVideos, read_table
from ncp.errors import UserError

pytest.importorskip("av")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NCP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield make_own_videos(tmp_path_factory.mktemp("films") / "films")


@pytest.fixture
def table(own, tmp_path):
    def write(text):
        (tmp_path / "t.csv").write_text(text)
        return str(tmp_path / "t.csv")

    return write


def test_folders(own):
    data = set_up(FolderVideos, own, size=32, frames=4)
    assert list(data.classes) == ["jump", "wave"]
    assert (len(data.train_set), len(data.val_set)) == (6, 2)
    item = data.val_set[Key(-1, 0)]
    assert item["image"].shape == (1, 4, 3, 32, 32)
    means = item["image"].float().mean((0, 2, 3, 4))
    assert (means.diff() > 5).all()  # its frames get brighter


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_other_containers(tmp_path, monkeypatch, ending):
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    root = make_own_videos(tmp_path / "films", ending, count=2)
    assert len(set_up(FolderVideos, root, size=32, frames=2).train_set) == 2


def test_a_table_with_and_without_splits(own, table):
    rows = [
        (f"{name}/{i}.avi", f"a {name}", "val" if i == 3 else "train") for name in ("jump", "wave") for i in range(4)
    ]
    data = set_up(FolderVideos, own, table=table("path,class,split\n" + "".join(f"{','.join(row)}\n" for row in rows)))
    assert list(data.classes) == ["a jump", "a wave"]
    assert list(data.names["val"]) == ["jump/3.avi", "wave/3.avi"]
    data = set_up(FolderVideos, own, table=table("Class;File\n" + "".join(f"{row[1]};{row[0]}\n" for row in rows)))
    assert (len(data.train_set), len(data.val_set)) == (6, 2)


def test_given_lists_divide_a_table_anew(own, table, tmp_path):
    rows = [f"{name}/{i}.avi,{name},{'val' if i else 'train'}\n" for name in ("jump", "wave") for i in range(2)]
    for split, number in (("train", 1), ("val", 0)):
        (tmp_path / f"{split}.txt").write_text(f"jump/{number}.avi\nwave/{number}.avi\n")
    lists = {f"{split}_list": str(tmp_path / f"{split}.txt") for split in ("train", "val")}
    data = set_up(FolderVideos, own, table=table("path,class,split\n" + "".join(rows)), **lists)
    assert list(data.names["train"]) == ["jump/1.avi", "wave/1.avi"]
    assert data.labels["val"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("jump/0.avi,jump\n", "must begin with a line of its columns"),
        ("path,class\n", "lists no videos"),
        ("path,class\njump/0.avi,\n", "line 2, lacks a path or a class"),
        ("path,class,split\njump/0.avi,jump,tran\n", "line 2: split must be train or val, given was 'tran'"),
        ("path,class,split\njump/0.avi,jump,train\nwave/0.avi,wave,\n", "gives a split for some videos alone"),
        ('path,class\njump/0.avi,jump\nwave/0.avi,"wave\nwave/1.avi,wave\n', "line 3 has a stray quote"),
        ("path,class\n../x.avi,jump\n", "leaves the data set's folder"),
    ],
)
def test_a_table_that_cannot_be_used(table, text, line):
    from pathlib import Path

    with pytest.raises(UserError, match=line):
        read_table(Path(table(text)))


def test_what_is_wrong_is_said(own, table, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="names one class alone"):
        set_up(FolderVideos, own, table=table("path,class\njump/0.avi,jump\njump/1.avi,jump\n"))
    with pytest.raises(UserError, match=r"1 of 2 videos .* are not in .*first: jump/9.avi"):
        set_up(FolderVideos, own, table=table("path,class\njump/9.avi,jump\nwave/1.avi,wave\n"))
    with pytest.raises(UserError, match=r"the classes differ between the splits: only one has jump, wave"):
        set_up(FolderVideos, own, table=table("path,class,split\njump/1.avi,jump,val\nwave/1.avi,wave,train\n"))
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    root = make_own_videos(tmp_path / "films", count=3)
    (root / "jump" / "1.avi").write_bytes(b"no video at all")
    with pytest.raises(UserError, match=r"jump/1.avi': cannot be decoded .*data.partial=true"):
        set_up(FolderVideos, root, size=32, frames=2)
    data = set_up(FolderVideos, root, size=32, frames=2, partial=True)
    assert len(data.train_set) + len(data.val_set) == 5
