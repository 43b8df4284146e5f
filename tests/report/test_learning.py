"""The learning curve as a picture and a table: read back from what was drawn."""

import numpy as np
from rich.console import Console

from ncp.predictors.curve import Curve, Point
from ncp.report import learning

CURVE = Curve(
    "mIoU",
    (
        Point(10, 3.0, True, 2.0), Point(20, 2.5, True, 1.5), Point(40, 2.0, True, 1.0), Point(60, 1.8, False, 0.7),
    ),
    now=40,
)  # fmt: skip


def test_what_is_measured_and_what_is_expected_are_told_apart():
    figure = learning.curve_figure(CURVE, "seg")
    error, loss = figure.axes
    lines = {line.get_label(): np.column_stack(line.get_data()).tolist() for line in error.lines}
    assert lines["measured"] == [[10, 3], [20, 2.5], [40, 2]]
    assert lines["expected"] == [[40, 2], [60, 1.8]]
    styles = {line.get_label(): line.get_linestyle() for line in error.lines}
    assert (styles["measured"], styles["expected"]) == ("-", "--")
    losses = {line.get_label(): list(line.get_ydata()) for line in loss.lines}
    assert losses["with parts of the rows"] == [2, 1.5, 1]
    assert losses["with more rows"] == [1, 0.7]
    assert any("20 more trainings would likely gain 0.3 points of mIoU" in text.get_text() for text in figure.texts)


def test_the_table_has_a_row_a_point():
    console = Console(record=True, width=100)
    console.print(learning.curve_table(CURVE))
    rows = [line.split() for line in console.export_text().splitlines() if line.strip()[:1].isdigit()]
    assert rows == [
        ["10", "3.00", "measured", "2.00"], ["20", "2.50", "measured", "1.50"], ["40", "2.00", "measured", "1.00"],
        ["60", "1.80", "expected", "0.70"],
    ]  # fmt: skip
