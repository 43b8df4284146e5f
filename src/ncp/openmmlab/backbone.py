"""Any architecture of the multi-resolution space with the interface that OpenMMLab's configs expect of a backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ncp.errors import UserError
from ncp.models.backbone import MultiResolutionBackbone
from ncp.models.bf16 import protect
from ncp.models.blocks import initialise
from ncp.models.factory import architecture_of
from ncp.openmmlab.weights import load_backbone

STAGES = 4


@MODELS.register_module(force=True)
class NCPBackbone(BaseModule):  # type: ignore[misc]
    """A searched network up to its four maps.

    Args:
        architecture: a name (``default``, ``ncp_seg``, ...), a code, the release's text or an ``architecture.yaml``.
        in_channels: channels of the input (64 for a PointPillars map).
        stem_strides: of the two stem convolutions; ``(2, 1)`` for bird's-eye-view maps (maps at 1/2 to 1/16 then).
        out_indices: which of the four maps are returned, finest first.
        norm_cfg: another norm, as mmcv builds it, such as ``dict(type="SyncBN", requires_grad=True)``; None for this project's
            batch norms.
        norm_eval: keep the norms' statistics as they are in training.
        frozen_stages: -1 for none; 0 for the stem; 1 to 4: also all blocks of so many branches and fewer.
        with_cp: keep only the blocks' inputs for the backward pass.
        pretrained: a file of weights, short for ``init_cfg``.
        init_cfg: ``dict(type="Pretrained", checkpoint=FILE)``: a checkpoint or safetensors file of this project (all of its
            backbone, whatever the task), or a checkpoint of a training in OpenMMLab's frameworks with this backbone.
        channels_last: memory format of all maps.

    Attributes:
        out_channels: channels of the returned maps, what a decode head's ``in_channels`` must be.
    """

    def __init__(
        self,
        architecture: Any = "default",
        in_channels: int = 3,
        stem_strides: Sequence[int] = (2, 2),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        norm_cfg: Mapping[str, Any] | None = None,
        norm_eval: bool = False,
        frozen_stages: int = -1,
        with_cp: bool = False,
        pretrained: str | None = None,
        init_cfg: Mapping[str, Any] | None = None,
        channels_last: bool = True,
    ) -> None:
        super().__init__(None)
        if not out_indices or any(i not in range(4) for i in out_indices):
            raise UserError(f"out_indices are some of 0, 1, 2, 3, given was {tuple(out_indices)}")
        if frozen_stages not in range(-1, STAGES + 1):
            raise UserError(f"frozen_stages is a number from -1 (none) to {STAGES} (all), given was {frozen_stages}")
        if pretrained and init_cfg:
            raise UserError("NCPBackbone takes pretrained or init_cfg, not both")
        self.pretrained_file = pretrained or _file_of(init_cfg)
        strides = (int(stem_strides[0]), int(stem_strides[1]))
        self.net = MultiResolutionBackbone(architecture_of(architecture), in_channels=in_channels, stem_strides=strides)
        self.net.set_grad_checkpointing(with_cp)
        self.out_indices = tuple(out_indices)
        self.out_channels = tuple(self.net.channels[i] for i in self.out_indices)
        self.norm_eval, self.frozen_stages, self.channels_last = norm_eval, frozen_stages, channels_last
        if norm_cfg is not None:
            _replace_norms(self.net, norm_cfg)
        initialise(self)
        protect(self)
        self._freeze()

    def init_weights(self) -> None:
        """Fresh weights as in the project's own trainings, or those of the file."""
        initialise(self)
        if self.pretrained_file is not None:
            load_backbone(self.net, self.pretrained_file)
        self._is_init = True

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, ...]:
        """The maps ``(B, out_channels[i], H / 4 / 2^i, W / 4 / 2^i)``."""
        x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last) if self.channels_last else x_BCHW
        maps = self.net(x_BCHW)
        return tuple(maps[i] for i in self.out_indices)

    def train(self, mode: bool = True) -> NCPBackbone:
        """Training mode, but for what is frozen."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for m in self.modules():
                if isinstance(m, nn.modules.batchnorm._BatchNorm):
                    m.eval()
        return self

    def _freeze(self) -> None:
        frozen: list[nn.Module] = [self.net.stem] if self.frozen_stages >= 0 else []
        frozen += [
            block
            for block, spec in zip(self.net.blocks, self.net.architecture.blocks, strict=True)
            if len(spec.channels) <= self.frozen_stages
        ]
        for part in frozen:
            part.eval().requires_grad_(False)


def _file_of(init_cfg: Any) -> str | None:
    if init_cfg is None:
        return None
    wanted = "dict(type='Pretrained', checkpoint=FILE)"
    if not isinstance(init_cfg, Mapping) or init_cfg.get("type") != "Pretrained" or not init_cfg.get("checkpoint"):
        raise UserError(
            f"NCPBackbone's init_cfg is {wanted}, given was {dict(init_cfg) if isinstance(init_cfg, Mapping) else init_cfg}"
        )
    if init_cfg.get("prefix") not in (None, "backbone.", "backbone", "network.backbone."):
        raise UserError(f"NCPBackbone finds its weights itself; leave prefix='{init_cfg['prefix']}' out of init_cfg")
    return str(init_cfg["checkpoint"])


def _replace_norms(net: nn.Module, norm_cfg: Mapping[str, Any]) -> None:
    from mmcv.cnn import build_norm_layer

    for module in list(net.modules()):
        for name, norm in list(module.named_children()):
            if isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, build_norm_layer(dict(norm_cfg), norm.num_features)[1])
