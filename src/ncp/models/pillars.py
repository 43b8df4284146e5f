"""From LiDAR points to a bird's-eye-view map: pillars, decorated points, pillar feature net, scatter.

Source: Lang et al. 2019 (PointPillars), section 2.1; sizes from the paper's appendix A.1. Points of a pillar are never padded:
they lie one after the other, pillar by pillar, and the net, its batch norm and its maximum see real points only (the padded
zeros of other implementations take part in both). Everything is sorting and segment reduction, so CPU and GPU give the same
pillars, and where more points or pillars are there than allowed, the random choice depends on torch's CPU seed alone.

How many points are kept, and in how many pillars, only the device knows. On a CPU arrays are cut to that. A GPU would have to be
waited for, and what is recorded must have one shape: there arrays keep a row for every point that was given, those that are kept
stand first, and the rest takes part in nothing.

Shape names: N points in all scenes of a batch, M points that are kept, P pillars (both N where arrays are not cut), B scenes,
C channels, H and W pillars along y and x.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
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
        points: ``(M, 4)``: x, y, z, reflectance. Rows beyond the sum of the lengths are padding, and 0.
        lengths: ``(P,)`` int64, points in each pillar. Those of length 0 are padding and stand last.
        cells: ``(P,)`` int64, ascending: scene * grid.cells + row * W + column; of padding B * grid.cells.
    """

    points: Tensor
    lengths: Tensor
    cells: Tensor

    def cut(self) -> Pillars:
        """Without padding; a GPU is waited for."""
        points, pillars = torch.stack([self.lengths.sum(), (self.lengths > 0).sum()]).tolist()
        return Pillars(self.points[:points], self.lengths[:pillars], self.cells[:pillars])


def pillarise(
    points_N4: Tensor,
    counts_B: Tensor,
    grid: Grid,
    max_pillars: int,
    max_points: int = MAX_POINTS,
    shuffle: bool = False,
    cut: bool = True,
) -> Pillars:
    """Group points into pillars.

    Args:
        points_N4: the scenes' points one after the other (x, y, z, reflectance, ...); those outside the grid are left out, and
            so are those that are NaN.
        counts_B: points of each scene, on the host or beside the points. On a GPU they are not read back to be checked: rows
            beyond their sum belong to no scene.
        grid: where pillars stand.
        max_pillars: of a scene; those whose first point comes earliest are kept.
        max_points: of a pillar; the first ones are kept.
        shuffle: put the points in random order first (torch's CPU generator), so that what is kept is a random choice.
        cut: without padding, for which a GPU is waited for; otherwise all arrays have N rows, and nothing waits.

    Raises:
        UserError: when counts on the host are not those of the points, or a limit is below 1.
    """
    if max_pillars < 1 or max_points < 1:
        raise UserError(f"max_pillars and max_points must be at least 1, given were {max_pillars} and {max_points}")
    total, scenes, device = len(points_N4), len(counts_B), points_N4.device
    if counts_B.device.type == "cpu":
        counts = counts_B.tolist()
        if sum(counts) != total or min(counts, default=0) < 0:
            raise UserError(f"{total} points do not make scenes of {counts} points")
    row_N = torch.arange(total, device=device)
    # copied so that the host does not wait: what is this short, or pinned, is taken over at once
    ends_B = counts_B.to(device, non_blocking=True).cumsum(0)
    points, scene_N = points_N4, torch.searchsorted(ends_B, row_N, right=True)
    if shuffle:
        drawn = _shuffled(row_N)
        points, scene_N = points[drawn], scene_N[drawn]
    cell_N, inside_N = _cells(points, grid)
    beyond = scenes * grid.cells  # the cell of all points outside, which stand last then
    inside_N &= scene_N < scenes
    cell_N, order_N = torch.sort(torch.where(inside_N, scene_N * grid.cells + cell_N, beyond), stable=True)

    first_N = torch.searchsorted(cell_N, cell_N)  # the first row of each row's pillar
    kept_N = (cell_N < beyond) & (row_N - first_N < max_points)
    if min(total, grid.cells) > max_pillars:
        scene_N = cell_N // grid.cells
        kept_N &= _early(scene_N, order_N, row_N == first_N, scenes, max_pillars)[first_N]
    length_N = (torch.searchsorted(cell_N, cell_N, right=True) - first_N).clamp(max=max_points)
    # to the front what is kept, in its order; a row more, the last one, is what stands beyond
    opens_N = _front(kept_N & (row_N == first_N))
    point_N = F.pad(order_N, (0, 1), value=total)[_front(kept_N)]
    pillars = Pillars(
        F.pad(points, (0, 0, 0, 1))[point_N],
        F.pad(length_N, (0, 1))[opens_N],
        F.pad(cell_N, (0, 1), value=beyond)[opens_N],
    )
    return pillars.cut() if cut else pillars


def _shuffled(row_N: Tensor) -> Tensor:
    """Rows in a random order, the same on every device: all that is drawn on the host is one number.

    Rows are sorted by that number's mixture with their own (splitmix64: Steele et al. 2014).
    """
    x_N = (row_N + torch.randint(2**62, ())) * _signed(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        x_N = (x_N ^ (x_N >> shift & 2 ** (64 - shift) - 1)) * _signed(factor)
    return torch.argsort(x_N, stable=True)


def _signed(value: int) -> int:
    """The number that torch's 64-bit integers have for it."""
    return value - 2**64 if value >= 2**63 else value


def _front(chosen_N: Tensor) -> Tensor:
    """``(N,)``: the numbers of the rows that are chosen, ascending, and N in all places that are left."""
    return torch.searchsorted(chosen_N.cumsum(0), torch.arange(1, len(chosen_N) + 1, device=chosen_N.device))


def _early(scene_N: Tensor, number_N: Tensor, first_N: Tensor, scenes: int, most: int) -> Tensor:
    """Which rows are among the ``most`` of their scene with the smallest numbers, of those that are a pillar's first: ``(N,)``.

    Args:
        scene_N: ascending; ``scenes`` for none.
        number_N: of each row's point, below N.
        first_N: whether it is the first of its pillar.
    """
    total = len(scene_N)
    rank_N = torch.where(first_N, scene_N * total + number_N, scenes * total)
    sorted_N = torch.sort(rank_N).values
    return torch.searchsorted(sorted_N, rank_N) - torch.searchsorted(sorted_N, scene_N * total) < most


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


@cache
def _limits(limits: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """``(3,)`` each: x, y, z from and to, brought to the device once: every copy from the host would wait for it.

    Kept for good: what is recorded reads them where they lie.
    """
    with torch.inference_mode(False):  # whoever asks first, a training may ask next
        return (
            torch.tensor(limits[:3], dtype=dtype, device=device),
            torch.tensor(limits[3:], dtype=dtype, device=device),
        )


def decorate(pillars: Pillars, grid: Grid, z_offset: bool = False) -> Tensor:
    """Points with what their pillar tells of them: ``(M, 9)`` as published, ``(M, 10)`` with the z offset.

    x, y, z, reflectance; offsets in x, y, z from the mean of the pillar's points; offsets in x, y (and z, from the middle of
    the space) from the pillar's centre. Of padding some finite numbers.
    """
    points, lengths, cells = pillars
    # unsafe: the lengths are not read back to check that they are those of the points
    sum_P3 = torch.segment_reduce(points[:, :3], "sum", lengths=lengths, axis=0, unsafe=True)
    mean_P3 = sum_P3 / lengths.clamp(min=1)[:, None]
    within = cells % grid.cells
    low = _limits(tuple(grid.limits), points.dtype, points.device)[0][:2]
    place = torch.stack([within % grid.size[1], within // grid.size[1]], 1).to(points.dtype)
    centre = low + (place + 0.5) * grid.pillar
    if z_offset:
        middle = (grid.limits[2] + grid.limits[5]) / 2
        centre = torch.cat([centre, torch.full_like(centre[:, :1], middle)], 1)
    row_M = torch.arange(len(points), device=points.device)
    pillar_M = torch.searchsorted(lengths.cumsum(0), row_M, right=True).clamp(max=len(lengths) - 1)
    about = torch.cat([mean_P3, centre], 1)[pillar_M]
    return torch.cat([points[:, :4], points[:, :3] - about[:, :3], points[:, : centre.shape[1]] - about[:, 3:]], 1)


class _Canvas(torch.autograd.Function):
    """Rows ``(P, C)`` laid in their places ``(P,)`` on a canvas ``(length, C)`` of zeros; from ``length`` on there is none.

    Such rows go to a spare one that is cut off. Autograd would copy the gradient of the whole canvas for that.
    """

    @staticmethod
    def forward(ctx: Any, rows_PC: Tensor, place_P: Tensor, length: int) -> Tensor:
        ctx.save_for_backward(place_P)
        canvas = rows_PC.new_zeros(length + 1, rows_PC.shape[1])
        return canvas.index_copy_(0, place_P, rows_PC)[:length]

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        (place_P,) = ctx.saved_tensors
        slope_PC = slope.index_select(0, place_P.clamp(max=len(slope) - 1))
        return slope_PC.masked_fill_((place_P == len(slope))[:, None], 0), None, None


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
    def forward(self, points_N4: Tensor, counts_B: Tensor, padded: bool | None = None) -> Tensor:
        """``(N, 4)`` points of B scenes to ``(B, C, H, W)``, channels last in memory; empty cells are 0.

        In training what exceeds the limits is chosen at random. Computed in the weights' precision, never in a lower one; under
        autocast the map is laid in the precision in which the network reads it.

        Args:
            points_N4, counts_B: see :func:`pillarise`.
            padded: whether arrays keep N rows, so that nothing waits for a GPU; unless given, where the points are on one. A norm
                in training that is not torch's own (devices that share theirs) waits all the same.
        """
        most = self.max_pillars[0 if self.training else 1]
        padded = points_N4.device.type == "cuda" if padded is None else padded
        padded &= type(self.norm) is nn.BatchNorm1d or not self.norm.training
        place = points_N4.device.type
        read_as = torch.get_autocast_dtype(place) if torch.is_autocast_enabled(place) else self.linear.weight.dtype
        with torch.autocast(place, enabled=False):
            points_N4 = points_N4.to(self.linear.weight.dtype)
            pillars = pillarise(points_N4, counts_B, self.grid, most, self.max_points, self.training, cut=not padded)
            features_PC = self.features(pillars, padded)
            height, width = self.grid.size
            canvas: Tensor = _Canvas.apply(features_PC.to(read_as), pillars.cells, len(counts_B) * height * width)
        return canvas.view(len(counts_B), height, width, self.channels).permute(0, 3, 1, 2)

    def features(self, pillars: Pillars, padded: bool = False) -> Tensor:
        """``(P, C)``: linear layer, norm and ReLU on every point, the largest value over each pillar's points; 0 of padding.

        Args:
            pillars: of a batch.
            padded: whether there may be padding among them.
        """
        if len(pillars.points) == 0:  # empty scenes; other devices wait for the gradients of all weights
            nothing: Tensor = sum(0 * weight.sum() for weight in self.parameters())  # type: ignore[assignment]
            if self._shares():  # and, both ways, for what this one adds to their norm
                nothing = nothing + self.norm(self.linear(pillars.points.new_zeros(0, self.linear.in_features))).sum()
            return self.linear.weight.new_zeros(len(pillars.lengths), self.channels) + nothing
        x_MC = self.linear(decorate(pillars, self.grid, self.z_offset))
        if padded and self.norm.training:
            x_MC = self._norm_of(x_MC, pillars.lengths.sum())
        elif len(x_MC) == 1 and self.norm.training and not self._shares():  # one number a channel has no variance
            norm = self.norm
            x_MC = F.batch_norm(x_MC, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)  # type: ignore[arg-type]
        else:
            x_MC = self.norm(x_MC)
        return torch.segment_reduce(F.relu(x_MC), "max", lengths=pillars.lengths, axis=0, initial=0, unsafe=True)

    def _shares(self) -> bool:
        """Whether the norm's statistics are those of several devices."""
        several = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
        return several and self.norm.training and type(self.norm) is not nn.BatchNorm1d

    def _norm_of(self, x_MC: Tensor, count: Tensor) -> Tensor:
        """The norm in training where only the first ``count`` rows (a number on the device) are points.

        The statistics are those of these rows; of one row, or none, they are the running ones, which stay as they are.
        """
        norm: Any = self.norm
        real_M1 = (torch.arange(len(x_MC), device=x_MC.device) < count)[:, None].to(x_MC.dtype)
        several = count > 1
        mean_C = (x_MC * real_M1).sum(0) / count.clamp(min=1)
        var_C = ((x_MC - mean_C) * real_M1).square().sum(0) / count.clamp(min=1)
        mean_C = torch.where(several, mean_C, norm.running_mean)
        var_C = torch.where(several, var_C, norm.running_var)
        with torch.no_grad():
            norm.running_mean.lerp_(mean_C, norm.momentum)
            norm.running_var.lerp_(torch.where(several, var_C * count / (count - 1), var_C), norm.momentum)
            norm.num_batches_tracked.add_(several)
        out: Tensor = (x_MC - mean_C) * (var_C + norm.eps).rsqrt() * norm.weight + norm.bias
        return out
