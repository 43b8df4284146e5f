"""What a network is made for unless told otherwise: the networks themselves say the same, and so does their cost."""

import pytest
import torch

from ncp.models import build
from ncp.models.setups import SETUPS
from ncp.spaces import cost, found

NARROW = found.Architecture.parse("8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8")


@pytest.mark.parametrize("task", SETUPS)
def test_a_network_and_its_cost_are_those_of_its_setup(task):
    setup, net = SETUPS[task], build(NARROW, task).eval()
    stem = next(module for module in net.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d))
    assert stem.in_channels == setup.in_channels
    counted = cost.count(
        [NARROW.code],
        (64, 64),
        setup.head,
        setup.classes,
        in_channels=setup.in_channels,
        stem_strides=setup.stem_strides,
    )
    held = sum(parameter.numel() for parameter in net.parameters())
    if task in ("cls", "seg"):  # a video network and a detector bring heads of their own
        assert held == int(counted.params[0])
    if task != "det3d":
        shape = (1, 6, 3, 64, 64) if task == "video" else (1, 3, 64, 64)
        with torch.no_grad():
            assert net(torch.zeros(shape)).shape[1] == setup.classes
