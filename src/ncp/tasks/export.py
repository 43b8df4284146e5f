"""From a checkpoint, or an architecture alone, to files for other programs; ``src/export.py`` is the command."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from ncp import registry, spaces
from ncp.card import ROOMS, NetworkCard, line
from ncp.errors import UserError
from ncp.files import shown
from ncp.models import build, build_timm, detector_file
from ncp.models.anchors import ROTATIONS
from ncp.models.decode_heads import build_with_head
from ncp.models.detector import Detector, pointpillars
from ncp.models.detector_file import detector_of
from ncp.models.export import example_input, export_onnx, export_program, save, signature_of
from ncp.models.formats import openmmlab, python, rooms
from ncp.models.setups import POINTPILLARS
from ncp.models.transnas import nets, saved
from ncp.spaces.multires import Architecture
from ncp.tasks import architectures, checkpoint
from ncp.tasks.architectures import BASELINES
from ncp.tasks.base import Task
from ncp.tasks.cards import card_of

ENDINGS = {"safetensors": ".safetensors", "onnx": ".onnx", "openvino": ".xml", "torchexport": ".pt2"}
"""Of files; the other formats are folders."""
FORMATS = (*ENDINGS, "python", "timm", *openmmlab.TASK)
OF_BASELINES = ("onnx", "openvino", "torchexport")  # formats that hold a network without naming its architecture
SIZED = OF_BASELINES  # they hold a graph for one size of input
OF_TASK = {"timm": "cls", **openmmlab.TASK}
LIGHT = ("decoder_width", "short_decoder", "base", "stem_stride")  # of a network on rooms
KINDS = len(ROTATIONS)  # anchors of a class at every place
SIZE, FRAMES = (224, 224), 8  # where nothing else is known


class Exportable(NamedTuple):
    """A network and what a program needs to know to use it.

    Attributes:
        net: from images (clips) to its output; a whole detector reads points.
        task: its name.
        architecture: text, or a baseline's name.
        size: height and width of the training's evaluation input.
        about: for the files' metadata: the card, the step, the newest scores.
        card: of a trained network.
    """

    net: nn.Module
    task: str
    architecture: str
    size: tuple[int, int]
    about: dict[str, str]
    card: NetworkCard | None = None


class Exporting(Protocol):
    """What :func:`network_of` is told (``conf/export.yaml``)."""

    ckpt_path: str | None
    task: dict[str, Any] | None
    arch: dict[str, Any] | None
    classes: int | None
    seed: int


def network_of(given: Exporting) -> Exportable:
    """The network that ``conf/export.yaml`` means: of ``ckpt_path``, or freshly initialised from ``arch``.

    Raises:
        UserError: where both or neither are given, or the file is no checkpoint.
    """
    if bool(given.ckpt_path) == bool(given.arch):
        raise UserError("give either ckpt_path=<a training's checkpoint> or arch=<an architecture, untrained>")
    return from_checkpoint(Path(given.ckpt_path)) if given.ckpt_path else untrained(given)


def licence_named(given: str) -> str:
    """The identifier of a licence as hubs write it, in small letters.

    Raises:
        UserError: for anything else than letters, digits, dots, plus and hyphens.
    """
    name = given.strip().lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,59}", name):
        raise UserError(f"licence is an identifier such as cc-by-4.0, apache-2.0 or other, given was '{shown(given)}'")
    return name


def untrained(given: Exporting) -> Exportable:
    """A network of ``given.arch`` for ``given.task`` with ``given.classes`` (None: the task's own number)."""
    arch = given.arch or {}
    architecture: Any = architectures.choose(arch, architectures.space_of(None, arch))
    kind: type[Task] = registry.resolve((given.task or {}).get("_target_"), "task", Task)  # type: ignore[type-abstract]
    task = kind.name
    kind.check_architecture(architecture)
    if task == "det3d":
        raise UserError("task=det3d needs a training, which knows the space that the detector sees: give ckpt_path=...")
    torch.manual_seed(given.seed)
    if task in ROOMS:
        net: nn.Module = nets.build_scene(architecture, task, given.classes)
    else:
        net = _build(architecture, task, given.classes, None, arch)
    return Exportable(net, task, str(architecture), SIZE, {"trained": "no"})


def from_checkpoint(path: Path) -> Exportable:
    """The trained network of a checkpoint.

    Raises:
        UserError: for a detector and for a baseline of another project, which the files cannot hold as a whole.
    """
    found = checkpoint.read(path)
    own = found.own
    with found.blamed():
        about = card_of(found)
        settings, model = found.options.arch, found.options.model
        baseline = settings.get("kind") in BASELINES
        architecture = own.architecture if baseline else architectures.of_own_text(own.architecture)
        # the file may claim more than it holds: compared before any memory is taken
        logits = len(own.classes) * (KINDS * len(own.classes) if own.task == "det3d" else 1)
        if not any(sizes[:1] == (logits,) for sizes in found.network_shapes.values()):
            raise UserError(f"{found.where} names {len(own.classes):,} classes, for which it has no weights")
        if not baseline:
            with torch.device("meta"):
                found.check_network(_made(architecture, about, settings, model))
        net = _made(architecture, about, settings, model)
    found.check_network(net)
    net.load_state_dict(found.weights())
    facts = {**about.text(), "trained": "yes", "step": str(own.step), **_origin(found)}
    facts |= {f"metrics.{line(key)}": f"{value:.4f}" for key, value in own.latest.items() if value is not None}
    return Exportable(net, own.task, own.architecture, about.size, facts, about)


def _origin(found: checkpoint.Checkpoint) -> dict[str, str]:
    """What the network was trained on, in words: the setting, and the data's class and folder."""
    options = found.options
    kind = str(options.data.get("_target_") or "").rpartition(".")[2]
    folder = Path(str(options.data.get("root") or "")).name
    said = {"setting": options.setting or "", "data": f"{kind} {folder}".strip()}
    return {key: line(value) for key, value in said.items() if value}


def _made(architecture: Any, about: NetworkCard, settings: Any, model: Mapping[str, Any]) -> nn.Module:
    """The network of a card, a whole detector for detection."""
    head = model.get("head")
    if about.task in ROOMS:
        light = {key: model[key] for key in LIGHT if model.get(key) is not None}
        return nets.build_scene(architecture, about.task, len(about.classes), about.channels, **light)
    if about.use.space is None:
        return _build(architecture, about.task, len(about.classes), about.channels, settings, head)
    if architecture in POINTPILLARS:
        return detector_of(pointpillars(architecture), about.use.space)
    return detector_of(_build(architecture, about.task, 0, about.channels, settings), about.use.space)


def _build(
    architecture: Any, task: str, classes: int | None, channels: int | None, settings: Any, head: Any = None
) -> nn.Module:
    if isinstance(architecture, Architecture) and head is not None and task == "seg":
        return build_with_head(architecture, classes or 0, channels or 3, head)
    if isinstance(architecture, Architecture):
        return build(architecture, task, classes=classes, in_channels=channels)
    extra = {key: value for key, value in settings.items() if key not in ("kind", "name")}
    return build_timm(architecture, task, classes=classes, in_channels=channels, **extra)


def write(
    found: Exportable, formats: str | Sequence[str], out: Path, size: Sequence[int] | None, dynamic: bool = False
) -> dict[str, str]:
    """Write the files and folders; ``{format: path}``.

    Args:
        found: the network.
        formats: one or more of ``FORMATS``.
        out: path without an ending (a format's own is dropped); a single format that is a folder takes it as its name.
        size: height and width of the input of ONNX and torch.export; None for ``found.size``.
        dynamic: let these be free.

    Raises:
        UserError: for an unknown format, an impossible size, or a network that a format cannot hold.
    """
    wanted = [formats] if isinstance(formats, str) else list(formats)
    if not wanted or set(wanted) - set(FORMATS):
        raise UserError(f"format must be one or more of {', '.join(FORMATS)}, given was {formats}")
    if size is not None and (len(size) != 2 or not all(isinstance(n, int) and n >= 32 for n in size)):
        raise UserError(f"size is a height and a width of at least 32 pixels, such as [512,1024], given was {size}")
    for name in ("onnxscript", "onnx_ir", "torch.onnx"):  # the exporter reports every pass over the graph
        logging.getLogger(name).setLevel(logging.WARNING)
    _check_formats(found, wanted, size is not None or dynamic)
    stem = out.with_suffix("") if out.suffix in ENDINGS.values() else out
    height, width = size or found.size
    asked = InputShape((int(height), int(width)), dynamic)
    written = {}
    for kind in wanted:
        if kind in ENDINGS:
            path = stem.with_name(f"{stem.name}{ENDINGS[kind]}")
        else:
            path = stem if len(wanted) == 1 else stem.with_name(f"{stem.name}-{kind}")
        WRITERS[kind](found, path, asked)
        written[kind] = str(path)
    return written


def _check_formats(found: Exportable, wanted: Sequence[str], sized: bool) -> None:
    """Refuse what a network cannot be written as, and a size that no file has, before the first file is."""
    inner = found.net.network if isinstance(found.net, Detector) else found.net
    others = [kind for kind in wanted if kind not in OF_BASELINES]
    if signature_of(inner) is None and others and not isinstance(inner, nets.SceneNet):
        raise UserError(
            f"format={others[0]} writes networks of the space; a baseline such as {found.architecture} is written as "
            f"{' or '.join(f'format={kind}' for kind in OF_BASELINES)}"
        )
    if sized and (isinstance(found.net, Detector) or not set(wanted) & set(SIZED)):
        what = "a detector's files" if isinstance(found.net, Detector) else " and ".join(wanted)
        raise UserError(
            f"size and dynamic are for images and clips as {', '.join(SIZED)}, not for {what}; leave them out"
        )
    for kind in wanted:
        if (task := OF_TASK.get(kind, found.task)) != found.task:
            raise UserError(
                f"format={kind} writes networks of task={task}, this is of task={found.task}; use "
                "format=python, onnx or torchexport"
            )


class InputShape(NamedTuple):
    """What the formats are told beside the network: height and width of an image, and whether these are free."""

    size: tuple[int, int]
    dynamic: bool


def _weights(found: Exportable, path: Path, asked: InputShape | None = None) -> None:
    if isinstance(found.net, Detector):
        detector_file.save(found.net, path, found.about)
    elif isinstance(found.net, nets.SceneNet):
        saved.save(found.net, path, found.about)
    else:
        save(found.net, path, found.about)  # type: ignore[arg-type]


def _onnx(found: Exportable, path: Path, asked: InputShape) -> None:
    if isinstance(found.net, Detector):
        detector_file.export_onnx(found.net, path, found.about)
    else:
        export_onnx(found.net, path, asked.size, _frames(found), extra=found.about, dynamic=asked.dynamic)  # type: ignore[arg-type]


def _openvino(found: Exportable, path: Path, asked: InputShape) -> None:
    from ncp.models import openvino_file

    with tempfile.TemporaryDirectory(prefix="ncp-export-") as folder:
        source = Path(folder) / "network.onnx"
        _onnx(found, source, asked)
        openvino_file.from_onnx(source, path, found.about)
    net: nn.Module = found.net
    trials: Any
    if isinstance(net, Detector):
        net, trials = detector_file.to_compare(net)
    else:
        trials = [(example_input(net, asked.size, _frames(found), number),) for number in (1, 3)]  # type: ignore[arg-type]
    openvino_file.check(net.cpu().float().eval(), path, trials)


def _program(found: Exportable, path: Path, asked: InputShape) -> None:
    if isinstance(found.net, Detector):
        detector_file.export_program(found.net, path, found.about)
    else:
        export_program(found.net, path, asked.size, _frames(found), found.about, asked.dynamic)  # type: ignore[arg-type]


def _python(found: Exportable, folder: Path, asked: InputShape) -> None:
    if isinstance(found.net, nets.SceneNet):
        rooms.write(found.net, found.card, folder)
    else:
        python.write(found.net, found.card, folder)
    _weights(found, folder / python.WEIGHTS)


def _timm(found: Exportable, folder: Path, asked: InputShape) -> None:
    from ncp.models.formats import timm_folder

    timm_folder.write(found.net, found.card, found.about, folder)


def _openmmlab(kind: str, found: Exportable, folder: Path, asked: InputShape) -> None:
    openmmlab.write(kind, found.net, found.card, folder)


WRITERS: dict[str, Callable[[Exportable, Path, InputShape], None]] = {
    "safetensors": _weights,
    "onnx": _onnx,
    "openvino": _openvino,
    "torchexport": _program,
    "python": _python,
    "timm": _timm,
    **{kind: partial(_openmmlab, kind) for kind in openmmlab.TASK},
}


def input_shape(found: Exportable, size: Sequence[int] | None) -> tuple[int, ...]:
    """Of one input of the network, which is no detector of points."""
    height, width = size or found.size
    return tuple(example_input(found.net, (int(height), int(width)), _frames(found), batch=1).shape)  # type: ignore[arg-type]


def _frames(found: Exportable) -> int:
    clips = found.card.use.clips if found.card is not None else None
    return clips.frames if clips is not None else FRAMES


def summarise(found: Exportable, files: dict[str, str], size: Sequence[int] | None) -> dict[str, Any]:
    """The content of ``result.json`` (docs/result.md)."""
    named = architectures.of_own_text(found.architecture) if found.architecture[:1].isdigit() else None
    code = None if named is None else list(named.code)
    costs: dict[str, Any] = {"params": sum(p.numel() for p in found.net.parameters())}
    if named is not None:
        costs["macs"] = int(spaces.get(spaces.of_form(named)).cost(np.array([named.code])).macs[0])
    return {
        "task": found.task,
        "architecture": {"text": found.architecture, "code": code},
        "cost": costs,
        "size": [int(n) for n in size or found.size],
        "files": files,
    }
