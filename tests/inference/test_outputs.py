"""Results for programs: read back by json, csv and Pillow."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from ncp.errors import UserError
from ncp.inference.inputs import Input
from ncp.inference.loading import Failed
from ncp.inference.outputs import LINES, TABLE, Results, label_picture, rounded


@pytest.fixture
def two(tmp_path):
    names = ("a,b.png", "c.avi")
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    return [Input(tmp_path / name, name, name.partition(".")[0]) for name in names]


def test_lines_and_tables_hold_what_was_added(tmp_path, two):
    results = Results(tmp_path / "out", two)
    results.add(two[0], {"class": "ä"}, [[1, 0.5], [2, 0.25]])
    results.fail(Failed(two[1], "cannot be decoded"))
    results.fail(Failed(two[1], "told once"))
    assert (results.worked, len(results.failed)) == (1, 1)
    results.close({TABLE: ["rank", "probability"]})
    lines = [json.loads(line) for line in (tmp_path / "out" / LINES).read_text().splitlines()]
    assert lines == [{"file": "a,b.png", "class": "ä"}, {"file": "c.avi", "error": "cannot be decoded"}]
    with open(tmp_path / "out" / TABLE, newline="") as file:
        assert list(csv.reader(file)) == [
            ["file", "rank", "probability"], ["a,b.png", "1", "0.5"], ["a,b.png", "2", "0.25"],
        ]  # fmt: skip


def test_no_input_is_written_over(tmp_path, two):
    os.makedirs(tmp_path / "out")
    os.symlink(tmp_path, tmp_path / "out" / "labels")
    results = Results(tmp_path / "out", [Input(tmp_path / "c.png", "c.png", "c"), *two])
    with pytest.raises(UserError, match="is an input; give another out=FOLDER"):
        results.place("labels", "c", "png")
    with pytest.raises(UserError, match="cannot be made a folder"):
        Results(two[0].path, two)


def test_frames_get_names_that_nothing_else_has(tmp_path, two):
    results = Results(tmp_path, [*two, Input(tmp_path / "x", "x", "c/000007")])
    assert results.frame_name(two[1], 6) == "c/000006"
    assert results.frame_name(two[1], 7) == "c/000007-frame"


def test_labels_come_back_from_the_picture(tmp_path):
    labels = np.arange(12).reshape(3, 4)
    label_picture(labels, [(i, 0, 255 - i) for i in range(12)]).save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), labels)
        assert picture.convert("RGB").getpixel((3, 2)) == (11, 0, 244)
    many = np.array([[0, 300]])
    label_picture(many, [(0, 0, 0)] * 301).save(tmp_path / "y.png")
    with Image.open(tmp_path / "y.png") as picture:
        assert np.asarray(picture).tolist() == [[0, 300]]


def test_six_digits_are_kept():
    assert (rounded(1 / 3), rounded(123456789.0), rounded(0.5)) == (0.333333, 123457000.0, 0.5)
