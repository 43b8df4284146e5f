"""Gradients in bfloat16 on CPUs: nothing left unwritten, for every kind and shape of convolution that networks here contain."""

import copy
import ctypes
import itertools
import pickle
import sys

import pytest
import torch
from torch import nn

from ncp.models import build, build_timm
from ncp.models.bf16 import protect, unsafe
from ncp.models.runtime import cpu_has_bf16

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"
M_PERTURB, BYTE = -6, 0x7F  # glibc's mallopt: what fresh memory is filled with (7f7f7f7f is 3e38, in bfloat16 too)
needs_bf16 = pytest.mark.skipif(not cpu_has_bf16(), reason="this processor has no bfloat16 instructions")

# kind, kernel, stride, padding; the networks of the space: 1x1, 3x3, 3x3 with stride 2, and 3x3x3 over frames; others: baselines
FLAT = [(1, 1, 0), (3, 1, 1), (3, 2, 1), (1, 2, 0), (5, 2, 2), (7, 2, 3), (3, 3, 1)]
DEEP = [
    (3, 1, 1),
    ((1, 3, 3), 1, (0, 1, 1)),
    ((3, 1, 1), 1, (1, 0, 0)),
    ((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    (3, 2, 1),
    (5, 1, 2),
]
MAPS = [(1, 1), (1, 2), (7, 1), (2, 2), (3, 5)]
WIDTHS = [(3, 8), (8, 8), (24, 40), (120, 8), (64, 128)]


@pytest.fixture
def dirty_memory():
    """Every allocation begins as enormous numbers, so that what is never written cannot pass for a figure."""
    if not sys.platform.startswith("linux"):
        yield
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_PERTURB, BYTE ^ 0xFF)
    yield
    if mallopt is not None:
        mallopt(M_PERTURB, 0)


def nan_everywhere() -> None:
    """What torch gives back to the allocator holds NaN."""
    for power in range(4, 14, 2):
        _ = [torch.full((1 << power,), torch.nan, dtype=kind) for kind in (torch.float32, torch.bfloat16)]


def wrong(conv: nn.Module, x: torch.Tensor, low: bool = True) -> list[str]:
    """Which of output and gradients are not those of double precision, where operands are exact in bfloat16."""
    with torch.no_grad():
        conv.weight.copy_(conv.weight.bfloat16().float())
    x = x.bfloat16().float().requires_grad_()
    nan_everywhere()
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        y = conv(x)
    pull = torch.randn_like(y)
    nan_everywhere()
    found = (y, *torch.autograd.grad(y, [x, conv.weight], pull))
    exact = copy.deepcopy(conv).double()
    x = x.detach().double().requires_grad_()
    y = exact(x)
    true = (y, *torch.autograd.grad(y, [x, exact.weight], pull.double()))
    near = [bool((a.double() - b).abs().max() <= 0.02 * b.abs().max() + 1e-6) for a, b in zip(found, true, strict=True)]
    return [name for name, good in zip(("output", "input", "weight"), near, strict=True) if not good]


def cases(deep: bool):
    """A spread over kinds, maps, widths, batches and memory formats: every kind with every map, the rest in turn."""
    turn = itertools.cycle(itertools.product(WIDTHS, (1, 2, 5), (True, False)))
    frames = (1, 2, 3) if deep else (None,)
    for (kernel, stride, padding), size, t in itertools.product(DEEP if deep else FLAT, MAPS, frames):
        for (inputs, outputs), batch, last in itertools.islice(turn, 1 if deep else 2):
            layout = (torch.channels_last_3d if deep else torch.channels_last) if last else torch.contiguous_format
            kind = nn.Conv3d if deep else nn.Conv2d
            conv = kind(inputs, outputs, kernel, stride, padding, bias=False).to(memory_format=layout)
            shape = (batch, inputs, *((t,) if deep else ()), *size)
            yield conv, torch.randn(shape).contiguous(memory_format=layout)


@needs_bf16
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("deep", [False, True])
def test_gradients_in_bf16_are_those_of_double_precision(deep, threads, dirty_memory):
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        some = itertools.islice(cases(deep), 0, None, 1 if threads == 1 else 7)
        bad = [(str(conv), tuple(x.shape), what) for conv, x in some if (what := wrong(protect(conv), x))]
    finally:
        torch.set_num_threads(before)
    assert bad == []


@needs_bf16
@pytest.mark.parametrize(
    ("conv", "shape"),
    [
        (nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False), (2, 8, 3, 1)),
        (nn.Conv2d(8, 8, 3, 1, 2, dilation=2, bias=False), (2, 8, 1, 1)),
        (nn.Conv1d(8, 8, 3, 2, 1, bias=False), (2, 8, 1)),
        (nn.ConvTranspose2d(8, 16, 4, 4, bias=False), (2, 8, 1, 1)),
        (nn.ConvTranspose2d(8, 16, 1, 1, bias=False), (2, 8, 1, 2)),
    ],
)
def test_other_kinds(conv, shape, dirty_memory):
    torch.manual_seed(0)
    assert wrong(protect(nn.Sequential(conv))[0], torch.randn(shape)) == []


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "wanted"),
    [
        ((1, 1), (3, 3), (2, 2), True),
        ((8, 1), (3, 3), (2, 2), True),
        ((2, 2), (3, 3), (2, 2), False),
        ((1, 1), (3, 3), (1, 1), False),  # most of a small network: stays in bfloat16
        ((1, 1), (1, 1), (2, 2), False),
        ((2, 8, 8), (3, 3, 3), (1, 1, 1), True),
        ((3, 8, 8), (3, 3, 3), (1, 1, 1), False),
        ((2, 8, 8), (1, 3, 3), (1, 1, 1), False),
        ((4, 1, 8), (1, 3, 3), (1, 2, 2), True),
    ],
)
def test_which_shapes_leave_bf16(size, kernel, stride, wanted):
    assert unsafe(size, kernel, stride, (1,) * len(size)) is wanted


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_a_network_in_half_precision_keeps_its_kind(precision):
    conv = protect(nn.Conv2d(4, 4, 3, 2, 1)).to(precision)
    y = conv(torch.randn(2, 4, 1, 1, dtype=precision))
    assert y.dtype == precision
    y.sum().backward()
    assert conv.weight.grad.dtype == precision
    assert not conv.weight.grad[..., 0, :].any()  # its row never meets the map: exactly 0, whatever stood in memory
    assert conv.weight.grad[..., 1, 1].any()


@pytest.mark.parametrize("net", [lambda: build(NARROW), lambda: build_timm("resnet18", "cls", 5)])
def test_networks_are_protected_and_otherwise_as_they_were(net):
    torch.manual_seed(0)
    net = net().eval()
    kinds = {type(m).__name__ for m in net.modules()}
    assert "Conv2d" in kinds
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert all(any(base.__name__ == "Protected" for base in type(m).__mro__) for m in convs)
    x = torch.randn(2, 3, 32, 32)
    wanted = net(x)
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(convs[0])), protect(net)):
        assert isinstance(again, nn.Module)
    assert torch.equal(copy.deepcopy(net)(x), wanted)
    assert type(pickle.loads(pickle.dumps(convs[0]))) is type(convs[0])


def test_float32_and_no_gradient_are_untouched(monkeypatch):
    conv = protect(nn.Conv2d(4, 4, 3, 2, 1))
    x = torch.randn(2, 4, 1, 1)
    monkeypatch.setattr("ncp.models.bf16.torch.autocast", None)  # entering it would fail
    conv(x)
    with torch.no_grad():
        conv(x)


@needs_bf16
def test_compiled_the_same_operations_leave_bf16(dirty_memory):
    """With the tracer and the autograd of compiled graphs, without code generation."""
    torch.manual_seed(0)
    conv = protect(nn.Conv2d(8, 8, 3, 2, 1, bias=False)).to(memory_format=torch.channels_last)
    compiled = torch.compile(conv, backend="aot_eager", fullgraph=True)
    x = torch.randn(4, 8, 3, 1)
    with torch.autocast("cpu", torch.bfloat16):
        y = compiled(x)
    assert y.dtype == torch.bfloat16
    nan_everywhere()
    y.float().sum().backward()
    torch._dynamo.reset()
    assert not conv.weight.grad[..., 0].any()
    assert conv.weight.grad[..., 1].all()
