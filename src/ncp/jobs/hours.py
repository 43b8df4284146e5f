"""How long a discovery takes: measured on a few steps beforehand, and kept to while it runs."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from ncp import files, jobs, runs
from ncp.commandline import hydra_value
from ncp.errors import UserError

if TYPE_CHECKING:
    from ncp.tasks.trial import Trial

log = logging.getLogger(__name__)
FILE, FULL = "trial.json", "trial-full.json"
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
    budget: Annotated[float, Meta(ge=0, le=1e18)] | None = None


class Trained(Struct):
    """What is read of a training's result."""

    seconds: dict[str, Seconds] = {}


def tried(words: Sequence[str], place: Path, name: str = FILE) -> Trial:
    """A few steps of a training, or what they took when an earlier start on this machine tried the same.

    Args:
        words: of the training.
        place: the discovery's folder, in which the trial is remembered.
        name: of the file there.

    Raises:
        UserError: as a training does.
    """
    from ncp.tasks import trial

    digest, machine = hashlib.sha256("\n".join(words).encode()).hexdigest(), socket.gethostname()
    file = place / name
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


def measured(place: Path) -> list[tuple[float, float]]:
    """Multiply-adds and seconds of the trainings that a build's folder has results of; none where there is no build."""
    from ncp.campaign import halting
    from ncp.campaign import plan as plans
    from ncp.campaign.store import Folder

    if not (place / plans.FILE).is_file():
        return []
    store = Folder(place, reading=True)
    plan = plans.read(store)
    return list(halting.measured(plan, store, range(len(plan))).values())


def trained_for(place: Path) -> float:
    """Seconds that the training in a run folder took; 0 where it has not come to its end there."""
    if not (place / runs.RESULT_FILE).is_file():
        return 0.0
    where = f"the result in '{files.printable(place)}'"
    read: Trained = files.checked(runs.read_result(place), Trained, where)
    return read.seconds.get("training", 0.0)


@dataclass
class Clock:
    """What trainings take, and what is still begun within a limit of hours.

    Attributes:
        hours: the limit; None for none.
        tried: multiply-adds and seconds of trainings as the trial lets expect them, one or more.
        times: how many times as long a compared training takes as one to learn from.
        learnt_from, compared: multiply-adds and seconds of those that are done.
        at_a_time: how many trainings there were at a time when these were measured.
        began: when it began to count, by ``time.monotonic``.
    """

    hours: float | None
    tried: list[tuple[float, float]] = field(default_factory=lambda: [(1.0, 0.0)])
    times: float = 1.0
    learnt_from: list[tuple[float, float]] = field(default_factory=list)
    compared: list[tuple[float, float]] = field(default_factory=list)
    at_a_time: int = 1
    began: float = field(default_factory=time.monotonic)

    def left(self) -> float | None:
        """Hours that are left; None for any number."""
        return None if self.hours is None else max(0.0, self.hours - (time.monotonic() - self.began) / 3600)

    def seconds(self, macs: Iterable[float]) -> float:
        """That trainings to learn from take, one after the other."""
        from ncp.campaign import halting

        return sum(map(halting.expected(self.learnt_from, self.tried).seconds, macs))

    def seconds_compared(self, macs: Iterable[float]) -> float:
        """That compared trainings take, one after the other."""
        from ncp.campaign import halting

        if not self.compared:
            return self.times * self.seconds(macs)
        return sum(map(halting.Pace.of(self.compared).seconds, macs))

    def too_short(self, macs: Sequence[float]) -> bool:
        """Whether the time that is left is too short for compared trainings of so many multiply-adds; never for none."""
        left = self.left()
        return left is not None and len(macs) > 0 and 3600 * left <= self.seconds_compared(macs) / self.at_a_time

    def words(self, after: Sequence[float], first: int) -> list[str]:
        """For a build of trainings to learn from: until when it begins some.

        Args:
            after: multiply-adds of the trainings to come afterwards.
            first: so many of them alone count while a predictor lacks trainings.
        """
        left = self.left()
        if left is None:
            return []
        then = {
            "macs": [float(macs) for macs in after],
            "tried": [list(point) for point in self.tried],
            "times": self.times,
            "first": first,
        }
        return [f"build.hours={left:.6f}", f"build.after={hydra_value(then)}"]
