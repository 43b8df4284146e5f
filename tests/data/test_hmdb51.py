"""HMDB51 and UCF101 in their layouts, and what is wrong with them."""

import os

import pytest
from layouts import make_hmdb51, make_ucf101, write_video

from ncp.data.base import Key
from ncp.data.clips import UNCOUNTED
from ncp.data.hmdb51 import HMDB51, UCF101, read_hmdb51, read_ucf101
from ncp.errors import UserError


def test_the_sample_as_a_data_set(shared, tmp_path, caplog):
    options = {"counts": None, "partial": True, "size": 32, "cache": str(tmp_path), "workers": 0, "frames": 4}
    data = HMDB51(str(shared / "hmdb51_sample"), least_frames=1, **options)
    with caplog.at_level("INFO"):
        data.setup()
    assert data.classes == ["cartwheel", "wave"]
    # of the two lists: 140 lines for training and 60 for testing
    assert (data.report["listed for training"], data.report["listed for evaluation"]) == (140, 60)
    assert len(data.train_set) + len(data.val_set) <= 4
    assert data.report["missing for training"] == 140 - len(data.train_set)
    assert "140 listed" in caplog.text
    item = data.train_set[Key(0, 0)]
    assert item["image"].shape == (1, 4, 3, 32, 32)
    assert item["image"].float().std() > 10
    with pytest.raises(UserError, match=r"of the 140 listed videos are not in"):
        HMDB51(str(shared / "hmdb51_sample"), **{**options, "partial": False}).setup()


def test_hmdb51s_layout_filter_and_counts(tmp_path, caplog):
    root = make_hmdb51(tmp_path)  # a class: 12, 40 and 12 frames for training, 12 for testing, one for neither
    options = {"size": 16, "cache": str(tmp_path / "cache"), "workers": 0, "frames": 2}
    data = HMDB51(str(root), least_frames=20, counts=[6, 2, 2], **options)
    data.setup()
    assert [data.report[k] for k in ("too short", "used for training", "used for evaluation")] == [4, 2, 2]
    assert "where the paper has" not in caplog.text
    assert [data.val_set[Key(-1, i)]["label"] for i in range(2)] == [0, 1]
    data.describe(tmp_path)
    assert len((tmp_path / "videos.txt").read_text().splitlines()) == 4
    HMDB51(str(root), least_frames=20, counts=[6, 2, 3], **options).setup()
    assert "2 training videos are left where the paper has 3" in caplog.text
    with pytest.raises(UserError, match=r"lists 6 and 2 videos, HMDB51's lists 3,570 and 1,530; data.counts=null"):
        HMDB51(str(root), counts=[3570, 1530, 2649], **options).setup()
    with pytest.raises(UserError, match=r"holds no files \*_test_split2.txt"):
        HMDB51(str(root), split=2, **options).setup()
    with pytest.raises(UserError, match=r"the training split of HMDB51 is empty"):
        HMDB51(str(root), least_frames=500, **options).setup()
    (root / "splits" / "wave_test_split1.txt").write_text("a.avi 7\n")
    with pytest.raises(UserError, match=r"a line is '<file> <0, 1 or 2>', found 'a.avi 7'"):
        read_hmdb51(root / "splits", 1)


def test_ucf101s_layout(tmp_path):
    root = make_ucf101(tmp_path)
    data = UCF101(str(root), least_frames=1, size=16, frames=2, cache=str(tmp_path / "cache"), workers=0)
    data.setup()
    assert data.classes == ["Archery", "HandstandWalking"]
    assert [len(data.train_set), len(data.val_set)] == [4, 2]
    assert data.train_set[Key(0, 3)]["label"] == 1


def test_corrupt_videos_are_reported_once_and_counted(tmp_path, caplog):
    root = make_hmdb51(tmp_path)
    paths = sorted((root / "videos").glob("*/*.avi"))
    train = [p for p in paths if "_1_" in p.name]
    train[0].write_text("broken")
    data = HMDB51(str(root), least_frames=1, size=16, frames=2, cache=str(tmp_path / "cache"), workers=0)
    data.setup()
    assert data.count_skipped() == {"training": 1}
    assert caplog.text.count(str(train[0])) == 1
    # after the index was made: another item in training, an uncounted one in evaluation
    broken = data.train_set.source.name(0)
    with open(broken, "wb") as file:
        file.write(b"gone")
    item = data.train_set[Key(0, 0)]
    assert item["skipped"] == 0
    assert item["image"].float().std() > 0
    data.note_skipped("training", [item["skipped"], -1, 0])
    assert data.count_skipped() == {"training": 2}
    assert caplog.text.count(broken) == 1
    with open(data.val_set.source.name(1), "wb") as file:
        file.write(b"gone")
    assert data.val_set[Key(-1, 1)]["label"] == UNCOUNTED
    for name in map(data.train_set.source.name, range(len(data.train_set))):
        with open(name, "wb") as file:
            file.write(b"gone")
    with pytest.raises(UserError, match=r"16 videos in a row cannot be read, first '.*'; is the data set complete"):
        data.train_set[Key(0, 0)]


@pytest.mark.parametrize(
    "line", ["../secret.avi 1", "../../secret.avi", "/etc/passwd", "Archery/", "a/b/c.avi", "../x"]
)
def test_no_line_of_a_list_leaves_the_root(tmp_path, line):
    root = make_ucf101(tmp_path / "root")
    write_video(tmp_path / "root" / "secret.avi", 10)
    with open(root / "splits" / "trainlist01.txt", "a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=r"trainlist01.txt': (a line is|.* leaves the data set's folder)"):
        UCF101(str(root), least_frames=1, size=16, frames=2, cache=str(tmp_path / "cache"), workers=0).setup()


@pytest.mark.parametrize("line", ["../../secret.avi 1", "/etc/passwd 1", "../wave/a.avi 2"])
def test_no_line_of_hmdb51_leaves_its_class(tmp_path, line):
    root = make_hmdb51(tmp_path)
    (root / "splits" / "wave_test_split1.txt").write_text(line + "\n")
    with pytest.raises(UserError, match=r"wave_test_split1.txt': a line is '<file> <0, 1 or 2>', found"):
        read_hmdb51(root / "splits", 1)


def test_all_problems_of_the_lists_are_said_at_once(tmp_path):
    root = make_hmdb51(tmp_path)
    (root / "splits" / "wave_test_split1.txt").write_text("".join(f"{i}.avi 7\n" for i in range(12)))
    os.mkfifo(root / "splits" / "zzz_test_split1.txt")
    with pytest.raises(UserError) as error:
        read_hmdb51(root / "splits", 1)
    message = str(error.value)
    assert "has 13 problems: (1) " in message
    assert "found '9.avi 7'" in message
    assert "found '10.avi 7'" not in message
    assert message.endswith("; and 3 more")
    (root / "splits" / "trainlist01.txt").write_text("a.avi\n")
    with pytest.raises(UserError, match=r"2 problems: \(1\) .* found 'a.avi'; \(2\) .* holds no testlist01.txt"):
        read_ucf101(root / "splits", 1)


def test_what_is_missing_in_both_splits_is_said_at_once(tmp_path):
    root = make_hmdb51(tmp_path)
    for mark in (1, 2):
        next((root / "videos").glob(f"*/*np1_{mark}_*.avi")).unlink()
    with pytest.raises(UserError, match=r"3 problems: .*lists 6 and 2 videos.* 1 of the 6 listed .* 1 of the 2 listed"):
        HMDB51(str(root), counts=[5, 5], size=16, frames=2, cache=str(tmp_path / "cache"), workers=0).setup()


def test_names_in_any_encoding_and_what_macs_leave_behind(tmp_path):
    root = make_hmdb51(tmp_path)
    old = next((root / "videos" / "wave").glob("*np1_1_0.avi"))
    os.rename(old, os.fsencode(old.parent) + b"/caf\xe9.avi")
    lists = root / "splits" / "wave_test_split1.txt"
    lists.write_bytes(b"\xef\xbb\xbf" + lists.read_bytes().replace(os.fsencode(old.name), b"caf\xe9.avi"))
    (root / "splits" / "._wave_test_split1.txt").write_bytes(b"\0\5\x16\7")
    data = HMDB51(str(root), least_frames=1, size=16, frames=2, cache=str(tmp_path / "cache"), workers=0)
    data.setup()
    assert data.classes == ["cartwheel", "wave"]
    assert data.report["used for training"] == 6
    data.describe(tmp_path)
    assert b"/caf\xe9.avi 12" in (tmp_path / "videos.txt").read_bytes()
    assert data.source == "HMDB51 split 1"


def test_the_root_may_have_any_name(tmp_path):
    for name in ("a=b", "set (1)", "c#d", "数据", "it's", "[x] *?%03d", "http:", os.fsdecode(b"caf\xe9")):
        root = make_ucf101(tmp_path / name)
        data = UCF101(str(root), least_frames=1, size=16, frames=2, cache=str(tmp_path / "cache"), workers=0)
        data.setup()
        assert [len(data.train_set), len(data.val_set)] == [4, 2]
        assert data.train_set[Key(0, 0)]["image"].float().std() > 0
