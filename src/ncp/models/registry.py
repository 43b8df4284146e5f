"""The networks in timm: importing this module makes ``timm.create_model`` know them.

>>> import timm, ncp.models.registry                                       # doctest: +SKIP
>>> timm.create_model("ncp_multires", code="64_64-2_1_...-64")             # doctest: +SKIP
>>> timm.create_model("ncp_seg", features_only=True)                       # doctest: +SKIP

``ncp_multires`` takes any architecture as ``code``; ``ncp_cls``, ``ncp_seg``, ``ncp_video`` and ``ncp_det3d`` are the found
networks, each as an image classifier (``num_classes``), a feature extractor (``num_classes=0``) or a backbone of four maps
(``features_only=True``). No weights are published for them; those of a training of one's own come from a folder that
``src.export format=timm`` wrote (``local-dir:FOLDER``, ``hf-hub:USER/NAME`` once it was pushed) or with
``pretrained_cfg_overlay={"file": ...}``. timm's own scripts know them through :mod:`ncp.models.timm_script`.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import DropPath  # type: ignore[attr-defined]
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models._builder import resolve_pretrained_cfg
from timm.models._features import feature_take_indices
from torch import Tensor, nn

from ncp import runs
from ncp.errors import UserError
from ncp.models.backbone import MultiResolutionBackbone, MultiResolutionNet
from ncp.models.bf16 import protect
from ncp.models.blocks import ResidualUnit, initialise
from ncp.models.factory import architecture_of
from ncp.models.heads import ClassificationHead, check_classes
from ncp.spaces import found
from ncp.spaces.multires import Architecture

FEATURES = ("getter", "hook", "fx")
NAMES = ("ncp_multires", "ncp_cls", "ncp_seg", "ncp_video", "ncp_det3d")


class TimmMultiResolutionNet(MultiResolutionNet):
    """The classification network behind timm's interface.

    Args:
        code: anything that describes an architecture, or the name of a found one.
        num_classes: logits; 0 gives the pooled features.
        in_chans: channels of the input.
        global_pool: ``avg``, or empty for no pooling (only without a classifier).
        drop_rate: dropout before the classifier.
        drop_path_rate: share of the samples for which the last residual unit is left out in training; of those before it
            linearly less (stochastic depth).
        output_stride: 32; others are refused.
        channels_last: memory format of all maps. The weights stay as timm's functions expect them.
    """

    head: ClassificationHead

    def __init__(
        self,
        code: Any = "default",
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        output_stride: int = 32,
        channels_last: bool = True,
    ) -> None:
        if output_stride != 32:
            raise UserError(
                f"output_stride={output_stride}: these networks always have maps at 1/4 to 1/32; choose among them with "
                "features_only=True, out_indices=(0, 1, 2)"
            )
        check_classes(num_classes, least=0)
        backbone = MultiResolutionBackbone(architecture_of(code), in_channels=in_chans)
        width = backbone.architecture["o1"]
        super().__init__(backbone, ClassificationHead(backbone.channels, width, max(num_classes, 1)))
        self.num_features = self.head_hidden_size = width
        self.drop = nn.Dropout(drop_rate)
        self.feature_info = [
            {"num_chs": c, "reduction": r, "module": f"backbone.blocks.{len(backbone.blocks) - 1}.branches.{i}"}
            for i, (c, r) in enumerate(zip(backbone.channels, backbone.reductions, strict=True))
        ]
        initialise(self)
        self._set_head(num_classes, global_pool)
        protect(self)
        _drop_paths(backbone, drop_path_rate)
        self.channels_last = channels_last

    def _maps(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.backbone(x.contiguous(memory_format=torch.channels_last) if self.channels_last else x)
        return maps

    def _set_head(self, num_classes: int, global_pool: str | None) -> None:
        self.num_classes = num_classes
        if global_pool is not None:
            self.global_pool = global_pool
        if self.global_pool not in ("", "avg"):
            raise UserError(f"global_pool must be 'avg' or '' for this network, given was '{self.global_pool}'")
        if num_classes and not self.global_pool:
            raise UserError("a classifier needs global_pool='avg'; give num_classes=0 for the unpooled map")
        if num_classes == 0:
            self.head.classifier = nn.Identity()  # type: ignore[assignment]

    def get_classifier(self) -> nn.Module:
        """The linear layer, or an identity for ``num_classes=0``."""
        return self.head.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh classifier for ``num_classes`` classes; 0 removes it."""
        if num_classes:
            like = self.head.join.conv.weight
            self.head.classifier = nn.Linear(self.num_features, num_classes, device=like.device, dtype=like.dtype)
            initialise(self.head.classifier)
        self._set_head(num_classes, global_pool)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Parameter groups for layer-wise learning rates: the stem, then block by block."""
        return {"stem": r"^backbone\.stem", "blocks": r"^backbone\.blocks\.(\d+)"}

    def prune_intermediate_layers(
        self, indices: Any = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove what the wanted maps do not need: the head (every map comes from the last block)."""
        taken, _ = feature_take_indices(len(self.feature_info), indices)
        if prune_head:
            self.head = nn.Identity()  # type: ignore[assignment]
            self.num_classes = 0
        return taken

    def forward_intermediates(
        self,
        x: Tensor,
        indices: Any = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """The four maps of the last block (those in ``indices``), and with them the joined map unless told otherwise."""
        if output_fmt != "NCHW":
            raise UserError(f"output_fmt must be NCHW for this network, given was {output_fmt}")
        taken, _ = feature_take_indices(len(self.feature_info), indices)
        branches = self._maps(x)
        maps = [branches[i] for i in taken]
        return maps if intermediates_only else (self.head.features(branches), maps)

    def forward_features(self, x: Tensor) -> Tensor:
        """The joined map ``(B, num_features, H / 32, W / 32)``."""
        return self.head.features(self._maps(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooling and classifier on the joined map."""
        if self.global_pool:
            x = x.mean((2, 3))
        x = self.drop(x)
        return x if pre_logits else self.head.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or features for ``num_classes=0``."""
        return self.forward_head(self.forward_features(x))


def _drop_paths(backbone: MultiResolutionBackbone, rate: float) -> None:
    """Stochastic depth whose rate grows linearly from the first residual unit on to ``rate``."""
    if not 0 <= rate < 1:
        raise UserError(f"drop_path_rate is a share from 0 to below 1, given was {rate}")
    units = [m for m in backbone.modules() if isinstance(m, ResidualUnit)]
    for number, unit in enumerate(units, 1):
        if rate:
            unit.drop_path = DropPath(rate * number / len(units))


def _cfg() -> dict[str, Any]:
    return {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "min_input_size": (3, 32, 32),
        "pool_size": (7, 7),
        "crop_pct": 0.875,
        "interpolation": "bilinear",
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": "backbone.stem.0.conv",
        "classifier": "head.classifier",
        "license": "mit",
    }


default_cfgs = generate_default_cfgs({f"{name}.untrained": _cfg() for name in NAMES})


def _create(variant: str, pretrained: bool, **kwargs: Any) -> nn.Module:
    if pretrained and not _has_weights(variant, kwargs.get("pretrained_cfg"), kwargs.get("pretrained_cfg_overlay")):
        raise UserError(
            f"no weights are published for {variant}; use pretrained=False and train it ({runs.invocation('train')}), or name "
            "your own: 'local-dir:FOLDER' of src.export format=timm, or pretrained_cfg_overlay={'file': 'net.safetensors'}"
        )
    if "code" in kwargs and _from_elsewhere(
        kwargs.get("pretrained_cfg")
    ):  # a received folder names no file of this machine
        code = found.named("multires", kwargs["code"])
        kwargs["code"] = code if isinstance(code, Architecture) else Architecture.of_content(code)
    features = {"out_indices": (0, 1, 2, 3), "feature_cls": "getter"}
    if kwargs.get("features_only") and kwargs.get("feature_cls", "getter") not in FEATURES:
        raise UserError(
            f"feature_cls is one of {', '.join(FEATURES)} for this network, given was {kwargs['feature_cls']}"
        )
    net: nn.Module = build_model_with_cfg(TimmMultiResolutionNet, variant, pretrained, feature_cfg=features, **kwargs)
    return net


def _has_weights(variant: str, cfg: Any, overlay: Any) -> bool:
    """Whether the configuration names any."""
    told = resolve_pretrained_cfg(variant, pretrained_cfg=cfg, pretrained_cfg_overlay=overlay)
    return any(getattr(told, name, None) for name in ("file", "url", "hf_hub_id", "state_dict"))


def _from_elsewhere(cfg: Any) -> bool:
    """Whether the arguments may come from a folder or a hub (their config.json) rather than from whoever calls."""
    source = cfg.get("source") if isinstance(cfg, dict) else getattr(cfg, "source", None)
    return source in ("local-dir", "hf-hub")


@register_model
def ncp_multires(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Any architecture of the multi-resolution space, given as ``code``; the space's default without one."""
    return _create("ncp_multires", pretrained, **kwargs)


@register_model
def ncp_cls(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The network that the release calls its classification network."""
    return _create("ncp_cls", pretrained, **{"code": "ncp_cls", **kwargs})


@register_model
def ncp_seg(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The network found for segmentation (paper Table 3, Seg)."""
    return _create("ncp_seg", pretrained, **{"code": "ncp_seg", **kwargs})


@register_model
def ncp_video(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The network found for video recognition (paper Table 3, Video)."""
    return _create("ncp_video", pretrained, **{"code": "ncp_video", **kwargs})


@register_model
def ncp_det3d(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """The network found for 3D detection (paper Table 3, 3dDet), on images."""
    return _create("ncp_det3d", pretrained, **{"code": "ncp_det3d", **kwargs})
