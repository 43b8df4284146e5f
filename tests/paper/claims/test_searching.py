"""Verdicts on searches, where the ends of walks and what they are worth are written down."""

import numpy as np
import pytest
from made_lab import MadeLab, codes, width

from ncp.paper.claims import searching
from ncp.paper.claims.claim import HOLDS, NOT, PART
from ncp.paper.searches import TASKS


def walked(order):
    """Ends whose last width, and so whose cost, follows ``order`` along the dial; from two starts in the same way."""
    places = dict(zip(searching.DIAL, order, strict=True))
    return {(setting, lam): codes(2, o1=8 * places[lam]) for setting in TASKS.values() for lam in places}


@pytest.mark.parametrize(
    ("order", "rho", "verdict"),
    [
        ([8, 7, 6, 5, 4, 3, 2, 1], -1, HOLDS),
        ([8, 1, 6, 5, 4, 3, 2, 7], -1 / 7, PART),  # 1 - 6 * 96 / (8 * 63)
        ([1, 2, 3, 4, 5, 6, 7, 8], 1, NOT),
    ],
)
def test_the_dial_is_a_rank_correlation_of_each_start(order, rho, verdict):
    found = searching.dial(MadeLab(walked(order), seeds=2))
    assert found.verdict == verdict
    assert found.figures["seg"] == pytest.approx(rho)
    assert "± 0.00" in found.text


def test_a_cost_that_never_changes_has_no_order():
    found = searching.dial(MadeLab(walked([5] * 8), seeds=2))
    assert (found.verdict, found.figures["cls"]) == (NOT, 0)


def test_starts_are_held_against_the_predictors_error():
    """Ends that scatter by more than the predictor's error for two of four tasks."""
    scattered = codes(100, o1=np.tile([8, 128], 50))
    judge = {name: width("o1") for name in TASKS.values()}  # 12 points from one end to the other
    found = searching.starts(MadeLab({"seg": scattered, "video": scattered}, judge=judge, seeds=100))
    assert found.verdict == PART
    assert found.figures == pytest.approx({"cls": 0, "seg": 6, "video": 6, "3ddet": 0})
    assert "2 different networks" in found.text


def test_other_searches_keep_the_cost_of_each_start_and_are_beaten_by_its_gain(monkeypatch):
    """Start i costs what it costs; what the others find there is worth half a point less, or one and a half."""
    ends = codes(3, o1=[8, 64, 128])
    limits = MadeLab().macs(ends)
    asked = []

    def search(limit, seed, strategy, queries):
        asked.append((strategy, seed, limit))
        return codes(1, o1=ends[seed, -1], i1={"random": 8, "neural_predictor": 16, "greedy": 16}[strategy])[0]

    monkeypatch.setattr(searching, "_searched", search)
    judge = {"seg": lambda of: 60 + of[:, -1] / 10 - np.select([of[:, 0] == 8, of[:, 0] == 16], [1.5, 0.5])}
    found = searching.other_searches(MadeLab({("seg", searching.LAM): ends}, judge=judge, doubt=1.0, seeds=3))
    assert sorted(asked) == sorted(
        (s, i, limit) for s, _ in searching.OTHERS.values() for i, limit in enumerate(limits)
    )
    assert found.verdict == PART
    assert "ahead of 3 of 3, of 1 by more than the doubt" in found.text
    assert "NetAdapt 66.17 ± 4.90 (ahead by 0.50 ± 0.00)" in found.text


def test_noise_is_the_scatter_over_seeds_at_one_cost(monkeypatch):
    ends = codes(4, o1=[64, 64, 72, 72])
    monkeypatch.setattr(searching, "_searched", lambda limit, seed, *given: codes(1, o1=8 * (seed + 1))[0])
    found = searching.noise(MadeLab({("seg", searching.LAM): ends}, judge={"seg": width("o1")}))
    assert found.figures["starts"] == pytest.approx(0.4)
    assert found.figures["random search, 100"] == pytest.approx(np.std([0.8, 1.6, 2.4, 3.2]))
    assert "NetAdapt" not in found.figures
    assert found.verdict == HOLDS
