"""How a network is run: numeric precision, compilation, and folding of norms for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ncp.errors import UserError
from ncp.models.finish import Backend, compiled

N = TypeVar("N", bound=nn.Module)
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")
REGIONAL = "regional"
"""Of ``compile``: see :func:`compile_regions`."""
_FOLDS = (("conv", "norm"), ("conv1", "norm1"), ("conv2", "norm2"))


def default_precision(device: str | torch.device | None = None, deterministic: bool = False) -> str:
    """The precision in which training and inference run unless the user chooses one, in Lightning's words.

    ``bf16-mixed`` on GPUs that compute in bfloat16 and on CPUs that gain by it (:func:`cpu_gains_by_bf16`); ``32-true``
    everywhere else and in deterministic mode.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``...; the GPU where there is one, else the CPU.
        deterministic: whether the run must repeat bit by bit.
    """
    kind = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")).type
    if deterministic:
        return "32-true"
    if kind == "cuda" and torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16-mixed"
    return "bf16-mixed" if kind == "cpu" and cpu_gains_by_bf16() else "32-true"


def cpu_gains_by_bf16() -> bool:
    """Whether bfloat16 is the faster type of numbers on this CPU: it has instructions, and they are not the slow ones.

    Processors with AMX compute bfloat16 there. Where a virtual machine hides AMX, what is left of the same processors is
    AVX512-BF16 at half the rate of float32 (``python -m bench.models --cpu`` prints both rates, and a network's share of them).
    They are known by AVX512-FP16, which came with AMX; those with AVX512-BF16 alone were built to gain by it.
    """
    found = _capabilities()
    hidden = bool(found.get("avx512_fp16")) and not any(found.get(name) for name in ("amx_bf16", "avx10_2"))
    return cpu_has_bf16() and not hidden


def _capabilities() -> dict[str, object]:
    """What torch says of this CPU; nothing where it is too old to say anything."""
    read = getattr(torch.cpu, "get_capabilities", None)
    return {} if read is None else dict(read())


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX, or Arm's BF16), as torch sees it."""
    if found := _capabilities():
        return any(bool(found.get(name)) for name in ("avx512_bf16", "amx_bf16", "avx10_2", "bf16", "arm_bf16"))
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(bool(probe()) for probe in probes if probe is not None)


def compile_in_place(net: N, mode: str | None = None, device: str | torch.device | None = None) -> N:
    """Have ``net`` compiled at its first call, keeping the names of its weights (checkpoints stay as they are).

    Args:
        net: any module.
        mode: ``default``, ``reduce-overhead`` (CUDA graphs: removes the launch cost of the many small kernels; needs inputs
            of one size), ``max-autotune``; unless given, ``reduce-overhead`` on a GPU and ``default`` on a CPU.
        device: where it will run, as in :func:`default_precision`.

    Raises:
        UserError: for another mode.
    """
    kind = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")).type
    mode = mode or ("reduce-overhead" if kind == "cuda" else "default")
    if mode not in COMPILE_MODES:
        raise UserError(f"unknown compile mode '{mode}'; modes: {', '.join(COMPILE_MODES)}")
    net.compile(mode=mode)
    return net


def fused(net: N) -> N:
    """A copy of ``net`` for inference, with every batch norm folded into the convolution before it.

    The outputs are the same up to rounding; the copy is in evaluation mode and cannot be trained.
    """
    copied = copy.deepcopy(net).eval().requires_grad_(False)
    for module in copied.modules():
        for conv_name, norm_name in _FOLDS:
            # children alone: modules of other projects may answer to these names with another child
            conv, norm = module._modules.get(conv_name), module._modules.get(norm_name)
            if isinstance(conv, (nn.Conv2d, nn.Conv3d)) and isinstance(norm, nn.modules.batchnorm._BatchNorm):
                _fold(conv, norm)
                setattr(module, norm_name, nn.Identity())
    return copied


def _fold(conv: nn.Conv2d | nn.Conv3d, norm: nn.modules.batchnorm._BatchNorm) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def compile_regions(net: N, backend: Backend = "inductor") -> N:
    """Have what follows the convolutions of ``net`` (norm, shortcut, ReLU) compiled at its first call; names of weights stay.

    A whole network is one graph, which takes minutes to compile and belongs to one architecture. These parts are one function
    for all units of all architectures, in which height, width and channels are free numbers; convolutions stay the library's.
    How long that takes, ``python -m bench.gpu compile`` measures, with the compiler's cache on disk and without.

    Args:
        net: with :class:`ncp.models.blocks.Unit` and :class:`ncp.models.blocks.ResidualUnit` within; others stay as they are.
        backend: of :func:`torch.compile`.
    """
    from ncp.models.blocks import ResidualUnit, Unit

    finisher = compiled(backend)
    for module in net.modules():
        if isinstance(module, (Unit, ResidualUnit)):
            module.finisher = finisher
    return net
