"""A network of TransNAS-Bench-101's tasks as one readable file of plain torch, ``model.py``, beside its weights.

As :mod:`ncp.models.formats.python` writes those of the other tasks: nothing of this project is imported there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ncp import card, files
from ncp.models.formats.python import MODEL, backbone, finished, heading, sections
from ncp.models.transnas import nets
from ncp.models.transnas.decoders import Layer
from ncp.spaces import multires, transnas_macro, transnas_micro

_SOURCE = Path(__file__).with_name("standalone_rooms.py")
_OUTPUTS = {
    "class_object": "logits (B, {outputs}), softmax: the objects' shares",
    "class_scene": "logits (B, {outputs}), softmax: the kinds' shares",
    "room_layout": "numbers (B, 9): centre, angles and size of the room's box",
    "jigsaw": "logits (B, {outputs}), one a permutation",
    "segmentsemantic": "logits (B, {outputs}, H, W)",
    "normal": "surface normals (B, 3, H, W) in -1..1: right, up, towards the camera",
    "autoencoder": "images (B, 3, H, W) in -1..1",
}


def write(net: nets.SceneNet, about: card.NetworkCard | None, folder: Path) -> Path:
    """Write ``model.py`` into a folder; the weights are written beside it by :mod:`ncp.models.transnas.saved`.

    Args:
        net: made by :func:`ncp.models.build_scene`.
        about: its card; None for a network without training.
        folder: of the files.
    """
    files.write_text(folder / MODEL, source_of(net, about))
    return folder / MODEL


def source_of(net: nets.SceneNet, about: card.NetworkCard | None) -> str:
    """The text of ``model.py``."""
    made, kind = net.made_from, nets.TASKS[net.made_from.task]
    channels = made.in_channels
    reads = f"tiles (B, {nets.TILES}, {channels}, H, W)" if kind.head == "tiles" else f"images (B, {channels}, H, W)"
    size = f"\nEvaluated on {about.size[0]} x {about.size[1]} pixels; normalise() first." if about is not None else ""
    values, encoder = _constants(net, about)
    wanted = {"all", encoder, kind.head, *(["scaled"] if "SCALE" in values else [])}
    parts = [(names, text) for names, text in sections(_SOURCE) if wanted & names]
    body = [text for _, text in parts] if encoder != "multires" else [backbone(), *(text for _, text in parts)]
    head = heading(
        "A network for rooms (TransNAS-Bench-101), in plain torch.",
        reads,
        f"{_OUTPUTS[made.task].format(outputs=made.outputs)}.{size}",
        next(text for names, text in sections(_SOURCE) if names == {"imports"}),
        made.architecture,
        values,
    )
    return finished(head + "\n\n\n" + "\n\n\n".join(body) + "\n")


def _constants(net: nets.SceneNet, about: card.NetworkCard | None) -> tuple[dict[str, Any], str]:
    """The names and values at the top of the file, and which encoder it has."""
    made, architecture = net.made_from, net.architecture
    out: dict[str, Any] = {"IN_CHANNELS": made.in_channels, "OUTPUTS": made.outputs}
    if isinstance(architecture, multires.Architecture):
        encoder = "multires"
        out |= {"STEM": (architecture["i1"], architecture["i2"]), "STRIDES": (2, 2), "WIDTH": architecture["o1"]}
        out["BLOCKS"] = [(tuple(spec.units), tuple(spec.channels)) for spec in architecture.blocks]
        out["FINEST"] = nets.TASKS[made.task].head in ("pixels", "image")
    else:
        out |= {"BASE": made.base, "STEM_STRIDE": made.stem_stride}
        if isinstance(architecture, transnas_micro.Architecture):
            encoder = "micro"
            out |= {"MODULES": list(transnas_micro.MODULES), "OPERATIONS": list(architecture.operations)}
        else:
            assert isinstance(architecture, transnas_macro.Architecture)
            encoder, out["MODULES"] = "macro", list(architecture.digits)
    layers = [layer for layer in net.head.modules() if isinstance(layer, Layer)]
    if layers:
        out["DECODER"] = [layer.norm.num_features for layer in layers]
        out["GROWING"] = [i for i, layer in enumerate(layers) if isinstance(layer.conv, nn.ConvTranspose2d)]
    channels = made.in_channels
    mean, std = ((0.5,) * channels, (0.5,) * channels) if about is None else (about.mean, about.std)
    out |= {"MEAN": list(mean), "STD": list(std)}
    if about is not None:
        out["CLASSES"] = list(about.classes)
        if about.use.scale:
            out |= {"SCALE": list(about.use.scale), "SHIFT": list(about.use.shift)}
    return out, encoder
