"""Taskonomy in its own layout, with the labels and constants of TransNAS-Bench-101 (see :mod:`ncp.data.taskonomy_lists`).

Labels: ``class_object`` and ``class_scene`` are shares of 1,000 ImageNet and 365 Places classes, of which masks keep 75 and 47
(``class_object_final5k.npy``, ``class_scene_final5k.npy``: zeros and ones), renormalised; ``room_layout`` nine numbers,
standardised already in the released files; ``normal`` pictures in the camera's coordinates; ``segmentsemantic`` the numbers 0
(uncertain) to 17, of which 0 counts as 1, background, and all are then one less. (Zamir et al. 2018; Duan et al. 2021 and its
released loaders.)
"""

from __future__ import annotations

import colorsys
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp.data import transforms as T
from ncp.data.base import IGNORE
from ncp.data.paths import PathList
from ncp.data.problems import Problems
from ncp.data.rasters import read_plain
from ncp.data.segmentation import LabelMap
from ncp.data.taskonomy_lists import Buildings, complete, find_lists, read_list
from ncp.data.views import ViewData, stored
from ncp.errors import UserError
from ncp.files import printable

log = logging.getLogger(__name__)
SEMANTIC = (
    "background", "bottle", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase",
)  # fmt: skip
WHOLE = {"class_object": 1000, "class_scene": 365}
"""Classes of the files before a mask."""
LARGEST = 1e30
"""Of a label's numbers: sums of a thousand fit single precision."""
LAYOUT_MEAN = np.array(
    [
        -0.0164378987,
        0.0703680296,
        -2.72496318,
        1.56155458,
        -0.000283141191,
        -1.57136446,
        4.81219593,
        3.69077521,
        2.61998101,
    ]
)
LAYOUT_STD = np.array(
    [0.73644884, 0.53726124, 1.45194796, 0.19338562, 0.01549811, 0.42258508, 2.80763433, 1.92678054, 0.89655357]
)
"""Of the layouts in metres and radians: centre, angles, size, as in the released loader."""


def semantic_map() -> LabelMap:
    """The files' numbers to the 17 classes."""
    known = {0: 0, IGNORE: IGNORE} | {number: number - 1 for number in range(1, len(SEMANTIC) + 1)}
    return LabelMap(known, f"Taskonomy's segmentsemantic holds 0 to {len(SEMANTIC)}, and 255 where nothing is counted")


class ViewFiles:
    """Views on the disk; see :class:`ncp.data.views.Source`.

    Args:
        buildings: where they are.
        views: their names.
        labels: that items have.
        side: pixels that images and labels are resized to.
        masks: by label, which classes are kept; None or absent for all.
        metres: whether layouts are in metres and radians, to be standardised here.
    """

    def __init__(
        self, buildings: Buildings, views: PathList, labels: Sequence[str], side: int, masks: Mapping[str, np.ndarray],
        metres: bool,
    ) -> None:  # fmt: skip
        self.buildings, self.names, self.labels = buildings, views, stored(labels)
        self.size, self.masks, self.metres = (side, side), dict(masks), metres
        self.semantic = semantic_map()
        self.told: set[str] = set()  # labels of which it was said that they are of another size

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        view = self.names[index]
        image = T.read_image(self.buildings.path(view, "rgb"))
        labels = {name: self.label(name, view, (image.shape[-2], image.shape[-1])) for name in self.labels}
        return T.resize_image(image, self.size), labels

    def label(self, name: str, view: str, whole: T.Size) -> Tensor:
        """A view's label, resized where it is a picture; ``whole``: pixels of the view's image.

        Raises:
            UserError: naming the file, also where a picture is of another shape than the image: then they do not show the same.
        """
        path = self.buildings.path(view, name)
        if name == "segmentsemantic":
            label = T.read_label(path)
            self._check_shape(name, label, whole, path)
            return T.resize_label(self.semantic(label, path), self.size)
        if name == "normal":
            image = T.read_image(path)
            self._check_shape(name, image, whole, path)
            return T.resize_image(image, self.size)
        numbers = read_plain(path, 1).astype(np.float64)
        if not (np.abs(numbers) < LARGEST).all():
            raise UserError(f"the label '{printable(path)}' holds numbers that are not finite, or beyond {LARGEST:g}")
        return torch.from_numpy(
            (self._layout if name == "room_layout" else self._shares)(name, numbers, path).astype(np.float32)
        )

    def _check_shape(self, name: str, picture: Tensor, whole: T.Size, path: Path) -> None:
        """A smaller copy of the same view is resized as its image is, which is said once; another shape is another view."""
        (height, width), (tall, wide) = picture.shape[-2:], whole
        if (height, width) == (tall, wide):
            return
        sizes = f"{wide} x {tall} pixels", f"{width} x {height}"
        if abs(height * wide - width * tall) > max(wide, tall):  # a pixel, by rounding
            raise UserError(
                f"the label '{printable(path)}' has {sizes[1]} pixels and its image {sizes[0]}: their shapes differ"
            )
        if name not in self.told:
            self.told.add(name)
            log.info("images have %s, their labels %s %s: all become %d x %d", sizes[0], name, sizes[1], *self.size)

    def _layout(self, name: str, numbers: np.ndarray, path: Path) -> np.ndarray:
        if len(numbers) != 9:
            raise UserError(f"the label '{printable(path)}' holds {len(numbers):,} numbers; a layout has 9")
        return (numbers - LAYOUT_MEAN) / LAYOUT_STD if self.metres else numbers

    def _shares(self, name: str, numbers: np.ndarray, path: Path) -> np.ndarray:
        mask = self.masks.get(name)
        if mask is None:
            if len(numbers) != WHOLE[name]:
                raise UserError(
                    f"the label '{printable(path)}' holds {len(numbers):,} numbers; without a mask {name} has "
                    f"{WHOLE[name]:,}"
                )
        elif len(numbers) == len(mask):
            numbers = numbers[mask]
        elif len(numbers) != mask.sum():
            raise UserError(
                f"the label '{printable(path)}' holds {len(numbers):,} numbers; the mask of {name} is for {len(mask):,} "
                f"of which it keeps {int(mask.sum()):,}"
            )
        total = numbers.sum()
        if numbers.min() < 0 or not total > 0:
            raise UserError(f"the label '{printable(path)}' holds no shares of the kept classes (from 0 up, not all 0)")
        shares: np.ndarray = numbers / total
        return shares


class Taskonomy(ViewData):
    """Taskonomy for the seven tasks.

    Args:
        root: folder of the buildings (``<building>/rgb/*_domain_rgb.png`` or ``rgb/<building>/...``).
        labels: one or several of the seven tasks (see :class:`ncp.data.views.ViewData`).
        lists: folder of the splits' lists; None for the root.
        masks: folder of the class masks; None for where the lists are; ``none`` keeps every class.
        layout: ``standardised`` where ``room_layout`` files are (the released ones), ``metres`` where they are not.
        partial: use the views that are whole instead of refusing a set in which some lack a label.
        size: side that images are resized to.
        permutations: as in the base; None for the released 1,000's number.
        common: see :class:`ncp.data.views.ViewData`.
    """

    layout_mean, layout_std = LAYOUT_MEAN, LAYOUT_STD
    palette = tuple(
        (0, 0, 0)
        if i == 0
        else tuple(round(255 * part) for part in colorsys.hsv_to_rgb(i * 0.382 % 1, 0.6 + 0.4 * (i % 2), 0.95))  # type: ignore[misc]
        for i in range(len(SEMANTIC))
    )

    def __init__(
        self,
        root: str | None = None,
        *,
        labels: str | Sequence[str] = "class_scene",
        lists: str | None = None,
        masks: str | None = None,
        layout: str = "standardised",
        partial: bool = False,
        size: int = 256,
        permutations: int | str = 1000,
        eval_batch: int = 128,
        **common: Any,
    ) -> None:
        self.kept: dict[str, Sequence[str]] = {}  # by label, the classes' names once they are known
        super().__init__(labels=labels, size=size, permutations=permutations, eval_batch=eval_batch, **common)
        if layout not in ("standardised", "metres"):
            raise UserError(f"data.layout must be standardised or metres, given was '{layout}'")
        self.root, self.lists, self.masks, self.layout, self.partial = root, lists, masks, layout, partial
        self.source = "Taskonomy"

    def names(self, label: str) -> Sequence[str]:
        """As in the base; classes of the soft labels are known once the files are."""
        if label in WHOLE:
            return self.kept.get(label, ())
        return SEMANTIC if label == "segmentsemantic" else super().names(label)

    def prepare(self) -> None:
        """Read the lists and masks, look for every file, read the first view of each split."""
        buildings = Buildings(self.root)
        folder = Path(self.lists).expanduser() if self.lists else buildings.root
        problems = Problems(f"data.root='{printable(buildings.root)}'")
        masks: dict[str, np.ndarray] = {}
        for name in self.labels:
            if name in WHOLE and self.masks != "none":
                with problems.collecting():
                    masks[name] = read_mask(Path(self.masks).expanduser() if self.masks else folder, name)
        found: dict[str, ViewFiles] = {}
        lists: dict[str, Path] = {}
        with problems.collecting():
            there = find_lists(folder)
            if self.split not in there:
                raise UserError(
                    f"'{printable(folder)}' holds no list of {self.split} ({self.split}.json, {self.split}.txt)"
                )
            lists = there
        domains = ("rgb", *stored(self.labels))
        for split in ("train", self.split) if lists else ():
            with problems.collecting():
                views = complete(buildings, read_list(buildings, lists[split], split), domains, split, self.partial)
                found[split] = ViewFiles(buildings, views, self.labels, self.side, masks, self.layout == "metres")
        for name in {name for name in WHOLE if name in self.labels} if found and not len(problems) else ():
            with problems.collecting():
                self.kept[name] = self._classes(name, next(iter(found.values())), masks.get(name))
        for files in found.values() if not len(problems) else ():
            with problems.collecting():
                files[0]
        problems.check()
        self.classes = self.names(self.labels[0])
        self.train_set, self.val_set = (self.views(found[split]) for split in ("train", self.split))

    def _classes(self, name: str, files: ViewFiles, mask: np.ndarray | None) -> Sequence[str]:
        whole = read_plain(files.buildings.path(files.names[0], name), 1)
        numbers = np.flatnonzero(mask) if mask is not None else np.arange(len(whole))
        return class_names(name, numbers.tolist())


def read_mask(folder: Path, name: str) -> np.ndarray:
    """``(1000,)`` or ``(365,)`` bool: the classes that are kept.

    Raises:
        UserError: where there is none in the folder, or it is no such mask.
    """
    path = folder / f"{name}_final5k.npy"
    if not path.is_file():
        raise UserError(
            f"the mask '{printable(path)}' is missing, which says what classes of {name} are kept; data.masks=<its folder>, or "
            "data.masks=none for all"
        )
    numbers = read_plain(path, 1)
    if len(numbers) != WHOLE[name] or not np.isin(numbers, (0, 1)).all() or numbers.sum() < 2:
        raise UserError(f"the mask '{printable(path)}' must hold {WHOLE[name]:,} zeros and ones, two ones at least")
    return numbers.astype(bool)


def class_names(name: str, numbers: Sequence[int]) -> tuple[str, ...]:
    """What classes are called, by their numbers: ImageNet's words for objects where timm has them, else the number itself."""
    if name == "class_object" and len(numbers) and max(numbers) < WHOLE[name]:
        try:
            from timm.data.imagenet_info import ImageNetInfo

            info = ImageNetInfo()
            return tuple(info.index_to_description(number).split(",")[0] for number in numbers)
        except Exception:  # an older timm: the numbers will do
            pass
    return tuple(f"{name.removeprefix('class_')} {number}" for number in numbers)
