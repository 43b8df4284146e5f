"""How a user's images become a network's input.

Photographs (8 bits: grey, palette, RGB, CMYK, with or without transparency) become RGB, as everywhere in the project. All else,
grey of 16 bits, real numbers, two to sixteen channels, keeps its channels; each channel's numbers between ``low`` and ``high``
are mapped to 0..255, which is what travels to the device.

Shape suffixes: C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncp.data import images, rasters
from ncp.data.base import IMAGENET_MEAN, IMAGENET_STD
from ncp.data.folder.files import spread
from ncp.errors import UserError
from ncp.files import printable

SUFFIXES = (*images.SUFFIXES, ".npy")
PHOTO = 3  # channels of a photograph
MEASURED = 32  # files whose numbers are looked at
PIXELS = 2**20  # of each of them
_TAILS = (0.1, 99.9)  # percent of a channel's numbers outside of low and high on either side
_FLAT = 1e-3  # a channel that does not vary: its deviation is taken to be this


class Kind(NamedTuple):
    """What a file holds, from its head: ``channels`` numbers a pixel, ``photo`` where it is read as RGB, its size."""

    channels: int
    photo: bool
    size: tuple[int, int]
    words: str


@dataclass(frozen=True)
class Reading:
    """How the images of a set are read: call it with a path.

    Attributes:
        channels: of the network's input.
        photo: whether they are read as RGB photographs.
        low, high: by channel, the numbers that become 0 and 255 (of photographs: none).
        mean, std: by channel, of images scaled to 0..1.
    """

    channels: int = PHOTO
    photo: bool = True
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __call__(self, path: Path) -> Tensor:
        """``(C, H, W)`` uint8.

        Raises:
            UserError: naming the file, where it cannot be read or has another number of channels.
        """
        if self.photo:
            if path.suffix.lower() == ".npy":
                return torch.from_numpy(_as_photo(rasters.read_array(path), path))
            return images.read_image(path)
        numbers_CHW = rasters.read_numbers(path)
        if len(numbers_CHW) != self.channels:
            raise UserError(
                f"'{printable(path)}' has {len(numbers_CHW)} channels where the set has {self.channels}; all images must have "
                "the same (data.channels says how many)"
            )
        return torch.from_numpy(rasters.scaled(numbers_CHW, self.low, self.high))

    def resolved(self) -> dict[str, Any]:
        """As options of a data set; of photographs none are needed."""
        if self.photo:
            return {}
        names = ("low", "high", "mean", "std")
        return {"channels": self.channels, **{name: list(getattr(self, name)) for name in names}}


def scaled_photo(read: Reading, path: Path) -> Tensor:
    """``(C, H, W)`` uint8: an image as it is read, for a picture: large ones with pixels left out."""
    image = read(path)
    step = max(1, min(image.shape[-2:]) // 256)
    return image[:, ::step, ::step]


def kind_of(path: Path) -> Kind:
    """What an image file holds; only its head is read. Raises ``UserError`` naming the file."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        head = rasters.array_head(path)
        axis = rasters.channel_axis(head.shape, path)
        channels = 1 if axis is None else head.shape[axis]
        size = head.shape if axis is None else head.shape[1:] if axis == 0 else head.shape[:2]
        photo = channels == PHOTO and head.dtype == np.uint8
        return Kind(channels, photo, (size[0], size[1]), f"array of {channels} channels, {head.dtype}")
    if suffix in rasters.TIFF:
        tiff = rasters.tiff_head(path)
        if not rasters.is_photo(tiff):
            words = f"TIFF of {tiff.channels} channels, {tiff.bits} bits"
            return Kind(tiff.channels, False, tiff.upright, words)
    return Kind(*images.kind(path))


def find(
    paths: Sequence[str | Path],
    channels: int | None = None,
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Reading:
    """How to read a set.

    Args:
        paths: the training images, of which some spread evenly are looked at.
        channels, low, high, mean, std: what is given; the rest is measured (of photographs: ImageNet's mean and deviation).

    Raises:
        UserError: for images that do not agree, or numbers that do not fit together.
    """
    chosen = [Path(paths[i]) for i in spread(len(paths), MEASURED)]
    kinds = [kind_of(path) for path in chosen]
    photo = all(kind.photo for kind in kinds) and channels in (None, PHOTO)
    if photo:
        made = Reading()
        return Reading(mean=_given("mean", mean, PHOTO) or made.mean, std=_positive("std", std, PHOTO) or made.std)
    count = channels or kinds[0].channels
    if not 1 <= count <= rasters.CHANNELS:
        raise UserError(f"images of {count} channels; 1 to {rasters.CHANNELS} are read")
    for path, kind in zip(chosen, kinds, strict=True):
        if kind.channels != count:
            raise UserError(
                f"'{printable(path)}' ({kind.words}) has {kind.channels} channels where "
                f"{'data.channels says' if channels else f'{chosen[0].name!r} has'} {count}; all images must have the same"
            )
    ends = _given("low", low, count), _given("high", high, count)
    numbers = None
    if None in ends or mean is None or std is None:
        numbers = [_thinned(rasters.read_numbers(path)) for path in chosen]
    if None in ends:
        assert numbers is not None
        ends = _ends(numbers) if ends == (None, None) else ends
        if None in ends:
            raise UserError("data.low and data.high belong together; give both or none")
    a, b = ends
    assert a is not None
    assert b is not None
    if any(not one < other for one, other in zip(a, b, strict=True)):
        raise UserError(f"data.high must be above data.low in every channel, given were {list(a)} and {list(b)}")
    means, stds = _given("mean", mean, count), _positive("std", std, count)
    if means is None or stds is None:
        assert numbers is not None
        shares = [rasters.scaled(one, a, b).reshape(count, -1) / 255.0 for one in numbers]
        means = means or tuple(round(float(v), 4) for v in np.mean([s.mean(1) for s in shares], axis=0))
        varied = np.sqrt(np.mean([((s - np.array(means)[:, None]) ** 2).mean(1) for s in shares], axis=0))
        stds = stds or tuple(round(max(float(v), _FLAT), 4) for v in varied)
    return Reading(count, False, a, b, means, stds)


def _thinned(numbers_CHW: np.ndarray) -> np.ndarray:
    """Every so many rows and columns of a large image, so that many fit into memory at once."""
    step = math.ceil(math.sqrt(numbers_CHW[0].size / PIXELS))
    return numbers_CHW[:, ::step, ::step].copy() if step > 1 else numbers_CHW


def _ends(numbers: Sequence[np.ndarray]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Low and high of every channel, from all but the tails of some images; whole bytes keep their range."""
    if all(one.dtype == np.uint8 for one in numbers):
        count = len(numbers[0])
        return (0.0,) * count, (255.0,) * count
    low, high = [], []
    for channel in range(len(numbers[0])):
        ends = []
        for one in numbers:
            values = one[channel].reshape(-1)[:: max(1, one[channel].size // 100_000)].astype(np.float64)
            values = values[np.isfinite(values)]
            ends.append(np.percentile(values, _TAILS) if len(values) else (np.nan, np.nan))
        table = np.array(ends)
        known = np.isfinite(table).all()
        a, b = (float(np.nanmin(table[:, 0])), float(np.nanmax(table[:, 1]))) if known else (0.0, 1.0)
        low.append(float(f"{a:.6g}"))
        high.append(float(f"{b:.6g}") if float(f"{b:.6g}") > low[-1] else low[-1] + 1.0)
    return tuple(low), tuple(high)


def _given(name: str, values: Any, count: int) -> tuple[float, ...] | None:
    if values is None:
        return None
    found = tuple(float(value) for value in values)
    if len(found) != count or not np.isfinite(found).all():
        raise UserError(f"data.{name} needs a number for each of {count} channels, given was {list(found)}")
    return found


def _positive(name: str, values: Any, count: int) -> tuple[float, ...] | None:
    found = _given(name, values, count)
    if found is not None and min(found) <= 0:
        raise UserError(f"data.{name} must be above 0, given was {list(found)}")
    return found


def _as_photo(numbers_CHW: np.ndarray, path: Path) -> np.ndarray:
    if len(numbers_CHW) != PHOTO or numbers_CHW.dtype != np.uint8:
        raise UserError(
            f"'{printable(path)}' has {len(numbers_CHW)} channels of {numbers_CHW.dtype} among RGB images of 8 bits; all images "
            "must be alike"
        )
    return np.ascontiguousarray(numbers_CHW)
