"""Measurements of other machines: what people's spreadsheets make of a table."""

import csv

import numpy as np
import pytest

from ncp import spaces
from ncp.errors import UserError
from ncp.latency.exchange import read_measured, write_codes

SPACE = spaces.get("multires")
NETS = SPACE.sample(3, np.random.default_rng(0))
TEXTS = [net.text for net in NETS]


def test_a_table_goes_out_and_comes_back(tmp_path):
    with open(write_codes(NETS, tmp_path), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["code"].lstrip("'") for row in rows] == TEXTS
    assert [row["file"] for row in rows] == ["001.onnx", "002.onnx", "003.onnx"]
    lines = ["file,code,ms", f"001.onnx,{TEXTS[0]},1.5", f"002.onnx,{TEXTS[1]},", "", f"003.onnx,'{TEXTS[2]},2e1"]
    (tmp_path / "back.csv").write_text("\ufeff" + "\n".join(lines))
    (found, times), held = read_measured(tmp_path / "back.csv", SPACE)
    assert [net.text for net in found] == [TEXTS[0], TEXTS[2]]  # what has no time is left out
    assert times == [1.5, 20.0]
    assert held == ([], [])


def test_what_a_measurement_wrote_comes_back_as_it_counted(tmp_path):
    kinds = ("reference", "fit", "noisy", "check", "fit")
    lines = [f"{kind},{TEXTS[i % 3]},{i + 1}" for i, kind in enumerate(kinds)]
    (tmp_path / "measurements.csv").write_text("\n".join(["kind,code,ms", *lines]) + "\n")
    (fitted, times), (held, held_times) = read_measured(tmp_path / "measurements.csv", SPACE)
    assert [net.text for net in fitted] == [TEXTS[1], TEXTS[1]]
    assert times == [2.0, 5.0]
    assert ([net.text for net in held], held_times) == ([TEXTS[0]], [4.0])


def test_two_columns_need_no_header(tmp_path):
    (tmp_path / "x.csv").write_text(f"{TEXTS[0]},3\n{TEXTS[1]},4\n")
    (_, times), _ = read_measured(tmp_path / "x.csv", SPACE)
    assert times == [3.0, 4.0]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_are_read(tmp_path, delimiter):
    lines = ("code,ms", f"{TEXTS[0]},3.5", f"{TEXTS[1]},4")
    (tmp_path / "x.csv").write_text("\n".join(line.replace(",", delimiter) for line in lines))
    (found, times), _ = read_measured(tmp_path / "x.csv", SPACE)
    assert ([net.text for net in found], times) == (TEXTS[:2], [3.5, 4.0])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "holds no measurements"),
        ("a,b,c\n1,2,3\n", "needs the columns code and ms"),
        (f"code,ms\n{TEXTS[0]},1,5\n", "line 2 has 3 columns of 2"),
        (f"code,ms\n{TEXTS[0]},fast\n", "line 2: 'fast' is no number of milliseconds"),
        (f"code,ms\n{TEXTS[0]},-1\n", "line 2: a time must be a finite, positive number"),
        (f"code,ms\n{TEXTS[0]},nan\n", "line 2: a time must be"),
        (f"code,ms\n{TEXTS[0]},1e300\n", "line 2: a time must be"),
        (f"code,ms\n{TEXTS[0]},1_0\n", "line 2: '1_0' is no number of milliseconds"),
        (f"code,ms\n{TEXTS[0]},\u0661\u0662\n", "line 2: .* is no number of milliseconds"),
        (f"code;ms\n{TEXTS[0]};3,5\n", "line 2: '3,5' is no number of milliseconds; write it with a point"),
        ("code,ms\n/etc/passwd,1\n", "line 2: "),
    ],
)
def test_mistakes_name_the_line(tmp_path, text, line):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(UserError, match=line):
        read_measured(tmp_path / "x.csv", SPACE)
