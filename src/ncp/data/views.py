"""Pictures of rooms with several kinds of labels: what the data of TransNAS-Bench-101's tasks share, built-in or real.

A sample is ``{"image": (3, H, W) uint8, "label": ...}``; the label is, by its name:

- ``class_object``, ``class_scene``: ``(K,)`` float32 shares that sum to 1;
- ``room_layout``: ``(9,)`` float32, standardised;
- ``jigsaw``: int64, the permutation's number; the image is ``(9, 3, t, t)`` uint8, its tiles in that order;
- ``segmentsemantic``: ``(H, W)`` int64, 255 where nothing is counted;
- ``normal``, ``autoencoder``: ``(3, H, W)`` float32 in -1..1.

With several names the label is a dictionary of these, and the tiles stand beside the image as ``"tiles"``.

Augmentation and statistics are the released ones (supplement, section 2; the released training configurations): flip with
probability one half and colour jitter, normals without either, layouts without a flip; jigsaw with greyscale in three of ten,
and in evaluation too, where each image has its own fixed random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as F

from ncp.data import jigsaw
from ncp.data import transforms as T
from ncp.data.base import DataModule, Key, Sample, sample_rng
from ncp.data.tiles import tile_side
from ncp.errors import UserError

LABELS = ("class_scene", "class_object", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder")
"""The names, in the benchmark's order."""
DENSE = ("segmentsemantic", "normal", "autoencoder")
NOT_FLIPPED = ("normal", "room_layout")
LAYOUT = ("centre right", "centre up", "centre back", "angle x", "angle y", "angle z", "length", "width", "height")
MEAN, STD = (0.5224, 0.5222, 0.5221), (0.2234, 0.2235, 0.2236)
JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1}
GREY = 0.3  # of the puzzles are without colour


class Source(Protocol):
    """Where images and their labels come from."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """``(3, H, W)`` uint8 and the labels of those names that do not follow from the image (see :func:`stored`).

        ``segmentsemantic`` is ``(H, W)`` uint8, ``normal`` ``(3, H, W)`` uint8 around 127.5.
        """
        ...


def stored(labels: Sequence[str]) -> tuple[str, ...]:
    """Those of the labels that a source must have."""
    return tuple(name for name in labels if name not in ("jigsaw", "autoencoder"))


def jitter(image_CHW: Tensor, rng: np.random.Generator, amounts: Mapping[str, float] = JITTER) -> Tensor:
    """Brightness, contrast and saturation times 1 - a .. 1 + a, hue turned by -h .. h of the circle, in random order."""
    adjust = {
        "brightness": F.adjust_brightness,
        "contrast": F.adjust_contrast,
        "saturation": F.adjust_saturation,
        "hue": F.adjust_hue,
    }
    names = tuple(adjust)
    for i in rng.permutation(4).tolist():
        amount = amounts[names[i]] * rng.uniform(-1, 1)
        image_CHW = adjust[names[i]](image_CHW, amount if names[i] == "hue" else 1 + amount)
    return image_CHW


class Views(Dataset[Sample]):
    """A source's images with the wanted labels.

    Args:
        source: of the images.
        labels: the names; several of them where ``several``.
        several: whether a sample's label is a dictionary.
        seed: of everything random.
        flip, colour: whether training images are mirrored and jittered.
        puzzles: ``(P, 9)`` the jigsaw's permutations.
        normal_range: of the normals' numbers: what bytes 0 and 255 stand for.
    """

    def __init__(
        self, source: Source, labels: Sequence[str], several: bool, seed: int, *, flip: bool, colour: bool,
        puzzles: np.ndarray | None = None, normal_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:  # fmt: skip
        self.source, self.labels, self.several, self.seed = source, tuple(labels), several, seed
        self.flip, self.colour, self.puzzles, self.normal_range = flip, colour, puzzles, normal_range

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: Key) -> Sample:
        image, truth = self.source[key.item]
        rng = sample_rng(self.seed, key)
        tiles, label = None, dict[str, Any]()
        if "jigsaw" in self.labels:
            tiles, label["jigsaw"] = self._puzzle(image, rng)
            if not self.several:
                return {"image": tiles, "label": label["jigsaw"]}
        if key.epoch >= 0:
            mirrored = self.flip and rng.random() < 0.5
            image = image.flip(-1) if mirrored else image
            truth = {name: value.flip(-1) if mirrored and name in DENSE else value for name, value in truth.items()}
            image = jitter(image, rng) if self.colour else image
        for name in self.labels:
            if name != "jigsaw":
                label[name] = self._label(name, image, truth)
        image = image.contiguous()
        if not self.several:
            return {"image": image, "label": label[self.labels[0]]}
        return {"image": image, "label": label} | ({} if tiles is None else {"tiles": tiles})

    def _puzzle(self, image: Tensor, rng: np.random.Generator) -> tuple[Tensor, int]:
        assert self.puzzles is not None
        number = int(rng.integers(len(self.puzzles)))
        (image,) = T.random_flip(rng, image)
        image = jitter(image, rng)
        if rng.random() < GREY:
            image = F.rgb_to_grayscale(image, 3)
        return jigsaw.cut(image, self.puzzles[number], rng), number

    def _label(self, name: str, image: Tensor, truth: Mapping[str, Tensor]) -> Tensor:
        if name == "autoencoder":
            return image.float() / 127.5 - 1
        if name == "normal":
            low, high = self.normal_range
            return truth[name].float() * ((high - low) / 255) + low
        return truth[name].long() if name == "segmentsemantic" else truth[name].float()


class ViewData(DataModule):
    """Base of the sets that serve the seven tasks.

    Args:
        labels: one of :data:`LABELS`, or several for several heads at once.
        size: side of the (square) images in pixels.
        split: what is evaluated: ``val`` or ``test``.
        flip, colour: whether training images are mirrored and jittered; None for what the labels' recipes have.
        permutations: of the jigsaw: their number (see :mod:`ncp.data.jigsaw`), or a ``.npy`` file of them.
        normal_range: what the bytes 0 and 255 of normals become; ``[0, 1]`` is what the released trainings had.
        common: see :class:`ncp.data.base.DataModule`.
    """

    task = "views"
    tasks: ClassVar[tuple[str, ...]] = LABELS
    palette: Sequence[tuple[int, int, int]] = ()
    layout_mean: np.ndarray = np.zeros(9)
    layout_std: np.ndarray = np.ones(9)

    def __init__(
        self,
        *,
        labels: str | Sequence[str],
        size: int,
        split: str = "val",
        flip: bool | None = None,
        colour: bool | None = None,
        permutations: int | str = 24,
        normal_range: Sequence[float] = (-1.0, 1.0),
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.several = not isinstance(labels, str)
        self.labels = (labels,) if isinstance(labels, str) else tuple(labels)
        unknown = [name for name in self.labels if name not in LABELS]
        if unknown or not self.labels or len(set(self.labels)) < len(self.labels):
            raise UserError(f"data.labels must be one or several of {', '.join(LABELS)}, given was {labels}")
        if split not in ("val", "test"):
            raise UserError(f"data.split is what is evaluated: val or test, given was '{split}'")
        if len(normal_range) != 2 or not normal_range[0] < normal_range[1]:
            raise UserError(f"data.normal_range is a lowest and a highest number, given was {list(normal_range)}")
        fixed = [name for name in self.labels if name in NOT_FLIPPED]
        if flip and fixed:
            raise UserError(
                f"data.flip=true cannot be used with the label {fixed[0]}, which a mirrored image does not have; leave it out"
            )
        self.split, self.normal_range = split, (float(normal_range[0]), float(normal_range[1]))
        self.flip = not fixed if flip is None else flip
        self.colour = self.labels != ("normal",) if colour is None else colour
        least = 48 if "jigsaw" in self.labels else 32
        size = least if self.tiny else size
        if size < least:
            raise UserError(f"data.size must be at least {least} for {', '.join(self.labels)}, given was {size}")
        self.side = size
        self.puzzles = self._permutations(permutations) if "jigsaw" in self.labels else None
        side = tile_side(size) if self.labels == ("jigsaw",) else size
        self.size = self.eval_size = (side, side)
        self.eval_share = 1.0
        dense = any(name in DENSE for name in self.labels)
        self.mean, self.std = ((0.5,) * 3, (0.5,) * 3) if dense else (MEAN, STD)
        if self.labels == ("jigsaw",):
            self.mean, self.std = (0.0,) * 3, (1.0,) * 3
        self.classes = self.names(self.labels[0])

    @staticmethod
    def _permutations(given: int | str) -> np.ndarray:
        if isinstance(given, str):
            return jigsaw.read_permutations(Path(given).expanduser())
        return jigsaw.permutations(given)

    def names(self, label: str) -> Sequence[str]:
        """What the numbers of a label are called; of dense numbers their channels."""
        if label == "jigsaw":
            assert self.puzzles is not None
            return tuple("".join(str(tile + 1) for tile in row) for row in self.puzzles)
        return {"room_layout": LAYOUT, "normal": ("right", "up", "back"), "autoencoder": ("red", "green", "blue")}[
            label
        ]

    def layout_numbers(self, label_9: np.ndarray) -> np.ndarray:
        """A layout in metres and radians."""
        out: np.ndarray = label_9 * self.layout_std + self.layout_mean
        return out

    def views(self, source: Source) -> Views:
        """A split's samples."""
        return Views(
            source, self.labels, self.several, self.seed, flip=self.flip, colour=self.colour, puzzles=self.puzzles,
            normal_range=self.normal_range,
        )  # fmt: skip
