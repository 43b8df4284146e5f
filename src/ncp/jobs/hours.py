"""How long a discovery takes: measured on a few steps beforehand, and kept to while it runs."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from ncp import files, jobs
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.tasks.trial import Trial

log = logging.getLogger(__name__)
FILE = "trial.json"
LIMIT = 2**16  # bytes of it
Seconds = Annotated[float, Meta(ge=0, le=1e9)]


class Kept(Struct, frozen=True):
    """A trial as it lies in a discovery's folder: what was tried, where, and what came of it."""

    words: Annotated[str, Meta(max_length=100)]
    machine: Annotated[str, Meta(max_length=300)]
    steps: Annotated[int, Meta(ge=0, le=10**9)]
    evaluations: Annotated[int, Meta(ge=0, le=10**9)]
    step: Seconds
    evaluation: Seconds
    checkpoint_mb: Annotated[float, Meta(ge=0, le=1e9)]


def tried(words: Sequence[str], place: Path) -> Trial:
    """A few steps of a training, or what they took when an earlier start on this machine tried the same.

    Args:
        words: of the training.
        place: the discovery's folder, in which the trial is remembered.

    Raises:
        UserError: as a training does.
    """
    from ncp.tasks import trial

    digest, machine = hashlib.sha256("\n".join(words).encode()).hexdigest(), socket.gethostname()
    file = place / FILE
    if file.is_file():
        try:
            kept = files.read_json(file, Kept, LIMIT)
        except UserError as error:
            log.info("%s; it is made anew", error)
        else:
            if (kept.words, kept.machine) == (digest, machine):
                found = msgspec.structs.asdict(kept)
                return trial.Trial(**{name: found[name] for name in trial.Trial.__dataclass_fields__})
    with tempfile.TemporaryDirectory(prefix="ncp-trial-") as scratch:
        made = trial.run(jobs.options("train", *words), Path(scratch))
    files.write_text(file, json.dumps({"words": digest, "machine": machine, **asdict(made)}))
    return made


@dataclass
class Clock:
    """What is still begun within a limit of hours, counted from its making.

    Attributes:
        hours: the limit; None for none.
        reserve: seconds that the comparison at the end needs.
    """

    hours: float | None
    reserve: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    def left(self) -> float | None:
        """Hours that are left; None for any number."""
        return None if self.hours is None else max(0.0, self.hours - (time.monotonic() - self._began) / 3600)

    def words(self) -> list[str]:
        """For a build of trainings to learn from: for how long it begins some."""
        left = self.left()
        return [] if left is None else [f"build.hours={max(0.0, left - self.reserve / 3600):.6f}"]
