"""Cityscapes in its official layout: ``leftImg8bit/<split>/<city>/*_leftImg8bit.png``, ``gtFine/.../*_gtFine_labelIds.png``.

The file's numbers are Cityscapes' ids (0..33), of which 19 are classes; the others become 255 (Cordts et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncp.data.base import IGNORE, find_root
from ncp.data.paths import visible
from ncp.data.resized import small_copies
from ncp.data.segmentation import LabelMap, Pairs, SegmentationData, SegmentationSet, missing_labels, split_pairs
from ncp.errors import UserError
from ncp.files import printable

# name, id in the files, colour of the official pictures
CLASSES = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
IDS = range(34)
FULL = (1024, 2048)


def label_map() -> LabelMap:
    """Cityscapes' ids to the 19 train ids."""
    known = dict.fromkeys(IDS, IGNORE) | {number: i for i, (_, number, _) in enumerate(CLASSES)}
    return LabelMap(known, "gtFine labelIds hold 0 to 33 (labelTrainIds are other files)")


def find_pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    """Image and label files of a split, sorted by city and frame."""
    images = visible(root / "leftImg8bit" / split, "*/*_leftImg8bit.png")
    if not images:
        raise UserError(
            f"the split '{split}' is empty: no '{printable(root)}/leftImg8bit/{split}/<city>/*_leftImg8bit.png'"
        )
    labels = root / "gtFine" / split
    pairs = [(i, labels / i.parent.name / i.name.replace("_leftImg8bit", "_gtFine_labelIds")) for i in images]
    missing_labels(pairs)
    return pairs


class Cityscapes(SegmentationData):
    """Semantic segmentation of 19 classes.

    Args:
        root: folder with ``leftImg8bit`` and ``gtFine``.
        crop, scale: of training (see the base).
        resized: ``[256, 512]`` for the paper's Seg-4x: everything is resized once (and kept in ``cache``), training and
            evaluation see that size; None for the full one.
        cache: where the resized copies go (default: the user's cache folder).
        common: see :class:`ncp.data.base.DataModule`.
    """

    classes = tuple(name for name, _, _ in CLASSES)
    palette = tuple(colour for _, _, colour in CLASSES)

    def __init__(
        self,
        root: str | None = None,
        *,
        crop: Sequence[int] = (512, 1024),
        scale: Sequence[float] = (0.5, 2.0),
        resized: Sequence[int] | None = None,
        cache: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(crop=crop, scale=scale, **common)
        self.root, self.cache = root, cache
        if resized is not None and self.tiny:
            resized = (32, 64)
        self.resized = (resized[0], resized[1]) if resized is not None else None
        self.eval_size = self.resized or FULL
        self.source = "Cityscapes" + (f", resized to {self.resized[0]}x{self.resized[1]}" if self.resized else "")

    def prepare(self) -> None:
        """List both splits; make the small copies where they are wanted."""
        root = find_root(self.root, ("leftImg8bit", "gtFine"), "Cityscapes")
        found = split_pairs(
            root, ("train", "val"), lambda split: Pairs(find_pairs(root, split), label_map(), self.resized)
        )
        train, val = (small_copies(pairs, self.cache) if self.resized else pairs for pairs in found)
        self.train_set = SegmentationSet(train, self.seed, self.size, self.scale)
        self.val_set = SegmentationSet(val, self.seed)
