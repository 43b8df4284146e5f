"""HMDB51 and UCF101 in their official layouts.

HMDB51 (Kuehne et al. 2011): ``videos/<class>/*.avi`` (51 folders) and ``splits/<class>_test_split<k>.txt`` with lines
``<file> <0 | 1 | 2>``: 1 for training, 2 for testing, 0 for neither. UCF101 (Soomro et al. 2012): ``videos/<class>/*.avi`` (101
folders) and ``splits/{train,test}list0<k>.txt`` with lines ``<class>/<file>``.

The paper (appendix A.1) takes HMDB51's first split, 3,570 and 1,530 videos, and leaves out the training videos of fewer than 64
frames, after which 2,649 remain. The evaluation keeps its short videos.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ncp.data.base import find_root
from ncp.data.clips import CorruptVideo, VideoData
from ncp.data.paths import inside, visible
from ncp.data.problems import Problems
from ncp.data.video_files import VideoFiles, index_videos
from ncp.errors import UserError
from ncp.files import printable, read_bytes, write_bytes

log = logging.getLogger(__name__)
TRAINING, TESTING = "1", "2"


class Listed(NamedTuple):
    """A split as its files list it: classes and, for each split, paths below ``videos`` with class numbers."""

    classes: list[str]
    training: list[tuple[str, int]]
    testing: list[tuple[str, int]]


def read_hmdb51(folder: Path, split: int) -> Listed:
    """The split files of HMDB51; raises ``UserError`` for those that are malformed, or when there is none."""
    ending = f"_test_split{split}.txt"
    files = visible(folder, f"*{ending}")
    if not files:
        raise UserError(
            f"'{printable(folder)}' holds no files *{ending} (the official split files, unpacked into one folder)"
        )
    out = Listed([file.name.removesuffix(ending) for file in files], [], [])
    problems = Problems(f"'{printable(folder)}'")
    for label, file in enumerate(files):
        for line in _lines(file, problems):
            name, _, mark = line.rpartition(" ")
            if mark not in ("0", TRAINING, TESTING) or not name or "/" in name:
                problems.add(f"'{printable(file)}': a line is '<file> <0, 1 or 2>', found '{printable(line)[:120]}'")
            elif mark != "0":
                part = out.training if mark == TRAINING else out.testing
                part.append((f"{out.classes[label]}/{name.strip()}", label))
    problems.check()
    return out


def read_ucf101(folder: Path, split: int) -> Listed:
    """The split files of UCF101; the classes are those of both lists, sorted as in its ``classInd.txt``."""
    parts: list[list[str]] = []
    problems = Problems(f"'{printable(folder)}'")
    for part in ("train", "test"):
        file = folder / f"{part}list{split:02d}.txt"
        parts.append([])
        if not file.is_file():
            problems.add(
                f"'{printable(folder)}' holds no {file.name} (the official split files, unpacked into one folder)"
            )
            continue
        for path in (line.split()[0] for line in _lines(file, problems)):
            if path.count("/") != 1 or not all(path.split("/")):
                problems.add(f"'{printable(file)}': a line is '<class>/<file>', found '{printable(path)[:120]}'")
                continue
            with problems.collecting():
                parts[-1].append(inside(path, f"'{printable(file)}'"))
    problems.check()
    classes = sorted({path.split("/")[0] for paths in parts for path in paths}, key=str.lower)
    label = {name: i for i, name in enumerate(classes)}
    training, testing = ([(path, label[path.split("/")[0]]) for path in paths] for paths in parts)
    return Listed(classes, training, testing)


def _lines(file: Path, problems: Problems) -> list[str]:
    """The lines that are not empty; names as the file system has them, whatever their encoding."""
    with problems.collecting():
        text = os.fsdecode(read_bytes(file).removeprefix(b"\xef\xbb\xbf"))
        return [line.strip() for line in text.split("\n") if line.strip()]
    return []


class VideoFolders(VideoData):
    """Base of the two: folders of files, a split, a filter by length.

    Args:
        root: folder with ``videos`` and ``splits``.
        split: 1, 2 or 3.
        least_frames: shorter training videos are left out; 1 for none.
        counts: what the split must list, for training and for evaluation, and how many training videos are expected to remain;
            null for any. Other lists are refused, another remainder is reported.
        partial: use what is there of the listed files (a part of the data set) instead of refusing an incomplete one.
        cache: folder of the index (see :func:`ncp.data.video_files.index_videos`).
        common: see :class:`ncp.data.clips.VideoData`.
    """

    title = ""

    def __init__(
        self,
        root: str | None = None,
        *,
        split: int = 1,
        least_frames: int = 64,
        counts: Sequence[int | None] | None = None,
        partial: bool = False,
        cache: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if split not in (1, 2, 3):
            raise UserError(f"data.split must be 1, 2 or 3, given was {split!r}")
        if least_frames < 1:
            raise UserError(f"data.least_frames must be at least 1, given was {least_frames}")
        if counts is not None and len(counts) not in (2, 3):
            raise UserError(f"data.counts holds two or three numbers, or is null, given was {list(counts)}")
        self.root, self.split, self.least_frames, self.partial, self.cache = root, split, least_frames, partial, cache
        self.counts = None if counts is None or self.tiny else [*counts, None][:3]
        self.report: dict[str, int] = {}
        self.source = f"{self.title} split {split}"

    def listed(self, folder: Path) -> Listed:
        """Read the split files."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Read the lists, index the files, leave out what is too short or cannot be read."""
        root = find_root(self.root, ("videos", "splits"), self.title)
        listed = self.listed(root / "splits")
        self.classes = listed.classes
        found = [len(listed.training), len(listed.testing)]
        problems = Problems(f"data.root='{printable(root)}'")
        if self.counts is not None and any(
            want not in (None, n) for want, n in zip(self.counts[:2], found, strict=True)
        ):
            wanted = " and ".join("any number of" if want is None else f"{want:,}" for want in self.counts[:2])
            problems.add(
                f"split {self.split} of '{printable(root)}' lists {found[0]:,} and {found[1]:,} videos, {self.title}'s "
                f"lists {wanted}; data.counts=null takes it as it is"
            )
        there = {
            train: self._present(root / "videos", entries, train, problems)
            for train, entries in ((True, listed.training), (False, listed.testing))
        }
        problems.check()
        for train, files in there.items():
            self._use_files(files, train)
        self.report |= {"listed for training": found[0], "listed for evaluation": found[1]}
        self._say()

    def _present(
        self, folder: Path, entries: Sequence[tuple[str, int]], train: bool, problems: Problems
    ) -> list[tuple[Path, int]]:
        """The listed files that are there."""
        files = [(folder / name, label) for name, label in entries]
        there = [(path, label) for path, label in files if path.is_file()]
        missing = len(files) - len(there)
        if missing and not self.partial and not self.tiny:
            first = next(path for path, _ in files if not path.is_file())
            problems.add(
                f"{missing:,} of the {len(files):,} listed videos are not in '{printable(folder)}', first "
                f"'{printable(first)}'; unpack the class archives there, or use what is there with data.partial=true"
            )
        self.report[f"missing for {'training' if train else 'evaluation'}"] = missing
        return there

    def _use_files(self, there: Sequence[tuple[Path, int]], train: bool) -> None:
        made = index_videos([path for path, _ in there], self.cache)
        kept, short = [], 0
        for (path, label), index in zip(there, made, strict=True):
            if isinstance(index, CorruptVideo):
                self.note_name("training" if train else "validation", printable(path), str(index))
            elif train and index.frames < self.least_frames:
                short += 1
            else:
                kept.append((path, label, index))
        self.use(VideoFiles([k[0] for k in kept], [k[2] for k in kept]), [k[1] for k in kept], train)
        self.report[f"used for {'training' if train else 'evaluation'}"] = len(kept)
        if train:
            self.report["too short"] = short

    def _say(self) -> None:
        r = self.report
        log.info(
            "%s, split %d: %s listed, %s shorter than %d frames, %s missing, %s left for training; %s of %s for evaluation",
            self.title, self.split, f"{r['listed for training']:,}", f"{r['too short']:,}", self.least_frames,
            f"{r['missing for training']:,}", f"{r['used for training']:,}", f"{r['used for evaluation']:,}",
            f"{r['listed for evaluation']:,}",
        )  # fmt: skip
        wanted = self.counts[2] if self.counts is not None else None
        if wanted is not None and wanted != r["used for training"] and not self.partial:
            log.warning(
                "%s training videos are left where the paper has %s", f"{r['used for training']:,}", f"{wanted:,}"
            )

    def describe(self, folder: Path) -> None:
        """``videos.txt``: the training and evaluation files with their frames."""
        lines = []
        for split, source in self.sources.items():
            lines += [f"{split} {source.name(i)} {source.length(i)}" for i in range(len(source))]
        write_bytes(folder / "videos.txt", os.fsencode("\n".join(lines) + "\n"))


class HMDB51(VideoFolders):
    """51 actions; see :class:`VideoFolders`."""

    title = "HMDB51"

    def listed(self, folder: Path) -> Listed:
        """See :func:`read_hmdb51`."""
        return read_hmdb51(folder, self.split)


class UCF101(VideoFolders):
    """101 actions; see :class:`VideoFolders`."""

    title = "UCF101"

    def listed(self, folder: Path) -> Listed:
        """See :func:`read_ucf101`."""
        return read_ucf101(folder, self.split)
