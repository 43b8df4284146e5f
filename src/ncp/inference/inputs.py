"""What is to be looked at: the files that ``input`` means, and a name for the results of each that no other has."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ncp import files
from ncp.data.images import SUFFIXES as IMAGES
from ncp.data.paths import hidden
from ncp.data.video_index import VIDEOS
from ncp.errors import UserError

ARRAYS = (".npy",)
SCENES = (".bin", ".npy")
LONGEST = 150  # bytes of a name; a file system has 255, and endings come behind it
_UNFIT = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u2028\u2029\u202a-\u202e\u2066-\u2069]')


@dataclass(frozen=True)
class Input:
    """A file.

    Attributes:
        path: of it.
        shown: how results call it, on one line: below the folder that was given, else its name.
        name: of its results, without an ending, below the folder of results; no two inputs have the same.
    """

    path: Path
    shown: str
    name: str

    @property
    def is_video(self) -> bool:
        """Whether its ending is a video's."""
        return self.path.suffix.lower() in VIDEOS


def endings(task: str) -> tuple[str, ...]:
    """The endings of files in a folder that a task looks at."""
    if task == "det3d":
        return SCENES
    return VIDEOS if task == "video" else (*IMAGES, *ARRAYS, *VIDEOS)


def listed(given: str | Sequence[str], task: str, out: Path) -> list[Input]:
    """The files that ``input`` means.

    Args:
        given: a file, a folder (with all below it that have one of the task's endings, hidden ones left out), or several.
        task: of the network.
        out: the folder of results, which is not looked into.

    Raises:
        UserError: where nothing is there.
    """
    places = [given] if isinstance(given, str) else [str(one) for one in given]
    if not places:
        raise UserError("input is empty; give a file or a folder")
    found: list[tuple[Path, str]] = []
    for place in map(Path, places):
        place = place.expanduser()
        if place.is_dir():
            below = [(place / name, name) for name in _below(place, endings(task), out)]
            if not below:
                raise UserError(f"the folder '{files.printable(place)}' holds no files {', '.join(endings(task))}")
            found += below
        elif place.exists():
            found.append((place, place.name))
        else:
            raise UserError(f"there is no file or folder '{files.printable(place)}'")
    return list(_named(found))


def _below(folder: Path, wanted: Sequence[str], out: Path) -> Iterator[str]:
    """Names below a folder, sorted; links to folders are not followed."""
    left_out = os.path.realpath(out)
    if os.path.realpath(folder) == left_out:
        raise UserError(f"out='{files.printable(out)}' is the input's own folder; give another one for the results")
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(
            name for name in inner if not hidden(name) and os.path.realpath(Path(place) / name) != left_out
        )
        below = os.path.relpath(place, folder)
        for name in sorted(names):
            if name.lower().endswith(tuple(wanted)) and not hidden(name):
                yield name if below == "." else f"{below}/{name}"


def _named(found: Sequence[tuple[Path, str]]) -> Iterator[Input]:
    parts = [[_fit(part) for part in shown.split("/")] for _, shown in found]
    # a file's results are its name and an ending, and must not meet a folder of that name: a.jpg beside a folder a.png
    taken = {before for folders in parts for before in _before_endings(folders[:-1])}
    limit = len(found) + len(taken)
    for (path, shown), (*folders, last) in zip(found, parts, strict=True):
        stem = os.path.splitext(last)[0] or last
        candidates = [stem, last, *(f"{stem}-{number}" for number in range(2, 3 + limit))]
        name = next(n for n in ("/".join([*folders, one]) for one in candidates) if n.casefold() not in taken)
        taken.add(name.casefold())
        yield Input(path, files.printable(Path(shown)), name)


def _before_endings(folders: Sequence[str]) -> Iterator[str]:
    """Of each of these nested folders its path up to every dot of its name: ``x/a`` and ``x/a.b`` of ``x/a.b.png``."""
    for depth, last in enumerate(folders):
        pieces = last.split(".")
        for end in range(1, len(pieces)):
            yield "/".join([*folders[:depth], ".".join(pieces[:end])]).casefold()


def _fit(part: str) -> str:
    """A part of a path as every file system takes it, and nothing that leaves a folder or hides a file."""
    text = _UNFIT.sub("_", os.fsencode(part).decode("utf-8", "replace")).strip(" ").lstrip(".") or "_"
    while len(text.encode()) > LONGEST:
        text = text[: len(text) // 2 - 4] + text[len(text) // 2 :]
    return text
