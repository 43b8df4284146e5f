"""Maps that are resized: in half precision they stay so, as exact as single precision rounded once; nothing else widens them."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ncp.models import blocks, build
from ncp.models.detector import pointpillars
from ncp.models.heads import PSPHead

NARROW = [8, 8, 1, 1, 8, 1, 1, 1, 8, 8, 1, *[1] * 3, *[8] * 3, 1, *[1] * 4, *[8] * 4, 8]
INTERPOLATE = F.interpolate


def as_on_a_gpu(x, *given, **further):
    """There autocast interpolates in single precision; on CPUs it does not."""
    return INTERPOLATE(x.float() if torch.is_autocast_enabled("cpu") else x, *given, **further)


@pytest.fixture
def _gpu(monkeypatch):
    monkeypatch.setattr(F, "interpolate", as_on_a_gpu)


@pytest.mark.usefixtures("_gpu")
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(12, 20), (48, 80), (13, 19), (3, 5)])
def test_half_precision_is_resized_as_single_precision_rounded_once(kind, form, size):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, 6, 10, generator=draw).to(kind).contiguous(memory_format=form).requires_grad_()
    wide = x.detach().float().requires_grad_()
    with torch.autocast("cpu", kind):
        found = blocks.resize(x, size)
    wanted = INTERPOLATE(wide, size=size, mode="bilinear", align_corners=False)
    assert found.dtype == kind
    assert found.is_contiguous(memory_format=form)
    once = wanted.detach().abs() * torch.finfo(kind).eps / 2
    assert ((found.detach().float() - wanted.detach()).abs() <= once + 1e-6).all()
    slopes = torch.randn(found.shape, generator=draw).to(kind)
    found.backward(slopes)
    wanted.backward(slopes.float())
    assert x.grad.dtype == kind
    assert torch.equal(x.grad, wide.grad.to(kind))


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("times", [(1, 2), (2, 2), (4, 4), (8, 8), (16, 2)])
def test_a_gpus_gradient_is_the_kernels(times, form):
    """As products of matrices; here on the CPU, against torch's own backward pass in double precision."""
    old = (3, 5)
    new = tuple(side * n for side, n in zip(old, times, strict=True))
    draw = torch.Generator().manual_seed(1)
    whole = torch.randn(2, 24, *new, generator=draw, dtype=torch.double).contiguous(memory_format=form)
    slope = whole[:, 8:16]  # as it comes from joined maps

    def kernels(slope):
        return torch.ops.aten.upsample_bilinear2d_backward(slope, new, (2, 8, *old), False, None, None)

    assert all(blocks.exact(*sides) for sides in zip(old, new, strict=True))
    torch.testing.assert_close(blocks.gathered(slope, old), kernels(slope), rtol=1e-12, atol=1e-12)
    low = slope.bfloat16()
    found, wanted = blocks.gathered(low, old), kernels(low.double())
    assert found.dtype == torch.bfloat16
    error = (found.double() - wanted).norm() / wanted.norm()
    once = (wanted.bfloat16().double() - wanted).norm() / wanted.norm()
    assert error < 1.6 * once
    assert not torch.equal(found, torch.zeros_like(found))


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32, 64, 128])
def test_weights_of_powers_of_two_are_numbers_of_half_precision(n):
    weights = F.interpolate(torch.eye(5)[None], size=5 * n, mode="linear")
    assert blocks.exact(5, 5 * n)
    assert torch.equal(weights, weights.bfloat16().float())
    assert not any(blocks.exact(5, other) for other in (3, 8, 15, 30, 5 * 256))


def test_single_precision_and_the_same_size_are_left_alone():
    x = torch.randn(1, 2, 4, 6)
    assert blocks.resize(x, (4, 6)) is x
    wanted = F.interpolate(x, size=(7, 9), mode="bilinear")
    assert torch.equal(blocks.resize(x, (7, 9)), wanted)
    double = F.interpolate(x.double(), size=(7, 9), mode="bilinear")
    assert torch.equal(blocks.resize(x.double(), (7, 9)), double)


def test_traces_and_strict_determinism_have_torchs_own_operation():
    x = torch.randn(1, 2, 4, 6).bfloat16().requires_grad_()
    names = [node.kind() for node in torch.jit.trace(lambda x: blocks.resize(x, (8, 12)), x).graph.nodes()]
    assert "aten::upsample_bilinear2d" in names
    assert not any("Python" in name for name in names)
    assert type(blocks.resize(x, (8, 12)).grad_fn).__name__ == "_InHalfBackward"
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert type(blocks.resize(x, (8, 12)).grad_fn).__name__ != "_InHalfBackward"
    finally:
        torch.use_deterministic_algorithms(False)


class Wide(TorchDispatchMode):
    """Operations that make maps in single precision."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        maps = [one for one in tree_leaves(out) if isinstance(one, torch.Tensor) and one.ndim >= 4]
        if any(one.dtype == torch.float32 for one in maps):
            self.found.append(str(func))
        return out


def networks():
    task = {"det3d": (0, 64), "seg": (5, 3), "cls": (5, 3), "video": (5, 3)}
    for name, (classes, channels) in task.items():
        shape = (2, 4, channels, 64, 64) if name == "video" else (2, channels, 64, 64)
        yield pytest.param(build(NARROW, name, classes=classes, in_channels=channels), shape, id=name)
    # sides that do not halve evenly: what was doubled is resized again before it is added
    yield pytest.param(build(NARROW, "det3d", classes=0, in_channels=64), (2, 64, 60, 44), id="odd sides")
    yield pytest.param(pointpillars("pointpillars-16"), (2, 64, 64, 64), id="pointpillars")


@pytest.mark.usefixtures("_gpu")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("net", "shape"), networks())
def test_no_map_of_a_network_is_in_single_precision(net, shape, training):
    net.train(training)
    x = torch.randn(shape).bfloat16()
    with torch.set_grad_enabled(training), torch.autocast("cpu", torch.bfloat16), Wide() as wide:
        out = net(x)
    assert out.dtype == torch.bfloat16
    assert wide.found == []


@pytest.mark.usefixtures("_gpu")
def test_a_pyramid_of_averages_is_none_either():
    head, x = PSPHead(8, 4, 5), torch.randn(2, 8, 12, 12).bfloat16()
    with torch.autocast("cpu", torch.bfloat16), Wide() as wide:
        out = head([x])
    assert out.dtype == torch.bfloat16
    assert wide.found == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("size", [(12, 20), (48, 80), (13, 19)])
def test_a_gpu_resizes_half_precision_as_single_precision(size):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 64, 6, 10, generator=draw).cuda().bfloat16().contiguous(memory_format=torch.channels_last)
    slopes = torch.randn(2, 64, *size, generator=draw).cuda().bfloat16().contiguous(memory_format=torch.channels_last)
    wide = x.float().requires_grad_()
    x.requires_grad_()
    with torch.autocast("cuda", torch.bfloat16):
        found = blocks.resize(x, size)
    wanted = F.interpolate(wide, size=size, mode="bilinear")
    assert torch.equal(found, wanted.bfloat16())
    found.backward(slopes)
    wanted.backward(slopes.float())
    error, once = (one.float() - wide.grad for one in (x.grad, wide.grad.bfloat16()))
    assert error.norm() < 1.6 * once.norm()
