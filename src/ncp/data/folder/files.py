"""Files of a user's folder, what a data set of one's own says when something is wrong, and what all four tasks share."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp.card import line
from ncp.commandline import command_line
from ncp.data.base import DataModule
from ncp.data.folder.splits import Rule, as_line, lists_of, read_list
from ncp.data.paths import PathList, folders, hidden
from ncp.data.problems import Problems
from ncp.errors import UserError
from ncp.files import printable, write_bytes

if TYPE_CHECKING:
    from ncp.data.folder.look import Look

log = logging.getLogger(__name__)
QUICK = 8  # samples of each split that are read before a training begins
SPLITS = ("train", "val")


def listed(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """The visible files below a folder that end so, relative to it, sorted."""
    names = []
    for place, inner, files in os.walk(folder):
        inner[:] = [name for name in inner if not hidden(name)]
        below = os.path.relpath(place, folder)
        kept = [name for name in files if name.lower().endswith(tuple(suffixes)) and not hidden(name)]
        names += kept if below == "." else [f"{below}/{name}" for name in kept]
    return sorted(names)


def holds(folder: Path, suffixes: Sequence[str], most: int = 1000) -> bool:
    """Whether a folder holds such a file directly, as far as its first entries tell."""
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if entry.name.lower().endswith(tuple(suffixes)) and not hidden(entry.name):
                    return True
                if number >= most:
                    return False
    except OSError:
        return False
    return False


def wrong_level(root: Path, fits: Callable[[Path], bool]) -> str:
    """What to say of a root of which a folder above or below it would do; nothing where none does."""
    for name in folders(root)[:100]:
        if fits(root / name):
            return f"; this is a level too high: give data.root={printable(root / name)}"
    for above in (root.resolve().parent, root.resolve().parent.parent):
        if fits(above):
            return f"; this is a level too low: give data.root={printable(above)}"
    return ""


def what_is_there(root: Path) -> str:
    """The first names in a folder, for a message."""
    names = [printable(name) for name in sorted(os.listdir(root)) if not hidden(name)]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


class OwnData(DataModule):
    """What the four tasks' data modules share: the root, the split, notes, and how mistakes are told.

    A subclass implements :meth:`find` and :meth:`make_sets`.

    Attributes:
        notes: what was chosen for the user, to be told once.
        problems: what keeps the set from being trained on, after :meth:`look_for`.

    Args:
        root: the set's folder; nothing is written into it.
        train_list, val_list: files that list the splits, one name a line; None: folders, usual lists, or the seeded rule.
        val_share, split_seed: of the seeded rule, see :mod:`ncp.data.folder.splits`.
        partial: leave out what has no label or cannot be matched, instead of refusing it.
        common: see :class:`ncp.data.base.DataModule`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        train_list: str | None = None,
        val_list: str | None = None,
        val_share: float = 0.2,
        split_seed: int = 0,
        partial: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.root, self.rule, self.partial = root, Rule(float(val_share), int(split_seed)), partial
        self.given_lists = (train_list, val_list)
        self.notes: list[str] = []
        self.names: dict[str, PathList] = {}  # the files of each split, relative to the root
        self.source = f"own data in {Path(root).expanduser().name or root}" if root else "own data"

    @abstractmethod
    def find(self, root: Path, problems: Problems) -> None:
        """List files, classes and splits; what is wrong goes to ``problems``."""

    @abstractmethod
    def make_sets(self) -> None:
        """``train_set`` and ``val_set`` of what was found."""

    def look_for(self) -> Problems:
        """:meth:`find`, with its problems collected."""
        root = self._folder()
        problems = Problems(f"data.root='{printable(self.root)}'")
        self.notes.clear()
        with problems.collecting():
            self.find(root, problems)
        return problems

    @abstractmethod
    def look_at(self, found: Look, look: int | None, problems: Problems, tell: Callable[[float, str], None]) -> None:
        """Read samples for :func:`ncp.data.folder.look.look_over`: counts, sizes, kinds, facts and what is wrong."""

    def content_files(self, root: Path) -> Callable[[str, int], Path]:
        """Where the content of a split's sample lies, by which copies are found."""
        return lambda split, number: root / self.names[split][number]

    def prepare(self) -> None:
        """Find the files, read a few of them, and build the two sets.

        Raises:
            UserError: for what keeps the set from being trained on, and the command that shows the rest.
        """
        problems = self.look_for()
        if not len(problems):
            with problems.collecting():
                self.make_sets()
        if not len(problems) and not self.tiny:
            for data in (self.train_set, self.val_set):
                self.read_some(data, problems)
        try:
            problems.check()
        except UserError as error:
            raise UserError(f"{error}; all about this data: {self.look_command()}") from None
        for note in self.notes:
            log.info("%s", note)

    def write_beside(self, path: Path) -> dict[str, Any]:
        """Write what a setting of this set refers to, and the data's options that do so. Default: nothing."""
        return {}

    def read_some(self, data: Any, problems: Problems) -> None:
        """Read a few samples spread over a split."""
        from ncp.data.base import Key

        for item in spread(len(data), QUICK):
            with problems.collecting():
                data[Key(-1, item)]

    def look_command(self) -> str:
        """The command that looks this set over."""
        return command_line("data", root=str(self.root), task=self.task)

    @property
    def known_as(self) -> str:
        """Its folder's name: one task's sets of one's own are told apart by that."""
        return printable(self.source)

    @property
    def place(self) -> Path:
        """The root as a path."""
        return Path(str(self.root)).expanduser()

    def _folder(self) -> Path:
        if not self.root:
            raise UserError(f"data=folder needs data.root=<your folder>; {self.layout}")
        path = self.place
        if not path.is_dir():
            raise UserError(f"data.root='{printable(self.root)}' is not a folder; {self.layout}")
        try:
            os.listdir(path)
        except OSError as error:
            raise UserError(f"data.root='{printable(self.root)}' cannot be read ({error.strerror})") from None
        return path

    layout: str = ""  # what the folder must hold, in words

    def lists(self, root: Path, divided: bool = False) -> dict[str, list[str]] | None:
        """The names of both splits where lists say so; of a set that its folders divide only lists that are given.

        Raises:
            UserError: for a list that cannot be used, or a name in both.
        """
        files = lists_of(root, *self.given_lists, usual=not divided)
        if files is None:
            return None
        names = {split: read_list(file) for split, file in zip(SPLITS, files, strict=True)}
        both = set(names["train"]) & set(names["val"])
        if both:
            raise UserError(f"{len(both):,} names stand in both lists, first: {printable(min(both))}")
        self.notes.append(f"split: by the lists {printable(files[0].name)} and {printable(files[1].name)}")
        return names

    def lines(self, split: str) -> list[bytes]:
        """The files of a split as a list names them."""
        return [os.fsencode(as_line(name)) for name in self.names.get(split, ())]

    def describe(self, folder: Path) -> None:
        """``train_files.txt`` and ``val_files.txt``: the split, relative to the root, for ``data.train_list`` and
        ``data.val_list``; ``classes.txt``."""
        for split in self.names:
            write_bytes(folder / split_file(split), b"".join(line + b"\n" for line in self.lines(split)))
        write_bytes(folder / "classes.txt", "".join(f"{line(name)}\n" for name in self.classes).encode())


def split_file(split: str) -> str:
    """What the list of a split's files is called."""
    return f"{split}_files.txt"


def spread(count: int, wanted: int | None) -> list[int]:
    """So many numbers below ``count``, spread evenly, ascending; all for None."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [int(i) for i in np.unique(np.linspace(0, count - 1, wanted).astype(int))] if count else []


def in_splits(names: Sequence[str], where: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """For the names of each split, their numbers in ``names``.

    Raises:
        UserError: naming one that is not there, or that stands twice: what is validated must not have been trained on.
    """
    number = {name: i for i, name in enumerate(names)}
    for split, listed_names in where.items():
        absent = next((name for name in listed_names if name not in number), None)
        if absent is not None:
            raise UserError(f"the {split} list names '{printable(absent)}', which is not in the folder")
    found: dict[str, str] = {}
    for split, listed_names in where.items():
        for name in listed_names:
            if name in found:
                places = (
                    f"the lists of {found[name]} and {split} both name"
                    if found[name] != split
                    else f"the {split} list has"
                )
                raise UserError(f"{places} '{printable(name)}'{' twice' if found[name] == split else ''}; name it once")
            found[name] = split
    return {split: [number[name] for name in listed_names] for split, listed_names in where.items()}
