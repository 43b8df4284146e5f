"""An encoder under the head of one of the seven tasks, for architectures of every space that has an encoder here.

Shape suffixes: B batch, P tiles, C channels, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ncp import spaces
from ncp.errors import UserError
from ncp.models.backbone import MultiResolutionBackbone, traced
from ncp.models.bf16 import protect
from ncp.models.blocks import Unit, initialise
from ncp.models.heads import join
from ncp.models.transnas.decoders import DenseDecoder, Linear, SegmentationDecoder
from ncp.models.transnas.encoder import Encoder
from ncp.spaces import multires, transnas_macro, transnas_micro
from ncp.spaces.base import AnyArchitecture

TILES = 9
"""Of a jigsaw."""


class Kind(NamedTuple):
    """What a task asks of a network.

    Attributes:
        head: ``linear``, ``tiles``, ``pixels`` (logits at the image's size) or ``image`` (another image).
        outputs: classes or numbers of the benchmark's; channels of an image.
    """

    head: str
    outputs: int


TASKS: dict[str, Kind] = {
    "class_object": Kind("linear", 75),
    "class_scene": Kind("linear", 47),
    "room_layout": Kind("linear", 9),
    "jigsaw": Kind("tiles", 1000),
    "segmentsemantic": Kind("pixels", 17),
    "normal": Kind("image", 3),
    "autoencoder": Kind("image", 3),
}


class JoinedBackbone(nn.Module):
    """The multi-resolution backbone as an encoder: its four maps brought to one size, joined by one unit of ``o1`` channels.

    As under this project's own heads: at the finest map's size where the output has the image's size, else at the coarsest's.

    Attributes:
        channels, reduction: of the map.
        idle: no parameter is left without a gradient.
        light: there is no narrower form; the code itself says all widths.
    """

    idle = light = False

    def __init__(self, architecture: multires.Architecture, in_channels: int = 3, finest: bool = False) -> None:
        super().__init__()
        self.backbone = MultiResolutionBackbone(architecture, in_channels)
        self.place = 0 if finest else -1
        self.channels, self.reduction = architecture["o1"], self.backbone.reductions[self.place]
        self.join = Unit(sum(self.backbone.channels), self.channels, 1)
        initialise(self)

    @property
    def architecture(self) -> multires.Architecture:
        """The architecture of the backbone."""
        return self.backbone.architecture

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.backbone.in_channels

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """See :meth:`MultiResolutionBackbone.set_grad_checkpointing`."""
        self.backbone.set_grad_checkpointing(enable)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, H / reduction, W / reduction)``."""
        maps = self.backbone(x_BCHW)
        out: Tensor = self.join(join(maps, maps[self.place].shape[-2:]))
        return out


def _released(architecture: Any, in_channels: int, finest: bool, **light: int) -> nn.Module:
    return Encoder(architecture, in_channels, **light)


ENCODERS: dict[type, Callable[..., nn.Module]] = {
    transnas_micro.Architecture: _released,
    transnas_macro.Architecture: _released,
    multires.Architecture: JoinedBackbone,
}
"""The registry of spaces: kind of architecture -> what makes its encoder, told the input's channels and whether the output has
the image's size. An encoder has ``channels``, ``reduction`` and ``idle``."""


class MadeFrom(NamedTuple):
    """What a network was built from: enough to build it again. See :func:`build_scene`."""

    architecture: str
    task: str
    outputs: int
    in_channels: int
    decoder_width: float = 1.0
    short_decoder: bool = False
    base: int | None = None
    stem_stride: int | None = None


class SceneNet(nn.Module):
    """An encoder under a head.

    Attributes:
        idle: whether some parameters get no gradient; distributed trainings must know.
        made_from: what :func:`build_scene` made it from.
    """

    made_from: MadeFrom

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    @property
    def architecture(self) -> Any:
        """The architecture of the encoder."""
        return self.backbone.architecture

    @property
    def idle(self) -> bool:
        """See above."""
        return bool(self.backbone.idle)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory in the encoder, where it can."""
        if hasattr(self.backbone, "set_grad_checkpointing"):
            self.backbone.set_grad_checkpointing(enable)  # type: ignore[operator]

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The head's output for the encoder's map; what has the image's size is cut to it, where sides were rounded up."""
        out: Tensor = self.head(self.backbone(x_BCHW))
        return out if out.ndim == 2 else out[..., : x_BCHW.shape[-2], : x_BCHW.shape[-1]]


class JigsawNet(SceneNet):
    """One encoder on nine tiles, their maps joined by channel, under a linear head.

    Tiles go through one after the other, as in the benchmark's code: a batch norm sees the tiles of one place together.
    """

    def forward(self, x_BPCHW: Tensor) -> Tensor:
        """Tiles ``(B, 9, C, H, W)`` to logits ``(B, permutations)``."""
        if not traced(x_BPCHW) and (x_BPCHW.ndim != 5 or x_BPCHW.shape[1] != TILES):
            raise UserError(
                f"a jigsaw reads (batch, {TILES}, channels, height, width), given was {tuple(x_BPCHW.shape)}"
            )
        maps = [self.backbone(x_BPCHW[:, place]) for place in range(TILES)]
        out: Tensor = self.head(torch.cat(maps, dim=1))
        return out


def build_scene(
    architecture: AnyArchitecture | str | Sequence[int],
    task: str,
    outputs: int | None = None,
    in_channels: int = 3,
    decoder_width: float = 1.0,
    short_decoder: bool = False,
    base: int | None = None,
    stem_stride: int | None = None,
    channels_last: bool = True,
    grad_checkpointing: bool = False,
) -> SceneNet:
    """The network of an architecture for one of the seven tasks, freshly initialised from torch's global random state.

    Args:
        architecture: of a space that has an encoder (``ENCODERS``), or its text or code.
        task: one of ``TASKS``.
        outputs: classes (permutations, numbers); None for the benchmark's own. The channels of an image are always 3.
        in_channels: channels of the input.
        decoder_width: share of the channels of a decoder's layers; 1 is the benchmark's.
        short_decoder: of the decoder's layers only the first and those that double the size.
        base, stem_stride: of a light encoder of TransNAS-Bench-101's spaces, see :class:`Encoder`; None for the benchmark's.
        channels_last: keep weights, and with them all maps, in the memory format that convolutions are fastest in.
        grad_checkpointing: of the multi-resolution backbone: keep only the blocks' inputs for the backward pass.

    Raises:
        UserError: for an unknown task, a space without an encoder, or impossible numbers.
    """
    from ncp.models.factory import to_channels_last

    if task not in TASKS:
        raise UserError(f"unknown task '{task}'; tasks: {', '.join(TASKS)}")
    if isinstance(architecture, (str, Sequence)):
        architecture = spaces.get(spaces.of_form(architecture)).parse(architecture)
    if type(architecture) not in ENCODERS:
        raise UserError(f"'{architecture}' is of a space without networks for {task}")
    if not 0 < decoder_width <= 1:
        raise UserError(f"model.decoder_width must be above 0 and at most 1, given was {decoder_width}")
    kind = TASKS[task]
    dense = kind.head in ("pixels", "image")
    given = {key: value for key, value in (("base", base), ("stem_stride", stem_stride)) if value is not None}
    if given and isinstance(architecture, multires.Architecture):
        raise UserError(
            f"model.{next(iter(given))} is of TransNAS-Bench-101's spaces; '{architecture}' says all of its widths"
        )
    encoder: Any = ENCODERS[type(architecture)](architecture, in_channels, dense, **given)
    count = kind.outputs if outputs is None else outputs
    head: nn.Module
    if kind.head == "pixels":
        head = SegmentationDecoder(encoder.channels, encoder.reduction, count, decoder_width, short_decoder)
    elif kind.head == "image":
        head = DenseDecoder(encoder.channels, encoder.reduction, kind.outputs, decoder_width, short_decoder)
    else:
        head = Linear(encoder.channels * (TILES if kind.head == "tiles" else 1), count)
    net = (JigsawNet if kind.head == "tiles" else SceneNet)(encoder, head)
    stem = {"base": encoder.base, "stem_stride": encoder.stem_stride} if isinstance(encoder, Encoder) else {}
    count = kind.outputs if kind.head == "image" else count
    net.made_from = MadeFrom(str(architecture), task, count, in_channels, decoder_width, short_decoder, **stem)
    net.set_grad_checkpointing(grad_checkpointing)
    protect(net)
    return to_channels_last(net) if channels_last else net  # type: ignore[no-any-return]
