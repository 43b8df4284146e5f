"""The encoders of TransNAS-Bench-101's two spaces: an image to one map.

A stem to 64 channels at a quarter of the size, then modules of two cells each, whose first changes channels and size as the
module's digit says. A cell is a basic residual block (macro space) or four nodes joined by six edges (micro space). Parameters
and multiply-adds are those that the spaces count, to the last digit.

Shape suffixes: B batch, C channels, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncp.errors import UserError
from ncp.models.backbone import check_channels, traced
from ncp.models.blocks import initialise, known
from ncp.spaces import transnas, transnas_macro, transnas_micro
from ncp.spaces.cell import EDGES, N_EDGES, N_NODES
from ncp.spaces.transnas_micro import CONV_3X3, SKIP, ZERO

Architecture = transnas_micro.Architecture | transnas_macro.Architecture
BASES = range(4, transnas.BASE + 1, 2)
STEM_STRIDES = (1, 2, transnas.STEM_STRIDE)


class ActivatedConv(nn.Module):
    """ReLU, k x k convolution without bias, batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ceil(H / stride), ceil(W / stride))``."""
        out: Tensor = self.norm(self.conv(F.relu(x_BCHW)))
        return out


class FactorizedReduce(nn.Module):
    """What a skip is where channels or size change: ReLU, two 1x1 convolutions to half of the channels each, batch norm.

    The second reads the map shifted by one pixel (zeros come in at the right and the bottom), so that with a stride of two
    the pixels that the first one leaves out are seen too.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(inputs, outputs // 2, 1, stride, bias=False) for _ in range(2))
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ceil(H / stride), ceil(W / stride))``."""
        x_BCHW = F.relu(x_BCHW)
        shifted = F.pad(x_BCHW[:, :, 1:, 1:], (0, 1, 0, 1))
        out: Tensor = self.norm(torch.cat([self.convs[0](x_BCHW), self.convs[1](shifted)], dim=1))
        return out


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, beside a shortcut: the identity, or a 1x1 convolution with norm."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ActivatedConv(inputs, outputs, 3, stride), ActivatedConv(outputs, outputs, 3))
        self.shortcut: nn.Module = nn.Identity()
        if (inputs, stride) != (outputs, 1):
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ceil(H / stride), ceil(W / stride))``; no ReLU at the end."""
        out: Tensor = self.body(x_BCHW) + self.shortcut(x_BCHW)
        return out

    def side_norms(self) -> list[nn.Module]:
        """The norm that ends the convolutions."""
        last = self.body[-1]
        assert isinstance(last, ActivatedConv)
        return [last.norm]


class Cell(nn.Module):
    """Four nodes: the input, and three that sum what their edges bring from the nodes before; the last one is the output.

    All edges are there, as the benchmark counts them; those that nothing flows through, or whose result nothing uses, are not
    computed, and get no gradient.

    Attributes:
        used: numbers of the edges that are computed.
        idle: whether some parameters, here or before, get no gradient.

    Args:
        operations: one of ``ncp.spaces.transnas_micro.OPERATIONS`` for each edge.
        inputs, outputs, stride: of the edges from node 0; the others keep channels and size.
    """

    def __init__(self, operations: Sequence[int], inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.operations, self.outputs, self.stride = tuple(operations), outputs, stride
        self.used = in_use(operations)
        self.edges = nn.ModuleList()
        for (source, _), operation in zip(EDGES, operations, strict=True):
            before, step = (inputs, stride) if source == 0 else (outputs, 1)
            self.edges.append(_edge(operation, before, outputs, step))
        left = (module for edge, module in enumerate(self.edges) if edge not in self.used)
        self.idle = not self.used or any(list(module.parameters()) for module in left)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ceil(H / stride), ceil(W / stride))``; zeros where no way is open."""
        nodes: list[Tensor | None] = [x_BCHW, *[None] * (N_NODES - 1)]
        for edge in self.used:
            source, target = EDGES[edge]
            given = nodes[source]
            assert given is not None
            brought, before = self.edges[edge](given), nodes[target]
            nodes[target] = brought if before is None else before + brought
        if nodes[-1] is not None:
            return nodes[-1]
        size = [(side + self.stride - 1) // self.stride for side in x_BCHW.shape[-2:]]
        return x_BCHW.new_zeros(x_BCHW.shape[0], self.outputs, *size)

    def side_norms(self) -> list[nn.Module]:
        """Of the edges that bring something to the nodes of the shortest way through the cell from beside it."""
        way = shortest(self.operations, self.used)
        nodes = {EDGES[edge][1] for edge in way}
        beside = (self.edges[edge] for edge in self.used if edge not in way and EDGES[edge][1] in nodes)
        return [edge.norm for edge in beside if isinstance(edge, (ActivatedConv, FactorizedReduce))]


def shortest(operations: Sequence[int], used: Sequence[int]) -> tuple[int, ...]:
    """The edges of the way from node 0 to the last node with the fewest convolutions, and of those the fewest edges.

    >>> shortest((3, 3, 1, 3, 3, 2), range(6)), shortest((1, 3, 2, 0, 1, 3), (0, 1, 2, 4, 5)), shortest((0,) * 6, ())
    ((3,), (0, 4), ())
    """
    ways: list[tuple[int, int, tuple[int, ...]]] = [(0, 0, ())]  # to each node: convolutions, edges, which
    none = (N_EDGES + 1, 0, ())
    for node in range(1, N_NODES):
        found = []
        for edge in used:
            source, target = EDGES[edge]
            if target == node and ways[source] != none:
                convs, count, way = ways[source]
                found.append((convs + (operations[edge] != SKIP), count + 1, (*way, edge)))
        ways.append(min(found, default=none))
    return ways[-1][2]


def in_use(operations: Sequence[int]) -> tuple[int, ...]:
    """The edges that lie on a way from node 0 to the last node, in order.

    >>> in_use((3, 0, 3, 0, 0, 1)), in_use((3, 0, 0, 2, 0, 0)), in_use((0, 0, 3, 0, 3, 3))
    ((0, 2, 5), (3,), ())
    """
    reached, needed = {0}, {N_NODES - 1}
    open_edges = [edge for edge, operation in enumerate(operations) if operation != ZERO]
    for edge in open_edges:  # edges are ordered by their targets
        source, target = EDGES[edge]
        reached |= {target} if source in reached else set()
    for edge in reversed(open_edges):
        source, target = EDGES[edge]
        needed |= {source} if target in needed else set()
    return tuple(edge for edge in open_edges if EDGES[edge][0] in reached and EDGES[edge][1] in needed)


def _edge(operation: int, inputs: int, outputs: int, stride: int) -> nn.Module:
    if operation == ZERO:
        return nn.Identity()  # never called
    if operation == SKIP:
        return nn.Identity() if (inputs, stride) == (outputs, 1) else FactorizedReduce(inputs, outputs, stride)
    return ActivatedConv(inputs, outputs, 3 if operation == CONV_3X3 else 1, stride)


class Encoder(nn.Module):
    """The encoder of an architecture of one of the two spaces, initialised as the benchmark's: Kaiming normal, fan out.

    Attributes:
        channels: of the map.
        reduction: how many pixels of the input one pixel of the map stands for, along a side.
        idle: whether some parameters get no gradient (edges of a cell that lead nowhere).
        base, stem_stride: as given.
        light: whether it is narrower than the benchmark's, or strides less, so that the spaces' counts are not its own.

    Args:
        architecture: of ``transnas-micro`` or ``transnas-macro``.
        in_channels: channels of the input.
        base: channels after the stem, which the rest of the network doubles: in place of the 64 that every text begins with.
        stem_stride: of the stem, 4 as the benchmark's, or 2 or 1, which leave small images two or
            four times the side of every map.

    Raises:
        UserError: for a base or a stride that cannot be.
    """

    def __init__(
        self,
        architecture: Architecture,
        in_channels: int = 3,
        base: int = transnas.BASE,
        stem_stride: int = transnas.STEM_STRIDE,
    ) -> None:
        super().__init__()
        self.architecture, self.in_channels = architecture, check_channels(in_channels)
        if base not in BASES:
            raise UserError(f"model.base must be an even number from {BASES[0]} to {BASES[-1]}, given was {base}")
        if stem_stride not in STEM_STRIDES:
            raise UserError(
                f"model.stem_stride must be one of {', '.join(map(str, STEM_STRIDES))}, given was {stem_stride}"
            )
        self.light = (base, stem_stride) != (transnas.BASE, transnas.STEM_STRIDE)
        make: Callable[[int, int, int], nn.Module]
        modules: Sequence[int]
        if isinstance(architecture, transnas_micro.Architecture):
            operations, modules = architecture.operations, transnas_micro.MODULES
            make = lambda *sizes: Cell(operations, *sizes)  # noqa: E731
        else:
            modules, make = architecture.digits, BasicBlock
        self.base, self.stem_stride = int(base), int(stem_stride)
        width, self.reduction = self.base, self.stem_stride
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width // 2, 3, min(2, stem_stride), padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            ActivatedConv(width // 2, width, 3, max(1, stem_stride // 2)),
        )
        layers = []
        for digit in modules:
            before, stride = width, 2 if transnas.halves(digit) else 1
            width *= 2 if transnas.doubles(digit) else 1
            self.reduction *= stride
            layers += [make(before, width, stride), make(width, width, 1)]
        self.layers = nn.Sequential(*layers)
        self.channels = width
        self.idle = any(isinstance(layer, Cell) and layer.idle for layer in layers)
        initialise(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, H / reduction, W / reduction)``; sides are rounded up at every halving.

        Raises:
            UserError: for another number of channels, or where a batch norm in training would see one number a channel.
        """
        if not traced(x_BCHW):
            self._check(x_BCHW)
        out: Tensor = self.layers(self.stem(x_BCHW))
        return out

    def _check(self, x_BCHW: Tensor) -> None:
        shape = tuple(x_BCHW.shape)
        if len(shape) != 4 or shape[1] != self.in_channels:
            raise UserError(f"this network reads (batch, {self.in_channels}, height, width), given was {shape}")
        if self.training and known(*shape) and shape[0] == 1 and max(shape[2:]) <= self.reduction:
            raise UserError(
                f"one image of {shape[2]}x{shape[3]} is too small to train on: its map would be a single pixel, which batch "
                f"norm cannot use; give more than {self.reduction} pixels a side, or a batch of at least 2"
            )
