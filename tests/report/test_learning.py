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
    for drawn in (error.lines, loss.lines):  # what there is has a full mark alone, what would come a hollow one
        (full, hollow) = (line for line in drawn if line.get_marker() == "o")
        marked = [line.get_xdata()[slice(line.get_markevery()[0], None)].tolist() for line in (full, hollow)]
        assert marked == [[10, 20, 40], [60]]
        assert hollow.get_markerfacecolor() == "white" != full.get_markerfacecolor()
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


def test_no_mark_is_cut_off_at_the_top():
    points = tuple(Point(rows, 2 - rows / 1000, rows <= 40, 1.0) for rows in (20, 40, 60))  # hardly any range
    figure = learning.curve_figure(Curve("mIoU", points, now=40), "seg")
    for ax in figure.axes:
        for line in (line for line in ax.lines if line.get_marker() == "o"):
            tops = ax.transData.transform(line.get_xydata())[:, 1] + line.get_markersize() / 2 * figure.dpi / 72
            assert (tops < ax.get_window_extent().y1).all()
