"""The picture of a search over all cells: every step is where its figures say, and is told once."""

import numpy as np

from ncp.report import nasbench201

CLOUD = np.linspace(10, 220, 50)
PATH = np.array([[5.0, 150.0], [40.0, 120.0], [40.0, 120.0], [46.8, 90.36]])  # stays in place once


def test_steps_in_one_place_share_a_label():
    assert nasbench201.labels(PATH) == [(0, [0]), (1, [1, 2]), (3, [3])]


def test_the_path_is_drawn_where_it_goes():
    fig = nasbench201.walk_figure(CLOUD, CLOUD / 5, PATH, "Propagation", limit=90.365)
    (ax,) = fig.axes
    marks = [tuple(c.get_offsets()[0]) for c in ax.collections if len(c.get_offsets()) == 1]
    assert marks == [(150.0, 5.0), (120.0, 40.0), (90.36, 46.8)]
    texts = [t.get_text() for t in ax.texts if t.get_text()]
    assert texts == [
        "0", "5.00 % at 150.00 M", "1", "steps 1 to 2: 40.00 % at 120.00 M", "3", "46.80 % at 90.36 M",
    ]  # fmt: skip
    assert sum(t.get_text() == "" for t in ax.texts) == 2  # arrows
    assert [line.get_xdata()[0] for line in ax.lines] == [90.365]
    assert "%" in ax.get_title(loc="left")
    assert "millions" in ax.get_xlabel()


def test_the_curve_goes_through_the_medians(tmp_path):
    found = [np.array([[40.0, 80.0], [44.0, 80.0], [45.0, 90.0]]), np.array([[46.0, 80.0], [45.0, 80.0], [47.0, 86.0]])]
    fig = nasbench201.rows_figure((100, 500), found, "Rows", bar=46.8)
    line = fig.axes[0].lines[0]
    assert list(line.get_xdata()) == [100, 500]
    assert list(line.get_ydata()) == [44.0, 46.0]
    fig.savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 3000
