"""Equation 3: values against torch's smooth L1, slopes against finite differences."""

import numpy as np
import pytest
import torch

from ncp.errors import UserError
from ncp.search.loss import Loss, Outputs

RNG = np.random.default_rng(0)
AT = Outputs(RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3)))
WEIGHTS = np.array([1.0, 0.5, 2.0])


def distance(kind):
    return torch.nn.functional.l1_loss if kind == "l1" else torch.nn.functional.smooth_l1_loss


@pytest.mark.parametrize("kind", ["smooth_l1", "l1"])
def test_values_are_torchs(kind):
    loss = Loss(kind, "fixed", step=0.7, lam=0.4)
    goals = loss.goals(None, AT)
    np.testing.assert_allclose(goals.z, AT.z + 0.7)
    np.testing.assert_allclose(goals.cost, AT.cost - 0.7)
    here = Outputs(AT.z + RNG.normal(size=(5, 3)), AT.cost + RNG.normal(size=(5, 3)))
    far = [distance(kind)(torch.tensor(a), torch.tensor(b), reduction="none").numpy()
           for a, b in ((here.z, goals.z), (here.cost, goals.cost))]  # fmt: skip
    np.testing.assert_allclose(loss.value(here, goals, WEIGHTS), (far[0] + 0.4 * far[1]) @ WEIGHTS)


@pytest.mark.parametrize("kind", ["smooth_l1", "l1"])
@pytest.mark.parametrize("targets", ["relative", "fixed"])
def test_slopes_are_finite_differences_of_the_value(kind, targets):
    loss = Loss(kind, targets, step=0.7 if targets == "fixed" else 1.0, lam=0.4)
    goals = loss.goals(None, AT)
    here = Outputs(AT.z + 0.3, AT.cost - 0.2)
    by_z, by_cost = loss.slopes(here, goals, WEIGHTS)
    tiny = 1e-6
    for k in range(3):
        step = np.eye(3)[k] * tiny
        up = loss.value(Outputs(here.z + step, here.cost), goals, WEIGHTS)
        down = loss.value(Outputs(here.z - step, here.cost), goals, WEIGHTS)
        np.testing.assert_allclose(by_z[:, k], (up - down) / (2 * tiny), atol=1e-6)
        up = loss.value(Outputs(here.z, here.cost + step), goals, WEIGHTS)
        down = loss.value(Outputs(here.z, here.cost - step), goals, WEIGHTS)
        np.testing.assert_allclose(by_cost[:, k], (up - down) / (2 * tiny), atol=1e-6)


def test_targets_that_are_met_end_a_walk():
    loss = Loss("smooth_l1", "fixed", step=1.0)
    goals = loss.goals(None, AT)
    assert not loss.reached(AT, goals).any()
    assert loss.reached(Outputs(AT.z + 1, AT.cost - 1), goals).all()
    assert not Loss().reached(AT, None).any()  # set anew every iteration: never met


def test_options_are_taken_out_and_wrong_ones_told():
    options = {"loss": "l1", "targets": {"seg": 75}, "step": 2, "more": 1}
    loss = Loss.pop(0.1, options)
    assert (loss.kind, loss.targets, loss.values, loss.step, loss.lam) == ("l1", "absolute", {"seg": 75}, 2, 0.1)
    assert options == {"more": 1}
    for wrong, line in (
        ({"kind": "l2"}, "the loss is smooth_l1 or l1"),
        ({"targets": "none"}, "targets is one of"),
        ({"step": 0}, "the step of the targets"),
        ({"lam": -1}, "lam must not be negative"),
    ):
        with pytest.raises(UserError, match=line):
            Loss(**wrong)
