"""Networks of the seven tasks on disk: an ordinary safetensors file whose metadata says how the network is built again.

>>> save(net, "normal.safetensors")                                         # doctest: +SKIP
>>> net = load("normal.safetensors")                                        # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from msgspec import Meta

from ncp import files, spaces, tensorfile
from ncp.errors import UserError
from ncp.models.backbone import MAX_CHANNELS
from ncp.models.heads import MAX_CLASSES
from ncp.models.transnas.nets import SceneNet, build_scene

FORMAT = "ncp-rooms-1"


class _Texts(msgspec.Struct):
    """The metadata by which a network is built again; all values are text in the file."""

    architecture: Annotated[str, Meta(max_length=1000)]
    task: Annotated[str, Meta(max_length=40)]
    outputs: Annotated[int, Meta(ge=1, le=MAX_CLASSES)]
    in_channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    decoder_width: Annotated[float, Meta(gt=0, le=1)] = 1.0
    short_decoder: bool = False
    base: int | None = None
    stem_stride: int | None = None


def save(net: SceneNet, path: str | os.PathLike[str], extra: Mapping[str, str] | None = None) -> Path:
    """Write the weights and how the network was made; the file appears whole or not at all.

    Args:
        net: made by :func:`ncp.models.build_scene`.
        path: of the file.
        extra: more text for the metadata (a card, a metric...).

    Raises:
        UserError: where the file cannot be written, for a network that was changed after it was built, and for weights that
            are not finite.
    """
    texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in net.made_from._asdict().items()
             if value is not None}  # fmt: skip
    tensorfile.check_shapes(
        tensorfile.shapes_of(net.state_dict()),
        _shapes(files.checked(texts, _Texts, "this network", strict=False), "this network"),
        "this network was changed after it was built and is no longer what its metadata would say",
    )
    metadata = {**(extra or {}), "format": FORMAT, **texts}
    return tensorfile.write(path, net.state_dict(), metadata, "the weights of this network")


def load(path: str | os.PathLike[str]) -> SceneNet:
    """The network in a file, on the CPU.

    Raises:
        UserError: for a file that is missing, damaged, or not a network's.
    """
    where = f"'{files.printable(path)}'"
    head = tensorfile.head(path)
    if head.metadata.get("format") != FORMAT:
        found = files.shown(head.metadata.get("format"))
        raise UserError(f"{where} holds no network for rooms (its format is '{found}', not '{FORMAT}')")
    said: _Texts = files.checked(dict(head.metadata), _Texts, f"the metadata of {where}", strict=False)
    wrong = f"the weights in {where} do not fit the network of its metadata"
    tensorfile.check_shapes(head.shapes, _shapes(said, f"the metadata of {where}"), wrong)  # before memory is taken
    tensors = tensorfile.tensors(path)
    tensorfile.check_variances(tensors, where)
    net = _built(said)
    net.load_state_dict(tensors)
    return net


def _built(said: _Texts) -> SceneNet:
    architecture = spaces.of_text(spaces.get(spaces.of_form(said.architecture)), said.architecture)
    return build_scene(
        architecture,
        said.task,
        said.outputs,
        said.in_channels,
        said.decoder_width,
        said.short_decoder,
        base=said.base,
        stem_stride=said.stem_stride,
    )


def _shapes(said: _Texts, where: str) -> dict[str, tuple[int, ...]]:
    """Of the tensors that the network has, without making it."""
    try:
        with torch.device("meta"):
            return tensorfile.shapes_of(_built(said).state_dict())
    except UserError as error:
        raise UserError(f"{where} cannot be used: {error}") from None
