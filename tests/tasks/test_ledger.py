"""The file of evaluations: appended, cut, damaged, taken over."""

import json
import math
import os
from fractions import Fraction

import pytest

from ncp.tasks.ledger import FILE, Evaluation, Ledger, flat, nested, read


def entry(step, value=1.0, checkpoint=None):
    return Evaluation(step, step * 4, 10, {"mIoU": value}, checkpoint)


def steps(ledger):
    return [(e.step, e.metrics["mIoU"]) for e in ledger]


def test_one_line_an_evaluation_with_exact_epochs(tmp_path):
    ledger = Ledger(tmp_path / FILE)
    for step in (3, 5):
        ledger.add(entry(step, 50.0 + step, "checkpoints/x.ckpt" if step == 5 else None))
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert lines[0] == {
        "step": 3, "epoch": 1.2, "samples": 12, "set": 10, "metrics": {"mIoU": 53.0}, "checkpoint": None,
    }  # fmt: skip
    assert lines[1]["checkpoint"] == "checkpoints/x.ckpt"
    assert [e.epoch for e in read(tmp_path / FILE)] == [Fraction(6, 5), Fraction(2)]
    assert ledger.newest.step == 5
    assert 3 in ledger
    assert 4 not in ledger


def test_figures_that_are_not_numbers_come_back(tmp_path):
    ledger = Ledger(tmp_path / FILE)
    ledger.add(entry(1, math.nan))
    assert "NaN" not in (tmp_path / FILE).read_text()  # strict JSON
    assert math.isnan(read(tmp_path / FILE)[0].metrics["mIoU"])


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_was_cut_off_is_skipped_and_the_next_stands_by_itself(tmp_path, cut):
    path = tmp_path / FILE
    ledger = Ledger(path)
    ledger.add(entry(1))
    ledger.add(entry(2))
    os.truncate(path, path.stat().st_size - cut)
    again = Ledger(path)
    again.load(9)
    again.add(entry(3))
    assert steps(read(path)) in ([(1, 1.0), (3, 1.0)], [(1, 1.0), (2, 1.0), (3, 1.0)])
    assert (2 in {e.step for e in read(path)}) == (cut == 1)  # only the line's end was lost


def test_of_two_lines_for_a_step_the_newer_counts(tmp_path):
    ledger = Ledger(tmp_path / FILE)
    for value in (1.0, 2.0):
        ledger.add(entry(4, value))
    assert steps(read(tmp_path / FILE)) == steps(ledger) == [(4, 2.0)]


@pytest.mark.parametrize(
    "line",
    [
        b"", b"[]", b"null", b"{", b'{"step": 1}', b"\xff\xfe", b"[" * 500, b'{"step":"1","samples":4,"set":10,"metrics":{}}',
        b'{"step":1,"samples":4,"set":0,"metrics":{}}', b'{"step":1,"samples":4,"set":10,"metrics":[1]}',
        b'{"step":1,"samples":4,"set":10,"metrics":{"a":1%s}}' % (b"0" * 400),
        b'{"step":1,"samples":4,"set":10,"metrics":{"a":"x"}}', b'{"step":-1,"samples":4,"set":10,"metrics":{}}',
    ],
)  # fmt: skip
def test_lines_that_are_none_are_skipped(tmp_path, line):
    good = entry(2).line().encode()
    (tmp_path / FILE).write_bytes(line + b"\n" + good + b"\n" + line)
    assert steps(read(tmp_path / FILE)) == [(2, 1.0)]


def test_going_on_cuts_what_lies_beyond_the_checkpoint(tmp_path):
    ledger = Ledger(tmp_path / FILE)
    for step in (2, 4, 6):
        ledger.add(entry(step))
    again = Ledger(tmp_path / FILE)
    again.load(4, tmp_path)
    again.rewrite()
    assert steps(again) == steps(read(tmp_path / FILE)) == [(2, 1.0), (4, 1.0)]
    begun = Ledger(tmp_path / FILE)
    begun.load(-1)
    begun.rewrite()
    assert not (tmp_path / FILE).exists()


def test_going_on_in_another_folder_brings_the_evaluations_along(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    old = Ledger(tmp_path / "a" / FILE)
    old.add(entry(2, 5.0, "checkpoints/step-000002.ckpt"))
    old.add(entry(4, 6.0))
    new = Ledger(tmp_path / "b" / FILE)
    new.load(2, tmp_path / "a")
    assert steps(new) == [(2, 5.0)]
    assert new.newest.checkpoint == str(tmp_path / "a" / "checkpoints/step-000002.ckpt")


def test_figures_by_class_have_one_name_each():
    full = {"car/3d/moderate": {"AP11": 7.0, "AP40": 8.0}, "car/bev/hard": {"AP11": 1.0}}
    assert flat(full) == {"car/3d/moderate/AP11": 7.0, "car/3d/moderate/AP40": 8.0, "car/bev/hard/AP11": 1.0}
    assert nested({"moderate": 7.0, **flat(full)}) == full
