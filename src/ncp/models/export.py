"""Networks on disk: weights with the architecture inside (safetensors), and ONNX for other programs.

>>> save(net, "seg.safetensors")                                            # doctest: +SKIP
>>> net = load("seg.safetensors")                                           # doctest: +SKIP
>>> export_onnx(net, "seg.onnx", size=(512, 1024))                          # doctest: +SKIP

A weight file is an ordinary safetensors file. Its metadata holds ``format`` (``ncp-network-1``) and the signature of the
network: ``architecture`` (the 31-number text), ``task``, ``classes``, ``in_channels``, ``stem_strides`` (``2,2``).
"""

from __future__ import annotations

import copy
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor, nn

from ncp import files, tensorfile
from ncp.errors import UserError, missing_extra
from ncp.models.backbone import MAX_CHANNELS, MultiResolutionNet, Signature, VideoNet
from ncp.models.factory import TASKS, build
from ncp.models.heads import MAX_CLASSES
from ncp.models.runtime import fused
from ncp.models.setups import SETUPS
from ncp.models.transnas.nets import TILES, JigsawNet
from ncp.spaces import cost
from ncp.spaces.multires import NAMES, Architecture

FORMAT = "ncp-network-1"
PARTS = ("all", "backbone")
ONNX_OPSET = 18
ONNX_TOLERANCE = 1e-4  # of the largest output, between torch and onnxruntime in float32
LEAST = 64  # pixels of a free side: the coarsest branch has more than one then
ODD = (71, 101)  # a size whose halves have to be rounded at every branch
SLACK = 1_000_000  # weights that a file may lack and still be compared tensor by tensor, for a message that names one
_COUNTED = ("running_mean", "running_var", "num_batches_tracked")  # of batch norms; no parameters


class _Signature(msgspec.Struct):
    """The metadata by which a network is built again; all values are text in the file."""

    architecture: str
    task: str
    classes: Annotated[int, msgspec.Meta(ge=0, le=MAX_CLASSES)]
    in_channels: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHANNELS)]
    stem_strides: Annotated[str, msgspec.Meta(pattern=r"^[12],[12]\Z")]


def save(net: MultiResolutionNet, path: str | os.PathLike[str], extra: Mapping[str, str] | None = None) -> Path:
    """Write the weights and the signature; the file appears whole or not at all.

    Args:
        net: made by :func:`ncp.models.build`.
        path: of the file.
        extra: more text for the metadata (a metric, a commit...).

    Raises:
        UserError: where the file cannot be written, for a network that has no signature or is not what its signature says,
            and for weights that are not finite.
    """
    signature = signature_of(net)
    if signature is None:
        raise UserError("only a network made by ncp.models.build can be saved with its architecture inside")
    _check_itself(net, signature)
    metadata = {**(extra or {}), "format": FORMAT, **signature_text(signature)}
    return tensorfile.write(path, net.state_dict(), metadata, "the weights of this network")


def _check_itself(net: nn.Module, signature: Signature) -> None:
    """A file must hold what its metadata says: the tensors of the network that the signature describes, no others."""
    with torch.random.fork_rng(devices=[]):
        wanted = build(**signature._asdict()).state_dict()
    tensorfile.check_shapes(
        tensorfile.shapes_of(net.state_dict()),
        tensorfile.shapes_of(wanted),
        "this network was changed after it was built and is no longer what its metadata would say",
    )


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
    where = f"'{files.printable(path)}'"
    head = tensorfile.head(path)
    if head.metadata.get("format") != FORMAT:
        found = files.shown(head.metadata.get("format"))
        raise UserError(f"{where} holds no network of this project (its format is '{found}', not '{FORMAT}')")
    signature = signature_from_text(head.metadata, f"the metadata of {where}")
    numbers = sum(math.prod(s) for name, s in head.shapes.items() if not name.endswith(_COUNTED))
    if (wanted := _parameters(signature)) > numbers + SLACK:  # before anything of that size is made
        raise UserError(f"{where} holds {numbers:,} weights, the network of its metadata has {wanted:,}")
    tensors = tensorfile.tensors(path)
    tensorfile.check_variances(tensors, where)
    return signature, tensors


def _parameters(signature: Signature) -> int:
    """The number of trainable parameters, counted from the architecture."""
    code, channels, classes = Architecture.of_content(signature.architecture), signature.in_channels, signature.classes
    if signature.task == "video":
        return int(cost.video(code, classes=classes, in_channels=channels).params)
    head = SETUPS[signature.task].head
    return int(cost.count(code, head=head, classes=classes, in_channels=channels).params)


def signature_of(net: nn.Module) -> Signature | None:
    """What a network was built from; None for a baseline."""
    signature = getattr(net, "signature", None)
    return signature if isinstance(signature, Signature) else None


def signature_text(signature: Signature) -> dict[str, str]:
    """A signature as metadata holds it."""
    values = {k: str(v) for k, v in signature._asdict().items()}
    return {**values, "stem_strides": ",".join(map(str, signature.stem_strides))}


def signature_from_text(metadata: Mapping[str, str], where: str) -> Signature:
    """The signature in metadata; raises ``UserError`` naming ``where`` for what it cannot be."""
    card: _Signature = files.checked(dict(metadata), _Signature, where, strict=False)
    if card.task not in TASKS:
        raise UserError(f"{where} cannot be used: unknown task '{files.shown(card.task)}'; tasks: {', '.join(TASKS)}")
    try:
        text = Architecture.of_content(card.architecture).text  # opens no file, whatever the text is
    except UserError as error:
        raise UserError(f"{where} cannot be used: {error}") from None
    first, second = map(int, card.stem_strides.split(","))
    return Signature(text, card.task, card.classes, card.in_channels, (first, second))


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
        raise UserError(f"the weights in '{files.printable(path)}' are of another network: {shown}")


def _copy(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Strict loading that checks everything before it changes anything."""
    tensorfile.check_shapes(
        tensorfile.shapes_of(tensors),
        tensorfile.shapes_of(module.state_dict()),
        f"the weights in '{files.printable(path)}' do not fit the network",
    )
    module.load_state_dict(tensors)


def export_onnx(
    net: MultiResolutionNet,
    path: str | os.PathLike[str],
    size: tuple[int, int] = (224, 224),
    frames: int = 8,
    fold_norms: bool = True,
    check: bool = True,
    extra: Mapping[str, str] | None = None,
    dynamic: bool = False,
) -> Path:
    """Write ``net`` as ONNX, for any batch size: input ``images`` (or ``clips``, or a jigsaw's ``tiles``), output ``output``.

    Args:
        net: a network for any task.
        path: of the file.
        size: height and width of the input.
        frames: of a clip, for video networks.
        fold_norms: fold the batch norms into the convolutions.
        check: run the file in onnxruntime on two batch sizes and compare with torch.
        extra: more text for the metadata.
        dynamic: let height, width and frames be free too, sides from ``LEAST`` pixels up.

    Raises:
        UserError: where the ``export`` extra is missing, the file cannot be written, the weights are not finite, the network
            is not what its signature says, or onnxruntime's result differs from torch's; there is then no file, or the old one.
    """
    check_extra()
    path = Path(path)
    own = _checked_signature(net)
    plain = (fused(net) if fold_norms else copy.deepcopy(net)).cpu().float().eval()
    size, frames = _followed(size, frames, dynamic)
    example = example_input(net, size, frames, batch=2)
    name = "tiles" if isinstance(net, JigsawNet) else "clips" if example.ndim == 5 else "images"
    trials = [(example_input(net, size, frames, number),) for number in (1, 3)] if check else []
    if dynamic and check:
        trials += [(example_input(net, ODD, frames + 1, 1),)]
    free = (_free(net, example, dynamic),)
    return write_onnx(plain, (example,), (name,), ("output",), free, path, {**(extra or {}), **own}, trials)


def export_program(
    net: MultiResolutionNet,
    path: str | os.PathLike[str],
    size: tuple[int, int] = (224, 224),
    frames: int = 8,
    extra: Mapping[str, str] | None = None,
    dynamic: bool = False,
) -> Path:
    """Write ``net`` as a program of :mod:`torch.export` (``.pt2``): ``torch.export.load(path).module()`` runs it anywhere.

    Args and errors are those of :func:`export_onnx`; the texts stand in the file's ``extra_files`` as ``metadata.json``.
    """
    own = _checked_signature(net)
    plain = fused(net).cpu().float().eval()
    size, frames = _followed(size, frames, dynamic)
    example = example_input(net, size, frames, batch=2)
    return write_program(plain, (example,), (_free(net, example, dynamic),), Path(path), {**(extra or {}), **own})


def write_program(
    net: nn.Module, example: tuple[Tensor, ...], dynamic: Any, path: Path, metadata: Mapping[str, str]
) -> Path:
    """Write a module as a program of :mod:`torch.export`; see :func:`write_onnx` for the arguments."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*shares the same shape constraints.*")
        program = torch.export.export(net, example, dynamic_shapes=dynamic)
    with files.writing(path) as scratch, warnings.catch_warnings():
        # weights that share memory; what is written holds them all, on the CPU
        warnings.filterwarnings("ignore", message="No complete tensor found in the group")
        torch.export.save(program, scratch, extra_files={"metadata.json": json.dumps(dict(metadata))})
    return path


def _checked_signature(net: nn.Module) -> dict[str, str]:
    """The signature as metadata, of a network that is what it says and has finite weights."""
    tensorfile.check_finite(net.state_dict(), "the weights of this network")
    signature = signature_of(net)
    if signature is None:
        return {}
    _check_itself(net, signature)
    return {"format": FORMAT, **signature_text(signature)}


def _followed(size: tuple[int, int], frames: int, free: bool) -> tuple[tuple[int, int], int]:
    """Sides and frames of the input that is followed through the network: where they are to be free, none below the least."""
    return ((max(size[0], LEAST), max(size[1], LEAST)), max(frames, 2)) if free else (size, frames)


def _free(net: nn.Module, example: Tensor, sizes: bool) -> dict[int, Any]:
    """The sides of the input that may be of any length: the batch, and all but the channels where ``sizes`` is true."""
    dim = torch.export.Dim
    free = {0: dim("batch", min=1)}
    if sizes:
        free |= {example.ndim - 2: dim("height", min=LEAST), example.ndim - 1: dim("width", min=LEAST)}
        free |= {1: dim("frames", min=2)} if isinstance(net, VideoNet) else {}
    return free


def check_extra() -> None:
    """Raise a ``UserError`` where a package that writes ONNX is missing."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401  the exporter needs it
    except ImportError as error:
        raise missing_extra(error.name or "onnx", "export") from None


def write_onnx(
    net: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: Any,
    path: Path,
    metadata: Mapping[str, str],
    trials: Sequence[tuple[Tensor, ...]],
) -> Path:
    """Write a module as ONNX, run the file in onnxruntime, and keep it where it gives what torch gives.

    Args:
        net: in evaluation mode, float32, on the CPU.
        example: inputs to follow through it.
        inputs, outputs: their names.
        dynamic: which of their sides may be of any length, as :func:`torch.export.export` has it.
        path: of the file.
        metadata: texts in it.
        trials: inputs to compare on; none for no comparison.

    Raises:
        UserError: see :func:`export_onnx`.
    """
    import onnx

    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*shares the same shape constraints.*")  # two inputs of one length
        program = torch.onnx.export(
            net,
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic,
            opset_version=ONNX_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, dict(metadata))
    with files.writing(path) as scratch:
        onnx.save(model, scratch)
        worst = max((onnx_error(net, scratch, *trial) for trial in trials), default=0.0)
        if not worst <= ONNX_TOLERANCE:
            shown = files.printable(path)
            raise UserError(
                f"the ONNX file differs from torch by {worst:.1e} of the largest output and was not written to '{shown}'; "
                "try fold_norms=False"
            )
    return path


def onnx_error(net: nn.Module, path: str | os.PathLike[str], *inputs: Tensor) -> float:
    """Largest difference between onnxruntime's outputs and torch's, over torch's largest; infinite where one is no number."""
    try:
        import onnxruntime
    except ImportError:
        raise missing_extra("onnxruntime", "export") from None
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    given = session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})
    with torch.no_grad():
        found: Any = net(*inputs)
    worst = 0.0
    for mine, wanted in zip(given, [found] if isinstance(found, Tensor) else list(found), strict=True):
        if tuple(mine.shape) != tuple(wanted.shape):
            return math.inf
        error = float((torch.from_numpy(mine) - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30))
        if math.isnan(error):  # which max() would pass over
            return math.inf
        worst = max(worst, error)
    return worst


def example_input(net: MultiResolutionNet, size: tuple[int, int], frames: int, batch: int) -> Tensor:
    """A random input of a network: images, or clips of ``frames``; of another one with every number of inputs."""
    channels = next(m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d))  # of a baseline too
    shape: tuple[int, ...] = (batch, frames, channels, *size) if isinstance(net, VideoNet) else (batch, channels, *size)
    if isinstance(net, JigsawNet):
        shape = (batch, TILES, channels, *size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(batch))
