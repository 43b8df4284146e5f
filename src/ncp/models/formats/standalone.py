"""The source of exported networks: plain torch, one section a task; :mod:`ncp.models.formats.python` puts the parts together.

A line ``# ==== NAMES`` begins what the files of these tasks (or all) hold. The constants stand here for linters; an exported file
has its own in their place.
"""

# ==== never
from __future__ import annotations

from typing import Any

IN_CHANNELS, STEM, STRIDES, WIDTH = 3, (8, 8), (2, 2), 8
BLOCKS: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
CLASSES: list[str] = []
MEAN: list[float] = []
STD: list[float] = []
LIMITS, PILLAR, GRID, STRIDE = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0), 0.16, (1, 1), 2
MAX_PILLARS, MAX_POINTS, Z_OFFSET = 40000, 100, False
ANCHORS: list[tuple[float, float, float, float]] = []
SCORE, OVERLAP, BEFORE, MOST = 0.05, 0.5, 500, 100

# ==== all
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + x)


class Fusion(nn.Module):
    """Each branch sums what comes from its finer neighbour, itself and its coarser one; a new one may be added."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.same = nn.ModuleList(Unit(c, d, 3) for c, d in zip(inputs, outputs))
        self.down = nn.ModuleList(Unit(c, d, 3, stride=2) for c, d in zip(inputs[:-1], outputs[1:]))
        self.up = nn.ModuleList(Unit(c, d, 1) for c, d in zip(inputs[1:], outputs[:-1]))
        self.new = Unit(outputs[-2], outputs[-1], 3, stride=2) if len(outputs) > len(inputs) else None

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        fused = []
        for i in range(len(self.same)):
            y = self.same[i](branches[i])
            if i > 0:
                y = self.down[i - 1](branches[i - 1]) + y
            if i + 1 < len(self.same):
                doubled = F.interpolate(self.up[i](branches[i + 1]), scale_factor=2, mode="nearest")
                y = y + resize(doubled, y)
            fused.append(y)
        return fused if self.new is None else [*fused, self.new(fused[-1])]


class Block(nn.Module):
    """A fusion, then residual units on every branch."""

    def __init__(self, inputs: tuple[int, ...], units: tuple[int, ...], channels: tuple[int, ...]) -> None:
        super().__init__()
        self.fusion = Fusion(inputs, channels)
        self.branches = nn.ModuleList(
            nn.Sequential(*(ResidualUnit(c) for _ in range(n))) for n, c in zip(units, channels)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        return [units(y) for units, y in zip(self.branches, self.fusion(branches))]


class Backbone(nn.Module):
    """(B, IN_CHANNELS, H, W) to the maps of all branches, finest first, each half the size of the one before."""

    def __init__(self) -> None:
        super().__init__()
        first, second = STEM
        self.stem = nn.Sequential(Unit(IN_CHANNELS, first, 3, STRIDES[0]), Unit(first, second, 3, STRIDES[1]))
        inputs = [(second,), *(channels for _, channels in BLOCKS)]
        self.blocks = nn.ModuleList(Block(c, units, channels) for c, (units, channels) in zip(inputs, BLOCKS))

    def forward(self, x: Tensor) -> list[Tensor]:
        branches = [self.stem(x)]
        for block in self.blocks:
            branches = block(branches)
        return branches


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, to the height and width of another map."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def join(branches: list[Tensor], at: int) -> Tensor:
    """All maps at the size of one of them, one after the other."""
    return torch.cat([resize(x, branches[at]) for x in branches], 1)


# ==== cls
class Head(nn.Module):
    """Joined at the coarsest map, averaged, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.join = Unit(sum(BLOCKS[-1][1]), WIDTH, 1)
        self.classifier = nn.Linear(WIDTH, len(CLASSES))

    def forward(self, branches: list[Tensor]) -> Tensor:
        return self.classifier(self.join(join(branches, -1)).mean((2, 3)))


# ==== seg
class Head(nn.Module):  # type: ignore[no-redef]
    """Joined at the finest map, a 1x1 classifier on every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.join = Unit(sum(BLOCKS[-1][1]), WIDTH, 1)
        self.classifier = nn.Conv2d(WIDTH, len(CLASSES), 1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        return self.classifier(self.join(join(branches, 0)))


# ==== det3d
class Head(nn.Module):  # type: ignore[no-redef]
    """Joined at the finest map."""

    def __init__(self) -> None:
        super().__init__()
        self.join = Unit(sum(BLOCKS[-1][1]), WIDTH, 1)

    def forward(self, branches: list[Tensor]) -> Tensor:
        return self.join(join(branches, 0))


# ==== video
class Head(nn.Module):  # type: ignore[no-redef]
    """Joined at the coarsest map, a 3x3x3 convolution over the stacked frames, averaged, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(sum(BLOCKS[-1][1]), WIDTH, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(WIDTH)
        self.classifier = nn.Linear(WIDTH, len(CLASSES))

    def forward(self, branches: list[Tensor], frames: int) -> Tensor:
        x = join(branches, -1).unflatten(0, (-1, frames)).transpose(1, 2)
        return self.classifier(F.relu(self.norm(self.conv(x))).mean((2, 3, 4)))


# ==== cls seg det3d
class Network(nn.Module):
    """Backbone and head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = Backbone(), Head()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


# ==== video
class Network(nn.Module):  # type: ignore[no-redef]
    """Clips (B, T, C, H, W) to logits (B, classes): the backbone sees every frame, the head all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = Backbone(), Head()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x.flatten(0, 1)), x.shape[1])


# ==== cls seg video
def normalise(x: Tensor) -> Tensor:
    """Numbers 0..255, channels third from last, as the network reads them."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (x / 255 - mean) / std


# ==== det3d
class Encoder(nn.Module):
    """Points of one scene, sorted by pillar, to a bird's-eye view (1, 64, H, W); empty cells are 0."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(10 if Z_OFFSET else 9, IN_CHANNELS, bias=False)
        self.norm = nn.BatchNorm1d(IN_CHANNELS, eps=1e-3)

    def forward(self, points: Tensor, cells: Tensor) -> Tensor:
        height, width = GRID
        index = cells[:, None]
        sums = points.new_zeros(height * width, 4)
        sums = sums.scatter_add(0, index.expand(-1, 4), torch.cat([points[:, :3], torch.ones_like(points[:, :1])], 1))
        mean = sums[cells, :3] / sums[cells, 3:]
        place = torch.stack([cells % width, cells // width], 1).to(points.dtype)
        centre = points.new_tensor(LIMITS[:2]) + (place + 0.5) * PILLAR
        if Z_OFFSET:
            centre = torch.cat([centre, torch.full_like(centre[:, :1], (LIMITS[2] + LIMITS[5]) / 2)], 1)
        told = torch.cat([points, points[:, :3] - mean, points[:, : centre.shape[1]] - centre], 1)
        features = F.relu(self.norm(self.linear(told)))
        canvas = points.new_zeros(height * width, IN_CHANNELS)
        canvas = canvas.scatter_reduce(0, index.expand(-1, IN_CHANNELS), features, "amax")
        return canvas.view(1, height, width, IN_CHANNELS).permute(0, 3, 1, 2)


class AnchorHead(nn.Module):
    """Class logits, box codes and direction logits of every anchor, row by row, column by column."""

    def __init__(self) -> None:
        super().__init__()
        kinds = 2 * len(ANCHORS)
        self.classes = nn.Conv2d(WIDTH, kinds * len(CLASSES), 1)
        self.boxes = nn.Conv2d(WIDTH, kinds * 7, 1)
        self.directions = nn.Conv2d(WIDTH, kinds * 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        layers = ((self.classes, len(CLASSES)), (self.boxes, 7), (self.directions, 2))
        return [layer(x).permute(0, 2, 3, 1).reshape(-1, wide) for layer, wide in layers]


class Detector(nn.Module):
    """Points (N, 4) of one scene (x, y, z, reflectance) to boxes (K, 7), classes (K,) and scores (K,), best first.

    Boxes are x, y, z of the centre, length, width, height and yaw, in the points' frame.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.network, self.head = Encoder(), Network(), AnchorHead()

    @torch.no_grad()
    def forward(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        written = self.head(self.network(self.encoder(*pillars(points))))
        scores, codes, directions, anchors = torch.sigmoid(written[0]), written[1], written[2].argmax(1), make_anchors()
        found = []
        for kind in range(len(CLASSES)):
            score, best = scores[:, kind].sort(descending=True, stable=True)
            best = best[score >= SCORE][:BEFORE]
            boxes = decode(codes[best], anchors[best], directions[best])
            kept = suppress(boxes)
            found.append((boxes[kept], torch.full_like(kept, kind), scores[best[kept], kind]))
        boxes, kinds, score = (torch.cat(parts) for parts in zip(*found))
        order = score.argsort(descending=True, stable=True)[:MOST]
        return boxes[order], kinds[order], score[order]


def pillars(points: Tensor) -> tuple[Tensor, Tensor]:
    """The points that count, sorted by pillar, and the number of each one's pillar (row * columns + column)."""
    low, high = torch.tensor(LIMITS[:3]), torch.tensor(LIMITS[3:])
    points = points[((points[:, :3] >= low) & (points[:, :3] < high)).all(1)]
    place = ((points[:, :2] - low[:2]) / torch.tensor(PILLAR)).floor().long()
    cells = place[:, 1].clamp(0, GRID[0] - 1) * GRID[1] + place[:, 0].clamp(0, GRID[1] - 1)
    cells, order = cells.sort(stable=True)
    _, lengths = cells.unique_consecutive(return_counts=True)
    start = lengths.cumsum(0) - lengths
    early = torch.zeros_like(lengths, dtype=torch.bool)
    early[order[start].argsort()[:MAX_PILLARS]] = True  # whose first point comes earliest
    kept = early.repeat_interleave(lengths) & (torch.arange(len(cells)) - start.repeat_interleave(lengths) < MAX_POINTS)
    return points[order[kept]], cells[kept]


def make_anchors() -> Tensor:
    """(A, 7): two of each kind in every cell of the map, along x and across."""
    rows, columns = (-(-side // STRIDE) for side in GRID)
    y = LIMITS[1] + (torch.arange(rows, dtype=torch.float64) + 0.5) * (LIMITS[4] - LIMITS[1]) / rows
    x = LIMITS[0] + (torch.arange(columns, dtype=torch.float64) + 0.5) * (LIMITS[3] - LIMITS[0]) / columns
    kinds = [(low + h / 2, long, wide, h, turn) for long, wide, h, low in ANCHORS for turn in (0, math.pi / 2)]
    out = torch.zeros(rows, columns, len(kinds), 7, dtype=torch.float64)
    out[..., 0], out[..., 1] = x[None, :, None], y[:, None, None]
    out[..., 2:] = torch.tensor(kinds, dtype=torch.float64)
    return out.reshape(-1, 7).float()


def decode(codes: Tensor, anchors: Tensor, direction: Tensor) -> Tensor:
    """Boxes from what is written for their anchors; the direction tells front from back."""
    plane = codes[:, :2] * anchors[:, 3:5].norm(dim=1, keepdim=True) + anchors[:, :2]
    rise = codes[:, 2:3] * anchors[:, 5:6] + anchors[:, 2:3]
    sizes = codes[:, 3:6].clamp(max=4).exp() * anchors[:, 3:6]
    turn = (codes[:, 6] + anchors[:, 6] - math.pi / 4).remainder(math.pi) + math.pi / 4 + math.pi * direction
    yaw = (turn + math.pi).remainder(2 * math.pi) - math.pi
    return torch.cat([plane, rise, sizes, yaw[:, None]], 1)


def suppress(boxes: Tensor) -> Tensor:
    """Those that stay, of boxes sorted by score; overlap is that of the rectangles that enclose them."""
    long, wide, cos, sin = boxes[:, 3], boxes[:, 4], boxes[:, 6].cos().abs(), boxes[:, 6].sin().abs()
    reach = torch.stack([long * cos + wide * sin, long * sin + wide * cos], 1) / 2
    low, high = boxes[:, :2] - reach, boxes[:, :2] + reach
    shared = (torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)).clamp(min=0).prod(2)
    area = (high - low).prod(1)
    overlap = shared / (area[:, None] + area - shared)
    kept: list[int] = []
    for i in range(len(boxes)):
        if not (overlap[i, kept] > OVERLAP).any():
            kept.append(i)
    return torch.tensor(kept, dtype=torch.long)


# ==== never
Whole: Any = None


# ==== all
def load(path: Any = None) -> nn.Module:
    """The trained network, on the CPU, for inference."""
    from safetensors.torch import load_file

    net = Whole()
    net.load_state_dict(load_file(path or Path(__file__).with_name("model.safetensors")))
    return net.eval()
