"""A network's card: what whoever uses the network must know of it, in checkpoints, safetensors and ONNX files alike.

Checkpoints hold the parts as plain values (:class:`Use` beside the input's size and statistics), exported files as texts in
their metadata: ``task``, ``architecture``, ``class_names`` (a line each), ``in_channels``, ``size`` (``512,1024``), ``mean`` and
``std`` (of images scaled to 0..1), and ``use``, the JSON of :class:`Use`. Files of earlier versions lack some of it: what stands
in its place is said in :attr:`NetworkCard.missing`.

Needs msgspec alone. Cards come from elsewhere, so all numbers in them have bounds.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ncp import files
from ncp.errors import UserError

PAPER = ("cls", "seg", "det3d", "video")
"""The tasks of NAS-Bench-MR, whose networks are exported in every format."""
ROOMS = ("class_scene", "class_object", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder")
"""Those of TransNAS-Bench-101."""
TASKS = (*PAPER, *ROOMS)
LONGEST = 16_384  # side of an input, in pixels
LARGEST = 2**28  # numbers in the inputs of one sample: a clip of 64 frames of 1024 x 1024 has 2**27.6
MANY = 10_000_000  # of what is counted in a card
MOST_ANCHORS = 2**22  # of a scene; KITTI's has 321,408
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
SIZE = {"cls": (224, 224), "video": (112, 112)}  # where a card says none

Side = Annotated[int, Meta(ge=1, le=LONGEST)]
Byte = Annotated[int, Meta(ge=0, le=255)]
Metres = Annotated[float, Meta(ge=-10_000, le=10_000)]
Length = Annotated[float, Meta(gt=0, le=1000)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Clips(Struct, frozen=True):
    """Which frames of a video are a sample; see :class:`ncp.data.clip_sampling.Sampling`."""

    kind: Annotated[str, Meta(max_length=40)]
    frames: Annotated[int, Meta(ge=1, le=MANY)]
    stride: Annotated[int, Meta(ge=1, le=MANY)]
    clips: Annotated[int, Meta(ge=1, le=1000)] = 1


class Anchor(Struct, frozen=True):
    """The anchors of a class: see :class:`ncp.metrics.anchors.AnchorClass`."""

    name: Annotated[str, Meta(max_length=200)]
    length: Length
    width: Length
    height: Length
    bottom: Metres
    positive: Share = 0.5
    negative: Share = 0.35


class Suppression(Struct, frozen=True):
    """How a detector's boxes are chosen; see :func:`ncp.models.anchors.detect`."""

    score: Share = 0.05
    overlap: Share = 0.5
    rotated: bool = False
    before: Annotated[int, Meta(ge=1, le=MANY)] = 500
    most: Annotated[int, Meta(ge=1, le=MANY)] = 100


class SeenSpace(Struct, frozen=True):
    """What a detector sees, and the boxes that it writes from.

    Attributes:
        limits: x, y, z from and to, in metres.
        pillar: side of a pillar in metres.
        stride: pillars along a side of a cell of the map that the head reads.
        anchors: one kind a class.
        max_pillars, max_points: of a scene and of a pillar.
        z_offset: ten numbers a point instead of nine.
        nms: how boxes are chosen.
    """

    limits: tuple[Metres, Metres, Metres, Metres, Metres, Metres]
    pillar: Length
    stride: Annotated[int, Meta(ge=1, le=64)]
    anchors: Annotated[list[Anchor], Meta(min_length=1, max_length=100)]
    max_pillars: Annotated[int, Meta(ge=1, le=MANY)]
    max_points: Annotated[int, Meta(ge=1, le=MANY)]
    z_offset: bool = False
    nms: Suppression = Suppression()


class Use(Struct, frozen=True):
    """How an image, a video or a scene is brought to the network, as in its evaluation, and how its classes are drawn.

    Attributes:
        share: of an image's shorter side that the centred window covers (classification, video); 1: all of it.
        short: pixels to which an image's shorter side is brought (segmentation); None: it stays as it is.
        palette: a colour for each class.
        clips: of a video network.
        space: of a detector.
        low, high: by channel, the numbers in an image's file that become 0 and 255; of photographs none.
        scale, shift: by what the numbers that a network writes are multiplied, and what is then added: of a room's layout to be
            metres and radians, of an image's channels to be bytes. Of other tasks none.
    """

    share: Annotated[float, Meta(gt=0, le=1)] = 0.875
    short: Side | None = None
    palette: Annotated[list[tuple[Byte, Byte, Byte]], Meta(max_length=100_000)] = []
    clips: Clips | None = None
    space: SeenSpace | None = None
    low: Annotated[list[float], Meta(max_length=10_000)] = []
    high: Annotated[list[float], Meta(max_length=10_000)] = []
    scale: Annotated[list[Metres], Meta(max_length=64)] = []
    shift: Annotated[list[Metres], Meta(max_length=64)] = []


@dataclass(frozen=True)
class NetworkCard:
    """What a program must know of a network to use it.

    Attributes:
        task: one of :data:`TASKS`.
        architecture: its text, or a baseline's name.
        classes: their names.
        channels: of the input.
        size: height and width of the input in its evaluation.
        mean, std: by channel, of images scaled to 0..1.
        use: how inputs are brought to it.
        missing: what the file does not say, and what stands in its place, in words.
    """

    task: str
    architecture: str
    classes: Sequence[str]
    channels: int
    size: tuple[int, int]
    mean: Sequence[float]
    std: Sequence[float]
    use: Use
    missing: Sequence[str] = field(default=())

    def text(self) -> dict[str, str]:
        """As the metadata of an exported file."""
        out = {
            "task": self.task,
            "architecture": self.architecture,
            "class_names": "\n".join(map(line, self.classes)),
            "in_channels": str(self.channels),
            "size": ",".join(map(str, self.size)),
            "use": msgspec.json.encode(self.use).decode(),
        }
        statistics = {"mean": self.mean, "std": self.std}
        return out | {key: ",".join(map(str, values)) for key, values in statistics.items() if values}

    def palette(self) -> list[tuple[int, int, int]]:
        """A colour for each class: the training's, or ones that are easily told apart."""
        known = self.use.palette
        return list(known) if len(known) == len(self.classes) else colours(len(self.classes))


def line(name: str) -> str:
    """A name as metadata holds it: one line of UTF-8."""
    return files.printable(name).replace("\n", " ")


def colours(count: int) -> list[tuple[int, int, int]]:
    """``count`` colours, neighbours far apart on the circle of hues."""
    out = []
    for i in range(count):
        r, g, b = colorsys.hsv_to_rgb((i * 0.618034) % 1, 0.55 + 0.15 * (i % 4), 0.95 - 0.15 * (i % 5))
        out.append((round(255 * r), round(255 * g), round(255 * b)))
    return out


class _Texts(Struct):
    """The metadata of an exported file; all values are text."""

    task: Annotated[str, Meta(max_length=40)]
    architecture: Annotated[str, Meta(max_length=1000)] = ""
    classes: Annotated[int, Meta(ge=0, le=100_000)] = 0
    in_channels: Annotated[int, Meta(ge=1, le=10_000)] = 3


def from_text(metadata: Mapping[str, str], where: str) -> NetworkCard:
    """The card in a file's metadata.

    Args:
        metadata: of a safetensors or ONNX file.
        where: the file, for messages.

    Raises:
        UserError: where it is none, or holds what no card can.
    """
    if "task" not in metadata:
        raise UserError(f"{where} says of no task; give a file of src.export, a checkpoint or a run folder")
    texts: _Texts = files.checked(dict(metadata), _Texts, where, strict=False)
    missing: list[str] = []
    names: Sequence[str] = tuple(metadata["class_names"].split("\n")) if "class_names" in metadata else ()
    if not names:
        missing.append("the classes' names (they are numbered)")
        names = tuple(f"class {i}" for i in range(texts.classes))
    mean, std = (_numbers(metadata, key, where) for key in ("mean", "std"))
    size = _numbers(metadata, "size", where)
    use = _use(metadata["use"], where) if "use" in metadata else None
    return make(
        where=where, task=texts.task, architecture=texts.architecture, classes=names, channels=texts.in_channels,
        size=None if size is None else [int(n) for n in size], mean=mean, std=std, use=use, missing=missing,
    )  # fmt: skip


def make(
    *,
    where: str,
    task: str,
    architecture: str,
    classes: Sequence[str],
    channels: int,
    size: Sequence[int] | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    use: Use | None,
    missing: Sequence[str] = (),
) -> NetworkCard:
    """A card of which every part is checked; None stands for what a file of an earlier version lacks.

    Raises:
        UserError: naming ``where``, for what cannot be.
    """
    lacking = list(missing)
    if task not in TASKS:
        raise UserError(
            f"{where} is of the task '{files.shown(task)}'; only networks of {', '.join(TASKS)} are exported and asked for "
            "predictions"
        )
    if not classes:
        raise UserError(f"{where} names no classes")
    images = task != "det3d"
    if images and (mean is None or std is None):
        lacking.append("mean and deviation of its images (ImageNet's are taken)")
        mean, std = (MEAN, STD) if channels == 3 else ((0.5,) * channels, (0.25,) * channels)
    mean, std = tuple(mean or ()), tuple(std or ())
    if images and (len(mean) != channels or len(std) != channels or min(std) <= 0):
        raise UserError(f"{where} has {channels} channels, but {len(mean)} means and {len(std)} deviations above 0")
    if size is None:
        lacking.append(f"the size of its input ({'x'.join(map(str, SIZE[task]))} is taken)" if task in SIZE else "")
        size = SIZE.get(task, (512, 512))
    if len(size) != 2 or not all(1 <= n <= LONGEST for n in size):
        raise UserError(f"{where} names an input of {list(size)[:4]} pixels; a side has 1 to {LONGEST:,}")
    if use is not None and (len(use.low), len(use.high)) not in ((0, 0), (channels, channels)):
        raise UserError(f"{where} has {channels} channels, but ranges of {len(use.low)} and {len(use.high)}")
    if use is not None and not all(0 < high - low < 1e30 for low, high in zip(use.low, use.high, strict=True)):
        raise UserError(f"{where} has ranges of numbers that are empty or endless")
    if use is not None and (len(use.scale), len(use.shift)) not in ((0, 0), (len(classes), len(classes))):
        raise UserError(
            f"{where} writes {len(classes)} numbers, but names {len(use.scale)} scales and {len(use.shift)} shifts"
        )
    if use is None:
        use = Use()
        lacking.append({
            "cls": "how images are cut (the middle 7/8 are taken)",
            "seg": "its classes' colours and the size that images are brought to (they stay as they are)",
        }.get(task, ""))  # fmt: skip
    if task == "video" and use.clips is None:
        lacking.append("which frames it reads (8, 8 apart, are taken)")
        use = msgspec.structs.replace(use, clips=Clips("dense", 8, 8))
    if task == "det3d":
        if use.space is None:
            raise UserError(f"{where} does not say what space its detector sees; export its checkpoint anew")
        if len(use.space.anchors) != len(classes):
            raise UserError(f"{where} has {len(classes)} classes, but anchors of {len(use.space.anchors)}")
        _check_space(use.space, where)
    frames = use.clips.frames if use.clips is not None and task == "video" else 1
    if images and size[0] * size[1] * channels * frames > LARGEST:
        raise UserError(f"{where} names an input of {channels} x {frames} x {size[0]} x {size[1]} numbers; too large")
    told = tuple(text for text in lacking if text)
    return NetworkCard(task, architecture, tuple(classes), channels, (size[0], size[1]), mean, std, use, told)


def _check_space(space: SeenSpace, where: str) -> None:
    x, y = ((space.limits[i + 3] - space.limits[i]) / (space.pillar * space.stride) for i in (0, 1))
    anchors = 2 * len(space.anchors) * x * y
    if not (x > 0 and y > 0 and space.limits[5] > space.limits[2] and anchors <= MOST_ANCHORS):
        raise UserError(
            f"{where} names a detector's space of {list(space.limits)} with pillars of {space.pillar} m, which is empty or has "
            f"more than {MOST_ANCHORS:,} anchors"
        )


def _use(text: str, where: str) -> Use:
    out: Use = files.checked(files.parse_json(text, f"'use' of {where}"), Use, f"'use' of {where}")
    return out


def _numbers(metadata: Mapping[str, Any], key: str, where: str) -> list[float] | None:
    if key not in metadata:
        return None
    words = str(metadata[key]).split(",")
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if not values or not all(abs(value) < 1e6 for value in values):
        raise UserError(f"{where} has a {key} of '{files.shown(metadata[key])}', which are no numbers")
    return values
