"""The pictures: what is drawn is read back from the figure's artists, and a few rules of looks are checked."""

import numpy as np
import pytest
from matplotlib.lines import Line2D

from ncp import spaces
from ncp.report import pareto, propagation, style

SPACE = spaces.get("multires")
METRICS = ("cls-50-1000.top1", "seg.mIoU", "video.top1")


def walk(steps=21, polish=3, seed=0, space=SPACE):
    """A table as a trajectory writes it: codes on a straight line between two architectures."""
    rng = np.random.default_rng(seed)
    first, last = (np.asarray(a.code, dtype=float) for a in space.sample(2, rng))
    share = np.minimum(np.arange(steps) / (steps - polish - 1), 1)[:, None]
    codes = first + (last - first) * share
    rounded = space.round(codes)
    cost = space.cost(rounded)
    table = {"step": np.arange(steps), "macs": cost.macs, "params": cost.params}
    table["phase"] = np.array(["propagation"] * (steps - polish) + ["polish"] * polish)
    for i, name in enumerate(METRICS):
        table[f"continuous.{name}"] = 70 + 5 * i + 3 * share[:, 0]
        table[f"rounded.{name}"] = table[f"continuous.{name}"] - 0.25
        table[f"continuous.std.{name}"] = np.full(steps, 0.5)
    for i, label in enumerate(space.labels):
        table[f"code.{label}"], table[f"rounded.{label}"] = codes[:, i], rounded[:, i]
    return table


def texts(fig):
    return [t.get_text() for t in fig.texts]


def curves(fig):
    return [a for a in fig.findobj(Line2D) if len(a.get_xdata()) > 1]


@pytest.mark.parametrize("metrics", [METRICS[:1], METRICS[:2], METRICS])
def test_one_search_shows_every_metric_cost_and_dimension(metrics):
    table = walk()
    fig = propagation.search_figure(propagation.DrawnWalk("", table, metrics, 20), SPACE, "A title", "below it")
    drawn = {tuple(np.round(np.asarray(c.get_ydata(), float), 9)) for c in curves(fig)}
    wanted = [table[f"code.{label}"] for label in SPACE.labels] + [table["macs"] / 1e9, table["params"] / 1e6]
    wanted += [table[f"continuous.{m}"] - (table[f"continuous.{m}"][0] if len(metrics) > 2 else 0) for m in metrics]
    assert {tuple(np.round(w, 9)) for w in wanted} <= drawn
    assert len(curves(fig)) == len(wanted)
    shown = texts(fig)
    assert {"A title", "below it", "iteration", *SPACE.groups} <= set(shown)
    for label in SPACE.labels:  # the value returned stands beside its dimension
        assert f"{label} {table[f'rounded.{label}'][20]}" in shown
    assert any("polish" in text for text in shown)
    assert any(text.endswith(f"{table['rounded.seg.mIoU'][20]:.1f}") for text in shown) == (len(metrics) > 1)


def test_a_figure_is_small_and_names_do_not_leave_it(tmp_path):
    fig = propagation.search_figure(propagation.DrawnWalk("", walk(), METRICS, 20), SPACE, "A title")
    path = style.save(fig, tmp_path / "new" / "figure.png")
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert path.stat().st_size < 200_000
    for text in fig.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0, text.get_text()
        assert box.x1 <= fig.bbox.x1, text.get_text()


def test_lines_stay_inside_their_panels():
    fig = propagation.search_figure(propagation.DrawnWalk("", walk(seed=4), METRICS[:2], 20), SPACE, "A title")
    for line in curves(fig):
        box = line.get_window_extent()
        assert fig.bbox.x0 < box.x0 < box.x1 < fig.bbox.x1
        assert fig.bbox.y0 < box.y0 <= box.y1 < fig.bbox.y1


def test_several_searches_stand_side_by_side():
    searches = [
        propagation.DrawnWalk(name, walk(seed=i), [METRICS[1]], 20) for i, name in enumerate(("one", "two", "three"))
    ]
    fig = propagation.transfer_figure(searches, SPACE, "Transfer")
    assert {"one", "two", "three"} <= set(texts(fig))
    assert len(curves(fig)) == 3 * (27 + 2)
    assert texts(fig).count("Blocks") == 3


def test_a_search_in_another_space_has_its_own_groups():
    space = spaces.get("nasbench201")
    table = walk(space=space)
    fig = propagation.search_figure(propagation.DrawnWalk("", table, METRICS[:1], 20), space, "NAS-Bench-201")
    assert len(curves(fig)) == space.dim + 3
    assert set(space.groups) <= set(texts(fig))


def test_the_front_holds_what_no_other_point_beats():
    rng = np.random.default_rng(0)
    cost, gain = rng.random(200), rng.random(200)
    beaten = [any(cost[j] <= cost[i] and gain[j] > gain[i] for j in range(200)) for i in range(200)]
    assert sorted(pareto.front(cost.tolist(), gain.tolist())) == [i for i in range(200) if not beaten[i]]


def test_the_pareto_picture_has_a_panel_for_each_metric_and_labels_all_searches():
    points = [
        {
            "label": f"lam={i}",
            "macs": (i + 1) * 1e9,
            "metrics": {"seg.mIoU": 70 + i} | ({"cls.top1": 80.0} if i else {}),
        }
        for i in range(3)
    ]
    fig = pareto.pareto_figure(points, "Three searches")
    assert [len(ax.texts) for ax in fig.axes] == [3, 2, 2]
    titles = ["Predicted seg mIoU (%)", "Predicted cls top1 (%)", "Predicted cls top1 (%)"]  # the last over seg's mIoU
    assert [ax.get_title(loc="left") for ax in fig.axes] == titles
