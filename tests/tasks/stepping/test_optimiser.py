"""Optimisers on the device: the same steps with numbers that live there, and states that any device may go on with."""

import pytest
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from ncp.tasks.optimizers import Relative
from ncp.tasks.recipe import _fused
from ncp.tasks.stepping.optimiser import plain_groups, set_rate, switch, switches_of, take_in, unfit


def walked(make, taken_in, rates=(0.1, 0.05, 0.0, 0.2)):
    random = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(shape, generator=random)) for shape in [(4, 3), (5,)]]
    optimizer = make(weights)
    if taken_in:
        take_in(optimizer)
    for rate in rates:
        for group in optimizer.param_groups:
            set_rate(group, rate)
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=random)
        optimizer.step()
    return weights, optimizer


MAKERS = {
    "relative": lambda w: Relative(w, lr=0.1, weight_decay=0.1),
    "sgd": lambda w: torch.optim.SGD(w, 0.1, momentum=0.9, fused=True),
    "adamw": lambda w: torch.optim.AdamW(w, 0.1, fused=True),
}


@pytest.mark.parametrize("name", MAKERS)
def test_numbers_on_the_device_are_the_same_numbers(name):
    (mine, optimizer), (wanted, _) = (walked(MAKERS[name], taken_in) for taken_in in (True, False))
    for a, b in zip(mine, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)
    kept = plain_groups(optimizer.state_dict()["param_groups"])[0]
    assert kept["lr"] == pytest.approx(0.2)
    assert not any(isinstance(value, torch.Tensor) for value in kept.values())
    assert kept.get("steps", 4) == 4
    assert not kept.get("capturable")


def test_which_optimisers_can_be_recorded():
    weight = [torch.nn.Parameter(torch.zeros(2, 2))]
    assert unfit(MAKERS["relative"](weight), scheduled=False) is None
    assert unfit(MAKERS["sgd"](weight), scheduled=False) is None
    assert unfit(MAKERS["adamw"](weight), scheduled=False) is None
    assert "momentum" in unfit(MAKERS["sgd"](weight), scheduled=True)
    assert "unless it is fused" in unfit(torch.optim.SGD(weight, 0.1), scheduled=False)
    assert "host" in unfit(torch.optim.LBFGS(weight), scheduled=False)


def test_a_checkpoint_does_not_decide_how_this_device_computes():
    (weights, theirs) = walked(MAKERS["adamw"], taken_in=True)
    ours = MAKERS["adamw"](weights)
    own = switches_of(ours)
    ours.load_state_dict(theirs.state_dict())
    assert ours.param_groups[0]["capturable"]
    switch(ours, own)
    assert not ours.param_groups[0]["capturable"]


class OnGpu:
    device = torch.device("cuda", 0)


def test_optimisers_are_fused_on_a_gpu_where_they_can_be():
    assert _fused(torch.optim.SGD, [OnGpu()], {}) == {"fused": True}
    assert _fused(torch.optim.AdamW, [{"params": [OnGpu()]}], {"lr": 0.1}) == {"fused": True}
    assert _fused(torch.optim.SGD, [OnGpu()], {"foreach": True}) == {}
    assert _fused(Relative, [OnGpu()], {}) == {}
    assert _fused(torch.optim.SGD, [torch.zeros(1)], {}) == {}


def test_no_optimiser_is_fused_whose_gradients_are_clipped():
    """Of those that are, Lightning refuses to clip any in mixed precision, which is what a GPU trains in."""
    given = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))], 0.1, fused=True)
    with pytest.raises(RuntimeError, match="does not allow for gradient clipping"):
        MixedPrecision("bf16-mixed", "cpu").clip_gradients(given, 35.0)
    assert _fused(torch.optim.AdamW, [OnGpu()], {}, clip=35.0) == {}
    assert _fused(torch.optim.AdamW, [OnGpu()], {}, clip=None) == {"fused": True}
