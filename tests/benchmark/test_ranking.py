"""Ranks and rank correlations against counting by hand, pair by pair."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from ncp.benchmark import ranking


def ranks_by_hand(values):
    return [(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values]


def tau_by_hand(a, b):
    pairs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)]
    agreement = sum(x * y for x, y in pairs)
    return agreement / np.sqrt(float(sum(x != 0 for x, _ in pairs)) * sum(y != 0 for _, y in pairs))


@pytest.mark.parametrize("levels", [0, 3])
@pytest.mark.parametrize("n", [5, 60])
def test_by_hand(n, levels):
    rng = np.random.default_rng(n + levels)
    a = rng.normal(size=n)
    b = a + rng.normal(size=n)
    if levels:  # many ties
        a, b = np.round(a * levels), np.round(b * levels)
    assert ranking.ranks(a).tolist() == ranks_by_hand(a)
    wanted = np.corrcoef(ranks_by_hand(a), ranks_by_hand(b))[0, 1]
    assert ranking.spearman(a, b) == pytest.approx(wanted, abs=1e-12)
    assert ranking.spearman_matrix(np.stack([a, b, -a], axis=1))[2] == pytest.approx([-1, -wanted, 1], abs=1e-12)
    assert ranking.kendall(a, b) == pytest.approx(tau_by_hand(a, b), abs=1e-12)


def test_a_constant_has_no_correlation():
    rising, same = np.arange(5.0), np.ones(5)
    assert np.isnan(ranking.spearman(rising, same))
    assert np.isnan(ranking.kendall(same, rising))


def test_look_ups_and_searches_do_not_import_scipy_stats():
    code = (
        "import sys, ncp.search, ncp.benchmark as b; b.load, b.Table, b.from_rows; print('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
