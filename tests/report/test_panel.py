"""Ticks and the places of names, by their rules."""

from itertools import pairwise

import numpy as np
import pytest

from ncp.report.panel import nice_ticks, spread


@pytest.mark.parametrize(("low", "high"), [(0, 2.2), (73.1, 78.4), (-0.03, 0.11), (0, 1e4), (5, 5.0001)])
def test_ticks_are_few_round_and_inside(low, high):
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert low <= ticks[0]
    assert ticks[-1] <= high
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_names_keep_their_order_their_distance_and_the_top():
    rng = np.random.default_rng(0)
    for _ in range(100):
        wanted = sorted(rng.random(4).tolist())
        out = spread(wanted, 0.1, 1.0)
        assert all(b - a >= 0.1 - 1e-12 for a, b in pairwise(out))
        assert out[-1] <= 1
        if min(np.diff(wanted)) >= 0.1:
            np.testing.assert_allclose(out, wanted)
