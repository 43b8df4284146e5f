"""mmsegmentation's decode heads over this project's backbones.

A head is named as in mmsegmentation's registry, with its numbers: ``{type: UPerHead, channels: 256}``. Which maps it reads, their
channels and the classes are added. Heads that need mmcv's operators, another head's output or losses of their own are refused.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ncp import files
from ncp.errors import UserError, missing_extra
from ncp.models.backbone import MultiResolutionBackbone, MultiResolutionNet
from ncp.models.bf16 import protect
from ncp.models.blocks import initialise
from ncp.models.factory import architecture_of, to_channels_last
from ncp.models.heads import check_classes

# which maps a head reads unless it is told: these all, this one the last two, the others the last one
ALL_MAPS = ("UPerHead", "FPNHead", "SegformerHead", "LightHamHead", "EncHead")
TWO_MAPS = ("ANNHead",)
FOREIGN = (  # they need other heads' outputs, another backbone's, or a loss of their own
    *(
        "IterativeDecodeHead",
        "KernelUpdateHead",
        "Mask2FormerHead",
        "MaskFormerHead",
        "OCRHead",
        "PointHead",
        "VPDDepthHead",
    ),
    *("DDRHead", "PIDHead", "SideAdapterCLIPHead", "STDCHead", "LRASPPHead", "SegmenterMaskTransformerHead", "DPTHead"),
    "SETRMLAHead",  # of maps of one size
    "DMHead",  # it takes views that maps with the channels last do not allow
)
_NUMBER = (bool, int, float, str, type(None))


class DecodeHead(nn.Module):
    """A head of mmsegmentation.

    Args:
        channels: of the backbone's maps, finest first.
        reductions: of the maps' sides.
        classes: logits a pixel.
        settings: ``type`` and the head's own options: numbers, words and lists of them.

    Raises:
        UserError: where mmsegmentation is missing, has no such head, or the head cannot stand alone on these maps.
    """

    def __init__(
        self, channels: Sequence[int], reductions: Sequence[int], classes: int, settings: Mapping[str, Any]
    ) -> None:
        super().__init__()
        name, options = _checked(settings)
        kind = _kind(name)
        if "in_index" not in options and (name in ALL_MAPS or options.get("input_transform")):
            options["in_index"] = list(range(len(channels)))
        options.setdefault(
            "in_index", [len(channels) - 2, len(channels) - 1] if name in TWO_MAPS else len(channels) - 1
        )
        index = options["in_index"]
        try:
            options["in_channels"] = [channels[i] for i in index] if isinstance(index, list) else channels[index]
        except (IndexError, TypeError):
            raise UserError(f"model.head.in_index are some of 0 to {len(channels) - 1}, given was {index}") from None
        if name == "FPNHead":
            options.setdefault("feature_strides", list(reductions))
        if name == "DepthwiseSeparableASPPHead":  # beside the map of in_index it reads the finest one
            options.setdefault("c1_in_channels", channels[0])
            options.setdefault("c1_channels", 48)
        if name == "EncHead":
            options.setdefault("use_se_loss", False)  # the loss is the task's
        options.setdefault("channels", 256)
        options.setdefault("norm_cfg", {"type": "BN"})
        options["num_classes"] = check_classes(classes)
        from mmengine.registry import DefaultScope

        try:
            with DefaultScope.overwrite_default_scope("mmseg"):  # whatever else is at work
                self.net = kind(**options)
        except Exception as error:  # of many kinds, all about these options
            reason = files.first_line(error)
            if "mmcv" in reason:  # it asks for an installation with operators, in words of its own
                raise UserError(
                    f"model.head={name} needs mmcv's operators, which are not built here; `make openmmlab` builds them"
                ) from None
            raise UserError(
                f"model.head={name} cannot be built: {reason}; give what it lacks, or make openmmlab"
            ) from None
        initialise(self)
        self._try(name, channels, classes)

    def _try(self, name: str, channels: Sequence[int], classes: int) -> None:
        trial = to_channels_last(copy.deepcopy(self))
        try:
            with torch.enable_grad(), torch.random.fork_rng(devices=[]):
                maps = [torch.randn(2, c, 64 >> i, 64 >> i) for i, c in enumerate(channels)]
                out = trial([one.contiguous(memory_format=torch.channels_last) for one in maps])
                out.float().sum().backward()
                shape = tuple(out.shape)
        except Exception as error:  # of many kinds, all about this head
            raise UserError(
                f"model.head={name} does not train over four maps here ({files.first_line(error)}); heads that need mmcv's "
                "operators are for mmsegmentation itself (src.export format=mmseg, make openmmlab)"
            ) from None
        if len(shape) != 4 or shape[1] != classes:
            raise UserError(f"model.head={name} writes {shape}, no logits for {classes} classes")

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        """Logits ``(B, classes, h, w)`` at the head's own size."""
        found = self.net(list(branches))
        out: Tensor = found[0] if isinstance(found, (tuple, list)) else found
        return out


def build_with_head(
    architecture: Any,
    classes: int,
    in_channels: int,
    settings: Mapping[str, Any],
    channels_last: bool = True,
    grad_checkpointing: bool = False,
) -> MultiResolutionNet:
    """A segmentation network as :func:`ncp.models.build` makes it, under a head of mmsegmentation.

    Raises:
        UserError: as :class:`DecodeHead`.
    """
    backbone = MultiResolutionBackbone(architecture_of(architecture), in_channels=in_channels)
    initialise(backbone)
    net = MultiResolutionNet(backbone, DecodeHead(backbone.channels, backbone.reductions, classes, settings))
    net.set_grad_checkpointing(grad_checkpointing)
    protect(net)
    out: MultiResolutionNet = to_channels_last(net) if channels_last else net
    return out


def _kind(name: str) -> Any:
    try:
        import mmseg.models  # noqa: F401  its heads are registered
        from mmseg.registry import MODELS
    except ImportError:
        raise missing_extra("mmseg", "mmseg") from None
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

    known = {
        key: kind
        for key, kind in MODELS.module_dict.items()
        if isinstance(kind, type) and issubclass(kind, BaseDecodeHead) and key not in FOREIGN
    }
    if name in FOREIGN:
        raise UserError(
            f"model.head={name} does not stand alone on a backbone's maps; heads that do: {', '.join(sorted(known))}"
        )
    if name not in known:  # never looked up by its name elsewhere: a file may say any
        raise UserError(f"mmsegmentation has no decode head '{files.shown(name)}'; heads: {', '.join(sorted(known))}")
    return known[name]


def _checked(settings: Any) -> tuple[str, dict[str, Any]]:
    """The head's name and its options: plain values, since what has a ``type`` would be built, whatever it names."""
    if not isinstance(settings, Mapping) or not isinstance(settings.get("type"), str):
        raise UserError(
            "model.head is a head of mmsegmentation with its numbers, such as {type: UPerHead, channels: 256}"
        )
    options = {str(key): value for key, value in settings.items() if key != "type"}
    for key, value in options.items():
        if key in ("num_classes", "in_channels", "out_channels", "loss_decode", "init_cfg", "sampler"):
            raise UserError(
                f"model.head.{key} is not given: classes and maps are the network's, the loss is the task's"
            )
        plain = isinstance(value, _NUMBER) or (
            isinstance(value, (list, tuple)) and all(isinstance(item, _NUMBER) for item in value)
        )
        if not plain or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", key):
            raise UserError(
                f"model.head.{files.shown(key)} is a number, a word or a list of them, given was {files.shown(value)}"
            )
    return str(settings["type"]), {key: list(v) if isinstance(v, tuple) else v for key, v in options.items()}
