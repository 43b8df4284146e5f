"""What the video sets share: which frames make a clip, augmentation that is the same for all of them, the data module.

A video is a list of frames; a clip is ``frames`` of them. ``dense`` takes them ``stride`` apart from one window of the video,
``segments`` divides the video into as many equal parts and takes one of each. Training draws the window (or the frame of each
part) at random; an evaluation takes ``clips`` of them spread evenly, and the task averages what the network says about each.

The paper leaves the sampling open. It leaves out training videos of fewer than 64 frames, so the default is 8 frames, 8 apart.

Shape suffixes: K clips of a video, T frames, C channels, H height, W width.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as F

from ncp.data import transforms as T
from ncp.data.base import DataModule, Key, Sample, sample_rng
from ncp.errors import UserError
from ncp.files import printable

log = logging.getLogger(__name__)
KINDS = ("dense", "segments")
UNCOUNTED = -1  # the label of an evaluation video that could not be read
ATTEMPTS = 16  # unreadable videos in a row before a training gives up


class CorruptVideo(Exception):
    """A video that cannot be decoded; its text is the reason."""


class Source(Protocol):
    """Where frames come from."""

    def __len__(self) -> int:
        """Videos."""

    def name(self, item: int) -> str:
        """What a person knows the video by."""

    def length(self, item: int) -> int:
        """Frames of a video."""

    def read(self, item: int, numbers: Sequence[int]) -> Tensor:
        """Frames by number, in ascending order: ``(len(numbers), 3, H, W)`` uint8. May raise :class:`CorruptVideo`."""


@dataclass(frozen=True)
class Sampling:
    """Which frames make a clip.

    Attributes:
        kind: ``dense`` or ``segments``.
        frames: T, of a clip.
        stride: between the frames of a dense clip.
        clips: K, of a video in an evaluation.
        shuffle: forget the order: the frames of every clip are permuted at random. Only for comparisons.
    """

    kind: str = "dense"
    frames: int = 8
    stride: int = 8
    clips: int = 1
    shuffle: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"data.sampling must be one of {', '.join(KINDS)}, given was '{self.kind}'")
        for name in ("frames", "stride", "clips"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"data.{name} must be a whole number of at least 1, given was {value!r}")

    def train(self, total: int, rng: np.random.Generator) -> np.ndarray:
        """Frame numbers ``(1, T)`` of one random clip of a video of ``total`` frames, ascending."""
        if self.kind == "segments":
            edges = np.linspace(0, total, self.frames + 1)
            return _whole(edges[:-1] + rng.random(self.frames) * np.diff(edges), total)[None]
        span = (self.frames - 1) * self.stride + 1
        if total < span:
            return _spread(total, self.frames)[None]
        return (rng.integers(0, total - span + 1) + self.stride * np.arange(self.frames))[None]

    def evaluation(self, total: int) -> np.ndarray:
        """Frame numbers ``(K, T)``: clips spread evenly over the video, its middle for a single one."""
        shares = (np.arange(self.clips) + 0.5) / self.clips
        if self.kind == "segments":
            edges = np.linspace(0, total, self.frames + 1)
            return _whole(edges[:-1] + shares[:, None] * np.diff(edges), total)
        span = (self.frames - 1) * self.stride + 1
        if total < span:
            return np.repeat(_spread(total, self.frames)[None], self.clips, axis=0)
        starts = np.linspace(0, total - span, self.clips) if self.clips > 1 else np.array([(total - span) / 2])
        return np.floor(starts).astype(int)[:, None] + self.stride * np.arange(self.frames)


def _whole(positions: np.ndarray, total: int) -> np.ndarray:
    return np.minimum(np.floor(positions).astype(int), total - 1)


def _spread(total: int, frames: int) -> np.ndarray:
    """All of a video that is too short for the stride: evenly, with repetitions where it must be."""
    return np.round(np.linspace(0, total - 1, frames)).astype(int)


@dataclass(frozen=True)
class Augmentation:
    """Appendix A.1: random resize and crop, colours, greyscale; drawn once for all frames of a clip. No flip: none is named.

    Attributes:
        scale: range of the window's share of the frame's area (the paper gives no numbers; ours).
        brightness, contrast, saturation: factors are drawn from ``1 - x .. 1 + x``.
        hue: largest turn, as a share of the circle.
        greyscale: probability.
    """

    scale: tuple[float, float] = (0.25, 1.0)
    brightness: float = 0.5
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.25
    greyscale: float = 0.3

    @classmethod
    def of(cls, settings: Any) -> Augmentation:
        """From a configuration; ``UserError`` for keys and values that do not exist."""
        try:
            made = cls(**{**dict(settings), "scale": tuple(settings.get("scale", cls.scale))})
        except TypeError as error:
            raise UserError(f"data.augmentation: {str(error).split('()')[-1].strip()}") from None
        if len(made.scale) != 2 or not 0 < made.scale[0] <= made.scale[1] <= 1:
            raise UserError(f"data.augmentation.scale is a range of shares of the frame, given was {list(made.scale)}")
        most = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5, "greyscale": 1.0}
        for name, limit in most.items():
            if not 0 <= getattr(made, name) <= limit:
                raise UserError(f"data.augmentation.{name} is in 0..{limit:g}, given was {getattr(made, name)}")
        return made

    def __call__(self, clip_TCHW: Tensor, rng: np.random.Generator, size: T.Size) -> Tensor:
        """``(T, 3, *size)`` uint8."""
        flat = T.random_resized_crop(clip_TCHW.flatten(0, 1), rng, size, self.scale)
        x = self.colours(flat.unflatten(0, (-1, 3)).float(), rng)
        if rng.random() < self.greyscale:
            x = F.rgb_to_grayscale(x, num_output_channels=3)
        return x.clamp(0, 255).round().to(torch.uint8)

    def colours(self, x_TCHW: Tensor, rng: np.random.Generator) -> Tensor:
        """Brightness, contrast, saturation and hue in random order; the same map of colours for all frames (0..255)."""
        x = x_TCHW
        for name in rng.permutation(["brightness", "contrast", "saturation", "hue"]):
            reach = getattr(self, str(name))
            amount = float(rng.uniform(-reach, reach))
            if name == "hue":
                x = F.adjust_hue(x / 255, amount) * 255 if amount else x
                continue
            if name == "brightness":
                x = x * (1 + amount)
            else:
                grey = F.rgb_to_grayscale(x)
                grey = grey.mean() if name == "contrast" else grey
                x = grey + (1 + amount) * (x - grey)
            x = x.clamp(0, 255)
        return x


class ClipSet(Dataset[Sample]):
    """Clips of the videos of a source.

    An item is ``{"image": (K, T, 3, H, W) uint8, "label": int, "skipped": int}``. ``skipped`` is -1, or the number of a video
    that could not be read: a training item then holds the next one that can, an evaluation item zeros with the label
    ``UNCOUNTED``.

    Args:
        source: of the frames.
        labels: of its videos.
        sampling: which frames.
        size: height and width of the clips.
        seed: of sampling and augmentation.
        augmentation: of training clips; None: the centre window, as in an evaluation.
        train: whether items of an epoch from 0 on are drawn at random.
    """

    def __init__(
        self,
        source: Source,
        labels: Sequence[int],
        sampling: Sampling,
        size: T.Size,
        seed: int,
        augmentation: Augmentation | None = None,
        train: bool = False,
    ) -> None:
        assert len(source) == len(labels)
        self.source, self.sampling, self.size = source, sampling, size
        self.labels = np.asarray(labels, dtype=np.int32)
        self.seed, self.augmentation, self.train = seed, augmentation, train

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: Key) -> Sample:
        item, skipped = key.item, -1
        training = self.train and key.epoch >= 0
        for _ in range(ATTEMPTS):
            try:
                clips = self._clips(item, sample_rng(self.seed, key), training)
            except CorruptVideo:
                skipped = item if skipped < 0 else skipped
                if not training:
                    shape = (self.sampling.clips, self.sampling.frames, 3, *self.size)
                    return {"image": torch.zeros(shape, dtype=torch.uint8), "label": UNCOUNTED, "skipped": item}
                item = (item + 1) % len(self)
            else:
                return {"image": clips, "label": int(self.labels[item]), "skipped": skipped}
        first = printable(self.source.name(skipped))
        raise UserError(f"{ATTEMPTS} videos in a row cannot be read, first '{first}'; is the data set complete?")

    def _clips(self, item: int, rng: np.random.Generator, training: bool) -> Tensor:
        total = self.source.length(item)
        numbers_KT = self.sampling.train(total, rng) if training else self.sampling.evaluation(total)
        wanted, where = np.unique(numbers_KT, return_inverse=True)
        frames = self.source.read(item, wanted.tolist())
        if training and self.augmentation is not None:
            frames = self.augmentation(frames, rng, self.size)
        else:
            frames = T.centre_crop(frames.flatten(0, 1), self.size, self._share(frames)).unflatten(0, (-1, 3))
        where_KT = where.reshape(numbers_KT.shape)
        if self.sampling.shuffle:
            order = np.random.default_rng((self.seed, item, key_part(rng)))
            where_KT = order.permuted(where_KT, axis=1)
        return frames[torch.from_numpy(where_KT)].contiguous()

    def _share(self, frames: Tensor) -> float:
        """128 of 112 pixels around the window, as ImageNet's 256 around 224; the whole of a frame that has its size."""
        return 1.0 if tuple(frames.shape[-2:]) == tuple(self.size) else 0.875


def key_part(rng: np.random.Generator) -> int:
    """A number that differs from epoch to epoch."""
    return int(rng.integers(0, 2**31))


class VideoData(DataModule):
    """Base of the video sets.

    Args:
        size: side of a frame at the network's input, in pixels.
        sampling: ``dense`` or ``segments``.
        frames, stride, clips, shuffle: see :class:`Sampling`.
        augmentation: see :class:`Augmentation`; None for none.
        common: see :class:`ncp.data.base.DataModule`.

    Attributes:
        skipped: per split, the videos that could not be read so far.
    """

    task = "video"

    def __init__(
        self,
        *,
        size: int = 112,
        sampling: str = "dense",
        frames: int = 8,
        stride: int = 8,
        clips: int = 1,
        shuffle: bool = False,
        augmentation: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if self.tiny:
            size, frames, clips = 32, min(frames, 2), 1
        if size < 16:
            raise UserError(f"data.size must be at least 16, given was {size}")
        self.size = self.eval_size = (size, size)
        self.sampling = Sampling(sampling, frames, stride, clips, shuffle)
        self.augmentation = None if augmentation is None else Augmentation.of(augmentation)
        self.sources: dict[str, Source] = {}
        self.skipped: dict[str, set[str]] = {}

    @property
    def frames(self) -> int:
        """T, of a clip."""
        return self.sampling.frames

    @abstractmethod
    def prepare(self) -> None:
        """As in the base; calls :meth:`use` for both splits."""

    def use(self, source: Source, labels: Sequence[int], train: bool) -> None:
        """Make a split of a source."""
        made = ClipSet(source, labels, self.sampling, self.size, self.seed, self.augmentation, train)
        self.sources["training" if train else "validation"] = source
        if train:
            self.train_set = made
        else:
            self.val_set = made

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Report unreadable videos, while the batch is still on the CPU."""
        skipped = batch["skipped"].tolist()
        self.note_skipped("training" if self.trainer is not None and self.trainer.training else "validation", skipped)
        return {key: value for key, value in batch.items() if key != "skipped"}

    def teardown(self, stage: str) -> None:
        """Say how many videos were left out."""
        for split, count in self.count_skipped().items():
            log.warning("%d %s videos could not be read and were left out", count, split)

    def note_skipped(self, split: str, items: Sequence[int]) -> None:
        """Report videos that could not be read, each once."""
        split = "training" if self.overfit else split
        for item in items:
            if item >= 0:
                self.note_name(split, printable(self.sources[split].name(item)))

    def note_name(self, split: str, name: str, reason: str = "cannot be decoded") -> None:
        """Report one video, once."""
        known = self.skipped.setdefault(split, set())
        if name not in known:
            known.add(name)
            log.warning("the %s video '%s' %s and is left out", split, name, reason)

    def count_skipped(self) -> dict[str, int]:
        """Videos left out so far, per split that has any."""
        return {split: len(names) for split, names in self.skipped.items() if names}
