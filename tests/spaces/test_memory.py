"""Peak memory: against a replay of the operations that the networks run, and cases that can be worked out by hand."""

import numpy as np
import pytest
import torch
from replay import peak

from ncp import models
from ncp.errors import UserError
from ncp.models.runtime import fused
from ncp.spaces import cost
from ncp.spaces.multires import SPACE, Architecture

SMALL = Architecture(tuple(int(v) for v in SPACE.lower))
CASES = [
    ("seg", (32, 32), "segmentation", 19, 1, 3, (2, 2)),
    ("cls", (32, 48), "classification", 50, 3, 3, (2, 2)),
    ("seg", (26, 36), "segmentation", 7, 2, 3, (2, 2)),  # sides that do not divide are resized after they are enlarged
    ("cls", (17, 23), "classification", 5, 1, 4, (2, 2)),
    ("det3d", (24, 16), "segmentation", 0, 1, 64, (2, 1)),
]


def small(n: int, seed: int) -> list[Architecture]:
    """Quickly built ones: 8 to 32 channels, one or two blocks and units. More of these live no longer than two do."""
    codes = SPACE.sample_codes(n, np.random.default_rng(seed))
    codes = np.where(SPACE.step > 1, 8 + codes // 8 % 4 * 8, 1 + codes % 2)
    return [Architecture(tuple(map(int, code))) for code in codes]


@pytest.mark.parametrize(("task", "size", "head", "classes", "batch", "channels", "strides"), CASES)
def test_every_byte_that_a_replay_sees(one_thread, task, size, head, classes, batch, channels, strides):
    architectures = [SMALL, *small(4, seed=7)]
    counted = cost.memory(architectures, size, head, classes, batch=batch, in_channels=channels, stem_strides=strides)
    assert counted.dtype == np.int64
    for architecture, told in zip(architectures, counted.tolist(), strict=True):
        net = fused(models.build(architecture, task, classes=classes, in_channels=channels, stem_strides=strides))
        assert told == peak(net, torch.zeros(batch, channels, *size)), architecture.text


@pytest.mark.parametrize("frames", [1, 3])
def test_clips_as_a_replay_sees_them(one_thread, frames):
    architectures = [SMALL, *small(2, seed=8)]
    counted = cost.memory(architectures, (32, 48), "classification", 11, batch=2, frames=frames)
    for architecture, told in zip(architectures, counted.tolist(), strict=True):
        net = fused(models.build(architecture, "video", classes=11))
        assert told == peak(net, torch.zeros(2, frames, 3, 32, 48)), architecture.text


def test_half_the_bytes_a_number():
    codes = np.array([a.code for a in SPACE.sample(20, np.random.default_rng(1))])
    whole = cost.memory(codes)
    for dtype, times in (("bf16", 2), ("fp16", 2), ("int8", 4)):
        assert (cost.memory(codes, dtype=dtype) * times == whole).all()


def test_weights_come_once_and_maps_with_every_input():
    codes = np.array([a.code for a in SPACE.sample(20, np.random.default_rng(2))])
    one, two, three = (cost.memory(codes, batch=n) for n in (1, 2, 3))
    assert (two - one == three - two).all()
    assert (2 * one - two > 0).all()
    assert (2 * one - two < 4 * cost.count(codes).params).all()  # folded: a bias where a norm had two numbers


def test_tensors_say_the_same_and_have_a_slope():
    codes = np.array([a.code for a in SPACE.sample(30, np.random.default_rng(3))])
    x = torch.tensor(codes, dtype=torch.float64, requires_grad=True)
    told = cost.memory(x, (96, 64), "classification", 10)
    np.testing.assert_array_equal(told.detach().numpy(), cost.memory(codes, (96, 64), "classification", 10))
    (slope,) = torch.autograd.grad(told.sum(), x)
    wide = SPACE.step > 1
    assert (slope[:, wide] >= 0).all()
    assert (slope[:, wide].sum(0) > 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "fp64"}, "fp32, bf16"),
        ({"batch": 0}, "at least 1"),
        ({"frames": -1}, "at least 0"),
        ({"head": "both"}, "segmentation, class"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(UserError, match=message):
        cost.memory(SMALL, **arguments)
