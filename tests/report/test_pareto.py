"""The picture of many searches: its front is the one of brute force, its panels those that there are figures for."""

import numpy as np
import pytest

from ncp.report.pareto import pareto_figure


def points(n=12, seed=0, metrics=("seg.mIoU",), **more):
    rng = np.random.default_rng(seed)
    return [
        {
            "label": f"p{i}",
            "macs": float(rng.integers(1, 90)) * 1e9,
            "metrics": {m: float(rng.normal()) for m in metrics},
        }
        | more
        for i in range(n)
    ]


def unbeaten(pairs):
    """Points for which no other one is as cheap and as good, and better in one of the two."""
    return {(x, y) for x, y in pairs if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in pairs)}


def line(ax):
    (front,) = ax.lines
    return set(zip(front.get_xdata(), front.get_ydata(), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_that_of_brute_force(seed):
    given = points(seed=seed)
    (ax,) = pareto_figure(given, "t").axes
    assert line(ax) == unbeaten([(p["macs"] / 1e9, p["metrics"]["seg.mIoU"]) for p in given])


def test_a_threshold_keeps_its_dot():
    (ax,) = pareto_figure(points(metrics=["3ddet.moderate (IoU 0.7)"]), "t").axes
    assert "3ddet moderate (IoU 0.7)" in ax.get_title(loc="left")


def test_percent_only_of_what_is_percent():
    names = ("transnas-micro/normal.valid_ssim", "seg.mIoU")
    titles = [(ax.get_title(loc="left"), ax.get_xlabel()) for ax in pareto_figure(points(metrics=names), "t").axes]
    billions = "multiply-adds, billions"
    assert titles == [
        ("Predicted transnas-micro/normal valid_ssim", billions),
        ("Predicted seg mIoU (%)", billions),
        ("Predicted seg mIoU (%)", "predicted transnas-micro/normal valid_ssim"),
    ]


def test_less_is_better_where_it_is_said_and_broken_limits_are_on_no_front():
    given = points(metrics=("seg.flops",), lower=["seg.flops"])
    (ax,) = pareto_figure(given, "t").axes
    best = unbeaten([(p["macs"] / 1e9, -p["metrics"]["seg.flops"]) for p in given])
    assert line(ax) == {(x, -y) for x, y in best}
    cheapest = min(given, key=lambda p: p["macs"])
    cheapest["kept"] = False
    (ax,) = pareto_figure(given, "t").axes
    assert cheapest["macs"] / 1e9 not in {x for x, _ in line(ax)}


def test_two_metrics_are_set_against_each_other_and_missing_ones_left_out():
    given = points(metrics=("seg.mIoU", "cls.top1"))
    del given[0]["metrics"]["cls.top1"]
    first, second, both = pareto_figure(given, "t").axes
    assert [len(ax.collections[0].get_offsets()) for ax in (first, second, both)] == [12, 11, 11]
