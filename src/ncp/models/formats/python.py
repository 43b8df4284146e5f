"""A network as one readable file of plain torch, ``model.py``, beside its weights, ``model.safetensors``.

Whoever has torch and safetensors can use, read and change it; nothing of this project is imported. The weights' file is the one
that ``format=safetensors`` writes, so that this project reads it too.
"""

from __future__ import annotations

import pprint
import re
from pathlib import Path
from typing import Any

from torch import nn

from ncp import card, files
from ncp.errors import UserError
from ncp.metrics.anchors import grid_size
from ncp.models.backbone import MultiResolutionNet, Signature
from ncp.models.export import signature_of
from ncp.spaces.multires import Architecture

MODEL, WEIGHTS = "model.py", "model.safetensors"
SOURCE = Path(__file__).with_name("standalone.py")
_INPUTS = {
    "cls": "images (B, {channels}, H, W)",
    "seg": "images (B, {channels}, H, W)",
    "video": "clips (B, T, {channels}, H, W)",
    "det3d": "the points (N, 4) of one scene: x, y, z, reflectance",
}
_OUTPUTS = {
    "cls": "logits (B, {classes})",
    "seg": "logits (B, {classes}, H/4, W/4)",
    "video": "logits (B, {classes})",
    "det3d": "boxes (K, 7), numbers of their classes (K,) and scores (K,)",
}


def write(net: nn.Module, about: card.NetworkCard | None, folder: Path) -> Path:
    """Write ``model.py`` into a folder; the weights are written beside it by :mod:`ncp.models.export`.

    Args:
        net: made by :func:`ncp.models.build`, or a whole detector around one.
        about: its card; None for a network without training.
        folder: of the files.

    Raises:
        UserError: for a network of another project, or a detector whose boxes are chosen by the overlap of turned ones.
    """
    network = getattr(net, "network", net)
    signature = signature_of(network)
    if signature is None or not isinstance(network, MultiResolutionNet):
        raise UserError("format=python writes networks of the space; a baseline's source is its own project's")
    if about is not None and about.use.space is not None and about.use.space.nms.rotated:
        raise UserError(
            "format=python chooses boxes by the rectangles around them; this detector's training had task.nms.rotated=true, "
            "use format=onnx"
        )
    files.write_text(folder / MODEL, source_of(signature, about))
    return folder / MODEL


def source_of(signature: Signature, about: card.NetworkCard | None) -> str:
    """The text of ``model.py``."""
    task = signature.task
    whole = task == "det3d" and about is not None
    classes = list(about.classes) if about is not None else [f"class {i}" for i in range(signature.classes)]
    numbers = {"channels": signature.in_channels, "classes": len(classes)}
    reads, writes = _INPUTS[task].format(**numbers), _OUTPUTS[task].format(**numbers)
    values = _constants(signature, classes, about)
    size = ""
    if about is not None and about.use.space is None:
        size = f"\nEvaluated on {about.size[0]} x {about.size[1]} pixels; normalise() first."
    head = heading(
        "A network that was designed by network coding propagation, in plain torch.",
        reads,
        f"{writes}.{size}",
        "\n".join(_part("imports")),
        signature.architecture,
        values,
    )
    body = "\n".join(_part(task)).replace("Whole()", "Detector()" if whole else "Network()")
    return finished(head + "\n\n\n" + body.strip() + "\n")


def _constants(signature: Signature, classes: list[str], about: card.NetworkCard | None) -> dict[str, Any]:
    architecture = Architecture.of_content(signature.architecture)
    out: dict[str, Any] = {
        "CLASSES": classes,
        "IN_CHANNELS": signature.in_channels,
        "STEM": (architecture["i1"], architecture["i2"]),
        "STRIDES": signature.stem_strides,
        "BLOCKS": [(tuple(spec.units), tuple(spec.channels)) for spec in architecture.blocks],
        "WIDTH": architecture["o1"],
    }
    if about is None:
        channels = signature.in_channels
        mean, std = (card.MEAN, card.STD) if channels == 3 else ((0.5,) * channels, (0.25,) * channels)
        return out | {"MEAN": list(mean), "STD": list(std)}
    if about.use.space is None:
        return out | {"MEAN": list(about.mean), "STD": list(about.std)}
    space = about.use.space
    return out | {
        "LIMITS": tuple(space.limits),
        "PILLAR": space.pillar,
        "GRID": grid_size(space.limits, space.pillar),
        "STRIDE": space.stride,
        "MAX_PILLARS": space.max_pillars,
        "MAX_POINTS": space.max_points,
        "Z_OFFSET": space.z_offset,
        "ANCHORS": [(a.length, a.width, a.height, a.bottom) for a in space.anchors],
        "SCORE": space.nms.score,
        "OVERLAP": space.nms.overlap,
        "BEFORE": space.nms.before,
        "MOST": space.nms.most,
    }


def sections(source: Path) -> list[tuple[set[str], str]]:
    """The names and the text of each section of a file of sources, in order."""
    parts = re.split(r"^# ==== (.*)$", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [(set(names.split()), text.strip()) for names, text in zip(parts[1::2], parts[2::2], strict=True)]


def backbone() -> str:
    """The classes of the multi-resolution backbone, and how its maps are joined."""
    text = next(text for names, text in sections(SOURCE) if names == {"all"})
    return text[text.index("class ") :]


def heading(title: str, reads: str, writes: str, imports: str, architecture: str, values: dict[str, Any]) -> str:
    """How a ``model.py`` begins: what it is, its imports, and the constants that make it this network."""
    lines = [
        f'"""{title}',
        "",
        f"Reads {reads};",
        f"writes {writes}",
        "",
        "    from model import load",
        "    net = load()                       # model.safetensors, beside this file",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        imports,
        "",
        f'ARCHITECTURE = "{architecture}"',
        *(f"{name} = {pprint.pformat(value, width=118, compact=True)}" for name, value in values.items()),
    ]
    return "\n".join(lines)


def finished(text: str) -> str:
    """The text of ``model.py`` without what is only for this project's linters."""
    return re.sub(r"  # type: ignore\[[a-z-]+\]", "", text)


def _part(name: str) -> list[str]:
    """The lines of the source that belong to a task; ``imports``: those at its top."""
    chosen: list[str] = []
    for names, text in sections(SOURCE):
        if {"all", name} & names:
            chosen += [*text.splitlines(), "", ""]
    first = next(i for i, line in enumerate(chosen) if line.startswith("class "))
    return [line for line in chosen[:first] if line] if name == "imports" else chosen[first:]
