"""What the segmentation sets share: pairs of image and label files, label maps, the small copies, the DataModule."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ncp.data import transforms as T
from ncp.data.base import IGNORE, DataModule, Key, Sample, sample_rng, to_tensor, worker_count
from ncp.errors import UserError
from ncp.terminal import Progress

INVALID = 254  # in a label map: a number that may not occur


class LabelMap:
    """Numbers of a label file -> classes 0..n-1, or 255 for what is not counted.

    Args:
        known: number in the file -> class (or 255).
        allowed: what the error says is allowed.
    """

    def __init__(self, known: dict[int, int], allowed: str) -> None:
        table = torch.full((256,), INVALID, dtype=torch.uint8)
        for number, label in known.items():
            table[number] = label
        self.table, self.allowed = table, allowed

    def __call__(self, label_HW: Tensor, path: Path) -> Tensor:
        """``(H, W)`` uint8 classes; ``UserError`` naming the file and the number that may not occur."""
        mapped = self.table[label_HW.reshape(-1).int()].view(label_HW.shape)
        wrong = mapped == INVALID
        if bool(wrong.any()):
            number = int(label_HW[wrong][0])
            raise UserError(
                f"the label '{path}' holds the number {number} in {int(wrong.sum())} pixels; {self.allowed}"
            )
        return mapped


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Image and label files, decoded and mapped; item ``i`` is ``((3, H, W) uint8, (H, W) uint8)``.

    With ``size``, images and labels are resized to it.
    """

    def __init__(self, files: Sequence[tuple[Path, Path]], label_map: LabelMap, size: T.Size | None = None) -> None:
        self.files, self.label_map, self.size = [(str(i), str(a)) for i, a in files], label_map, size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image_path, label_path = map(Path, self.files[index])
        image, label = T.read_image(image_path), self.label_map(T.read_label(label_path), label_path)
        if image.shape[-2:] != label.shape:
            raise UserError(
                f"'{image_path}' has {tuple(image.shape[-2:])} pixels but its label '{label_path}' {tuple(label.shape)}"
            )
        if self.size is not None:
            image, label = T.resize_image(image, self.size), T.resize_label(label, self.size)
        return image, label


class ArrayPairs(Dataset[tuple[Tensor, Tensor]]):
    """Images ``(N, 3, H, W)`` and labels ``(N, H, W)``, uint8, in memory or memory-mapped."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return to_tensor(self.images[index].copy()), to_tensor(self.labels[index].copy())


def small_copies(pairs: Pairs, cache: str | os.PathLike[str] | None = None) -> ArrayPairs:
    """Resize every pair once and keep the result as two memory-mapped files.

    Args:
        pairs: with ``size``.
        cache: folder of the copies; default ``$XDG_CACHE_HOME/ncp`` (``~/.cache/ncp``). The name of the set's own folder
            there depends on the files, their sizes and dates, and the target size; it appears by one atomic rename.
    """
    assert pairs.size is not None
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ncp"
    base = Path(cache).expanduser() if cache else default
    stamp = [(name, os.stat(name).st_size, int(os.stat(name).st_mtime)) for pair in pairs.files for name in pair]
    key = hashlib.sha256(repr((pairs.size, pairs.label_map.table.tolist(), stamp)).encode()).hexdigest()[:16]
    target = base / f"resized-{pairs.size[0]}x{pairs.size[1]}-{key}"
    if not target.is_dir():
        try:
            base.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=base))
        except OSError as error:
            raise UserError(f"cannot write the resized copies to '{base}' ({error.strerror}); set data.cache") from None
        _write_copies(pairs, scratch)
        try:
            scratch.rename(target)
        except OSError:  # another process was faster; its copies are the same
            for file in scratch.iterdir():
                file.unlink()
            scratch.rmdir()
    return ArrayPairs(np.load(target / "images.npy", mmap_mode="r"), np.load(target / "labels.npy", mmap_mode="r"))


def _write_copies(pairs: Pairs, folder: Path) -> None:
    assert pairs.size is not None
    height, width = pairs.size
    create = partial(np.lib.format.open_memmap, mode="w+", dtype=np.uint8)
    images = create(str(folder / "images.npy"), shape=(len(pairs), 3, height, width))
    labels = create(str(folder / "labels.npy"), shape=(len(pairs), height, width))
    workers = worker_count() if len(pairs) > 64 else 0
    loader = DataLoader(pairs, batch_size=None, num_workers=workers)
    with Progress(f"Resizing {len(pairs)} images once", len(pairs)) as bar:
        for i, (image, label) in enumerate(loader):
            images[i], labels[i] = image.numpy(), label.numpy()
            bar.tell(i + 1)
    images.flush()
    labels.flush()


class SegmentationSet(Dataset[Sample]):
    """Pairs with the augmentation of training (appendix A.1), or as they are.

    An item is ``{"image": (3, H, W) uint8, "label": (H, W) uint8 with 255 where nothing is counted}``.
    """

    def __init__(
        self,
        pairs: Pairs | ArrayPairs,
        seed: int,
        crop: T.Size | None = None,
        scale: tuple[float, float] = (0.5, 2.0),
        base: T.Size | None = None,
        eval_short: int | None = None,
        distort: bool = True,
    ) -> None:
        self.pairs, self.seed, self.crop, self.scale, self.base = pairs, seed, crop, scale, base
        self.eval_short, self.distort = eval_short, distort

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Key) -> Sample:
        image, label = self.pairs[key.item]
        if self.crop is not None and key.epoch >= 0:
            rng = sample_rng(self.seed, key)
            image, label = T.random_scale_crop(image, label, rng, self.crop, self.scale, self.base)
            image, label = T.random_flip(rng, image, label)
            if self.distort:
                image = T.photometric_distortion(image, rng)
        elif self.eval_short is not None:  # the label keeps its own size: logits are resized to it
            zoom = self.eval_short / min(image.shape[-2:])
            image = T.resize_image(image, (round(image.shape[-2] * zoom), round(image.shape[-1] * zoom)))
        return {"image": image.contiguous(), "label": label.contiguous()}


class SegmentationData(DataModule):
    """Base of the segmentation sets.

    Args:
        crop: height and width of a training window.
        scale: range of the random resize.
        common: see :class:`ncp.data.base.DataModule`.
    """

    task = "seg"
    palette: Sequence[tuple[int, int, int]] = ()  # a colour per class, for pictures

    def __init__(
        self,
        *,
        crop: Sequence[int],
        scale: Sequence[float] = (0.5, 2.0),
        **common: Any,
    ) -> None:
        super().__init__(**common)
        crop = (32, 32) if self.tiny else crop
        if len(crop) != 2 or min(crop) < 32 or len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise UserError(
                "data.crop is a height and a width of at least 32 pixels and data.scale a range of positive factors, "
                f"given were {list(crop)} and {list(scale)}"
            )
        self.size, self.scale = (crop[0], crop[1]), (scale[0], scale[1])


def missing_labels(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Raise a ``UserError`` when labels are missing: how many, and the first."""
    missing = [(image, label) for image, label in pairs if not label.is_file()]
    if missing:
        image, label = missing[0]
        raise UserError(f"{len(missing)} of {len(pairs)} images have no label; for '{image}' looked for '{label}'")


assert IGNORE > INVALID
