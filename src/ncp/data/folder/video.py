"""Video recognition on a user's files: ``CLASS/*.mp4``, split folders of such, or a CSV of path, class and split."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncp import delimited, files, progress
from ncp.data.clips import CorruptVideo, VideoData
from ncp.data.folder.cls import FolderClassification, count_files
from ncp.data.folder.files import SPLITS, OwnData, in_splits
from ncp.data.folder.layouts import TABLE
from ncp.data.folder.look import Look, Refusals, samples
from ncp.data.folder.splits import TEST, TRAIN, VAL, given_file
from ncp.data.paths import inside
from ncp.data.problems import Problems
from ncp.data.video import read_frames
from ncp.data.video_files import VideoFiles, index_videos
from ncp.data.video_index import VIDEOS, Index, index_video
from ncp.errors import UserError
from ncp.files import printable

DECODED = 200  # videos of each split of which a look decodes a frame
_LIMIT = 2**28
_COLUMNS = {
    "path": ("path", "file", "video", "filename", "name"),
    "class": ("class", "label", "category", "action"),
    "split": ("split", "set", "subset", "fold"),
}


class FolderVideos(FolderClassification, VideoData):
    """Videos in folders named after their classes, or listed in a table.

    Args:
        root, common: see :class:`ncp.data.folder.files.OwnData` and :class:`ncp.data.clips.VideoData`.
        table: a CSV with the columns path, class and, where it says so, split; None: ``videos.csv`` of the root, else folders.
        cache: folder of the index (see :func:`ncp.data.video_files.index_videos`).
    """

    task = "video"
    suffixes = VIDEOS
    what = "videos"
    layout = "it must hold a folder of videos for each class, train/CLASS/* and val/CLASS/*, or videos.csv (path,class,split)"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        table: str | None = None,
        cache: str | None = None,
        size: int = 112,
        sampling: str = "segments",
        frames: int = 8,
        stride: int = 8,
        clips: int = 1,
        shuffle: bool = False,
        augmentation: Any = None,
        eval_batch: int = 16,
        train_list: str | None = None,
        val_list: str | None = None,
        val_share: float = 0.2,
        split_seed: int = 0,
        partial: bool = False,
        **common: Any,
    ) -> None:
        how: dict[str, Any] = {
            "sampling": sampling,
            "frames": frames,
            "stride": stride,
            "clips": clips,
            "shuffle": shuffle,
        }
        rule: dict[str, Any] = {"val_share": val_share, "split_seed": split_seed, "partial": partial}
        rule |= {"train_list": train_list, "val_list": val_list, "eval_batch": eval_batch}
        OwnData.__init__(self, root, size=size, augmentation=augmentation, **rule, **how, **common)
        self.table, self.cache = table, cache
        self.labels: dict[str, np.ndarray] = {}
        self.indices: dict[str, list[Index]] = {}
        self.damaged: dict[str, str] = {}  # file -> what is wrong with it

    def find(self, root: Path, problems: Problems) -> None:
        """Classes and files of both splits."""
        table = self._table(root)
        if table is None:
            super().find(root, problems)
            return
        rows = read_table(table)
        self.classes = sorted({label for _, label, _ in rows})
        if len(self.classes) < 2:
            raise UserError(
                f"'{printable(table)}' names one class alone ({printable(self.classes[0])}); at least two are needed"
            )
        missing = [path for path, _, _ in rows if not (root / path).is_file()]
        if missing and not self.partial:
            problems.add(
                f"{len(missing):,} of {len(rows):,} videos of '{printable(table)}' are not in '{printable(root)}', first: "
                f"{printable(missing[0])}; paths are relative to data.root"
            )
        gone = set(missing)
        rows = [row for row in rows if row[0] not in gone]
        names, labels = [path for path, _, _ in rows], np.array([self.classes.index(label) for _, label, _ in rows])
        lists = self.lists(root, divided=True)
        if lists is not None:
            chosen = in_splits(names, lists)
        elif any(split for _, _, split in rows):
            chosen = {part: [i for i, row in enumerate(rows) if row[2] == part] for part in SPLITS}
            self.notes.append(f"split: by {printable(table.name)}")
        else:
            chosen = self.rule.divided(names, labels)
            self.notes.append(f"split: {self.rule.words('each class')}")
        for split, numbers in chosen.items():
            self._use(split, [names[i] for i in numbers], [int(labels[i]) for i in numbers])
            self.fewer(split)
        self.check_both(problems)

    def check_both(self, problems: Problems) -> None:
        """Note classes that only one split has."""
        kinds = {split: set(labels.tolist()) for split, labels in self.labels.items()}
        apart = [self.classes[i] for i in sorted(kinds["train"] ^ kinds["val"])]
        if apart and not self.tiny:
            shown = ", ".join(printable(name) for name in apart[:5])
            problems.add(
                f"the classes differ between the splits: only one has {shown}; both need videos of every class"
            )

    def _table(self, root: Path) -> Path | None:
        if self.table is not None:
            return given_file(root, self.table)
        return root / TABLE if (root / TABLE).is_file() else None

    def look_at(self, found: Look, look: int | None, problems: Problems, tell: Callable[[float, str], None]) -> None:
        """Index all videos, and decode a frame of some."""
        count_files(self, found)
        refused = Refusals(problems, "videos that cannot be read")
        with problems.collecting():
            self.make_sets()
        frames = lengths(self.indices)
        found.measured["frames"] = frames
        if len(frames):
            found.facts |= {
                "frames, least": int(frames.min()),
                "frames, median": float(np.median(frames)),
                "frames, most": int(frames.max()),
            }
        for _, _, path in samples(self, found, look if look is None else min(look, DECODED), tell):
            try:
                size = read_frames(path, [0], index_video(path)).shape[-2:]
            except CorruptVideo as error:
                if not self.damaged:  # told already
                    refused.add(f"'{printable(path)}': {error}")
                continue
            found.sizes[int(size[0]), int(size[1])] += 1
            found.kinds[path.suffix.lower().lstrip(".")] += 1
        refused.end()

    def resolved(self) -> dict[str, Any]:
        """Nothing: videos are RGB."""
        return {}

    def make_sets(self) -> None:
        """Index the files (once; it is cached), and the two sets of those that can be read."""
        problems = Problems(f"data.root='{printable(self.root)}'")
        self.damaged.clear()
        for split, names in self.names.items():
            paths = [self.place / name for name in names]
            with progress.bar(f"indexing {len(paths):,} videos (once)", after=1.0):
                made = index_videos(paths, self.cache)
            kept = []
            for number, index in enumerate(made):
                if isinstance(index, CorruptVideo):
                    self.damaged[names[number]] = str(index)
                else:
                    kept.append((number, index))
            source = VideoFiles([paths[i] for i, _ in kept], [index for _, index in kept])
            labels = self.labels[split][[i for i, _ in kept]]
            self.indices[split] = [index for _, index in kept]
            self.use(source, labels.tolist(), split == "train")
        for name, reason in self.damaged.items():
            if self.partial:
                self.note_name(
                    "training" if name in set(self.names["train"]) else "validation", printable(name), reason
                )
            else:
                problems.add(
                    f"'{printable(name)}': {reason}; replace it, or leave such videos out with data.partial=true"
                )
        problems.check()


def read_table(path: Path) -> list[tuple[str, str, str]]:
    """Path, class and split (``train``, ``val`` or empty) of every row of a CSV.

    Raises:
        UserError: naming the file and the line, for what cannot be used.
    """
    shown = printable(path)
    text = files.read_text(path, _LIMIT)
    lines = list(delimited.lines(text, f"'{shown}'", ";" if ";" in text.partition("\n")[0] else ","))
    head = [cell.strip().lower() for cell in lines[0].fields] if lines else []
    at = {key: next((head.index(name) for name in names if name in head), None) for key, names in _COLUMNS.items()}
    if at["path"] is None or at["class"] is None:
        raise UserError(
            f"'{shown}' must begin with a line of its columns, path,class or path,class,split; it begins with {head[:5]}"
        )
    out = []
    for number, line in lines[1:]:
        cells = {key: line[i].strip() if i is not None and i < len(line) else "" for key, i in at.items()}
        if not cells["path"] or not cells["class"]:
            raise UserError(f"'{shown}', line {number}, lacks a path or a class")
        out.append(
            (
                inside(cells["path"], f"'{shown}', line {number}"),
                cells["class"],
                _split(cells, f"'{shown}', line {number}"),
            )
        )
    if not out:
        raise UserError(f"'{shown}' lists no videos")
    if any(split for *_, split in out) and not all(split for *_, split in out):
        raise UserError(f"'{shown}' gives a split for some videos alone; give it for all or none")
    return out


def _split(cells: Mapping[str, str], where: str) -> str:
    name = cells["split"].lower()
    if not name:
        return ""
    for split, names in (("train", TRAIN), ("val", (*VAL, *TEST))):
        if name in names:
            return split
    raise UserError(f"{where}: split must be train or val, given was '{printable(name)[:40]}'")


def lengths(indices: Mapping[str, Sequence[Index]]) -> np.ndarray:
    """``(N,)``: frames of all videos."""
    return np.array([index.frames for split in indices.values() for index in split], dtype=np.int64)
