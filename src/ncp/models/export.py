"""Networks on disk: weights with the architecture inside (safetensors), and ONNX for other programs.

>>> save(net, "seg.safetensors")                                            # doctest: +SKIP
>>> net = load("seg.safetensors")                                           # doctest: +SKIP
>>> export_onnx(net, "seg.onnx", size=(512, 1024))                          # doctest: +SKIP

A weight file is an ordinary safetensors file. Its metadata holds ``format`` (``ncp-network-1``) and the signature of the
network: ``architecture`` (the 31-number text), ``task``, ``classes``, ``in_channels``, ``stem_strides`` (``2,2``).
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ncp.errors import UserError, missing_extra
from ncp.models.backbone import MultiResolutionNet, Signature, VideoNet
from ncp.models.factory import build
from ncp.models.runtime import fused
from ncp.spaces.multires import NAMES, Architecture

FORMAT = "ncp-network-1"
PARTS = ("all", "backbone")
ONNX_OPSET = 18
ONNX_TOLERANCE = 1e-4  # of the largest output, between torch and onnxruntime in float32


def save(net: MultiResolutionNet, path: str | os.PathLike[str], extra: Mapping[str, str] | None = None) -> Path:
    """Write the weights and the signature; the file appears whole or not at all.

    Args:
        net: made by :func:`ncp.models.build`.
        path: of the file.
        extra: more text for the metadata (a metric, a commit...).

    Raises:
        UserError: where the file cannot be written, or for a network that has no signature.
    """
    path = Path(path)
    signature = _signature_of(net)
    if signature is None:
        raise UserError("only a network made by ncp.models.build can be saved with its architecture inside")
    metadata = {**(extra or {}), "format": FORMAT, **_to_text(signature)}
    tensors = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, metadata)
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            part.unlink()
        raise UserError(f"cannot write the weights to '{path}': {error}") from None
    return path


def load(path: str | os.PathLike[str], channels_last: bool = True) -> MultiResolutionNet:
    """The network in a weight file, on the CPU.

    Raises:
        UserError: for a file that is missing, damaged, or not a network's.
    """
    signature, tensors = read(path)
    net = build(**signature._asdict(), channels_last=channels_last)
    _copy(net, tensors, Path(path))
    return net


def load_into(net: MultiResolutionNet, path: str | os.PathLike[str], part: str = "all") -> None:
    """Put a file's weights into a network that exists.

    Args:
        net: made by :func:`ncp.models.build`.
        path: of a weight file.
        part: ``all``, or ``backbone`` to start one task from another's weights (the head stays as it is).

    Raises:
        UserError: where anything does not fit: it names the dimensions of the architecture, the task, the classes or the
            input channels that differ, with both values. The network is left untouched.
    """
    if part not in PARTS:
        raise UserError(f"unknown part '{part}'; parts: {', '.join(PARTS)}")
    signature, tensors = read(path)
    if net.signature is not None:
        _refuse_other(signature, net.signature, part, path)
    if part == "backbone":
        prefix = "backbone."
        tensors = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        _copy(net.backbone, tensors, Path(path))
    else:
        _copy(net, tensors, Path(path))


def read(path: str | os.PathLike[str]) -> tuple[Signature, dict[str, Tensor]]:
    """The signature and the tensors of a weight file; raises ``UserError`` for anything else."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no weight file '{path}'")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"'{path}' is not a complete safetensors file: {error}") from None
    if metadata.get("format") != FORMAT:
        raise UserError(
            f"'{path}' holds no network of this project (its format is {metadata.get('format')!r}, not '{FORMAT}')"
        )
    return _from_text(metadata, path), tensors


def _signature_of(net: nn.Module) -> Signature | None:
    """What a network was built from; None for a baseline."""
    signature = getattr(net, "signature", None)
    return signature if isinstance(signature, Signature) else None


def _to_text(signature: Signature) -> dict[str, str]:
    values = {k: str(v) for k, v in signature._asdict().items()}
    return {**values, "stem_strides": ",".join(map(str, signature.stem_strides))}


def _from_text(metadata: Mapping[str, str], path: Path) -> Signature:
    try:
        first, second = (int(s) for s in metadata["stem_strides"].split(","))
        return Signature(
            Architecture.parse(metadata["architecture"]).text,
            metadata["task"],
            int(metadata["classes"]),
            int(metadata["in_channels"]),
            (first, second),
        )
    except KeyError as error:
        raise UserError(f"the metadata of '{path}' lacks {error}") from None
    except ValueError as error:
        raise UserError(f"the metadata of '{path}' cannot be read: {error}") from None


def _refuse_other(found: Signature, wanted: Signature, part: str, path: str | os.PathLike[str]) -> None:
    """Name every difference that matters for ``part``."""
    theirs, ours = Architecture.parse(found.architecture), Architecture.parse(wanted.architecture)
    names = [n for n in NAMES if part == "all" or n != "o1"]
    differences = [f"{n} is {theirs[n]}, not {ours[n]}" for n in names if theirs[n] != ours[n]]
    fields = ("task", "classes", "in_channels", "stem_strides") if part == "all" else ("in_channels", "stem_strides")
    for field in fields:
        a, b = getattr(found, field), getattr(wanted, field)
        if a != b:
            differences.append(f"{field} is {a}, not {b}")
    if differences:
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        raise UserError(f"the weights in '{path}' are of another network: {shown}")


def _copy(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Strict loading that checks everything before it changes anything."""
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [n for n in own.keys() & tensors.keys() if own[n].shape != tensors[n].shape]
    if missing or unknown or shapes:
        parts = [
            f"{what}: {names[0]} and {len(names) - 1} more"
            for what, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        parts += [f"{n} has shape {tuple(tensors[n].shape)}, not {tuple(own[n].shape)}" for n in shapes[:1]]
        raise UserError(f"the weights in '{path}' do not fit the network ({'; '.join(parts)})")
    bad = [n for n, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()]
    if bad:
        raise UserError(f"the weights in '{path}' are not finite: {bad[0]} and {len(bad) - 1} more")
    module.load_state_dict(tensors)


def export_onnx(
    net: MultiResolutionNet,
    path: str | os.PathLike[str],
    size: tuple[int, int] = (224, 224),
    frames: int = 8,
    fold_norms: bool = True,
    check: bool = True,
    extra: Mapping[str, str] | None = None,
) -> Path:
    """Write ``net`` as ONNX with input ``images`` (or ``clips``) and output ``output``, for any batch size.

    Args:
        net: a network for any task.
        path: of the file.
        size: height and width of the input; fixed, since the sizes of the branches follow from it.
        frames: of a clip, for video networks.
        fold_norms: fold the batch norms into the convolutions.
        check: run the file in onnxruntime on two batch sizes and compare with torch.
        extra: more text for the metadata.

    Raises:
        UserError: where the ``export`` extra is missing, the file cannot be written, or onnxruntime's result differs from
            torch's.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  the exporter needs it
    except ImportError as error:
        raise missing_extra(error.name or "onnx", "export") from None
    path = Path(path)
    plain = (fused(net) if fold_norms else copy.deepcopy(net)).cpu().float().eval()
    example = _example(net, size, frames, batch=2)
    name = "clips" if example.ndim == 5 else "images"
    with torch.no_grad():
        program = torch.onnx.export(
            plain,
            (example,),
            input_names=[name],
            output_names=["output"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=ONNX_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    signature = _signature_of(net)
    own = {"format": FORMAT, **_to_text(signature)} if signature is not None else {}
    onnx.helper.set_model_props(model, {**(extra or {}), **own})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
    except OSError as error:
        raise UserError(f"cannot write '{path}' ({error.strerror})") from None
    if check:
        worst = max(onnx_error(plain, path, _example(net, size, frames, batch)) for batch in (1, 3))
        if not worst <= ONNX_TOLERANCE:
            raise UserError(f"'{path}' differs from torch by {worst:.1e} of the largest output; try fold_norms=False")
    return path


def onnx_error(net: nn.Module, path: str | os.PathLike[str], images: Tensor) -> float:
    """Largest difference between onnxruntime's output and torch's, over torch's largest output."""
    try:
        import onnxruntime
    except ImportError:
        raise missing_extra("onnxruntime", "export") from None
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        wanted: Any = net(images)
    if tuple(given.shape) != tuple(wanted.shape):
        return math.inf
    return float((torch.from_numpy(given) - wanted).abs().max() / wanted.abs().max())


def _example(net: MultiResolutionNet, size: tuple[int, int], frames: int, batch: int) -> Tensor:
    channels = next(m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d))  # of a baseline too
    shape = (batch, frames, channels, *size) if isinstance(net, VideoNet) else (batch, channels, *size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(batch))
