"""The table as truth of the cells: its rows are found by code, and starts are poor and dear."""

from types import SimpleNamespace

import numpy as np
import pytest

from ncp import spaces
from ncp.paper.nasbench201 import STARTS, Truth

SPACE = spaces.get("nasbench201")


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(0)
    codes = np.unique(SPACE.encode(SPACE.sample(400, rng)).astype(int), axis=0)
    accuracy = rng.uniform(10, 47, len(codes))
    return Truth(SimpleNamespace(codes=codes, columns={"Acc": accuracy}))


def test_a_cell_is_its_row(truth):
    order = np.random.default_rng(1).permutation(len(truth.codes))[:20]
    for row in order:
        accuracy, macs = truth.of(truth.codes[row])
        assert accuracy == truth.accuracy[row]
        assert macs == pytest.approx(float(SPACE.cost(truth.codes[row][None]).macs[0]) / 1e6)
    with pytest.raises(KeyError):
        truth.of(np.zeros(30))


def test_starts_are_among_the_worst_and_the_dearer_half(truth):
    starts = truth.starts(5)
    assert len(set(starts.tolist())) == STARTS
    assert (truth.accuracy[starts] <= np.sort(truth.accuracy)[int(0.26 * len(truth.accuracy))]).all()
    assert all((truth.macs < truth.macs[start]).mean() >= 0.45 for start in starts)
    assert truth.starts(5).tolist() == starts.tolist() != truth.starts(6).tolist()


def test_steps_are_the_argmax_of_the_walk_up_to_its_best(truth):
    rows = [3, 7, 1, 9]
    walk = SimpleNamespace(codes=np.repeat(truth.codes[rows], 10, axis=0))
    found = truth.steps(SimpleNamespace(trajectory=SimpleNamespace(walk=walk, best=(0, 25))))
    np.testing.assert_allclose(found[:, 0], truth.accuracy[[3, 7, 1]])
