"""What classification and segmentation on a user's images share: how the images are read, told and kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncp.data.folder import reading
from ncp.data.folder.files import OwnData
from ncp.data.folder.look import Look
from ncp.data.problems import Problems


class OwnPictures(OwnData):
    """Images of any kind that :mod:`ncp.data.folder.reading` reads.

    Args:
        root, common: see :class:`ncp.data.folder.files.OwnData`.
        channels, low, high, mean, std: see :func:`ncp.data.folder.reading.find`.
    """

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

    def read_as(self, training: Sequence[str]) -> reading.Reading:
        """How the set is read, from its training images; the network's input follows it."""
        self.reading = reading.find(training, **self.how)
        self.in_channels, self.mean, self.std = self.reading.channels, self.reading.mean, self.reading.std
        return self.reading

    def resolved(self) -> dict[str, Any]:
        """How images are read, which a checkpoint needs wherever it is used."""
        return self.reading.resolved()

    def note_reading(self, found: Look, paths: Sequence[Path], problems: Problems) -> None:
        """Tell how the training images that could be read are read; what does not fit together is a problem."""
        if not paths:
            return
        with problems.collecting():
            read = reading.find(paths, **self.how)
            found.facts |= {"channels": read.channels, "photographs": read.photo}
            if read.resolved():
                found.facts["reading"] = read.resolved()
