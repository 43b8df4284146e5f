"""The Pareto front over lambda: against all architectures of a small region."""

import itertools

import numpy as np
import pytest
from recorded_runs import load_run, predictor
from toy_predictors import Toy, capacity

from ncp import spaces
from ncp.errors import UserError
from ncp.search import pareto, search

SPACE = spaces.get("multires")
NAMES = list(SPACE.labels)
FREE = ["b4", "n3_3", "c4_3"]
RISING = Toy("seg", capacity(np.linspace(0.5, 2, 27) * SPACE.lower))


def test_each_lambda_has_its_best():
    """Every architecture of the front is the exhaustive optimum of its lambda."""
    front = pareto(["seg"], predictor={"seg": RISING}, fixed=[n for n in NAMES if n not in FREE], lams=[0.1, 0.5, 2, 8])
    grids = [np.arange(SPACE.lower[i], SPACE.upper[i] + 1, SPACE.step[i]) for i in map(NAMES.index, FREE)]
    codes = np.repeat(np.array([SPACE.default().code]), np.prod([len(g) for g in grids]), 0)
    codes[:, [NAMES.index(n) for n in FREE]] = np.array(list(itertools.product(*grids)))
    z = (RISING.predict(codes)["mIoU"] - 70) / 5
    cost = SPACE.cost(codes).macs
    scale = search(["seg"], predictor={"seg": RISING}, iterations=1).trajectory.objectives.cost_scale
    assert len(front) >= 3
    for lam, value, macs in zip(front.lam, front.value, front.macs, strict=True):
        assert value - lam * macs / scale == pytest.approx((z - lam * cost / scale).max(), abs=1e-9)


def test_front_is_one():
    seg = predictor(load_run(), "seg")
    front = pareto(["seg"], predictor={"seg": seg}, lams=[0.1, 0.3, 1, 3], starts=3, iterations=40)
    assert (np.diff(front.macs) > 0).all()
    assert (np.diff(front.value) > 0).all()
    assert (np.diff(front.lam) < 0).all()
    assert {len(column) for column in front.to_table().values()} == {len(front)}
    np.testing.assert_allclose(front.predicted["seg.mIoU"], seg.predict(front.architectures)["mIoU"])


@pytest.mark.parametrize("lams", [[], [-1.0], [float("nan")]])
def test_refusals(lams):
    with pytest.raises(UserError, match="not negative"):
        pareto(["seg"], predictor={"seg": RISING}, lams=lams)
