"""Segmentation on a user's ``images/*`` and ``masks/*``: in split folders, by lists, or with the seeded split."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ncp import progress
from ncp.data import rasters
from ncp.data.colours import PHOTOMETRIC, Light
from ncp.data.folder import classes as classes_files
from ncp.data.folder import masks, reading
from ncp.data.folder.files import holds, in_splits, listed, what_is_there, wrong_level
from ncp.data.folder.layouts import IMAGES, MASKS, holds_masks, named, other_task
from ncp.data.folder.look import Look, Refusals, samples
from ncp.data.folder.own_images import OwnImages
from ncp.data.folder.pairs import OwnPairs
from ncp.data.folder.splits import given_file, split_folders
from ncp.data.paths import PathList, folders
from ncp.data.problems import Problems
from ncp.data.segmentation import SegmentationData, SegmentationSet
from ncp.errors import UserError
from ncp.files import printable
from ncp.numeric import several

TAILS = ("", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "-mask")
"""What a mask's name may have behind its image's."""
TINY_SHORT = 64  # pixels of an evaluation image's shorter side with ``tiny``


class FolderSegmentation(OwnImages, SegmentationData):
    """Images with a mask each.

    Args:
        root, common: see :class:`ncp.data.folder.own_images.OwnImages`.
        classes_file: see :mod:`ncp.data.folder.classes`; None: that of the root, or what the masks hold.
        crop: height and width of a training window.
        scale: range of the random resize.
        short: shorter side that all images are resized to first; None: as they are.
        cache: folder of what the masks hold; None: the user's cache folder.
    """

    layout = "it must hold images/* and masks/* of the same names, or train/images, train/masks, val/images, val/masks"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        classes_file: str | None = None,
        crop: Sequence[int] = (512, 512),
        scale: Sequence[float] = (0.5, 2.0),
        short: int | None = None,
        cache: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(root, crop=crop, scale=scale, **common)
        if short is not None and short < 32:
            raise UserError(f"data.short must be at least 32 pixels or null, given was {short}")
        self.short = TINY_SHORT if self.tiny else short
        self.classes_file, self.cache = classes_file, cache
        self.mask_names: dict[str, PathList] = {}
        self.entries: tuple[classes_files.Entry, ...] = ()
        self.has_file = False
        self.unmatched: dict[str, list[str]] = {"image": [], "mask": []}

    def find(self, root: Path, problems: Problems) -> None:
        """Pairs of both splits, and the classes."""
        pairs = self._pairs(root, problems)
        for split, found in pairs.items():
            found = found[:4] if self.tiny else found
            self.names[split] = PathList(image for image, _ in found)
            self.mask_names[split] = PathList(mask for _, mask in found)
        if any(not len(names) for names in self.names.values()) and not len(problems):
            empty = next(split for split, names in self.names.items() if not len(names))
            problems.add(f"the {'training' if empty == 'train' else 'validation'} split holds no image with a mask")
        with problems.collecting():
            self._find_classes(root, problems)

    def _pairs(self, root: Path, problems: Problems) -> dict[str, list[tuple[str, str]]]:
        """Image and mask of each split, relative to the root."""
        images, labels = named(root, IMAGES), named(root, MASKS)
        splits = split_folders(root)
        self.unmatched = {"image": [], "mask": []}
        if images is None and "train" in splits:  # train/images, train/masks, val/images, val/masks
            out: dict[str, list[tuple[str, str]]] = {}
            for split, name in splits.items():
                inner = named(root / name, IMAGES), named(root / name, MASKS)
                if None in inner:
                    hint = other_task(root, "seg") if inner == (None, None) else ""
                    problems.add(
                        f"'{printable(root / name)}' needs images and masks; it holds {what_is_there(root / name)}{hint}"
                    )
                    out[split] = []
                    continue
                out[split] = self._match(root, f"{name}/{inner[0]}", f"{name}/{inner[1]}", problems)
            lists = self.lists(root, divided="val" in splits)
            if lists is not None:
                return self._by_lists([pair for found in out.values() for pair in found], lists)
            if "val" in splits:
                self.notes.append(f"split: by the folders {splits['train']} and {splits['val']}")
                return out
            return self._by_rule(out["train"])
        if images is None or labels is None:
            lacking = "a folder of images" if images is None else "a folder of masks, so there are no labels"
            text = f"data.root='{printable(self.root)}' lacks {lacking} ({self.layout}); it holds {what_is_there(root)}"
            raise UserError(text + (wrong_level(root, holds_masks) or self._lacking_hint(root, images, labels)))
        inner_splits, inner_masks = split_folders(root / images), split_folders(root / labels)
        divided = {"train", "val"} <= set(inner_splits)
        lists = self.lists(root, divided)
        if lists is None and divided:
            out = {}
            for split, name in inner_splits.items():
                if split not in inner_masks:
                    raise UserError(
                        f"'{printable(root / images)}' is divided into splits but '{printable(root / labels)}' lacks {name}"
                    )
                out[split] = self._match(root, f"{images}/{name}", f"{labels}/{inner_masks[split]}", problems)
            self.notes.append(f"split: by the folders {inner_splits['train']} and {inner_splits['val']}")
            return out
        pairs = self._match(root, images, labels, problems)
        return self._by_rule(pairs) if lists is None else self._by_lists(pairs, lists, f"{images}/")

    @staticmethod
    def _lacking_hint(root: Path, images: str | None, labels: str | None) -> str:
        """What to say of a root that lacks images or masks."""
        if images is None and labels is None:
            return other_task(root, "seg")
        called, what = (MASKS[0], masks.SUFFIXES) if labels is None else (IMAGES[0], reading.SUFFIXES)
        rest = [name for name in folders(root) if name not in (images, labels) and holds(root / name, what)]
        if len(rest) != 1:
            return ""
        return f"; if '{printable(rest[0])}' holds the {called}, call it {called}, or make a link of that name to it"

    def _by_lists(
        self, pairs: list[tuple[str, str]], lists: dict[str, list[str]], prefix: str = ""
    ) -> dict[str, list[tuple[str, str]]]:
        """The pairs that lists name, with or without the folder of images in front and the ending behind."""
        below = [image.removeprefix(prefix) for image, _ in pairs]
        stems = {name.rsplit(".", 1)[0]: name for name in below}
        wanted: dict[str, list[str]] = {}
        for split, names in lists.items():
            names = [name.removeprefix(prefix) for name in names]
            wanted[split] = [stems.get(name, name) for name in names]
        return {split: [pairs[number] for number in numbers] for split, numbers in in_splits(below, wanted).items()}

    def _by_rule(self, pairs: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
        groups = {place: i for i, place in enumerate(sorted({os.path.dirname(image) for image, _ in pairs}))}
        chosen = self.rule.divided(
            [image for image, _ in pairs], [groups[os.path.dirname(image)] for image, _ in pairs]
        )
        if len(pairs) == 1:
            raise UserError(
                "there is a single image with a mask; at least two are needed, one to train and one to validate"
            )
        if pairs:
            words = self.rule.words("each folder" if len(groups) > 1 else "the images")
            self.notes.append(f"split: {words} ({len(chosen['train']):,} train, {len(chosen['val']):,} validate)")
        return {split: [pairs[number] for number in numbers] for split, numbers in chosen.items()}

    def _match(self, root: Path, images: str, labels: str, problems: Problems) -> list[tuple[str, str]]:
        """Images with their masks, by name."""
        found = listed(root / images, reading.SUFFIXES)
        there: dict[str, str] = {}
        for name in listed(root / labels, masks.SUFFIXES):
            stem = name.rsplit(".", 1)[0]
            there.setdefault(stem, name)
        pairs, used = [], set()
        for name in found:
            stem = name.rsplit(".", 1)[0]
            mask = next((there[stem + tail] for tail in TAILS if stem + tail in there), None)
            if mask is None:
                self.unmatched["image"].append(f"{images}/{name}")
            else:
                used.add(mask)
                pairs.append((f"{images}/{name}", f"{labels}/{mask}"))
        lone = [f"{labels}/{name}" for name in there.values() if name not in used]
        self.unmatched["mask"] += lone
        lacking = len(found) - len(pairs)
        if not found:
            problems.add(f"'{printable(root / images)}' holds no images ({', '.join(reading.SUFFIXES)})")
        elif lacking and not self.partial:
            first = next(name for name in self.unmatched["image"] if name.startswith(f"{images}/"))
            hint = f"; there is a mask without an image, '{printable(lone[0])}': are they called alike?" if lone else ""
            if not there and listed(root / labels, (".jpg", ".jpeg")):
                hint = "; masks there are JPEGs, which do not keep their numbers: save them as PNG from the originals"
            elif not there and listed(root / labels, (".txt", ".xml", ".json")):
                hint = "; labels there are texts, of boxes or polygons: a mask is an image of class numbers"
            where = f"'{printable(root / images)}'", f"'{printable(root / labels)}'"
            problems.add(
                f"{lacking:,} of {len(found):,} images in {where[0]} {'has' if lacking == 1 else 'have'} no mask of the same "
                f"name in {where[1]}, first: {printable(first)}{hint}; add them, or leave such images out with data.partial=true"
            )
        elif lacking:
            self.notes.append(f"left out: {several(lacking, 'image')} without a mask")
        return pairs

    # ---- classes

    def _find_classes(self, root: Path, problems: Problems) -> None:
        path = self._classes_path(root)
        self.has_file = path is not None
        if path is not None:
            entries = classes_files.read(path)
            by_colour = any(entry.colour for entry in entries) and not classes_files.numbered(path)
            self.notes.append(f"classes: {sum(not e.ignored for e in entries)} of {printable(path.name)}")
        else:
            paths = [root / name for split in self.mask_names for name in self.mask_names[split]]
            if not paths:
                return
            with progress.bar(f"counting what {len(paths):,} masks hold (once)", after=1.0) as tell:
                held = masks.held(paths, self.cache, tell)
            refused = Refusals(problems, "masks that cannot be read")
            for line in held.refused:
                refused.add(line)
            refused.end()
            entries = masks.entries_of(held)
            by_colour = False
            self.notes.append(
                f"classes: {len(entries)}, as the masks hold them ({', '.join(e.name for e in entries[:6])}"
                f"{', ...' if len(entries) > 6 else ''}); a classes.csv in the folder (id,name,colour,ignored) names them"
            )
        self.use_classes(entries, by_colour)

    def use_classes(self, entries: Sequence[classes_files.Entry], by_colour: bool) -> None:
        """Learn these classes."""
        self.entries = tuple(entries)
        self.mask_map = masks.MaskMap(self.entries, by_colour)
        kept = [i for i, entry in enumerate(self.entries) if not entry.ignored]
        colours = classes_files.colours(self.entries)
        self.classes, self.palette = [self.entries[i].name for i in kept], [colours[i] for i in kept]

    def _classes_path(self, root: Path) -> Path | None:
        if self.classes_file is not None:
            return given_file(root, self.classes_file)
        return next((root / name for name in classes_files.NAMES if (root / name).is_file()), None)

    # ---- sets

    def look_at(self, found: Look, look: int | None, problems: Problems, tell: Callable[[float, str], None]) -> None:
        """Read images with their masks, and count the masks' classes."""
        found.unmatched = {kind: names for kind, names in self.unmatched.items() if names}
        if self.unmatched["mask"]:
            found.warnings.append(
                f"{several(len(self.unmatched['mask']), 'mask')} without an image, first: {printable(self.unmatched['mask'][0])}"
            )
        if not self.entries:
            return
        refused, good = Refusals(problems, "images or masks that cannot be used"), []
        count = len(self.classes)
        pixels_K, labelled, every = np.zeros(count, np.int64), 0, 0
        presence: dict[str, list[np.ndarray]] = {split: [] for split in self.names}
        names: list[str] = []
        for split, number, path in samples(self, found, look, tell):
            mask = self.place / self.mask_names[split][number]
            names.append(self.names[split][number])
            try:
                kind = reading.kind_of(path)
                image, label = rasters.read_numbers(path), self.mask_map(mask)
                OwnPairs.check_size(image, label, path, mask)
            except UserError as error:
                refused.add(str(error))
                presence[split].append(np.zeros(count, bool))
                continue
            numbers = torch.bincount(label.reshape(-1).int(), minlength=256)[:count].numpy()
            presence[split].append(numbers > 0)
            if split == "train":
                pixels_K += numbers
                good.append(path)
            labelled, every = labelled + int(numbers.sum()), every + label.numel()
            found.sizes[kind.size] += 1
            found.kinds[kind.words] += 1
        refused.end()
        for split, rows in presence.items():
            found.counts[split] = (
                dict(zip(found.classes, np.sum(rows, axis=0, dtype=int).tolist(), strict=True)) if rows else {}
            )
        if pixels_K.sum():
            found.shares = dict(zip(found.classes, (pixels_K / pixels_K.sum()).tolist(), strict=True))
        found.facts["labelled pixels"] = labelled / max(1, every)
        if every and not labelled:
            problems.add("no pixel of the masks that were read is of a class that counts, so there is nothing to learn")
        found.measured["presence"] = np.concatenate([np.array(rows).reshape(-1, count) for rows in presence.values()])
        found.measured["names"] = np.array(names, dtype=object)
        places = {place: i for i, place in enumerate(sorted({os.path.dirname(name) for name in names}))}
        found.measured["groups"] = np.array([places[os.path.dirname(name)] for name in names])
        self.note_reading(found, good, problems)

    def make_sets(self) -> None:
        """The two sets."""
        images, labels = self.find_reading(), self.paths_of(self.mask_names)
        colours = PHOTOMETRIC if self.reading.photo else Light()
        sets = {
            split: SegmentationSet(
                OwnPairs(images[split], labels[split], self.reading, self.mask_map, self.short),
                self.seed, self.size if split == "train" else None, self.scale, colours=colours,
            )
            for split in images
        }  # fmt: skip
        self.train_set, self.val_set = sets["train"], sets["val"]

    def write_beside(self, path: Path) -> dict[str, Any]:
        """A classes file, where the set has none: so that its classes are named and not counted anew."""
        if self.has_file and self.classes_file is None:
            return {}
        if self.classes_file is not None:
            place = self._classes_path(self.place)
            return {"classes_file": str(place.resolve())} if place is not None else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        return {"classes_file": str(classes_files.write(path, self.entries).resolve())}

    def describe(self, folder: Path) -> None:
        """Also ``classes.csv``."""
        super().describe(folder)
        classes_files.write(folder / "classes.csv", self.entries)
