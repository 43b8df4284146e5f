"""The searched networks as backbones of OpenMMLab's frameworks (mmsegmentation, mmdet, mmdet3d).

A config that imports this module, ``custom_imports = dict(imports=["ncp.models.openmmlab"])``, can say

    backbone=dict(type="NCPBackbone", architecture="ncp_seg")

and gets the four maps of the network's last block, at 1/4, 1/8, 1/16 and 1/32 of the image. Importing needs mmengine, which
the extra ``openmmlab`` brings (pyproject.toml says how mmcv's operators are built).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ncp.errors import UserError, missing_extra
from ncp.models.backbone import MultiResolutionBackbone
from ncp.models.bf16 import protect
from ncp.models.blocks import initialise
from ncp.models.factory import architecture_of, to_channels_last

try:
    from mmengine.registry import MODELS
except ImportError as error:
    raise missing_extra("mmengine", "openmmlab") from error


@MODELS.register_module(force=True)
class NCPBackbone(nn.Module):
    """Any architecture of the multi-resolution space with OpenMMLab's interface.

    Args:
        architecture: a name (``default``, ``ncp_seg``, ...), a code, the release's text or an ``architecture.yaml``.
        in_channels: channels of the input (64 for a PointPillars map).
        stem_strides: of the two stem convolutions; ``(2, 1)`` for bird's-eye-view maps (maps at 1/2 to 1/16 then).
        out_indices: which of the four maps are returned, finest first.
        channels_last: memory format of the weights.
        init_cfg: OpenMMLab's; only ``None``, since no weights are published.

    Attributes:
        out_channels: channels of the returned maps, what a decode head's ``in_channels`` must be.
    """

    def __init__(
        self,
        architecture: Any = "default",
        in_channels: int = 3,
        stem_strides: Sequence[int] = (2, 2),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        channels_last: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__()
        if init_cfg is not None:
            raise UserError("NCPBackbone has no published weights; leave init_cfg out and use load_from for your own")
        if not out_indices or any(i not in range(4) for i in out_indices):
            raise UserError(f"out_indices are some of 0, 1, 2, 3, given was {tuple(out_indices)}")
        strides = (int(stem_strides[0]), int(stem_strides[1]))
        self.net = MultiResolutionBackbone(architecture_of(architecture), in_channels=in_channels, stem_strides=strides)
        self.out_indices = tuple(out_indices)
        self.out_channels = tuple(self.net.channels[i] for i in self.out_indices)
        self.init_weights()
        protect(self)
        if channels_last:
            to_channels_last(self)

    def init_weights(self) -> None:
        """Fresh weights, as in the project's own trainings."""
        initialise(self)

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, ...]:
        """The maps ``(B, out_channels[i], H / 4 / 2^i, W / 4 / 2^i)``."""
        maps = self.net(x_BCHW)
        return tuple(maps[i] for i in self.out_indices)
