"""Classification on a user's images: ``train/CLASS/*`` and ``val/CLASS/*``, or ``CLASS/*`` with a list or the seeded split."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncp.data import rasters
from ncp.data.folder import reading
from ncp.data.folder.files import holds, in_splits, listed, what_is_there, wrong_level
from ncp.data.folder.layouts import IMAGES, MASKS, holds_classes, holds_frames, other_task
from ncp.data.folder.look import Look, Refusals, samples
from ncp.data.folder.own_images import OwnImages
from ncp.data.folder.splits import split_folders
from ncp.data.imagenet import ImageFiles
from ncp.data.paths import PathList, folders
from ncp.data.problems import Problems
from ncp.errors import UserError
from ncp.files import printable
from ncp.numeric import several

LEAST = 2  # images of a class: one to train, one to validate


def count_files(data: Any, found: Look) -> None:
    """Files by split and class, and the classes' shares of the training files."""
    for split, labels in data.labels.items():
        numbers = np.bincount(labels, minlength=len(found.classes)).tolist()
        found.counts[split] = dict(zip(found.classes, numbers, strict=True))
    train = found.counts.get("train", {})
    total = sum(train.values())
    found.shares = {name: number / total for name, number in train.items()} if total else {}


class FolderClassification(OwnImages):
    """Images in folders named after their classes.

    Args:
        root, common: see :class:`ncp.data.folder.own_images.OwnImages`.
        size: side of the network's input in pixels.
        scale: range of a training crop's area, as a share of the image.
    """

    task = "cls"
    suffixes: tuple[str, ...] = reading.SUFFIXES
    what = "images"
    layout = "it must hold a folder of images for each class, or train/CLASS/* and val/CLASS/*"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        size: int = 224,
        scale: Sequence[float] = (0.25, 1.0),
        eval_batch: int = 50,
        **common: Any,
    ) -> None:
        super().__init__(root, eval_batch=eval_batch, **common)
        size = 32 if self.tiny else size
        if size < 32 or len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
            raise UserError(
                f"data.size must be at least 32 and data.scale two shares up to 1, given were {size} and {list(scale)}"
            )
        self.size = self.eval_size = (size, size)
        self.scale = (float(scale[0]), float(scale[1]))
        self.labels: dict[str, np.ndarray] = {}

    def find(self, root: Path, problems: Problems) -> None:
        """Classes and files of both splits."""
        splits = split_folders(root)
        if "val" not in splits and "train" in splits and holds(root / splits["train"], self.suffixes):
            splits = {}  # a class that is called so
        lists = self.lists(root, divided=len(splits) == 2)
        if lists is None and "train" in splits and "val" in splits:
            self.notes.append(f"split: by the folders {splits['train']} and {splits['val']}")
            self._by_folders(root, splits, problems)
        else:
            self._by_rule(root, splits, lists, problems)
        for split in self.names:
            self.fewer(split)

    def fewer(self, split: str) -> None:
        """With ``tiny``, no more than one file of each of four classes."""
        if self.tiny:
            chosen = np.sort(np.unique(self.labels[split], return_index=True)[1])[:4]
            self.names[split] = PathList(self.names[split][int(i)] for i in chosen)
            self.labels[split] = self.labels[split][chosen]

    def _by_folders(self, root: Path, splits: dict[str, str], problems: Problems) -> None:
        found = {split: self._classes(root / name, problems) for split, name in splits.items()}
        self._check_classes(root, sorted(found["train"]), problems)
        apart = [
            f"{printable(name)} is only in {splits[one]}"
            for one, other in (("train", "val"), ("val", "train"))
            for name in sorted(set(found[one]) - set(found[other]))
        ]
        if apart:
            more = f" and {len(apart) - 5} more" if len(apart) > 5 else ""
            problems.add(
                f"the classes differ between the splits: {', '.join(apart[:5])}{more}; both need the same folders"
            )
        for split, name in splits.items():
            kept = {label: files for label, files in found[split].items() if label in self.classes}
            self._use(split, [f"{name}/{label}/{file}" for label in sorted(kept) for file in kept[label]],
                      [self.classes.index(label) for label in sorted(kept) for _ in kept[label]])  # fmt: skip

    def _by_rule(
        self, root: Path, splits: dict[str, str], lists: dict[str, list[str]] | None, problems: Problems
    ) -> None:
        if self._inside_a_split(root):
            raise UserError(
                f"data.root='{printable(self.root)}' is one split of a set (validation lies beside it); this is a level too low: "
                f"give data.root={printable(root.resolve().parent)}"
            )
        found: dict[str, list[str]] = {}
        for place in [f"{name}/" for name in splits.values()] if "train" in splits else [""]:
            for label, files in self._classes(root / place, problems).items():
                found.setdefault(label, []).extend(f"{place}{label}/{file}" for file in files)
        self._check_classes(root, sorted(found), problems)
        names = [name for label in sorted(found) for name in found[label]]
        labels = np.repeat(np.arange(len(found)), [len(found[label]) for label in sorted(found)])
        if lists is not None:
            chosen = in_splits(names, lists)
        else:
            few = [label for label in sorted(found) if 0 < len(found[label]) < LEAST]
            if few:
                problems.add(
                    f"{several(len(few), 'class', 'classes')} of one file alone, first: {printable(few[0])}; a class needs "
                    f"{LEAST}, to train and to validate"
                )
            chosen = self.rule.divided(names, labels)
            if names:
                words = self.rule.words("each class")
                self.notes.append(f"split: {words} ({len(chosen['train']):,} train, {len(chosen['val']):,} validate)")
        for split, numbers in chosen.items():
            self._use(split, [names[i] for i in numbers], [int(labels[i]) for i in numbers])

    @staticmethod
    def _inside_a_split(root: Path) -> bool:
        """Whether the root is the training folder of a set, with the validation folder beside it."""
        above = root.resolve().parent
        try:
            beside = split_folders(above)
        except OSError:
            return False
        return root.resolve().name in beside.values() and len(beside) == 2

    def _classes(self, folder: Path, problems: Problems) -> dict[str, list[str]]:
        """Classes and their files; empty folders are told."""
        found = {name: listed(folder / name, self.suffixes) for name in folders(folder)}
        empty = [name for name, files in found.items() if not files]
        if empty and len(empty) < len(found):
            text = f"{several(len(empty), 'folder')} of classes without {self.what}, first: '{printable(folder / empty[0])}'"
            if self.partial:
                self.notes.append(text)
            else:
                problems.add(f"{text}; remove them, or leave them out with data.partial=true")
        return {name: files for name, files in found.items() if files}

    def _check_classes(self, root: Path, classes: list[str], problems: Problems) -> None:
        self.classes = classes
        lower = {name.lower() for name in classes}
        masked = len(lower) == 2 and lower & set(IMAGES) and lower & set(MASKS)
        if len(classes) >= 2:
            if (masked or holds_frames(root)) and (hint := other_task(root, self.task)):
                problems.add(
                    f"data.root='{printable(self.root)}' holds {' and '.join(map(printable, classes))}{hint}, or call the "
                    "folders after classes"
                )
            return
        hint = wrong_level(root, lambda folder: holds_classes(folder, self.suffixes)) or other_task(root, self.task)
        what = (
            f"holds {self.what} of one class alone ({printable(classes[0])})"
            if classes
            else f"holds no folders of {self.what}"
        )
        if not classes and holds(root, self.suffixes) and not hint:
            what = f"holds {self.what} without folders of classes, so there are no labels"
        problems.add(
            f"data.root='{printable(self.root)}' {what}; at least two classes are needed: {self.layout}; it holds "
            f"{what_is_there(root)}{hint}"
        )

    def _use(self, split: str, names: list[str], labels: list[int]) -> None:
        self.names[split], self.labels[split] = PathList(names), np.array(labels, dtype=np.int32)

    def look_at(self, found: Look, look: int | None, problems: Problems, tell: Callable[[float, str], None]) -> None:
        """Read images, each once."""
        count_files(self, found)
        refused, good = Refusals(problems, "images that cannot be read"), []
        for split, _, path in samples(self, found, look, tell):
            try:
                kind = reading.kind_of(path)
                rasters.read_numbers(path)
            except UserError as error:
                refused.add(str(error))
                continue
            found.sizes[kind.size] += 1
            found.kinds[kind.words] += 1
            if split == "train":
                good.append(path)
        refused.end()
        self.note_reading(found, good, problems)

    def make_sets(self) -> None:
        """The two sets."""
        paths = self.find_reading()
        sets = {
            split: ImageFiles(
                paths[split], self.labels[split], self.size, self.seed, split == "train", self.reading, self.scale
            )
            for split in paths
        }
        self.train_set, self.val_set = sets["train"], sets["val"]
