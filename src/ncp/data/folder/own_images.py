"""What classification and segmentation on a user's own images share: how the images are read, and where they lie."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ncp.data.folder import reading
from ncp.data.folder.files import OwnData
from ncp.data.folder.look import Look
from ncp.data.paths import PathList
from ncp.data.problems import Problems


class OwnImages(OwnData):
    """A set of images, of any number of channels.

    Attributes:
        how: what the user says of the reading.
        reading: how images are read, once the sets are made.

    Args:
        root, common: see :class:`ncp.data.folder.files.OwnData`.
        channels, low, high, mean, std: see :func:`ncp.data.folder.reading.find`.
    """

    reading: reading.Reading

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        channels: int | None = None,
        low: Sequence[float] | None = None,
        high: Sequence[float] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(root, **common)
        self.how: dict[str, Any] = {"channels": channels, "low": low, "high": high, "mean": mean, "std": std}

    def resolved(self) -> dict[str, Any]:
        """How images are read."""
        return self.reading.resolved()

    def paths_of(self, names: Mapping[str, Sequence[str]]) -> dict[str, PathList]:
        """The files of each split, from their names below the root."""
        return {split: PathList.below([(self.place, some)]) for split, some in names.items()}

    def find_reading(self) -> dict[str, PathList]:
        """Decide from the training images how all are read; the images of each split."""
        paths = self.paths_of(self.names)
        self.reading = reading.find(paths["train"], **self.how)
        self.in_channels, self.mean, self.std = self.reading.channels, self.reading.mean, self.reading.std
        return paths

    def note_reading(self, found: Look, paths: Sequence[Path], problems: Problems) -> None:
        """How the training images that could be read are read; what does not fit together is a problem."""
        if not paths:
            return
        with problems.collecting():
            read = reading.find(paths, **self.how)
            found.facts |= {"channels": read.channels, "photographs": read.photo}
            if read.resolved():
                found.facts["reading"] = read.resolved()
