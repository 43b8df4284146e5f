"""What the segmentation sets share: pairs of image and label files, label maps, the DataModule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from ncp.data import transforms as T
from ncp.data.base import IGNORE, DataModule, Fixed, Key, Sample, sample_rng, to_tensor
from ncp.data.colours import PHOTOMETRIC, Colours, coloured
from ncp.data.images import image_size, orientation
from ncp.data.paths import PathList
from ncp.data.problems import Problems
from ncp.errors import UserError
from ncp.files import printable

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
                f"the label '{printable(path)}' holds the number {number} in {int(wrong.sum())} pixels; {self.allowed}"
            )
        return mapped


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Image and label files, decoded and mapped; item ``i`` is ``((3, H, W) uint8, (H, W) uint8)``.

    Both are turned as their EXIF says (see :mod:`ncp.data.images`). With ``size``, they are resized to it.
    """

    def __init__(self, files: Sequence[tuple[Path, Path]], label_map: LabelMap, size: T.Size | None = None) -> None:
        self.images, self.labels = PathList(image for image, _ in files), PathList(label for _, label in files)
        self.label_map, self.size = label_map, size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image_path, label_path = Path(self.images[index]), Path(self.labels[index])
        image, label = T.read_image(image_path), self.label_map(T.read_label(label_path), label_path)
        self.check_size(image, label, image_path, label_path)
        if self.size is not None:
            image, label = T.resize_image(image, self.size), T.resize_label(label, self.size)
        return image, label

    @staticmethod
    def check_size(image: Tensor | np.ndarray, label: Tensor, image_path: Path, label_path: Path) -> None:
        """Raise a ``UserError`` where an image and its label differ in size."""
        if image.shape[-2:] != label.shape:
            raise UserError(
                f"'{printable(image_path)}' has {tuple(image.shape[-2:])} pixels but its label '{printable(label_path)}' "
                f"{tuple(label.shape)}, and both need the same{_turn_hint(image_path, label_path)}"
            )

    def sizes(self, indices: Iterable[int]) -> Iterator[tuple[int, T.Size]]:
        """Numbers of pairs with their images' heights and widths, from the heads of the files."""
        for index in indices:
            yield index, self.size or image_size(Path(self.images[index]))


def _turn_hint(image: Path, label: Path) -> str:
    if {image.suffix.lower(), label.suffix.lower()} & {".npy"}:
        return ""
    found = orientation(image), orientation(label)
    if found[0] == found[1]:
        return ""
    return (
        f"; their EXIF orientations are {found[0]} and {found[1]}, and each is turned as its own says: give labels of the "
        "upright image, or remove the image's orientation"
    )


class ArrayPairs(Dataset[tuple[Tensor, Tensor]]):
    """Images ``(N, 3, H, W)`` and labels ``(N, H, W)``, uint8, in memory or memory-mapped."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return to_tensor(self.images[index].copy()), to_tensor(self.labels[index].copy())

    def sizes(self, indices: Iterable[int]) -> Iterator[tuple[int, T.Size]]:
        """Numbers of pairs with their images' heights and widths, which are all the same."""
        return ((index, (self.images.shape[2], self.images.shape[3])) for index in indices)


class SegmentationSet(Dataset[Sample]):
    """Pairs with the augmentation of training (appendix A.1), or as they are.

    An item is ``{"image": (3, H, W) uint8, "label": (H, W) uint8 with 255 where nothing is counted}``.

    Attributes:
        colours: how those of training images are changed; None for not at all.
        late: whether that is left to the device.
    """

    late = False

    def __init__(
        self,
        pairs: Pairs | ArrayPairs,
        seed: int,
        crop: T.Size | None = None,
        scale: tuple[float, float] = (0.5, 2.0),
        base: T.Size | None = None,
        eval_short: int | None = None,
        colours: Colours | None = PHOTOMETRIC,
    ) -> None:
        self.pairs, self.seed, self.crop, self.scale, self.base = pairs, seed, crop, scale, base
        self.eval_short, self.colours = eval_short, colours

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Key) -> Sample:
        image, label = self.pairs[key.item]
        if self.crop is not None and key.epoch >= 0:
            rng = sample_rng(self.seed, key)
            image, label = T.random_scale_crop(image, label, rng, self.crop, self.scale, self.base)
            image, label = T.random_flip(rng, image, label)
            sample = {"image": image.contiguous(), "label": label.contiguous()}
            return sample if self.colours is None else coloured(sample, self.colours, self.colours.draw(rng), self.late)
        if self.eval_short is not None:  # the label keeps its own size: logits are resized to it
            zoom = self.eval_short / min(image.shape[-2:])
            image = T.resize_image(image, (round(image.shape[-2] * zoom), round(image.shape[-1] * zoom)))
        return {"image": image.contiguous(), "label": label.contiguous()}


def stack(samples: Sequence[Sample]) -> Sample:
    """Samples as one batch; ``UserError`` where their images or labels differ in size."""
    for name in ("image", "label"):
        shapes = {tuple(sample[name].shape[-2:]) for sample in samples}
        if len(shapes) > 1:
            found = " and ".join(f"{height}x{width}" for height, width in sorted(shapes)[:2])
            raise UserError(
                f"the {name}s of a batch differ in size ({found} pixels); set data.eval_batch=1, and with data.overfit also "
                "recipe.per_device=1"
            )
    out: dict[str, Any] = default_collate(list(samples))
    return out


class SegmentationData(DataModule):
    """Base of the segmentation sets.

    Args:
        crop: height and width of a training window.
        scale: range of the random resize.
        common: see :class:`ncp.data.base.DataModule`.
    """

    task = "seg"
    palette: Sequence[tuple[int, int, int]] = ()  # a colour per class, for pictures
    eval_short: int | None = None  # pixels to which an evaluation brings the shorter side; None: as it is
    collate = staticmethod(stack)

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

    def setup(self, stage: str | None = None) -> None:
        """As in the base; images that differ in size cannot share an evaluation batch, which is said before any training.

        Raises:
            UserError: also for a wrong layout.
        """
        fresh = not self._prepared
        super().setup(stage)
        if fresh and self.eval_batch > 1:
            whole = self.val_set.data if isinstance(self.val_set, Fixed) else self.val_set
            assert isinstance(whole, SegmentationSet)
            _check_sizes(whole.pairs, min(len(self.val_set), len(whole)), self.eval_batch)  # type: ignore[arg-type]


def _check_sizes(pairs: Pairs | ArrayPairs, count: int, batch: int) -> None:
    seen: dict[T.Size, int] = {}
    for index, size in pairs.sizes(range(count)):
        seen.setdefault(size, index)
        if len(seen) > 1:
            assert isinstance(pairs, Pairs)
            (one, i), (other, j) = seen.items()
            raise UserError(
                f"data.eval_batch={batch} needs images of one size, but '{printable(pairs.images[i])}' has "
                f"{one[0]}x{one[1]} pixels and '{printable(pairs.images[j])}' {other[0]}x{other[1]}; set data.eval_batch=1"
            )


def split_pairs(root: Path, splits: Sequence[str], read: Callable[[str], Pairs]) -> list[Pairs]:
    """The pairs of every split.

    Args:
        root: the data set's folder, for messages.
        splits: their names.
        read: finds the pairs of a split.

    Raises:
        UserError: what ``read`` raises for any of the splits, all of it at once.
    """
    problems = Problems(f"data.root='{printable(root)}'")
    found = []
    for split in splits:
        with problems.collecting():
            found.append(read(split))
    problems.check()
    return found


def missing_labels(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Raise a ``UserError`` when labels are missing: how many, and the first."""
    missing = [(image, label) for image, label in pairs if not label.is_file()]
    if missing:
        image, label = missing[0]
        raise UserError(
            f"{len(missing):,} of {len(pairs):,} images have no label; for '{printable(image)}' looked for "
            f"'{printable(label)}'"
        )


assert IGNORE > INVALID
