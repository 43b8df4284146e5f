"""The networks against a plain reimplementation, and what they promise: sizes, initialisation, gradients, refusals."""

import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from models.plain import Plain
from torch import nn

from ncp.errors import UserError
from ncp.models import build
from ncp.models.blocks import Fusion, straighten_fusions
from ncp.spaces.multires import SPACE, Architecture

NARROW = "8_16-2_1_1_8-2_2_1_2_16_8-1_3_1_1_2_8_16_24-2_4_1_1_1_2_8_16_8_24-16"
INPUTS = {"cls": (3,), "seg": (3,), "det3d": (64,), "video": (3, 3)}
FORWARD = {"cls": "classification", "seg": "segmentation", "det3d": "segmentation", "video": "video"}


def lively(net: nn.Module) -> nn.Module:
    """Norms with scales, shifts and statistics that are not 1 and 0, so that leaving one out shows."""
    generator = torch.Generator().manual_seed(5)
    for m in net.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            for t in (m.weight.data, m.running_var):
                t.copy_(torch.rand(t.shape, generator=generator) + 0.5)
            for t in (m.bias.data, m.running_mean):
                t.copy_(torch.randn(t.shape, generator=generator) * 0.1)
    return net


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("task", list(INPUTS))
@pytest.mark.parametrize("size", [(64, 64), (33, 47), (50, 97)])
def test_bit_equal_to_a_plain_network_that_does_the_useless_work(task, size, training):
    torch.manual_seed(0)
    net = lively(build(NARROW, task)).train(training)
    x = torch.randn(2, *INPUTS[task], *size)
    weights = {k: v.clone(memory_format=torch.preserve_format) for k, v in net.state_dict().items()}
    plain = Plain(NARROW, weights, training, (2, 1) if task == "det3d" else (2, 2))
    wanted = getattr(plain, FORWARD[task])(x)
    given = net(x)
    assert torch.equal(given, wanted)
    assert given.std() > 0
    for name, value in net.state_dict().items():  # the running statistics too
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, weights[name]), name
    with torch.no_grad():  # where sums are made in place
        assert torch.equal(net(x), wanted)


def test_gradients_equal_the_plain_networks():
    architecture = SPACE.sample(2, np.random.default_rng(0))[1]
    torch.manual_seed(0)
    net = lively(build(architecture, "seg")).double()
    x = torch.randn(2, 3, 33, 40, dtype=torch.float64)
    weights = {
        k: v.detach().clone().requires_grad_(v.is_floating_point() and "running" not in k)
        for k, v in net.state_dict().items()
    }
    Plain(architecture.text, weights, True).segmentation(x).square().mean().backward()
    net(x).square().mean().backward()
    for name, p in net.named_parameters():
        assert weights[name].grad is not None, name
        torch.testing.assert_close(p.grad, weights[name].grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("task", "shape"), [("cls", (7,)), ("seg", (7, 8, 9)), ("det3d", (7, 16, 18)), ("video", (7,))]
)
def test_output_shapes(task, shape):
    net = build(NARROW, task, classes=7).eval()
    assert net(torch.randn(2, *INPUTS[task], 32, 36)).shape == (2, *shape)


def test_det3d_without_a_classifier_returns_the_joined_map():
    assert build(NARROW, "det3d").eval()(torch.randn(1, 64, 32, 32)).shape == (1, 16, 16, 16)
    assert build(NARROW, "seg", classes=0).eval()(torch.randn(1, 3, 32, 32)).shape == (1, 16, 8, 8)


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_any_number_of_input_channels(channels):
    assert build(NARROW, "cls", in_channels=channels).eval()(torch.randn(1, channels, 32, 32)).shape == (1, 50)


def test_branch_sizes_are_repeated_ceilings_of_halves():
    maps = build(NARROW, "cls").backbone.eval()(torch.randn(1, 3, 101, 33))
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 26, 9), (16, 13, 5), (8, 7, 3), (24, 4, 2)]


def test_smallest_inputs():
    net = build(NARROW, "cls")
    assert net.eval()(torch.randn(1, 3, 32, 32)).shape == (1, 50)
    net.train()
    for shape in [(1, 3, 64, 64), (2, 3, 32, 32), (1, 3, 33, 33)]:
        net(torch.randn(shape)).sum().backward()
    with pytest.raises(UserError, match=re.escape("one image of 32x32 is too small to train on")):
        net(torch.randn(1, 3, 32, 32))


def test_fusion_sees_its_neighbours_only():
    torch.manual_seed(0)
    fusion = Fusion((8, 8, 8, 8), (8, 8, 8, 8)).eval()
    xs = [torch.randn(1, 8, 32 // 2**r, 32 // 2**r, requires_grad=True) for r in range(4)]
    for i, y in enumerate(fusion(xs)):
        grads = torch.autograd.grad(y.sum(), xs, allow_unused=True)
        assert [j for j, g in enumerate(grads) if g is not None and g.abs().sum() > 0] == [
            j for j in range(4) if abs(i - j) <= 1
        ]


def test_inputs_are_left_as_they_are():
    x = torch.randn(2, 3, 64, 64)
    before = x.clone()
    net = build(NARROW, "seg")
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            net(x)
        assert torch.equal(x, before)


def test_initialisation_is_kaiming_normal_over_the_outputs():
    torch.manual_seed(0)
    net = build("ncp_det3d", "seg")
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert sum(m.bias is not None for m in convs) == 1  # the classifier's is the only bias
    standard = []
    for m in convs:
        wanted = math.sqrt(2 / (m.out_channels * m.kernel_size[0] ** 2))
        z = m.weight.detach().flatten() / wanted
        standard.append(z)
        assert abs(z.std() - 1) < 5 / math.sqrt(2 * z.numel()), m
    z = torch.cat(standard)
    assert abs(z.mean()) < 5 / math.sqrt(z.numel())
    assert abs((z**4).mean() - 3) < 0.02  # normal: a uniform one has 1.8
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            assert (m.weight == 1).all()
            assert (m.bias == 0).all()
            assert (m.momentum, m.eps) == (0.1, 1e-5)
    bias = net.head.classifier.bias
    assert 0 < bias.abs().max() <= 1 / math.sqrt(net.head.width)


def test_initialisation_follows_the_seed():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return build(NARROW, "cls").backbone.blocks[3].fusion.same[0].conv.weight

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format_of_weights_and_maps(channels_last):
    net = build(NARROW, "seg", channels_last=channels_last)
    kind = torch.channels_last if channels_last else torch.contiguous_format
    assert all(m.weight.is_contiguous(memory_format=kind) for m in net.modules() if isinstance(m, nn.Conv2d))
    maps = net.backbone(torch.randn(2, 3, 64, 64))
    assert all(m.is_contiguous(memory_format=kind) for m in maps)
    assert net(torch.randn(2, 3, 64, 64)).is_contiguous(memory_format=kind)


@pytest.mark.parametrize("task", ["seg", "video"])
def test_gradient_checkpointing_changes_nothing_but_memory(task):
    x = torch.randn(2, *INPUTS[task], 64, 64)
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        net = build(NARROW, task, grad_checkpointing=checkpointing)
        kept = 0

        def count(t: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += t.numel()
            return t

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            loss = net(x).square().mean()
        loss.backward()
        grads = {n: p.grad for n, p in net.named_parameters()}
        results.append((kept, grads, dict(net.named_buffers())))
    (plain, grads, buffers), (less, grads_again, buffers_again) = results
    assert less < 0.5 * plain
    assert all(torch.equal(grads[n], grads_again[n]) for n in grads)
    assert all(torch.equal(buffers[n], buffers_again[n]) for n in buffers)


def test_video_uses_the_order_of_frames():
    torch.manual_seed(0)
    net = build(NARROW, "video").eval()
    x = torch.randn(1, 5, 3, 64, 64)
    assert not torch.allclose(net(x), net(x[:, [2, 0, 1, 4, 3]]), atol=1e-5)
    still = torch.randn(1, 1, 3, 64, 64)  # a still picture: any order is the same
    torch.testing.assert_close(net(still.expand(1, 5, 3, 64, 64)), net(still.expand(1, 5, 3, 64, 64).flip(1)))


def test_named_architectures():
    assert build("ncp_seg", "seg").architecture["o1"] == 16
    assert build(Architecture.parse(NARROW), "seg").architecture.text == NARROW


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"task": "depth"}, "unknown task 'depth'; tasks: cls, seg, det3d, video"),
        ({"architecture": "ncp_sge"}, "unknown architecture 'ncp_sge'; the named ones are default, ncp_cls"),
        ({"architecture": NARROW.replace("8_16-", "8_12-", 1)}, "i2 must be in 8..128 in steps of 8, given was 12"),
        ({"classes": 0}, "classes must be a whole number of at least 1, given was 0"),
        ({"classes": 2.5}, "classes must be a whole number of at least 1, given was 2.5"),
        ({"classes": 10**9}, "classes must be a whole number of at most 100,000, given was 1000000000"),
        ({"in_channels": 0}, "in_channels must be at least 1, given was 0"),
        ({"in_channels": 10**9}, "in_channels must be at most 10,000, given was 1000000000"),
        ({"stem_strides": (3, 1)}, "stem_strides must be two numbers out of 1 and 2"),
    ],
)
def test_refusals_when_building(kwargs, message):
    with pytest.raises(UserError, match=re.escape(message)):
        build(**{"architecture": NARROW, **kwargs})


def test_refusals_of_inputs():
    with pytest.raises(UserError, match=re.escape("reads (batch, 3, height, width), given was (1, 4, 64, 64)")):
        build(NARROW)(torch.randn(1, 4, 64, 64))
    with pytest.raises(
        UserError, match=re.escape("reads (batch, frames, channels, height, width), given was (1, 3, 64, 64)")
    ):
        build(NARROW, "video")(torch.randn(1, 3, 64, 64))


def test_importing_the_package_imports_no_framework():
    import subprocess

    code = (
        "import sys, ncp.models, ncp.spaces.found; print(sorted({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    assert done.stdout.strip() == "[]"


def test_straightened_fusions_begin_as_the_identity_and_add_as_much_as_asked():
    torch.manual_seed(0)
    fusion = Fusion((8, 4), (8, 6, 16))
    maps = [torch.rand(3, 8, 12, 12), torch.rand(3, 4, 6, 6)]
    straighten_fusions(fusion, 0.0)
    for given, made, channels in zip(maps, fusion(maps), (range(8), (0, 1, 2, 3, 0, 1)), strict=False):
        expected = nn.functional.batch_norm(given[:, list(channels)], None, None, training=True)
        assert torch.allclose(made, torch.relu(expected + 1), atol=1e-5)

    torch.manual_seed(0)
    fusion = Fusion((8, 4), (8, 6))
    straighten_fusions(fusion, 0.1)
    assert all((unit.norm.weight == 0.1).all() for unit in (*fusion.down, *fusion.up))
    beside = fusion.same[0].conv.weight.detach().clone()
    beside[range(8), range(8), 1, 1] -= 1
    assert beside.norm() == pytest.approx(0.1 * 8**0.5, rel=1e-5)
