"""The multi-resolution network that a code of 27 numbers describes: stem, blocks, head.

Source: paper section 3.2; the layers one by one are counted by :mod:`ncp.spaces.cost`, which agrees to the last digit.

Shape suffixes: B batch, T frames, C channels, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ncp.errors import UserError
from ncp.models.blocks import Block, Unit, is_tracing, known
from ncp.spaces.cost import branch_sizes
from ncp.spaces.multires import Architecture

MAX_CHANNELS = 10_000


def check_channels(in_channels: int) -> int:
    """``in_channels`` itself, or a ``UserError``."""
    if isinstance(in_channels, bool) or not isinstance(in_channels, int) or in_channels < 1:
        raise UserError(f"in_channels must be at least 1, given was {in_channels!r}")
    if in_channels > MAX_CHANNELS:
        raise UserError(f"in_channels must be at most {MAX_CHANNELS:,}, given was {in_channels}")
    return in_channels


class MultiResolutionBackbone(nn.Module):
    """Stem and blocks: an image to four maps.

    Attributes:
        channels: of the four maps, finest first.
        reductions: how many pixels of the input one pixel of each map stands for, along a side.

    Args:
        architecture: anything ``Architecture.parse`` reads.
        in_channels: channels of the input.
        stem_strides: (2, 2) for images, so that the finest map is at 1/4; (2, 1) for bird's-eye views (1/2).
    """

    def __init__(self, architecture: Any, in_channels: int = 3, stem_strides: tuple[int, int] = (2, 2)) -> None:
        super().__init__()
        check_channels(in_channels)
        if len(stem_strides) != 2 or not set(stem_strides) <= {1, 2}:
            raise UserError(f"stem_strides must be two numbers out of 1 and 2, given was {stem_strides}")
        self.architecture = Architecture.parse(architecture)
        self.in_channels = in_channels
        self.stem_strides = (stem_strides[0], stem_strides[1])
        self.grad_checkpointing = False
        i1, i2 = self.architecture["i1"], self.architecture["i2"]
        self.stem = nn.Sequential(Unit(in_channels, i1, 3, stem_strides[0]), Unit(i1, i2, 3, stem_strides[1]))
        blocks = []
        inputs: tuple[int, ...] = (i2,)
        for spec in self.architecture.blocks:
            blocks.append(Block(inputs, spec))
            inputs = spec.channels
        self.blocks = nn.ModuleList(blocks)
        self.channels = inputs
        first = stem_strides[0] * stem_strides[1]
        self.reductions = tuple(first * 2**r for r in range(len(inputs)))

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """``(B, in_channels, H, W)`` to four maps ``(B, channels[r], H / reductions[r], W / reductions[r])``.

        Sides that do not divide are rounded up at every halving.

        Raises:
            UserError: for another number of channels, or where a batch norm in training would see one number a channel.
        """
        if not traced(x_BCHW):
            self._check(x_BCHW)
        branches = [self.stem(x_BCHW)]
        for block in self.blocks:
            if self.grad_checkpointing and self.training:
                branches = checkpoint(block, branches, use_reentrant=False, context_fn=partial(_once, block))
            else:
                branches = block(branches)
        return branches

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep only the blocks' inputs for the backward pass and compute the rest again (same gradients, less memory)."""
        self.grad_checkpointing = enable

    def _check(self, x_BCHW: Tensor) -> None:
        if x_BCHW.ndim != 4 or x_BCHW.shape[1] != self.in_channels:
            raise UserError(
                f"this network reads (batch, {self.in_channels}, height, width), given was {tuple(x_BCHW.shape)}; "
                "build it with in_channels=... for other inputs"
            )
        if self.training and known(*x_BCHW.shape) and x_BCHW.shape[0] == 1:
            height, width = x_BCHW.shape[-2:]
            if branch_sizes((height, width), self.stem_strides)[-1] == (1, 1):
                raise UserError(
                    f"one image of {height}x{width} is too small to train on: the coarsest branch would be a single pixel, "
                    "which batch norm cannot use; give 64x64 or more, or a batch of at least 2"
                )


def traced(x: Any) -> bool:
    """Whether ``x`` stands for any input, so that nothing about it can be checked (:mod:`torch.fx`, :func:`torch.jit.trace`)."""
    return not isinstance(x, Tensor) or is_tracing()


def _once(block: nn.Module) -> tuple[Any, Any]:
    """Contexts for the two passes over a checkpointed block: only the first may move the running statistics."""
    return nullcontext(), _frozen_statistics(block)


@contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    kept = [(m.momentum, m.num_batches_tracked) for m in norms]
    for m in norms:
        m.momentum = 0.0
        m.num_batches_tracked = None
    try:
        yield
    finally:
        for m, (momentum, batches) in zip(norms, kept, strict=True):
            m.momentum = momentum
            m.num_batches_tracked = batches


class Signature(NamedTuple):
    """What a network was built from: enough to build it again, and to say how two networks differ."""

    architecture: str
    task: str
    classes: int
    in_channels: int
    stem_strides: tuple[int, int]


class MultiResolutionNet(nn.Module):
    """A backbone under a head.

    Attributes:
        signature: what :func:`ncp.models.build` made it from; ``None`` for anything else.

    Args:
        backbone: maps ``(B, C, H, W)`` to a list of maps, finest first.
        head: reads that list.
    """

    signature: Signature | None = None

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @property
    def architecture(self) -> Architecture:
        """The architecture of the backbone."""
        value = self.backbone.architecture
        assert isinstance(value, Architecture)
        return value

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory in the backbone; see :meth:`MultiResolutionBackbone.set_grad_checkpointing`."""
        self.backbone.set_grad_checkpointing(enable)  # type: ignore[operator]

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The head's output for the backbone's maps."""
        out: Tensor = self.head(self.backbone(x_BCHW))
        return out


class VideoNet(MultiResolutionNet):
    """A 2D backbone run on every frame, under a head that looks at all frames together."""

    def forward(self, x_BTCHW: Tensor) -> Tensor:
        """Clips ``(B, T, C, H, W)`` to logits ``(B, classes)``."""
        if not traced(x_BTCHW) and x_BTCHW.ndim != 5:
            raise UserError(
                f"a video network reads (batch, frames, channels, height, width), given was {tuple(x_BTCHW.shape)}"
            )
        out: Tensor = self.head(self.backbone(x_BTCHW.flatten(0, 1)), x_BTCHW.shape[1])
        return out
