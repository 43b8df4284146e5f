"""Delimited text: every line is a row or a mistake that names it, whatever quotes it holds."""

import csv
import io

import numpy as np
import pytest

from ncp import delimited
from ncp.errors import UserError


def test_rows_of_whole_lines_are_those_of_the_csv_module():
    rng = np.random.default_rng(0)
    words = ["a", "", " b ", "c,d", 'e"f', "g;h", "'", "1.5", "é", "\t"]
    rows = [[words[i] for i in rng.integers(0, len(words), 3)] for _ in range(200)]
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    found = list(delimited.lines(buffer.getvalue(), "it"))
    assert [line.fields for line in found] == [row for row in rows if any(cell.strip() for cell in row)]
    assert [line.number for line in found] == [i for i, row in enumerate(rows, 1) if any(cell.strip() for cell in row)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_stray_quote_is_named_by_its_line(end):
    text = end.join(["code,ms,note", "a,1,x", 'b,2,"x', "c,3,x", 'd,4,x"', ""])
    with pytest.raises(UserError, match="it, line 3 has a stray quote"):
        list(delimited.lines(text, "it"))
    assert [line.number for line in delimited.lines(text.replace('"', ""), "it")] == [1, 2, 3, 4, 5]


def test_the_delimiter_is_the_one_that_a_head_has_most_of():
    assert [delimited.delimiter_of(head) for head in ("a,b;c,d", "a;b", "a\tb\tc,d", "a", "")] == [
        ",",
        ";",
        "\t",
        ",",
        ",",
    ]
