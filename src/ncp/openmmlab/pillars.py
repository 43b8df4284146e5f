"""This project's pillar net behind mmdetection3d's voxels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from ncp.metrics.anchors import grid_size
from ncp.models.pillars import CHANNELS, Grid, PillarEncoder, Pillars


@MODELS.register_module(force=True)
class NCPPillarNet(BaseModule):  # type: ignore[misc]
    """Voxels to one feature vector each; only the points that are there take part (mmdetection3d's own net sees the padding too).

    Args:
        limits: x, y, z from and to, in metres: the config's ``point_cloud_range``.
        pillar: side of a pillar in metres.
        channels: of the features.
        z_offset: ten channels a point instead of the published nine.
        init_cfg: as elsewhere.
    """

    def __init__(
        self,
        limits: Sequence[float],
        pillar: float,
        channels: int = CHANNELS,
        z_offset: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        grid = Grid(tuple(limits), pillar, grid_size(limits, pillar))
        self.net = PillarEncoder(grid, channels, z_offset=z_offset)

    def forward(self, voxels_PTC: Tensor, counts_P: Tensor, coors_P4: Tensor, *unused: Any) -> Tensor:
        """``(P, T, 4)`` points, how many of each voxel are real, and (scene, z, row, column) to ``(P, channels)``."""
        grid = self.net.grid
        real_PT = torch.arange(voxels_PTC.shape[1], device=voxels_PTC.device)[None] < counts_P[:, None]
        scene, _, row, column = coors_P4.long().unbind(1)
        cells = scene * grid.cells + row * grid.size[1] + column
        with torch.autocast(voxels_PTC.device.type, enabled=False):
            out: Tensor = self.net.features(Pillars(voxels_PTC[real_PT][:, :4].float(), counts_P.long(), cells))
        return out
