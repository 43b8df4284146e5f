"""timm's networks under our heads, against the parameter and operation counts that the paper prints for them."""

import re

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ncp.errors import UserError
from ncp.models import build_timm
from ncp.models.heads import PSPHead

# Table 5: millions of parameters and billions of operations, 50 classes, 224 x 224
TABLE_5 = {
    "resnet50": (23.61, 4.12),
    "resnet101": (42.60, 7.85),
    "hrnet_w32": (39.29, 8.99),
    "hrnet_w48": (75.52, 17.36),
}
# Tables 2 and 8: the same at 512 x 1024 with 19 classes
SEGMENTATION = {
    "resnet18": (12.94, 108.53),
    "resnet34": (23.05, 193.12),
    "resnet50": (48.98, 356.91),
    "hrnet_w18": (9.64, 37.01),
    "hrnet_w32": (29.55, 90.55),
}
# what the published segmentation networks carry beside the main head while training: a 3x3 unit on the last but one
# stage and a classifier (channels in, channels out); not part of ours
AUXILIARY = {"resnet18": (256, 128), "resnet34": (256, 128), "resnet50": (1024, 256)}


@pytest.fixture
def _meta(monkeypatch):
    """Networks without memory: nothing is drawn, only counted."""
    with torch.device("meta"):
        yield


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def macs(net: nn.Module, *shape: int) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.empty(shape))
    return counter.get_total_flops() / 2


def norm_operations(net: nn.Module, *shape: int) -> int:
    """Two per number that enters a batch norm: what the paper's counter adds to the multiply-adds."""
    total = 0

    def hook(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        total += 2 * output.numel()

    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.register_forward_hook(hook)
    with torch.no_grad():
        net.eval()(torch.empty(shape))
    return total


@pytest.mark.usefixtures("_meta")
@pytest.mark.parametrize("name", list(TABLE_5))
def test_classification_baselines_are_those_of_table_5(name):
    params, flops = TABLE_5[name]
    net = build_timm(name, "cls", classes=50)
    assert parameters(net) / 1e6 == pytest.approx(params, abs=0.005)
    operations = macs(net, 1, 3, 224, 224) + norm_operations(net, 1, 3, 224, 224)
    assert operations / 1e9 == pytest.approx(flops, rel=0.003)


@pytest.mark.slow
@pytest.mark.usefixtures("_meta")
@pytest.mark.parametrize("name", list(SEGMENTATION))
def test_segmentation_baselines_are_those_of_tables_2_and_8(name):
    params, flops = SEGMENTATION[name]
    net = build_timm(name, "seg", classes=19)
    total = parameters(net)
    if name in AUXILIARY:
        channels, width = AUXILIARY[name]
        total += 9 * channels * width + 2 * width + 19 * (width + 1)
    assert total / 1e6 == pytest.approx(params, abs=0.0055)
    assert macs(net, 1, 3, 512, 1024) / 1e9 == pytest.approx(flops, rel=0.006)


@pytest.mark.usefixtures("_meta")
@pytest.mark.parametrize(("name", "paper"), [("resnet18", 12.10), ("resnet34", 22.21)])
def test_video_baselines_are_near_table_9(name, paper):
    assert parameters(build_timm(name, "video", classes=51)) / 1e6 == pytest.approx(paper, abs=0.04)


@pytest.mark.parametrize("name", ["resnet18", "hrnet_w18_small"])
@pytest.mark.parametrize(
    ("task", "shape", "wanted"),
    [
        ("cls", (2, 3, 64, 64), {"*": (2, 5)}),
        ("seg", (2, 3, 64, 96), {"resnet18": (2, 5, 8, 12), "*": (2, 5, 16, 24)}),
        ("det3d", (2, 64, 32, 48), {"*": (2, 128, 16, 24)}),
        ("video", (2, 3, 3, 56, 48), {"*": (2, 5)}),
    ],
)
def test_every_task_trains_one_step(name, task, shape, wanted):
    torch.manual_seed(0)
    net = build_timm(name, task, classes=0 if task == "det3d" else 5)
    out = net(torch.randn(shape))
    assert out.shape == wanted.get(name, wanted["*"])
    out.square().mean().backward()
    assert all(p.grad is not None for n, p in net.named_parameters() if "head" in n or "fc" in n)
    assert all(
        m.weight.is_contiguous(memory_format=torch.channels_last) for m in net.modules() if isinstance(m, nn.Conv2d)
    )


def test_hrnet_takes_sizes_that_do_not_divide():
    """timm's HRNet refuses them; padding must not change what it gives where they do."""
    net = build_timm("hrnet_w18_small", "seg").eval()
    assert net(torch.randn(1, 3, 50, 70)).shape == (1, 19, 13, 18)
    x = torch.randn(1, 3, 64, 64)
    branches = net.backbone.net(x)[1:]
    assert all(torch.equal(a, b) for a, b in zip(net.backbone(x), branches, strict=True))
    assert build_timm("hrnet_w18_small", "cls").eval()(torch.randn(1, 3, 50, 28)).shape == (1, 50)
    assert build_timm("hrnet_w18_small", "det3d").eval()(torch.randn(1, 64, 50, 34)).shape == (1, 128, 25, 17)


def test_pyramid_head_sees_the_whole_map():
    torch.manual_seed(0)
    head = PSPHead(16, 8, 3).eval()
    x = torch.randn(1, 16, 24, 24, requires_grad=True)
    y = head([x])
    assert y.shape == (1, 3, 24, 24)
    (grad,) = torch.autograd.grad(y[0, :, 0, 0].sum(), x)
    assert (grad[0, :, -1, -1] != 0).any()  # the opposite corner reaches it through the averages
    channels = [unit.conv.out_channels for unit in head.pools]
    assert (channels, head.join.conv.in_channels) == ([8, 8, 8, 8], 48)
    with pytest.raises(UserError, match="cannot train on one image"):
        head.train()([x])


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (("resnet51",), {}, "timm has no network called 'resnet51'; did you mean resnet5"),
        (("resnet18", "seg"), {"head": "fcn"}, "unknown head 'fcn'; heads: auto, join, psp"),
        (("resnet18", "cls"), {"head": "psp"}, "head=psp is for task=seg only"),
        (("hrnet_w18", "seg"), {"head": "psp"}, "hrnet_w18 cannot, use head=join"),
        (("convnext_atto", "det3d"), {}, "of hrnet_* and resnet*, not of 'convnext_atto'"),
        (("resnet18", "depth"), {}, "unknown task 'depth'"),
        (("resnet18", "cls"), {"classes": -1}, "classes must be a whole number of at least 1"),
    ],
)
def test_refusals(args, kwargs, message):
    with pytest.raises(UserError, match=re.escape(message)):
        build_timm(*args, **kwargs)
