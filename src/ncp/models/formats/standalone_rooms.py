"""The source of exported networks of TransNAS-Bench-101's tasks: plain torch; :mod:`ncp.models.formats.rooms` puts it together.

A line ``# ==== NAMES`` begins what the files of these encoders, heads (or all) hold. The multi-resolution backbone itself stands
in ``standalone.py``. The constants stand here for linters; an exported file has its own in their place.
"""

# ==== never
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncp.models.formats.standalone import BLOCKS, Backbone, Unit, join

CLASSES: list[str] = []
MEAN: list[float] = []
STD: list[float] = []
SCALE: list[float] = []
SHIFT: list[float] = []
IN_CHANNELS, BASE, STEM_STRIDE, WIDTH, FINEST, OUTPUTS = 3, 64, 4, 8, False, 3
MODULES: list[int] = []
OPERATIONS: list[int] = []
Layer: Any = None
DECODER: list[int] = []
GROWING: list[int] = []

# ==== imports
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


# ==== micro macro
class ActivatedConv(nn.Module):
    """ReLU, convolution, batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(F.relu(x)))


# ==== macro
class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ActivatedConv(inputs, outputs, 3, stride), ActivatedConv(outputs, outputs, 3))
        self.shortcut = nn.Identity()
        if (inputs, stride) != (outputs, 1):
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


Layer = BasicBlock


# ==== micro
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


class FactorizedReduce(nn.Module):
    """A skip that changes channels or size: two 1x1 convolutions, the second on the map shifted by one pixel."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(inputs, outputs // 2, 1, stride, bias=False) for _ in range(2))
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        shifted = F.pad(x[:, :, 1:, 1:], (0, 1, 0, 1))
        return self.norm(torch.cat([self.convs[0](x), self.convs[1](shifted)], 1))


class Cell(nn.Module):
    """Four nodes, each the sum of what its edges bring; operations: 0 none, 1 skip, 2 and 3 convolutions of 1x1 and 3x3."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.stride = outputs, stride
        self.edges = nn.ModuleList()
        for (source, _), operation in zip(EDGES, OPERATIONS):
            before, step = (inputs, stride) if source == 0 else (outputs, 1)
            if operation >= 2:
                self.edges.append(ActivatedConv(before, outputs, (1, 3)[operation - 2], step))
            elif operation == 1 and (before, step) != (outputs, 1):
                self.edges.append(FactorizedReduce(before, outputs, step))
            else:
                self.edges.append(nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        nodes: list[Any] = [x, None, None, None]
        for (source, target), operation, edge in zip(EDGES, OPERATIONS, self.edges):
            if operation and nodes[source] is not None:
                brought = edge(nodes[source])
                nodes[target] = brought if nodes[target] is None else nodes[target] + brought
        if nodes[3] is None:  # no way leads through the cell
            height, width = (math.ceil(side / self.stride) for side in x.shape[-2:])
            return x.new_zeros(len(x), self.outputs, height, width)
        return nodes[3]


Layer = Cell


# ==== micro macro
class Encoder(nn.Module):
    """(B, IN_CHANNELS, H, W) to one small map. A module: 1 changes nothing, 2 doubles channels, 3 halves the size, 4 both."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(IN_CHANNELS, BASE // 2, 3, min(2, STEM_STRIDE), padding=1, bias=False),
            nn.BatchNorm2d(BASE // 2),
            ActivatedConv(BASE // 2, BASE, 3, max(1, STEM_STRIDE // 2)),
        )
        layers, width = [], BASE
        for module in MODULES:
            before, stride = width, 2 if module > 2 else 1
            width *= 2 if module in (2, 4) else 1
            layers += [Layer(before, width, stride), Layer(width, width, 1)]
        self.layers = nn.Sequential(*layers)
        self.channels = width

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.stem(x))


# ==== multires
class Encoder(nn.Module):  # type: ignore[no-redef]
    """The backbone's maps at the size of its finest or its coarsest, joined by one unit."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.join = Unit(sum(BLOCKS[-1][1]), WIDTH, 1)
        self.channels = WIDTH

    def forward(self, x: Tensor) -> Tensor:
        return self.join(join(self.backbone(x), 0 if FINEST else -1))


# ==== linear tiles
class Head(nn.Module):
    """Average over all pixels, one linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(channels, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x.mean((2, 3)))


# ==== pixels image
class DecoderLayer(nn.Module):
    """A 3x3 convolution, or a transposed one that doubles the size; batch norm, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, grows: bool) -> None:
        super().__init__()
        self.conv = (
            nn.ConvTranspose2d(inputs, outputs, 3, 2, padding=1, output_padding=1)
            if grows
            else nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x)), 0.2)


# ==== pixels
class Head(nn.Module):  # type: ignore[no-redef]
    """Layers that bring the map to the image's size, a 3x3 classifier on every pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [channels, *DECODER]
        self.layers = nn.Sequential(
            *(DecoderLayer(widths[i], widths[i + 1], i in GROWING) for i in range(len(DECODER)))
        )
        self.classifier = nn.Conv2d(DECODER[-1], OUTPUTS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.layers(x))


# ==== image
class Head(nn.Module):  # type: ignore[no-redef]
    """Layers that bring the map to the image's size, an image in -1..1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [channels, *DECODER]
        self.layers = nn.Sequential(
            *(DecoderLayer(widths[i], widths[i + 1], i in GROWING) for i in range(len(DECODER)))
        )
        self.last = nn.Conv2d(DECODER[-1], OUTPUTS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.last(self.layers(x)))


# ==== linear
class Network(nn.Module):
    """Encoder and head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Encoder()
        self.head = Head(self.backbone.channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


# ==== tiles
class Network(nn.Module):  # type: ignore[no-redef]
    """One encoder on nine tiles (B, 9, C, H, W), row by row; their maps are joined by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Encoder()
        self.head = Head(9 * self.backbone.channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.backbone(x[:, i]) for i in range(9)], 1))


# ==== pixels image
class Network(nn.Module):  # type: ignore[no-redef]
    """Encoder and decoder; the output is cut to the image's size, where sides were rounded up."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Encoder()
        self.head = Head(self.backbone.channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))[..., : x.shape[-2], : x.shape[-1]]


# ==== all
def normalise(x: Tensor) -> Tensor:
    """Numbers 0..255, channels third from last, as the network reads them."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (x / 255 - mean) / std


# ==== scaled
def in_units(y: Tensor) -> Tensor:
    """What the network writes, in the units of its labels: metres and radians, or bytes of an image's channels."""
    shape = (-1,) if y.ndim == 2 else (-1, 1, 1)
    return y * torch.tensor(SCALE).view(shape) + torch.tensor(SHIFT).view(shape)


# ==== all
def load(path: Any = None) -> nn.Module:
    """The trained network, on the CPU, for inference."""
    from safetensors.torch import load_file

    net = Network()
    net.load_state_dict(load_file(path or Path(__file__).with_name("model.safetensors")))
    return net.eval()
