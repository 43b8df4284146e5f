"""Parameters and multiply-adds: ``ncp.spaces.cost`` against torch's own counter on real networks."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ncp.models import build
from ncp.spaces import cost, found
from ncp.spaces.multires import SPACE, Architecture

SIZES = [(32, 32), (33, 47), (64, 64), (31, 50), (97, 35)]
CHUNKS = 10
ARCHITECTURES = SPACE.sample(200, np.random.default_rng(2022))


def measured(net: nn.Module, *shape: int) -> tuple[int, int]:
    """Parameters, and multiply-adds as half of what torch counts."""
    params = sum(p.numel() for p in net.parameters())
    for module in list(net.eval().modules()):  # norms have no multiply-adds and take most of the counter's time
        for name, child in list(module.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(module, name, nn.Identity())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(shape))
    flops = counter.get_total_flops()
    assert flops > 0
    assert flops % 2 == 0
    return params, flops // 2


def counted(result) -> tuple[int, int]:
    return int(result.params), int(result.macs)


@pytest.fixture(autouse=True)
def _uninitialised(monkeypatch):
    """Counting needs no weights, and drawing them would take most of the time."""
    monkeypatch.setattr("ncp.models.factory.initialise", lambda net: None)
    for kind in (nn.Conv2d, nn.Conv3d, nn.Linear):
        monkeypatch.setattr(kind, "reset_parameters", lambda self: None)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_two_hundred_architectures(chunk):
    """Every architecture with one combination of head, stem strides and size; all combinations come up 10 times."""
    for index in range(chunk, len(ARCHITECTURES), CHUNKS):
        architecture = ARCHITECTURES[index]
        head, strides, size = (
            ("seg", "cls")[index % 2],
            ((2, 2), (2, 1))[index // 2 % 2],
            SIZES[index // 4 % len(SIZES)],
        )
        net = build(architecture, head, classes=7, stem_strides=strides)
        name = {"seg": "segmentation", "cls": "classification"}[head]
        wanted = cost.count(architecture, size, name, classes=7, stem_strides=strides)
        assert measured(net, 1, 3, *size) == counted(wanted), (architecture.text, head, strides, size)


@pytest.mark.parametrize("strides", [(2, 2), (2, 1)])
@pytest.mark.parametrize("head", ["segmentation", "classification"])
@pytest.mark.parametrize("size", [*SIZES, (128, 128), (1, 1)])
def test_one_architecture_in_every_combination(size, head, strides):
    task = {"segmentation": "seg", "classification": "cls"}[head]
    net = build("ncp_seg", task, classes=3, in_channels=5, stem_strides=strides)
    wanted = cost.count(found.get("ncp_seg"), size, head, classes=3, in_channels=5, stem_strides=strides)
    assert measured(net, 1, 5, *size) == counted(wanted)


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize(("size", "frames"), [((112, 112), 2), ((33, 50), 1), ((32, 32), 8)])
def test_video(index, size, frames):
    architecture = [found.get("ncp_video"), *ARCHITECTURES][index]
    wanted = cost.video(architecture, size, frames, classes=9)
    assert measured(build(architecture, "video", classes=9), 1, frames, 3, *size) == counted(wanted)


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("size", [(64, 48), (33, 50)])
def test_birds_eye_view(index, size):
    architecture = [found.get("ncp_det3d"), *ARCHITECTURES][index]
    assert measured(build(architecture, "det3d"), 1, 64, *size) == counted(cost.bev(architecture, size))


def test_costs_of_video_by_hand():
    """One frame more costs what the 2D network costs on it, with 27 taps in the join; the default has 4 x 64 -> 64 there."""
    default = SPACE.default()
    flat = cost.count(default, (128, 128), "classification", classes=0)
    join = 256 * 64
    one, nine = cost.video(default, (128, 128), 1, classes=51), cost.video(default, (128, 128), 9, classes=51)
    assert int(one.params) == int(flat.params) + 26 * join + 51 * 65 == int(nine.params)
    assert int(nine.macs - one.macs) == 8 * (int(flat.macs) + 26 * join * 16)
    assert int(one.macs) == int(flat.macs) + 26 * join * 16 + 51 * 64


def test_video_and_birds_eye_costs_are_vectorised_and_differentiable():
    codes = SPACE.sample_codes(6, np.random.default_rng(0))
    for function in (cost.video, cost.bev):
        many = function(codes)
        assert many.macs.dtype == np.int64
        assert [int(m) for m in many.macs] == [int(function(c).macs) for c in codes]
        tensor = torch.tensor(codes, dtype=torch.float64, requires_grad=True)
        macs = function(tensor).macs
        torch.testing.assert_close(macs.detach(), torch.tensor(many.macs, dtype=torch.float64))
        (gradient,) = torch.autograd.grad(macs.sum(), tensor)
        step = codes.copy()
        step[:, 26] += 1  # linear in o1, so one step is the derivative
        np.testing.assert_allclose(gradient[:, 26].numpy(), (function(step).macs - many.macs).astype(float), rtol=1e-9)


# name -> billions of operations and millions of parameters in the paper's Table 3
TABLE_3 = {"ncp_seg": (0.90, 7.91), "ncp_video": (0.74, 2.56), "ncp_det3d": (1.21, 2.89)}


@pytest.mark.parametrize("name", list(TABLE_3))
def test_found_networks_cost_what_the_paper_says(name):
    flops, params = cost.paper_units(found.get(name))
    assert flops == pytest.approx(TABLE_3[name][0], abs=0.0055)
    assert params == pytest.approx(TABLE_3[name][1], abs=0.0055)


def test_found_networks_are_the_recorded_ones(shared):
    import csv

    with open(shared / "paper_networks.csv") as file:
        rows = {row["name"]: Architecture.parse(row["code"]) for row in csv.DictReader(file)}
    assert {name: found.get(name) for name in found.FOUND} == rows
    assert found.get("default") == SPACE.default()
