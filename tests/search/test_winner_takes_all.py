"""Winner-takes-all: the hand cases of equations 4 to 6, and the recorded segmentation predictor."""

import numpy as np
import pytest
import torch
from recorded_runs import load_run, predictor
from toy_predictors import Toy

from ncp import spaces
from ncp.errors import UserError
from ncp.search import search
from ncp.search.winner_takes_all import winner

SPACE = spaces.get("multires")
FREE = np.ones(3, dtype=bool)
NONE = np.zeros(3, dtype=bool)


@pytest.mark.parametrize(
    ("gradient", "cost", "shrink", "grow", "expected"),
    [
        ((-2, 1, -0.5), (1, 4, 0.1), FREE, FREE, (1, -1)),  # the one that hurts shrinks, before any grows
        ((-2, -1, -0.5), (1, 4, 0.1), FREE, FREE, (2, 1)),  # most gain for its cost: -2, -.25, -5
        ((1, 1, 1), (1, 1, 1), FREE, FREE, (0, -1)),  # ties to the lowest index
        ((-1, -1, -1), (2, 1, 1), FREE, FREE, (1, 1)),
        ((3, 1, -1), (1, 1, 1), np.array([False, True, True]), FREE, (1, -1)),  # at its lower bound: out
        ((3, 1, -1), (1, 1, 1), NONE, FREE, (2, 1)),
        ((1, 1, 1), (1, 1, 1), NONE, FREE, None),  # nothing that may move
        ((-1, -1, -1), (1, 1, 1), FREE, NONE, None),
        ((0, 0, 0), (1, 1, 1), FREE, FREE, None),
        ((-1, -1, 1), (0, 1, 0), FREE, FREE, (1, 1)),  # without cost there is no efficiency
    ],
)
def test_hand_cases(gradient, cost, shrink, grow, expected):
    assert winner(np.array(gradient, dtype=float), np.array(cost, dtype=float), shrink, grow) == expected


def test_recorded_predictor():
    """About 77.4 mIoU against the 77.8 of continuous propagation; with the sign reversed it would end near 44."""
    seg = predictor(load_run(), "seg")
    walk = search(["seg"], strategy="winner_takes_all", predictor={"seg": seg}, lam=0.3).trajectory
    smooth = search(["seg"], strategy="paper", predictor={"seg": seg}, lam=0.3).trajectory
    mIoU, reference = walk.predicted_rounded["seg.mIoU"], smooth.predicted_rounded["seg.mIoU"]
    assert mIoU[0] == pytest.approx(75.653, abs=1e-3)
    assert mIoU[-1] == pytest.approx(77.4, abs=0.1)
    assert reference[-1] == pytest.approx(77.8, abs=0.1)
    assert SPACE.cost(walk.last_code[None]).macs[0] < SPACE.cost(smooth.last_code[None]).macs[0]


def test_every_step_is_one_step_of_one_dimension():
    seg = predictor(load_run(), "seg")
    found = search(["seg"], strategy="winner_takes_all", predictor={"seg": seg}, fixed=["o1"], bounds={"b3": [2, 3]})
    steps = np.diff(found.trajectory.walk.codes, axis=0)
    assert len(steps) > 10
    assert (np.count_nonzero(steps, axis=1) == 1).all()
    assert (np.abs(steps).sum(1) == SPACE.step[np.abs(steps).argmax(1)]).all()
    assert set(found.trajectory.walk.codes[:, -1]) == {64}
    assert set(found.trajectory.walk.codes[:, SPACE.labels.index("b3")]) <= {2, 3}


def test_stops_where_it_has_been():
    """One metric that falls with b1 above 2.5 and rises below it: 2, 3, 2 is a circle."""
    toy = Toy("seg", lambda x: 70 - 100 * (x[:, 2] - 2.5) ** 2)
    found = search(["seg"], strategy="winner_takes_all", predictor={"seg": toy}, lam=0)
    assert found.reason == "back at an architecture seen before"
    assert found.trajectory.walk.codes[:, 2].tolist() == [2, 3]


def test_refuses_a_one_hot_space():
    toy = Toy("nas-bench-201", lambda x: 40 + x @ torch.arange(30.0).double(), ("Acc",), space="nasbench201")
    with pytest.raises(UserError, match="one dimension at a time"):
        search(["nas-bench-201"], strategy="winner_takes_all", predictor={"nas-bench-201": toy})
