"""The detector: pillar encoder, a network from bird's-eye view to map, anchor head; and PointPillars' own network.

Source: Lang et al. 2019 (PointPillars), sections 2 and 3.

Shape names: B scenes, C channels, H, W cells along y and x, A anchors, N classes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ncp.errors import UserError
from ncp.models.anchors import (
    KITTI_ANCHORS,
    ROTATIONS,
    AnchorClass,
    Detections,
    Layout,
    Prediction,
    detect,
    lay_out,
    losses,
    make_anchors,
    rank,
)
from ncp.models.bf16 import protect
from ncp.models.blocks import initialise
from ncp.models.factory import to_channels_last
from ncp.models.pillars import CHANNELS, NORM_EPS, NORM_MOMENTUM, Grid, PillarEncoder
from ncp.models.setups import POINTPILLARS

PRIOR = 0.01  # score of an untrained head


class AnchorHead(nn.Module):
    """Three 1x1 convolutions: class logits, box codes, direction logits for every anchor.

    Args:
        channels: of the map that is read.
        kinds: anchors at every cell.
        classes: logits of every anchor.
        prior: score of an untrained head.
    """

    def __init__(self, channels: int, kinds: int, classes: int, prior: float = PRIOR) -> None:
        super().__init__()
        self.classes = nn.Conv2d(channels, kinds * classes, 1)
        self.boxes = nn.Conv2d(channels, kinds * 7, 1)
        self.directions = nn.Conv2d(channels, kinds * 2, 1)
        self.kinds = kinds
        for layer in (self.classes, self.boxes, self.directions):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.classes.bias, -math.log((1 - prior) / prior))  # type: ignore[arg-type]

    def forward(self, x_BCHW: Tensor) -> Prediction:
        """For every anchor in the order of :func:`ncp.models.anchors.make_anchors`."""

        def flat(y: Tensor) -> Tensor:
            width = y.shape[1] // self.kinds
            return y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, width)

        return Prediction(flat(self.classes(x_BCHW)), flat(self.boxes(x_BCHW)), flat(self.directions(x_BCHW)))


class Detector(nn.Module):
    """Points to boxes.

    Attributes:
        cells: of the map along y and x.
        anchors: ``(A, 7)``, and ``anchor_class`` ``(A,)``; made for the grid, not part of the weights.

    Args:
        network: bird's-eye view ``(B, 64, H, W)`` to a map at half its size (:func:`ncp.models.build` with
            ``task="det3d"``, a timm baseline, :class:`PointPillarsNet`).
        grid: where pillars stand.
        classes: the kinds of anchors, one a class.
        prior: score of an untrained head (Lin et al. 2017: 0.01).
        encoder: arguments of :class:`ncp.models.pillars.PillarEncoder` (max_pillars, max_points, z_offset).
    """

    def __init__(
        self,
        network: nn.Module,
        grid: Grid,
        classes: tuple[AnchorClass, ...] = KITTI_ANCHORS,
        prior: float = PRIOR,
        **encoder: Any,
    ) -> None:
        super().__init__()
        self.encoder = PillarEncoder(grid, CHANNELS, **encoder)
        self.network = network
        self.kinds = classes
        width, size = _map_of(network, grid)
        self.stride = round(grid.size[0] / size[0])
        self.head = AnchorHead(width, len(classes) * len(ROTATIONS), len(classes), prior)
        self.cells = size
        anchors, which = make_anchors(classes, grid.limits, size)
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("anchor_class", which, persistent=False)
        self._layout: Layout | None = None
        self.anchors: Tensor
        self.anchor_class: Tensor
        to_channels_last(protect(self))

    def forward(self, points_N4: Tensor, counts_B: Tensor) -> Prediction:
        """Points of B scenes one after the other (``counts_B`` of each) to what is written for every anchor."""
        return Prediction(*self.maps(self.encoder(points_N4, counts_B)))

    def maps(self, view_BCHW: Tensor) -> tuple[Tensor, ...]:
        """A bird's-eye view to what is written for every anchor; the part whose shapes do not depend on the points."""
        out: Prediction = self.head(self.network(view_BCHW))
        return out

    def losses(
        self, found: Prediction, boxes_BK7: Tensor, labels_BK: Tensor, min_pos_iou: float = 0.0
    ) -> dict[str, Tensor]:
        """Weighted losses ``box``, ``class``, ``direction``; labels below 0 are no objects. No GPU is waited for where boxes and
        labels lie on the host."""
        if self._layout is None or self._layout.order.device != self.anchors.device:
            # of anchors as they were made: a network in half precision has rounded its own
            made = make_anchors(self.kinds, self.encoder.grid.limits, self.cells)
            self._layout = lay_out(*made, len(self.kinds), self.anchors.device)
        return losses(
            found, self.anchors, self.anchor_class, boxes_BK7, labels_BK, self.kinds, min_pos_iou, self._layout
        )

    @torch.no_grad()
    def ranked(self, points_N4: Tensor, before: int) -> Tensor:
        """One scene's points to boxes and scores of each class's ``before`` best anchors, ``(N, K, 8)``, as
        :func:`ncp.models.anchors.rank` gives them.

        Rows of NaN are no points, so that scenes may be filled up to one size. Nothing here waits for a GPU, and shapes depend
        on those of the points alone: all of it can be recorded (:class:`ncp.models.recorded.Recorded`).
        """
        counts = torch.full((1,), len(points_N4), device=points_N4.device)
        found = Prediction(*self.maps(self.encoder(points_N4, counts, padded=True)))
        return rank(found, self.anchors, before)[0]

    @torch.no_grad()
    def detect(self, found: Prediction, **options: Any) -> list[Detections]:
        """Boxes of every scene; options of :func:`ncp.models.anchors.detect`."""
        return detect(found, self.anchors, **options)


def _map_of(network: nn.Module, grid: Grid) -> tuple[int, tuple[int, int]]:
    """Channels and size of the map that a network makes of the grid's view, found on a copy without data or arithmetic."""
    import copy

    trial = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad():
        shape = trial(torch.empty(1, CHANNELS, *grid.size, device="meta")).shape
    if len(shape) != 4:
        raise UserError(
            f"a detector needs a network that makes maps, this one makes {tuple(shape)}; build it with task=det3d"
        )
    return int(shape[1]), (int(shape[2]), int(shape[3]))


class PointPillarsNet(nn.Module):
    """The published backbone: three blocks of 3x3 convolutions at 1/2, 1/4 and 1/8, each brought to 1/2 and joined.

    Lang et al. 2019, section 2.2: Block(2, 4, 64), Block(4, 6, 128), Block(8, 6, 256), each upsampled to 128 channels; 384 in
    all.

    Args:
        in_channels: of the bird's-eye view.
        width: channels of the first block, which the others follow in the published proportions.
    """

    layers = (4, 6, 6)

    def __init__(self, in_channels: int = CHANNELS, width: int = 64) -> None:
        super().__init__()
        self.widths, self.up = (width, 2 * width, 4 * width), 2 * width
        self.blocks, self.ups = nn.ModuleList(), nn.ModuleList()
        source = in_channels
        for number, (depth, width) in enumerate(zip(self.layers, self.widths, strict=True)):
            units: list[nn.Module] = []
            for layer in range(depth):
                stride = 2 if layer == 0 else 1
                units += [nn.Conv2d(source, width, 3, stride, 1, bias=False), *_norm(width)]
                source = width
            self.blocks.append(nn.Sequential(*units))
            factor = 2**number
            self.ups.append(
                nn.Sequential(nn.ConvTranspose2d(width, self.up, factor, factor, bias=False), *_norm(self.up))
            )
        initialise(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, 64, H, W)`` to ``(B, 3 up, ceil(H/2), ceil(W/2))``; ``up`` is 128 in the published one."""
        maps = []
        for block, up in zip(self.blocks, self.ups, strict=True):
            x_BCHW = block(x_BCHW)
            maps.append(up(x_BCHW))
        height, width = maps[0].shape[-2:]
        return torch.cat([m[..., :height, :width] for m in maps], 1)


def pointpillars(name: str) -> PointPillarsNet:
    """The one of a name of :data:`ncp.models.setups.POINTPILLARS`."""
    return PointPillarsNet(width=POINTPILLARS[name])


def _norm(width: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(width, eps=NORM_EPS, momentum=NORM_MOMENTUM), nn.ReLU(inplace=True)]
