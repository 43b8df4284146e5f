"""Names beside points: none upon another, none outside."""

import numpy as np
import pytest

from ncp.report import pareto, style
from ncp.report.labels import label_points


def boxes(ax):
    renderer = ax.figure.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in ax.texts]


def apart(ax):
    found = boxes(ax)
    frame = ax.figure.bbox
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 for b in found)
    return not any(a.overlaps(b) for i, a in enumerate(found) for b in found[:i])


@pytest.mark.parametrize("seed", range(3))
def test_names_do_not_overlap(seed):
    rng = np.random.default_rng(seed)
    points = [
        {
            "label": f"objectives=[cls,seg] budget.macs={i}e9",
            "macs": 1e9 * rng.random(),
            "metrics": {"a.x": rng.random()},
        }
        for i in range(40)
    ]
    points += [{**points[0], "label": "the same place"}, {**points[1], "label": "$x^{$"}]
    fig = pareto.pareto_figure(points, "Many")
    assert apart(fig.axes[0])
    assert 8 <= len(fig.axes[0].texts) <= 42
    best = pareto.front([p["macs"] for p in points], [p["metrics"]["a.x"] for p in points])
    assert points[best[0]]["label"] in {text.get_text() for text in fig.axes[0].texts}  # those of the front come first
    fig.canvas.draw()


def test_all_names_are_there_where_there_is_room():
    fig = style.figure(8, 4, "")
    ax = fig.add_subplot()
    x, y = np.linspace(0, 1, 5), np.linspace(0, 1, 5)
    ax.scatter(x, y)
    ax.margins(0.14)
    ax.autoscale_view()
    assert label_points(ax, x, y, list("abcde"), ["black"] * 5) == 5
    assert [text.get_text() for text in ax.texts] == list("abcde")
    assert apart(ax)
    assert label_points(ax, [], [], [], []) == 0


def test_two_metrics_are_drawn_against_each_other():
    points = [
        {"label": f"p{i}", "macs": i * 1e9, "metrics": {"cls.top1": 80 + i, "seg.mIoU": 79 - i}} for i in range(3)
    ]
    points.append({"label": "half", "macs": 1e9, "metrics": {"cls.top1": 70.0}})
    fig = pareto.pareto_figure(points, "Two")
    against = fig.axes[2]
    assert against.get_xlabel() == "predicted cls top1, %"
    assert against.collections[0].get_offsets().tolist() == [[80, 79], [81, 78], [82, 77]]
    assert against.lines[0].get_xydata().tolist() == [
        [82, 77],
        [81, 78],
        [80, 79],
    ]  # all three: none beats another in both


def test_less_is_better_where_it_is_and_a_broken_limit_is_no_part_of_the_front():
    points = [
        {"label": "a", "macs": 1e9, "metrics": {"seg.params": 3.0}, "lower": ["seg.params"]},
        {"label": "b", "macs": 2e9, "metrics": {"seg.params": 2.0}},
        {"label": "c", "macs": 3e9, "metrics": {"seg.params": 4.0}},
        {"label": "d", "macs": 1e8, "metrics": {"seg.params": 1.0}, "kept": False},
    ]
    (ax,) = pareto.pareto_figure(points, "One").axes
    assert ax.lines[0].get_xydata().tolist() == [[1, 3], [2, 2]]
    assert ax.get_title(loc="left") == "Predicted seg params (millions)"
