"""The networks' joined map as a neck."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from ncp.models.blocks import initialise
from ncp.models.heads import SegmentationHead


@MODELS.register_module(force=True)
class NCPJoin(BaseModule):  # type: ignore[misc]
    """All maps at the finest one's size, one 1x1 convolution with norm and ReLU: what this project's heads read.

    Args:
        in_channels: of the maps, finest first.
        out_channels: of the joined map.
        init_cfg: as elsewhere.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, init_cfg: object = None) -> None:
        super().__init__(init_cfg)
        self.head = SegmentationHead(in_channels, out_channels, 0)
        initialise(self)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor]:
        """One map ``(B, out_channels, H, W)``."""
        return (self.head(maps),)
