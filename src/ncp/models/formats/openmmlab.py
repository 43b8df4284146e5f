"""A trained network as OpenMMLab's frameworks hold it: weights under their names, and a config that is ready to run.

Nothing of theirs is needed to write it. ``config.py`` of a detector is ``conf/openmmlab/kitti.py`` with its card's values, that
of a classifier ``conf/openmmlab/coco.py`` (Mask R-CNN whose backbone starts from the weights); a segmentor's is written here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ncp import card, configs, files, tensorfile
from ncp.errors import UserError
from ncp.metrics.anchors import grid_size
from ncp.models.backbone import Signature
from ncp.models.export import signature_of
from ncp.spaces.multires import Architecture

CONFIG, WEIGHTS = "config.py", "model.pth"
TASK = {"mmseg": "seg", "mmdet": "cls", "mmdet3d": "det3d"}
# this project's name of an entry -> theirs, the first that fits
NAMES = {
    "mmseg": [
        ("backbone.", "backbone.net."),
        ("head.join.conv.", "decode_head.convs.0.conv."),
        ("head.join.norm.", "decode_head.convs.0.bn."),
        ("head.classifier.", "decode_head.conv_seg."),
    ],
    "mmdet": [("backbone.", "backbone.net.")],
    "mmdet3d": [
        ("encoder.", "voxel_encoder.net."),
        ("network.backbone.", "backbone.net."),
        ("network.head.", "neck.head."),
        ("head.classes.", "bbox_head.conv_cls."),
        ("head.boxes.", "bbox_head.conv_reg."),
        ("head.directions.", "bbox_head.conv_dir_cls."),
    ],
}


def write(kind: str, net: nn.Module, about: card.NetworkCard | None, folder: Path) -> Path:
    """Write ``config.py`` and ``model.pth``.

    Args:
        kind: mmseg, mmdet or mmdet3d.
        net: made by :func:`ncp.models.build`, or a whole detector around one.
        about: its card; None for a network without training.
        folder: where to.

    Raises:
        UserError: for a network of another task or project, or a folder that cannot be written.
    """
    signature = signature_of(getattr(net, "network", net))
    if signature is None:
        raise UserError(f"format={kind} writes networks of the space; a baseline's backbone is in {kind} already")
    if signature.task != TASK[kind]:
        raise UserError(f"format={kind} writes networks of task={TASK[kind]}, this is of task={signature.task}")
    tensorfile.check_finite(net.state_dict(), "the weights of this network")
    text = {"mmseg": _segmentor, "mmdet": _mask_rcnn, "mmdet3d": _detector}[kind](signature, about, folder)
    classes = list(about.classes) if about is not None else [f"class {i}" for i in range(signature.classes)]
    meta = {"dataset_meta": {"classes": classes, "palette": [list(c) for c in about.palette()] if about else None}}
    weights = {k: v.detach().cpu().contiguous() for k, v in theirs(net.state_dict(), kind).items()}
    with files.writing(folder / WEIGHTS) as scratch:
        torch.save({"state_dict": weights, "meta": meta}, scratch)
    files.write_text(folder / CONFIG, text)
    return folder


def theirs(weights: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Entries under the framework's names; those that it has no place for (a classifier's head in a detector) are left out."""
    return _renamed(weights, NAMES[kind])


def ours(weights: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Entries of a framework's model under this project's names; auxiliary heads and the like are left out."""
    return _renamed(weights, [(b, a) for a, b in NAMES[kind]])


def _renamed(weights: Mapping[str, Tensor], names: list[tuple[str, str]]) -> dict[str, Tensor]:
    out = {}
    for name, value in weights.items():
        for old, new in names:
            if name.startswith(old):
                out[new + name.removeprefix(old)] = value
                break
    return out


def _changed(name: str, values: Mapping[str, Any], head: str) -> str:
    """A shipped config with other values of the variables at its top."""
    text = files.read_text(configs.shipped() / "openmmlab" / name)
    text = text[text.index("_base_") :]
    for key, value in values.items():
        text, number = re.subn(rf"^{key} = [^#\n]*", f"{key} = {value!r}", text, count=1, flags=re.MULTILINE)
        assert number == 1, key
    return head + re.sub(r"(\S)  ?#", r"\1  #", text)


def _head(signature: Signature, what: str) -> str:
    return (
        f"# {what}, as this project's export wrote it; pip install ncp-nas.\n# Architecture: {signature.architecture}\n"
    )


def _parts(signature: Signature) -> dict[str, Any]:
    architecture = Architecture.of_content(signature.architecture)
    return {
        "architecture": signature.architecture,
        "channels": list(architecture.blocks[-1].channels),
        "joined": architecture["o1"],
    }


def _mask_rcnn(signature: Signature, about: card.NetworkCard | None, folder: Path) -> str:
    values = {key: value for key, value in _parts(signature).items() if key != "joined"}
    values["checkpoint"] = str((folder / WEIGHTS).resolve())
    return _changed("coco.py", values, _head(signature, "Mask R-CNN over a classifier's backbone"))


def _detector(signature: Signature, about: card.NetworkCard | None, folder: Path) -> str:
    assert about is not None
    assert about.use.space is not None
    space = about.use.space
    nms = {key: getattr(space.nms, key) for key in card.Suppression.__struct_fields__}
    values = {
        **_parts(signature),
        "limits": list(space.limits),
        "pillar": space.pillar,
        "size": list(grid_size(space.limits, space.pillar)),
        "class_names": list(about.classes),
        "kinds": [[a.length, a.width, a.height, a.bottom] for a in space.anchors],
        "overlaps": [[a.positive, a.negative] for a in space.anchors],
        "max_pillars": (space.max_pillars, space.max_pillars),
        "max_points": space.max_points,
        "z_offset": space.z_offset,
    }
    text = _changed("kitti.py", values, _head(signature, "A PointPillars detector for mmdetection3d"))
    return re.sub(r"^nms = .*$", f"nms = {nms!r}", text, count=1, flags=re.MULTILINE)


def _segmentor(signature: Signature, about: card.NetworkCard | None, folder: Path) -> str:
    parts = _parts(signature)
    channels = signature.in_channels
    mean = list(about.mean) if about is not None else [*card.MEAN] if channels == 3 else [0.5] * channels
    std = list(about.std) if about is not None else [*card.STD] if channels == 3 else [0.25] * channels
    if about is not None and about.use.low:
        raise UserError(
            "format=mmseg writes networks of photographs; this one reads numbers in ranges of its own (use format=python)"
        )
    classes = list(about.classes) if about is not None else [f"class {i}" for i in range(signature.classes)]
    palette = [list(c) for c in about.palette()] if about is not None else [list(c) for c in card.colours(len(classes))]
    scale = None if about is None or about.use.short is None else (LONG_SIDE, about.use.short)
    resize = f'    dict(type="Resize", scale={scale}, keep_ratio=True),\n' if scale else ""
    return f"""{_head(signature, "A segmentor for mmsegmentation")}default_scope = "mmseg"
custom_imports = dict(imports=["ncp.openmmlab"], allow_failed_imports=False)
metainfo = dict(classes={classes!r}, palette={palette!r})
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean={[255 * value for value in mean]},
        std={[255 * value for value in std]},
        bgr_to_rgb={channels == 3},
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type="NCPBackbone", architecture={parts["architecture"]!r}, in_channels={channels}, stem_strides={signature.stem_strides}
    ),
    decode_head=dict(
        type="FCNHead",
        in_channels={parts["channels"]},
        in_index={list(range(len(parts["channels"])))},
        input_transform="resize_concat",
        channels={parts["joined"]},
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        dropout_ratio=0,
        num_classes={len(classes)},
        norm_cfg=dict(type="BN"),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
test_pipeline = [
    dict(type="LoadImageFromFile"),
{resize}    dict(type="PackSegInputs"),
]
"""


LONG_SIDE = 1_000_000  # of an image whose shorter side is brought to a size
