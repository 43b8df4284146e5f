"""Precision policy, compilation, folding of norms."""

import copy
import re
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from ncp.errors import UserError
from ncp.models import build, default_precision
from ncp.models.blocks import ResidualUnit, Unit
from ncp.models.runtime import compile_in_place, compile_regions, cpu_has_bf16, fused
from ncp.spaces.multires import SPACE

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"avx2": True}, "32-true"),
        ({"avx2": True, "avx512_f": True, "avx512_bw": True}, "32-true"),  # it would emulate
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": False, "amx_bf16": False}, "32-true"),
        ({"avx512_bf16": True, "avx512_fp16": True}, "32-true"),  # AMX is there, but hidden
        ({"avx512_bf16": True, "avx512_fp16": True, "amx_bf16": True}, "bf16-mixed"),
        ({"arm_bf16": True}, "bf16-mixed"),
    ],
)
def test_precision_on_cpus(found, wanted, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert default_precision("cpu") == wanted
    assert default_precision("cpu", deterministic=True) == "32-true"


def test_precision_on_cpus_with_an_older_torch(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    for supported in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda s=supported: s, raising=False)
        assert cpu_has_bf16() is supported


@pytest.mark.parametrize(("supported", "wanted"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_on_gpus(supported, wanted, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: supported or including_emulation
    )
    assert default_precision() == default_precision("cuda:1") == wanted
    assert default_precision("cuda", deterministic=True) == "32-true"


def test_the_policy_is_one_that_the_flags_of_this_cpu_allow():
    try:
        with open("/proc/cpuinfo") as file:
            flags = set(file.read().split())
    except OSError:
        pytest.skip("needs /proc/cpuinfo")
    if "avx2" not in flags:
        pytest.skip("not an x86 processor")
    assert cpu_has_bf16() == bool({"avx512_bf16", "amx_bf16"} & flags)


@pytest.mark.parametrize(
    ("task", "shape"), [("cls", (2, 3, 64, 64)), ("seg", (2, 3, 50, 70)), ("video", (2, 3, 3, 64, 64))]
)
def test_folded_norms_change_nothing_but_rounding(task, shape):
    torch.manual_seed(0)
    net = build(NARROW, task)
    for _ in range(3):  # move the running statistics
        net(2 * torch.randn(shape) + 1)
    plain = net.eval()(x := torch.randn(shape))
    folded = fused(net.train())
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in folded.modules())
    torch.testing.assert_close(folded(x), plain, rtol=1e-4, atol=1e-5)
    assert net.training
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    convs = [m for m in folded.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convs)


def test_bf16_autocast_trains():
    torch.manual_seed(0)
    net = build(NARROW, "seg")
    x = torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(x)
    assert y.dtype == torch.bfloat16
    y.float().square().mean().backward()
    assert all(
        p.grad is not None and p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in net.parameters()
    )
    net.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = net(x).float()
    exact = net(x)
    assert (low - exact).abs().max() < 0.05 * exact.abs().max()


def test_compile_mode_is_checked_and_follows_the_device(monkeypatch):
    seen = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **kwargs: seen.append(kwargs["mode"]))
    net = build(NARROW)
    assert compile_in_place(net, device="cpu") is net
    compile_in_place(net, device="cuda")
    compile_in_place(net, "max-autotune")
    assert seen == ["default", "reduce-overhead", "max-autotune"]
    with pytest.raises(UserError, match=re.escape("unknown compile mode 'fast'; modes: default, reduce-overhead")):
        compile_in_place(net, "fast")


@pytest.mark.slow
def test_a_compiled_network_traces_as_one_graph_and_gives_the_same():
    """With the tracer alone (no code generation): no graph break in any task, the same numbers, the same weights' names."""
    for task, shape in [("cls", (2, 3, 64, 64)), ("seg", (2, 3, 50, 64)), ("video", (1, 3, 3, 64, 64))]:
        torch.manual_seed(0)
        net = build(NARROW, task).eval()
        x = torch.randn(shape)
        names = list(net.state_dict())
        wanted = net(x)
        net.compile(backend="eager", fullgraph=True)
        assert torch.equal(net(x), wanted)
        assert list(net.state_dict()) == names
        torch._dynamo.reset()


@pytest.mark.slow
def test_generated_code_gives_the_same_outputs_and_gradients():
    """One block, with code generation: fusion to and from a neighbour, residual units, everything that is repeated."""
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch's inductor calls a C++ compiler, and neither g++ nor clang++ is on this machine's PATH")
    torch.manual_seed(0)
    block = build(NARROW, "cls").backbone.blocks[1]
    inputs = [torch.randn(2, 8, 16, 16)]
    results = []
    for compiled in (False, True):
        if compiled:
            compile_in_place(block, device="cpu")
        block.zero_grad()
        outputs = block(inputs)
        sum(y.square().mean() for y in outputs).backward()
        results.append([*(y.detach() for y in outputs), *(p.grad.clone() for p in block.parameters())])
    torch._dynamo.reset()
    assert len(results[0]) > 10
    for wanted, given in zip(*results, strict=True):
        torch.testing.assert_close(given, wanted, rtol=1e-3, atol=1e-5)


@torch._dynamo.config.patch(recompile_limit=8, force_parameter_static_shapes=True)  # as they are, and afterwards again
def test_what_follows_convolutions_is_compiled_once_for_all_architectures():
    """Counted with the tracer alone, over two architectures: a few graphs, the same numbers, statistics and gradients."""
    torch._dynamo.reset()
    graphs = []

    def counting(graph, inputs):
        graphs.append(graph)
        return graph.forward

    units = 0
    for seed, architecture in enumerate(SPACE.sample(2, np.random.default_rng(1))):
        torch.manual_seed(seed)
        net = build(architecture, "seg")
        x = torch.randn(2, 3, 64 + 32 * seed, 64)
        compiled = compile_regions(copy.deepcopy(net), counting)
        for one in (net, compiled):
            one(x).square().mean().backward()
        assert list(compiled.state_dict()) == list(net.state_dict())
        for a, b in zip(compiled.state_dict().values(), net.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b)
        for a, b in zip(compiled.parameters(), net.parameters(), strict=True):
            assert torch.linalg.vector_norm(a.grad - b.grad) <= 1e-3 * torch.linalg.vector_norm(b.grad) + 1e-6
        with torch.no_grad():  # evaluations run kernel by kernel
            before = len(graphs)
            torch.testing.assert_close(compiled.eval()(x), net.eval()(x))
            assert len(graphs) == before
        units += sum(isinstance(module, (Unit, ResidualUnit)) for module in net.modules())
    assert 2 <= len(graphs) <= 8 < units / 10
    torch._dynamo.reset()
