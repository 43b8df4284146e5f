"""What a latency model says of itself."""

import numpy as np
import pytest
import torch

from ncp import models
from ncp.errors import UserError
from ncp.latency.card import TRUSTED, MachineCard
from ncp.spaces import cost
from ncp.spaces.multires import SPACE
from ncp.tasks.base import counted_macs


@pytest.mark.parametrize("task", ["cls", "seg", "det3d"])
def test_networks_are_counted_as_they_are_built(task):
    """The space's cost of a task's arguments is what torch counts in the network that is built for it."""
    arguments = MachineCard("multires", task=task, size=[32, 64]).setting()
    architecture = SPACE.sample(1, np.random.default_rng(0))[0]
    with torch.device("meta"):
        network = models.build(architecture, task)
    shape = (1, arguments["in_channels"], 32, 64)
    assert int(cost.count(architecture, **arguments).macs) == counted_macs(network, shape)


def test_arguments_of_the_work_it_was_fitted_on():
    given = MachineCard("multires", task="seg", size=[64, 96], classes=7).setting()
    assert (given["head"], given["classes"], given["size"]) == ("segmentation", 7, (64, 96))
    assert MachineCard("multires", task="cls").setting()["size"] == (128, 128)
    assert MachineCard("nasbench201", task="cls").setting() == {}
    with pytest.raises(UserError, match="unknown task 'depth'; tasks: cls, seg, det3d, video"):
        MachineCard("multires", task="depth").setting()


def test_only_measured_errors_make_a_limit():
    assert not MachineCard("multires", task="seg").trusted
    assert MachineCard("multires", task="seg", median_error=TRUSTED).trusted
    assert not MachineCard("multires", task="seg", median_error=TRUSTED * 1.01).trusted
    assert MachineCard("multires", task="seg", threads=1, device="cpu").described().endswith("1 thread")
