"""The benchmark's own claims, against counts by hand and made tables."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from made_lab import SPACE, MadeLab, codes

from ncp.paper.claims import tables
from ncp.paper.claims.claim import HOLDS, NOT, PART, UNKNOWN
from ncp.spaces import cost


def with_table(**columns):
    lab = MadeLab()
    table = SimpleNamespace(codes=codes(6, o1=[8, 16, 24, 32, 40, 48]), columns=columns)
    lab.judges.table = lambda name: table
    return lab


def test_the_space_is_counted():
    """14 numbers of 4 values (b1..b4 and ten n), 13 of 16 (i1, i2, ten c, o1)."""
    found = tables.space_size(MadeLab())
    assert found.figures["exponent"] == pytest.approx(14 * math.log10(4) + 13 * math.log10(16))
    assert found.verdict == PART  # 10^24, not 10^23


@pytest.mark.parametrize(("off", "verdict"), [(0.0, NOT), (0.5, HOLDS)])
def test_recorded_flops_are_looked_up_as_the_classifiers(off, verdict):
    lab = with_table()
    table = lab.judges.table("seg")
    table.columns["flops"] = np.asarray(cost.release_units(table.codes)[0]) + off
    found = tables.flops(lab)
    assert (found.verdict, found.figures["same"]) == (verdict, 1.0 if off == 0 else 0.0)
    assert tables.flops(with_table()).verdict == UNKNOWN  # a table that records none


def test_figures_near_the_median_accuracies_are_no_error_rates():
    lab = MadeLab()
    lab.rows = lambda name: np.array({"cls-50-1000": [83.0], "cls-50-100": [50.0], "cls-10-1000": [86.0]}[name])
    assert tables.table5(lab).verdict == NOT
    lab.rows = lambda name: np.array([17.0])  # were the accuracies low, the same figures could be errors
    assert tables.table5(lab).verdict == HOLDS


def test_table_9_is_counted_at_both_sizes():
    """Areas are as 49 to 64, and so nearly are the multiply-adds of a network of convolutions."""
    figures = tables.table9(MadeLab()).figures
    assert figures["large"] == pytest.approx(0.69, abs=0.005)  # as printed
    assert figures["small"] / figures["large"] == pytest.approx(49 / 64, abs=0.01)


@pytest.mark.parametrize(("value", "verdict"), [(76.5, PART), (50.0, NOT)])
def test_public_networks_are_near_within_two_doubts(value, verdict):
    """Printed are 77.15, 28.47 and 75.44 points; one judge says the same of all."""
    judge = {name: (lambda of: np.full(len(of), value)) for name in ("seg", "video", "3ddet")}
    found = tables.public_networks(MadeLab(judge=judge))
    assert found.verdict == verdict
    assert set(found.figures.values()) == {value}
    assert "Seg 0.90 G, 7.91 M, 77.15 printed" in found.text


def test_without_tables_nothing_is_claimed():
    for claim in (tables.figure4, tables.table6, tables.proxies, tables.metrics, tables.flops, tables.epochs):
        assert claim(MadeLab()).verdict == UNKNOWN
    assert "build.architectures=release" in tables.epochs(MadeLab()).text
    assert len(SPACE.labels) == 27
