"""The pictures: what is drawn is read as a person reads it, by the numbers at the grid lines; and a few rules of looks."""

import numpy as np
import pytest
from PIL import Image

from ncp import spaces
from ncp.report import pareto, propagation
from ncp.report.canvas import POINT

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
    return [words.text for words in fig.words]


def curves(fig):
    return [form.places for form in fig.forms if form.kind == "line" and form.layer == 2]


def read(fig, places, height=propagation._PANEL):
    """The values of a curve by the numbers beside its panel."""
    left = places[0, 0]
    tops = [w.y - 6 * POINT for w in fig.words if w.size == 9.5 and w.va == "bottom" and abs(w.x - left) < 1e-6]
    top = min(t for t in tops if t >= places[:, 1].max() - 1e-6)
    ticks = [
        w
        for w in fig.words
        if w.ha == "right" and abs(w.x + 4 * POINT - left) < 1e-6 and top - height - 1e-6 < w.y <= top + 1e-6
    ]
    slope, start = np.polyfit([w.y for w in ticks], [float(w.text) for w in ticks], 1)
    return places[:, 1] * slope + start


@pytest.mark.parametrize("metrics", [METRICS[:1], METRICS[:2], METRICS])
def test_one_search_shows_every_metric_cost_and_dimension(metrics):
    table = walk()
    fig = propagation.search_figure(propagation.DrawnWalk("", table, metrics, 20), SPACE, "A title", "below it")
    drawn = [read(fig, places) for places in curves(fig)]
    drawn = {tuple(np.round(y[:: 2 if len(y) > 21 else 1], 6)) for y in drawn}  # a staircase has two places a step
    wanted = [table[f"code.{label}"] for label in SPACE.labels] + [table["macs"] / 1e9, table["params"] / 1e6]
    wanted += [table[f"continuous.{m}"] - (table[f"continuous.{m}"][0] if len(metrics) > 2 else 0) for m in metrics]
    assert {tuple(np.round(w, 6)) for w in wanted} <= drawn
    assert len(curves(fig)) == len(wanted)
    shown = texts(fig)
    assert {"A title", "below it", "iteration", *SPACE.groups} <= set(shown)
    for label in SPACE.labels:  # the value returned stands beside its dimension
        assert f"{label} {table[f'rounded.{label}'][20]}" in shown
    assert any("polish" in text for text in shown)
    assert any(text.endswith(f"{table['rounded.seg.mIoU'][20]:.1f}") for text in shown) == (len(metrics) > 1)


def test_a_figure_is_small_and_names_do_not_leave_it(tmp_path):
    fig = propagation.search_figure(propagation.DrawnWalk("", walk(), METRICS, 20), SPACE, "A title")
    path = fig.save(tmp_path / "new" / "figure.png")
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert image.size == (1200, round(100 * fig.height))
    for words in fig.words:
        left, right = words.extent()
        assert left >= 0, words.text
        assert right <= fig.width, words.text


def test_what_is_on_the_sheet_is_in_the_picture():
    fig = propagation.search_figure(propagation.DrawnWalk("", walk(), METRICS[:1], 20), SPACE, "A title")
    pixels = np.asarray(fig.image())
    for x, y in curves(fig)[0][1:-1] * 100:  # the first metric, in blue
        row, column = int(100 * fig.height - y), int(x)
        around = pixels[row - 1 : row + 2, column - 1 : column + 2] - np.array([0x00, 0x72, 0xB2])
        assert np.abs(around).max(-1).min() < 20
    title = pixels[10:32, 10:100]
    assert (title < 80).any()
    assert (pixels[:9] == 255).all()  # above the title there is nothing


def test_lines_stay_inside_their_panels():
    fig = propagation.search_figure(propagation.DrawnWalk("", walk(seed=4), METRICS[:2], 20), SPACE, "A title")
    for places in curves(fig):
        assert (places > 0).all()
        assert (places < [fig.width, fig.height]).all()


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


@pytest.mark.parametrize("name", ["transnas-micro", "transnas-macro", "nasbench201"])
def test_options_stand_at_their_lines_and_run_into_nothing(name):
    space = spaces.get(name)
    searches = [propagation.DrawnWalk("one", walk(space=space), METRICS, 20)] * 2
    options = [label.split()[1] for label in space.labels]  # the panel's title names the position
    for fig in (
        propagation.search_figure(searches[0], space, "A title"),
        propagation.transfer_figure(searches, space, "Two"),
    ):
        ends = [words for words in fig.words if words.text in options]
        columns = len({round(words.x, 6) for words in ends})
        assert len(ends) == space.dim * (1 if columns == propagation.COLUMNS else 2)
        beside = [(*words.extent(), words.y) for words in fig.words]
        for words in ends:
            left, right = words.extent()
            assert right < fig.width, words.text
            assert not [at for at, _, y in beside if left < at < right and abs(y - words.y) < 0.05], words.text


def test_long_names_of_objectives_stay_beside_their_panel():
    table = walk()
    names = [f"transnas-micro/{name}.valid_top1" for name in ("class_scene", "class_object", "room_layout")]
    for new, old in zip(names, METRICS, strict=True):
        table |= {f"{kind}.{new}": table[f"{kind}.{old}"] for kind in ("continuous", "rounded", "continuous.std")}
    fig = propagation.search_figure(propagation.DrawnWalk("", table, names, 20), SPACE, "A title")
    (cost,) = (words.x for words in fig.words if words.text.startswith("Multiply-adds"))
    ends = [words for words in fig.words if words.text.startswith("transnas-micro/")]
    assert len(ends) == 3
    assert all(words.extent()[1] < cost - propagation._BETWEEN for words in ends)


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
