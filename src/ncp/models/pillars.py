"""From LiDAR points to a bird's-eye-view map: pillars, decorated points, pillar feature net, scatter.

Source: Lang et al. 2019 (PointPillars), section 2.1; sizes from the paper's appendix A.1. Points of a pillar are never padded:
they lie one after the other, pillar by pillar, and the net, its batch norm and its maximum see real points only (the padded
zeros of other implementations take part in both). Everything is sorting and segment reduction, so CPU and GPU give the same
pillars, and where more points or pillars are there than allowed, the random choice depends on torch's CPU seed alone.

Shape names: N points in all scenes of a batch, M points that are kept, P pillars, B scenes, C channels, H and W pillars along
y and x.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ncp.errors import UserError

CHANNELS = 64
MAX_POINTS = 100
MAX_PILLARS = (12_000, 40_000)  # in training, in evaluation
NORM_EPS, NORM_MOMENTUM = (
    1e-3,
    0.1,
)  # of the pillar feature net; the momentum of all other norms here, for short trainings


class Grid(NamedTuple):
    """Where pillars stand.

    Attributes:
        limits: metres: x, y, z from; x, y, z to.
        pillar: side of a pillar in metres.
        size: pillars along y and x (H, W).
    """

    limits: tuple[float, ...]
    pillar: float
    size: tuple[int, int]

    @property
    def cells(self) -> int:
        """Pillars in all."""
        return self.size[0] * self.size[1]


class Pillars(NamedTuple):
    """The points of a batch, pillar by pillar.

    Attributes:
        points: ``(M, 4)``: x, y, z, reflectance.
        lengths: ``(P,)`` int64, points in each pillar (at least 1).
        cells: ``(P,)`` int64, ascending: scene * grid.cells + row * W + column.
    """

    points: Tensor
    lengths: Tensor
    cells: Tensor


def pillarise(
    points_N4: Tensor,
    counts_B: Tensor,
    grid: Grid,
    max_pillars: int,
    max_points: int = MAX_POINTS,
    shuffle: bool = False,
) -> Pillars:
    """Group points into pillars.

    Args:
        points_N4: the scenes' points one after the other (x, y, z, reflectance, ...); those outside the grid are left out.
        counts_B: points of each scene.
        grid: where pillars stand.
        max_pillars: of a scene; those whose first point comes earliest are kept.
        max_points: of a pillar; the first ones are kept.
        shuffle: put the points in random order first (torch's CPU generator), so that what is kept is a random choice.

    Raises:
        UserError: when the counts are not those of the points, or a limit is below 1.
    """
    if max_pillars < 1 or max_points < 1:
        raise UserError(f"max_pillars and max_points must be at least 1, given were {max_pillars} and {max_points}")
    # drawn on the host while a GPU may still be busy with the step before, for which the next line waits
    order = torch.randperm(len(points_N4)) if shuffle else None
    counts = counts_B.tolist()
    if sum(counts) != len(points_N4):
        raise UserError(f"{len(points_N4)} points do not make scenes of {counts} points")
    points, scene_N = points_N4, _scenes(counts_B.to(points_N4.device), len(points_N4))
    if order is not None:
        order = order.to(points.device)
        points, scene_N = points[order], scene_N[order]
    cell_N, inside_N = _cells(points, grid)
    beyond = (
        len(counts_B) * grid.cells
    )  # the cell of all points outside, which stand last then and are left where they are
    cell_N, order = torch.sort(torch.where(inside_N, scene_N * grid.cells + cell_N, beyond), stable=True)

    # A GPU is waited for twice more, for the number of pillars and for that of the points that are kept (and for that of the
    # pillars that are, where there may be too many). What can have a row for every point has one instead.
    inside_N = cell_N < beyond
    opens_N = torch.diff(cell_N, prepend=cell_N.new_full((1,), -1)).ne(0) & inside_N
    start_P = torch.nonzero(opens_N).squeeze(1)
    if len(start_P) == 0:
        return Pillars(points[:0], start_P, start_P)
    cells_P, lengths_P = cell_N[start_P], torch.diff(start_P, append=inside_N.sum()[None])
    pillar_N = torch.cumsum(opens_N, 0) - 1
    place_N = torch.arange(len(order), device=order.device) - start_P[pillar_N]
    kept_N = inside_N & (place_N < max_points)
    if len(cells_P) > max_pillars:
        kept_P = _earliest(cells_P // grid.cells, order[start_P], max_pillars, len(counts), len(points))
        kept_N &= kept_P[pillar_N]
        which = torch.nonzero(kept_P).squeeze(1)
        lengths_P, cells_P = lengths_P[which], cells_P[which]
    return Pillars(points[order[kept_N]], lengths_P.clamp(max=max_points), cells_P)


def _scenes(counts_B: Tensor, total: int) -> Tensor:
    """``(N,)`` each point's scene."""
    if len(counts_B) == 1:
        return counts_B.new_zeros(1).expand(total)
    return torch.repeat_interleave(torch.arange(len(counts_B), device=counts_B.device), counts_B, output_size=total)


def _cells(points_N4: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Each point's cell, and whether it is inside.

    Divided in the points' own precision, as mmcv and spconv do, so that a point on the border of two pillars falls into theirs.
    The divisor is a tensor: GPUs would multiply by the inverse of a number, which puts some of these points elsewhere.
    """
    low, high = _limits(tuple(grid.limits), points_N4.dtype, points_N4.device)
    xyz = points_N4[:, :3]
    inside = ((xyz >= low) & (xyz < high)).all(1)  # false for NaN
    scaled = (xyz[:, :2] - low[:2]) / points_N4.new_full((2,), grid.pillar)
    column_row = torch.where(inside[:, None], scaled, 0).floor().long()
    column = column_row[:, 0].clamp(0, grid.size[1] - 1)  # a point just below the upper side may round up
    row = column_row[:, 1].clamp(0, grid.size[0] - 1)
    return row * grid.size[1] + column, inside


@lru_cache(maxsize=16)
def _limits(limits: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """``(3,)`` each: x, y, z from and to, brought to the device once: every copy from the host would wait for it."""
    with torch.inference_mode(False):  # whoever asks first, a training may ask next
        return (
            torch.tensor(limits[:3], dtype=dtype, device=device),
            torch.tensor(limits[3:], dtype=dtype, device=device),
        )


def _earliest(scene_P: Tensor, first_P: Tensor, most: int, scenes: int, points: int) -> Tensor:
    """``(P,)`` bool: the ``most`` pillars of each scene with the smallest number of their first point (below ``points``)."""
    order = torch.argsort(scene_P * points + first_P)
    begin_B = torch.searchsorted(scene_P, torch.arange(scenes, device=scene_P.device))
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return rank - begin_B[scene_P] < most


def decorate(pillars: Pillars, grid: Grid, z_offset: bool = False) -> Tensor:
    """Points with what their pillar tells of them: ``(M, 9)`` as published, ``(M, 10)`` with the z offset.

    x, y, z, reflectance; offsets in x, y, z from the mean of the pillar's points; offsets in x, y (and z, from the middle of
    the space) from the pillar's centre.
    """
    points, lengths, cells = pillars
    # unsafe: the lengths are not read back to check that they are those of the points
    mean_P3 = torch.segment_reduce(points[:, :3], "mean", lengths=lengths, axis=0, unsafe=True)
    within = cells % grid.cells
    low = _limits(tuple(grid.limits), points.dtype, points.device)[0][:2]
    place = torch.stack([within % grid.size[1], within // grid.size[1]], 1).to(points.dtype)
    centre = low + (place + 0.5) * grid.pillar
    if z_offset:
        middle = (grid.limits[2] + grid.limits[5]) / 2
        centre = torch.cat([centre, torch.full_like(centre[:, :1], middle)], 1)
    about = torch.repeat_interleave(torch.cat([mean_P3, centre], 1), lengths, dim=0, output_size=len(points))
    return torch.cat([points[:, :4], points[:, :3] - about[:, :3], points[:, : centre.shape[1]] - about[:, 3:]], 1)


class PillarEncoder(nn.Module):
    """Points to a bird's-eye-view map.

    Args:
        grid: where pillars stand.
        channels: of the map.
        max_pillars: of a scene, in training and in evaluation.
        max_points: of a pillar.
        z_offset: ten channels a point instead of the published nine.
    """

    def __init__(
        self,
        grid: Grid,
        channels: int = CHANNELS,
        max_pillars: Sequence[int] = MAX_PILLARS,
        max_points: int = MAX_POINTS,
        z_offset: bool = False,
    ) -> None:
        super().__init__()
        if len(max_pillars) != 2 or min(max_pillars) < 1 or max_points < 1:
            raise UserError(
                f"max_pillars are two numbers from 1 up (training, evaluation) and max_points one, given were "
                f"{list(max_pillars)} and {max_points}"
            )
        self.grid, self.channels = grid, channels
        self.max_pillars, self.max_points, self.z_offset = tuple(max_pillars), max_points, z_offset
        self.linear = nn.Linear(10 if z_offset else 9, channels, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(channels, eps=NORM_EPS, momentum=NORM_MOMENTUM)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, points_N4: Tensor, counts_B: Tensor) -> Tensor:
        """``(N, 4)`` points of B scenes to ``(B, C, H, W)``, channels last in memory; empty cells are 0.

        In training what exceeds the limits is chosen at random. Computed in the weights' precision, never in a lower one.
        """
        most = self.max_pillars[0 if self.training else 1]
        with torch.autocast(points_N4.device.type, enabled=False):
            points_N4 = points_N4.to(self.linear.weight.dtype)
            pillars = pillarise(points_N4, counts_B, self.grid, most, self.max_points, shuffle=self.training)
            height, width = self.grid.size
            features_PC = self.features(pillars)
            canvas = features_PC.new_zeros(len(counts_B) * height * width, self.channels)
            canvas.index_copy_(0, pillars.cells, features_PC)
        return canvas.view(len(counts_B), height, width, self.channels).permute(0, 3, 1, 2)

    def features(self, pillars: Pillars) -> Tensor:
        """``(P, C)``: linear layer, norm and ReLU on every point, the largest value over each pillar's points."""
        if len(pillars.lengths) == 0:  # an empty scene; the sum keeps the weights in the graph for distributed training
            return self.linear.weight.new_zeros(0, self.channels) + 0 * self.linear.weight.sum()
        x_MC = self.linear(decorate(pillars, self.grid, self.z_offset))
        if len(x_MC) == 1 and self.norm.training:  # one number a channel has no variance
            norm = self.norm
            x_MC = F.batch_norm(x_MC, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)  # type: ignore[arg-type]
        else:
            x_MC = self.norm(x_MC)
        return torch.segment_reduce(F.relu(x_MC), "max", lengths=pillars.lengths, axis=0, unsafe=True)
