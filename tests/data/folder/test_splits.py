"""The seeded split: a fixed rule, stratified, and lists."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from ncp.data.folder.splits import Rule, as_line, given_file, read_list, split_folders
from ncp.errors import UserError


def test_every_group_is_divided_by_the_share():
    names = [f"{k}/{i}.png" for k in "abc" for i in range(50)]
    groups = np.repeat([0, 1, 2], 50)
    validates = Rule(0.2, seed=3).validating(names, groups)
    assert [int(validates[groups == k].sum()) for k in range(3)] == [10, 10, 10]
    small = Rule(0.2).validating(["a", "b"], [0, 0])
    assert small.sum() == 1  # one of two
    assert not Rule(0.2).validating(["a"], [0]).any()


def test_it_is_the_stated_rule_whatever_the_order_of_the_files():
    names = [f"{i}.png" for i in range(40)]
    validates = Rule(0.25, seed=7).validating(names)
    by_hand = sorted(names, key=lambda n: hashlib.blake2b(b"7|" + n.encode(), digest_size=8).digest())[:10]
    assert {n for n, v in zip(names, validates, strict=True) if v} == set(by_hand)
    again = Rule(0.25, seed=7).validating(names[::-1])[::-1]
    assert np.array_equal(validates, again)
    assert not np.array_equal(validates, Rule(0.25, seed=8).validating(names))


def test_both_splits_hold_every_name_once():
    names = [f"{i}.png" for i in range(40)]
    rule = Rule(0.25, seed=7)
    divided = rule.divided(names, [i % 2 for i in range(40)])
    assert sorted(divided["train"] + divided["val"]) == list(range(40))
    assert divided["val"] == np.flatnonzero(rule.validating(names, [i % 2 for i in range(40)])).tolist()


def test_a_named_file_may_lie_below_the_root_or_anywhere(tmp_path):
    (tmp_path / "a.csv").touch()
    assert given_file(tmp_path, "a.csv") == tmp_path / "a.csv"
    assert given_file(tmp_path, "/elsewhere/a.csv") == Path("/elsewhere/a.csv")
    assert given_file(tmp_path, "b.csv") == Path("b.csv")


def test_another_file_moves_hardly_any_other():
    names = [f"{i}.png" for i in range(100)]
    before = Rule().validating(names)
    after = Rule().validating([*names, "new.png"])[:-1]
    assert (before != after).sum() <= 1


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_a_share_is_between_0_and_1(share):
    with pytest.raises(UserError, match=r"data.val_share must be between 0 and 1"):
        Rule(share)


def test_split_folders(tmp_path):
    for name in ("Training", "valid", "test", "other"):
        (tmp_path / name).mkdir()
    assert split_folders(tmp_path) == {"train": "Training", "val": "valid"}
    (tmp_path / "valid").rmdir()
    assert split_folders(tmp_path)["val"] == "test"  # validates where there is no other


@pytest.mark.parametrize(
    ("text", "line"),
    [("", "names no files"), ("a\nb\na\n", "names 'a' twice"), ("../x\n", "leaves the data set's folder")],
)
def test_a_list_that_cannot_be_used(tmp_path, text, line):
    (tmp_path / "l.txt").write_text(text)
    with pytest.raises(UserError, match=line):
        read_list(tmp_path / "l.txt")


def test_a_name_that_is_no_line_is_quoted_in_a_list(tmp_path):
    names = ["a/b.png", "a\nb.png", "# c.png", " d.png", '"e".png', "\udcff\n.png", "f\n"]
    (tmp_path / "l.txt").write_bytes(b"".join(os.fsencode(as_line(name)) + b"\n" for name in names))
    assert read_list(tmp_path / "l.txt") == names
    assert as_line("a b.png") == "a b.png"
    (tmp_path / "l.txt").write_text('"quoted by hand.png\n"../x"\n')
    with pytest.raises(UserError, match="leaves the data set's folder"):
        read_list(tmp_path / "l.txt")
