"""Which files train and which validate: by folders, by lists, or by a fixed rule and a seed.

The rule: within each group (a class, a folder) names are ordered by a checksum of the seed and the name, and the first share of
them, at least one where there are two, validates. So every command gets the same split without a file, on any machine, and a
file that is added moves hardly any other. Every run writes down which files it used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncp.data.paths import folders, inside
from ncp.errors import UserError
from ncp.files import printable, read_bytes

TRAIN, VAL = ("train", "training", "trainset"), ("val", "valid", "validation", "dev")
TEST = ("test", "testing")
LISTS = (("train.txt", "val.txt"), ("splits/train.txt", "splits/val.txt"), ("ImageSets/train.txt", "ImageSets/val.txt"))
_LIMIT = 2**28


@dataclass(frozen=True)
class Rule:
    """The seeded split: the share that validates, and the seed.

    Raises:
        UserError: for a share that is not between 0 and 1.
    """

    share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UserError(f"data.val_share must be between 0 and 1, given was {self.share}")

    def validating(self, names: Sequence[str], groups: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """``(N,)`` bool: which of the names validate; ``groups`` ``(N,)`` are divided each by itself."""
        of_N = np.zeros(len(names), dtype=np.int64) if groups is None else np.asarray(groups)
        keys_N = np.array([checksum(name, self.seed) for name in names], dtype=np.uint64)
        out = np.zeros(len(names), dtype=bool)
        for group in np.unique(of_N):
            members = np.flatnonzero(of_N == group)
            count = min(max(1, round(self.share * len(members))), len(members) - 1)
            out[members[np.argsort(keys_N[members], kind="stable")[:count]]] = True
        return out

    def divided(self, names: Sequence[str], groups: Sequence[int] | np.ndarray | None = None) -> dict[str, list[int]]:
        """The numbers of the names of each split, as :meth:`validating` divides them."""
        validates = self.validating(names, groups)
        return {"train": np.flatnonzero(~validates).tolist(), "val": np.flatnonzero(validates).tolist()}

    def words(self, of: str) -> str:
        """For a notice; ``of`` says what is divided."""
        return f"{self.share:.0%} of {of} validate, drawn by data.split_seed={self.seed}"


def checksum(name: str, seed: int) -> int:
    """A number of 64 bits of a seed and a name."""
    return int.from_bytes(hashlib.blake2b(b"%d|" % seed + os.fsencode(name), digest_size=8).digest(), "big")


def split_folders(folder: Path) -> dict[str, str]:
    """``{"train": name, "val": name}`` of a folder's split folders; those that are there. A test split validates where there is
    no other."""
    there = {name.lower(): name for name in folders(folder)} if folder.is_dir() else {}
    out = {}
    for part, names in (("train", TRAIN), ("val", (*VAL, *TEST))):
        found = next((there[name] for name in names if name in there), None)
        if found is not None:
            out[part] = found
    return out


def read_list(path: Path) -> list[str]:
    """The names in a list of files, one a line, each relative to the set's folder; empty lines and those after a # do not count.
    A name that :func:`as_line` quoted is read as it was.

    Raises:
        UserError: for a file that cannot be read, lists nothing, or a line that leaves the folder.
    """
    shown = printable(path)
    text = os.fsdecode(read_bytes(path, _LIMIT).removeprefix(b"\xef\xbb\xbf"))
    lines = [line.strip() for line in text.split("\n")]
    names = [inside(_name(line), f"'{shown}'") for line in lines if line and not line.startswith("#")]
    if not names:
        raise UserError(f"the list '{shown}' names no files")
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise UserError(f"the list '{shown}' names '{printable(twice)}' twice")
    return names


def as_line(name: str) -> str:
    """A name as a line of a list: as it is, or quoted as JSON quotes where that would be read as another (it holds a line's end,
    begins with ``#``, ...)."""
    return json.dumps(name) if "\n" in name or name != name.strip() or name.startswith(("#", '"')) else name


def _name(line: str) -> str:
    if line.startswith('"'):
        with contextlib.suppress(ValueError):  # a name may begin with a quotation mark
            return str(json.loads(line))
    return line


def lists_of(root: Path, train: str | None, val: str | None, usual: bool = True) -> tuple[Path, Path] | None:
    """The two lists: those that are given (below the root, or anywhere), else (``usual``) the usual ones where both are there;
    None for none.

    Raises:
        UserError: where only one is given.
    """
    if (train is None) != (val is None):
        raise UserError("data.train_list and data.val_list belong together; give both or none")
    if train is not None and val is not None:
        return given_file(root, train), given_file(root, val)
    for one, other in LISTS if usual else ():
        if (root / one).is_file() and (root / other).is_file():
            return root / one, root / other
    return None


def given_file(root: Path, name: str) -> Path:
    """A file that an option of the data names: below the root where there is one, else anywhere."""
    below = root / name
    return below if below.is_file() else Path(name).expanduser()
