"""ADE20K's scene parsing challenge (150 classes): ``images/{training,validation}/*.jpg``, ``annotations/.../*.png``.

The files' number 0 is "other" and becomes 255; 1..150 become 0..149 (Zhou et al. 2017).
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncp.data.base import IGNORE, find_root
from ncp.data.paths import visible
from ncp.data.segmentation import LabelMap, Pairs, SegmentationData, SegmentationSet, missing_labels, split_pairs
from ncp.errors import UserError
from ncp.files import printable, read_bytes

COUNT = 150


def label_map() -> LabelMap:
    """0 is not counted, 1..150 are the classes."""
    known = {0: IGNORE} | {number: number - 1 for number in range(1, COUNT + 1)}
    return LabelMap(known, f"ADE20K's scene parsing annotations hold 0 to {COUNT}")


def find_pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    """Image and annotation files of a split, sorted."""
    images = visible(root / "images" / split, "*.jpg")
    if not images:
        raise UserError(f"the split '{split}' is empty: no '{printable(root)}/images/{split}/*.jpg'")
    pairs = [(image, root / "annotations" / split / f"{image.stem}.png") for image in images]
    missing_labels(pairs)
    return pairs


def class_names(path: Path) -> tuple[str, ...]:
    """The 150 names of the release's table (last column, up to the first comma); empty where it is absent or different."""
    if not path.is_file():
        return ()
    rows = [line.split("\t") for line in read_bytes(path).decode(errors="replace").splitlines()]
    names = tuple(row[-1].split(",")[0].strip() for row in rows if row[0].strip().isdigit())
    return names if len(names) == COUNT else ()


class ADE20K(SegmentationData):
    """Scene parsing of 150 classes.

    Args:
        root: folder with ``images`` and ``annotations`` (``ADEChallengeData2016``).
        crop: of training.
        scale: range of the random resize; factor 1 fits the image into ``crop[0] x 4 * crop[0]`` pixels, its aspect kept.
        common: see :class:`ncp.data.base.DataModule`.

    Evaluation resizes each image so that its shorter side has ``crop[0]`` pixels and compares at the label's own size, so
    images differ and the batch is 1.
    """

    classes = tuple(f"class {i + 1}" for i in range(COUNT))
    source = "ADE20K"
    palette = tuple(
        (round(255 * r), round(255 * g), round(255 * b))
        for i in range(COUNT)
        for r, g, b in [colorsys.hsv_to_rgb((i * 0.618) % 1, 0.55 + 0.15 * (i % 4), 0.95 - 0.15 * (i % 5))]
    )

    def __init__(
        self,
        root: str | None = None,
        *,
        crop: Sequence[int] = (512, 512),
        scale: Sequence[float] = (0.5, 2.0),
        **common: Any,
    ) -> None:
        super().__init__(crop=crop, scale=scale, **common)
        if self.eval_batch != 1:
            raise UserError(f"ADE20K's images differ in size: data.eval_batch must be 1, given was {self.eval_batch}")
        self.root, self.eval_short = root, self.size[0]

    def prepare(self) -> None:
        """List both splits, and read the classes' names where the release's list of them is there."""
        root = find_root(self.root, ("images", "annotations"), "ADE20K")
        train, val = split_pairs(
            root, ("training", "validation"), lambda split: Pairs(find_pairs(root, split), label_map())
        )
        self.classes = class_names(root / "objectInfo150.txt") or self.classes
        short = self.size[0]
        self.train_set = SegmentationSet(train, self.seed, self.size, self.scale, base=(short, 4 * short))
        self.val_set = SegmentationSet(val, self.seed, eval_short=short)
