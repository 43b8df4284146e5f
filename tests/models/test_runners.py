"""Times side by side: taken in turns, medians, and no time of a warm-up."""

import numpy as np
import torch

from ncp.models.runners import plain, side_by_side


class Clock:
    """Time that passes when something is said to take it."""

    def __init__(self):
        self.at, self.order = 0.0, []

    def run(self, name, took):
        left = iter(took)

        def work():
            self.order.append(name)
            self.at += next(left)

        return work


def test_medians_of_turns():
    clock = Clock()
    slow = clock.run("slow", [50, 50, 3, 3, 9, 3, 3])  # two to warm up, five that count
    fast = clock.run("fast", [9, 9, 1, 1, 1, 1, 7])
    found = side_by_side({"slow": slow, "fast": fast}, seconds=1, least=5, now=lambda: clock.at)
    assert found == {"slow": 3.0, "fast": 1.0}
    assert clock.order[4:] == ["slow", "fast"] * 5


def test_plain_torch_is_the_network_untouched():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    found = plain(net)(x)
    assert net.training
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    wanted = net.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
