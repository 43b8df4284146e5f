"""The layers of a network as expressions, against the convolutions of the network itself."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from ncp import models
from ncp.errors import UserError
from ncp.spaces import layers
from ncp.spaces.multires import SPACE


@pytest.mark.parametrize("seed", [0, 1])
def test_they_are_the_convolutions_of_the_network(seed):
    architecture = SPACE.sample(1, np.random.default_rng(seed))[0]
    with torch.device("meta"):
        network = models.build(architecture, "seg", classes=7)
    theirs = Counter(
        (m.kernel_size[0], m.in_channels, m.out_channels) for m in network.modules() if isinstance(m, nn.Conv2d)
    )
    ours = Counter()
    for layer in layers.layers(layers.columns_of(architecture), (64, 96), "segmentation", 7, 3, (2, 2)):
        ours[layer.kernel, int(layer.inputs), int(layer.outputs)] += int(layer.times)
    assert +ours == theirs


def test_sizes_are_those_of_strided_convolutions():
    sizes = layers.branch_sizes((65, 100))
    x = torch.zeros(1, 1, 65, 100)
    for size in sizes:
        x = nn.functional.conv2d(x, torch.zeros(1, 1, 3, 3), stride=2, padding=1)
        assert tuple(x.shape[-2:]) == size
    assert layers.branch_sizes((64, 64), (2, 1))[:2] == [(32, 32), (32, 32)]


def test_what_no_network_has_is_refused():
    with pytest.raises(UserError, match="unknown head 'depth'; heads: segmentation, classification"):
        layers.check_input((8, 8), "depth", 1, 3)
    for wrong in (((0, 8), 1, 3), ((8, 8), -1, 3), ((8, 8), 1, 0)):
        with pytest.raises(UserError, match="must be positive"):
            layers.check_input(wrong[0], "segmentation", *wrong[1:])
    with pytest.raises(UserError, match="27 numbers"):
        layers.columns_of([[1, 2, 3]])
