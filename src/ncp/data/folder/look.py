"""A user's data set looked over before anything trains: what is there, what is wrong with it, what is odd.

Every file's name and size is looked at; ``look`` samples of each split, spread evenly, are read whole. No more than one of them
is in memory at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ncp.data.folder.files import SPLITS, OwnData, spread
from ncp.data.problems import Problems
from ncp.errors import UserError
from ncp.files import open_regular, printable
from ncp.numeric import several

Tell = Callable[[float, str], None]
LISTED = 10  # files that are named of each kind of problem
FEW = 10  # training samples of a class below which it is told
COARSE = 50  # validation samples: of fewer each moves a figure by more than two points
UNEVEN = 5.0  # times as many samples of the commonest class as of the rarest, from which on it is told
RARE = 0.1  # of an even share of the pixels, below which a class is rare
_PREFIX = 2**16  # bytes by which files of the same size are told apart first
_BLOCK = 2**20


@dataclass
class Look:
    """What was found.

    Attributes:
        task, root, classes: of the set.
        files: split -> files (images, videos, frames).
        looked: split -> how many of them were read.
        counts: split -> class -> images, videos, or objects; of segmentation the images (of those read) that hold the class.
        shares: class -> share of the training samples, of segmentation of the labelled pixels that were read.
        sizes: (height, width) -> how many files have it.
        kinds: what the files are, in words -> how many.
        duplicates: (file, file) of the same content in different splits; the first ones.
        duplicated: how many there are.
        unmatched: kind (image, mask) -> files without the other; the first ones.
        facts: what only this task knows, name -> number or text.
        notes, warnings, problems: what was chosen, what is odd, what keeps the set from being trained on.
        measured: for suggestions: arrays by name.
    """

    task: str
    root: str
    classes: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    looked: dict[str, int] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    duplicated: int = 0
    unmatched: dict[str, list[str]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    measured: dict[str, np.ndarray] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """For ``result.json``."""
        names = (
            "task",
            "root",
            "classes",
            "files",
            "looked",
            "counts",
            "shares",
            "facts",
            "notes",
            "warnings",
            "problems",
        )
        out = {name: getattr(self, name) for name in names}
        out["sizes"] = [[*size, number] for size, number in self.sizes.most_common(20)]
        out["kinds"] = dict(self.kinds.most_common(20))
        out["duplicates"] = {"files": self.duplicated, "first": [list(pair) for pair in self.duplicates]}
        out["unmatched"] = {
            kind: {"files": len(names), "first": names[:LISTED]} for kind, names in self.unmatched.items()
        }
        return out

    @property
    def total(self) -> int:
        """Files of all splits."""
        return sum(self.files.values())

    def check(self) -> None:
        """Go on where the set can be trained on. Raises ``UserError`` with all that keeps it from that."""
        problems = Problems(f"data.root='{self.root}' cannot be trained on: it")
        problems.found = list(self.problems)
        problems.check()

    def middle(self) -> tuple[int, int]:
        """The median height and width of what was read, (0, 0) where nothing was."""
        if not self.sizes:
            return 0, 0
        sides = np.array([size for size, number in self.sizes.items() for _ in range(min(number, 10_000))])
        return int(np.median(sides[:, 0])), int(np.median(sides[:, 1]))


def look_over(data: OwnData, look: int | None, tell: Tell) -> Look:
    """Look a set over.

    Args:
        data: its data module; it is not prepared.
        look: how many samples of each split are read; None for all.
        tell: is told how far it is.

    Raises:
        UserError: only where there is no such folder.
    """
    found = Look(data.task, str(data.root))
    problems = data.look_for()
    found.classes, found.notes = list(data.classes), list(data.notes)
    found.files = {split: len(data.names.get(split, ())) for split in SPLITS}
    if found.total:
        data.look_at(found, look, problems, tell)
        _duplicates(data, found, tell)
    found.problems = list(dict.fromkeys(problems.found))
    found.notes = list(data.notes) or found.notes
    _counted(found)
    return found


def samples(data: OwnData, found: Look, look: int | None, tell: Tell) -> Iterator[tuple[str, int, Path]]:
    """Split, number and path of every file that is to be read."""
    root = data.place
    chosen = {split: spread(found.files[split], look) for split in SPLITS}
    total, done = sum(map(len, chosen.values())), 0
    for split, numbers in chosen.items():
        found.looked[split] = len(numbers)
        for number in numbers:
            done += 1
            tell(0.9 * done / total, f"{done:,} of {total:,} read")
            yield split, number, root / data.names[split][number]


class Refusals:
    """Files that cannot be used, counted, the first ones named."""

    def __init__(self, problems: Problems, what: str) -> None:
        self.problems, self.what = problems, what
        self.number = 0

    def add(self, text: str) -> None:
        """Note one."""
        self.number += 1
        if self.number <= LISTED:
            self.problems.add(text)

    def end(self) -> None:
        """Say how many more there are."""
        if self.number > LISTED:
            self.problems.add(f"{self.number - LISTED:,} more {self.what}")


def _duplicates(data: OwnData, found: Look, tell: Tell) -> None:
    """Files of the same content in both splits: by size, then by their beginning, then whole."""
    root = data.place
    of: list[tuple[str, int]] = [(split, i) for split in SPLITS for i in range(found.files[split])]
    paths = data.content_files(root)
    sizes = np.array([_size(paths(split, i)) for split, i in of], dtype=np.int64)
    order = np.argsort(sizes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1) if len(order) else []
    waiting = [group for group in groups if len(group) > 1 and sizes[group[0]] > 0]
    total, done = sum(map(len, waiting)) or 1, 0
    for group in waiting:
        parts: dict[bytes, list[int]] = {}
        for i in group.tolist():
            done += 1
            tell(0.9 + 0.1 * done / total, f"{done:,} of {total:,} files of equal size compared")
            parts.setdefault(_digest(paths(*of[i]), _PREFIX), []).append(i)
        for part in parts.values():
            if len({of[i][0] for i in part}) < 2:
                continue
            whole: dict[bytes, list[int]] = {}
            for i in part:
                whole.setdefault(_digest(paths(*of[i]), None), []).append(i)
            for same in whole.values():
                train = [i for i in same if of[i][0] == "train"]
                val = [i for i in same if of[i][0] == "val"]
                if train and val:
                    found.duplicated += len(val)
                    if len(found.duplicates) < LISTED:
                        found.duplicates.append(
                            tuple(printable(data.names[of[i][0]][of[i][1]]) for i in (train[0], val[0]))  # type: ignore[arg-type]
                        )
    if found.duplicated:
        first = found.duplicates[0]
        found.warnings.append(
            f"{several(found.duplicated, 'validation file')} with a training file's content, first {first[1]} of {first[0]}; "
            "the figures will be too good; remove one of each"
        )


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _digest(path: Path, most: int | None) -> bytes:
    """A checksum of a file's beginning, or of all of it; of what cannot be read its name."""
    made = hashlib.blake2b(digest_size=16)
    try:
        with open_regular(path) as file:
            while block := file.read(_BLOCK if most is None else most):
                made.update(block)
                if most is not None:
                    break
    except (UserError, OSError):
        return os.fsencode(path)
    return made.digest()


def _counted(found: Look) -> None:
    """Warn of classes that are rare, uneven, or in one split alone."""
    train, val = found.counts.get("train", {}), found.counts.get("val", {})
    if not train:
        return
    what = {"cls": "images", "seg": "images", "video": "videos", "det3d": "objects"}[found.task]
    whole = found.task != "seg" or found.looked == found.files
    for one, other, split, verb in ((train, val, "validation", "measured"), (val, train, "training", "learnt")):
        lacking = [name for name in found.classes if one.get(name) and not other.get(name)]
        if lacking and other:
            seen = "" if whole else " (of those that were read)"
            found.warnings.append(
                f"{several(len(lacking), 'class', 'classes')} in no {split} {what[:-1]}{seen}, not {verb} there: {_some(lacking)}"
            )
    nowhere = [name for name in found.classes if not train.get(name) and not val.get(name)]
    if nowhere and whole:
        found.warnings.append(f"{several(len(nowhere), 'class', 'classes')} without any {what[:-1]}: {_some(nowhere)}")
    few = [name for name in found.classes if 0 < train.get(name, 0) < FEW]
    if few and whole:
        found.warnings.append(
            f"{several(len(few), 'class', 'classes')} with fewer than {FEW} training {what}: {_some(few)}"
        )
    if found.task in ("cls", "video") and 0 < (measured := sum(val.values())) < COARSE:
        found.warnings.append(
            f"{several(measured, f'validation {what[:-1]}')}: each is {100 / measured:.2g} points of a figure, so networks that "
            "are nearly alike are not told apart; a larger data.val_share, or more of them, would help"
        )


def _some(names: list[str]) -> str:
    return ", ".join(printable(name) for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
