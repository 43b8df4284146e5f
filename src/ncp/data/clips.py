"""What the video sets share: the source of the frames, clips of them as samples, the data module.

See :mod:`ncp.data.clip_sampling` for which frames make a clip and :mod:`ncp.data.clip_augmentation` for what training changes.

Shape suffixes: K clips of a video, T frames, C channels, H height, W width.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ncp.data import transforms as T
from ncp.data.base import DataModule, Key, Sample, sample_rng
from ncp.data.clip_augmentation import ClipAugmentation
from ncp.data.clip_sampling import Sampling
from ncp.data.colours import DRAWN, coloured
from ncp.data.video_index import CorruptVideo as CorruptVideo
from ncp.errors import UserError
from ncp.files import printable

log = logging.getLogger(__name__)
UNCOUNTED = -1  # the label of an evaluation video that could not be read
ATTEMPTS = 16  # unreadable videos in a row before a training gives up


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

    Attributes:
        late: whether changing the drawn colours is left to the device.
    """

    late = False

    def __init__(
        self,
        source: Source,
        labels: Sequence[int],
        sampling: Sampling,
        size: T.Size,
        seed: int,
        augmentation: ClipAugmentation | None = None,
        train: bool = False,
    ) -> None:
        assert len(source) == len(labels)
        self.source, self.sampling, self.size = source, sampling, size
        self.labels = np.asarray(labels, dtype=np.int32)
        self.seed, self.colours, self.train = seed, augmentation, train

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: Key) -> Sample:
        item, skipped = key.item, -1
        training = self.train and key.epoch >= 0
        for _ in range(ATTEMPTS):
            try:
                return {**self._clips(item, sample_rng(self.seed, key), training), "skipped": skipped}
            except CorruptVideo:
                skipped = item if skipped < 0 else skipped
                if not training:
                    shape = (self.sampling.clips, self.sampling.frames, 3, *self.size)
                    return {"image": torch.zeros(shape, dtype=torch.uint8), "label": UNCOUNTED, "skipped": item}
                item = (item + 1) % len(self)
        first = printable(self.source.name(skipped))
        raise UserError(f"{ATTEMPTS} videos in a row cannot be read, first '{first}'; is the data set complete?")

    def _clips(self, item: int, rng: np.random.Generator, training: bool) -> Sample:
        total = self.source.length(item)
        numbers_KT = self.sampling.train(total, rng) if training else self.sampling.evaluation(total)
        wanted, where = np.unique(numbers_KT, return_inverse=True)
        frames = self.source.read(item, wanted.tolist())
        colours = self.colours if training else None
        numbers: tuple[float, ...] = ()
        if colours is not None:
            frames = colours.crop(frames, rng, self.size)
            numbers = colours.draw(rng)
        else:
            frames = T.centre_crop(frames.flatten(0, 1), self.size, self._share(frames)).unflatten(0, (-1, 3))  # type: ignore[no-untyped-call]
        where_KT = where.reshape(numbers_KT.shape)
        if self.sampling.shuffle:
            order = np.random.default_rng((self.seed, item, key_part(rng)))
            where_KT = order.permuted(where_KT, axis=1)
        sample = {"image": frames[torch.from_numpy(where_KT)].contiguous(), "label": int(self.labels[item])}
        return sample if colours is None else coloured(sample, colours, numbers, self.late)

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
        augmentation: see :class:`ClipAugmentation`; None for none.
        common: see :class:`ncp.data.base.DataModule`.

    Attributes:
        skipped: per split, the videos that could not be read so far.
    """

    task = "video"
    stay = (DRAWN, "skipped")

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
        self.augmentation = None if augmentation is None else ClipAugmentation.of(augmentation)
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
