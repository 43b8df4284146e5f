"""A command that is made of other commands: each is run in this process, timed, and shown as one would type it."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncp import jobs, runs
from ncp.commandline import shell_word
from ncp.errors import UserError
from ncp.progress import Steps

log = logging.getLogger(__name__)
SOME = 3  # trainings: as many done say as much about the end as the expectation does


@dataclass
class Commands:
    """Runs commands as steps of a longer work.

    Attributes:
        folder: of the page at the end; the commands' own folders lie below it, in ``runs``.
        work: the steps in order, name -> how much work each is, in trainings.
        prefix: before each command line that is shown.
        commands, seconds, cpu_seconds: of each step that was run; its command line, its time.
        pictures: of the steps that drew one, relative to the folder.
    """

    folder: Path
    work: Mapping[str, float]
    prefix: str = ""
    commands: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._progress = Steps(self.work, log.info, unit="trainings")

    def expect(self, seconds: float, weights: Mapping[str, float]) -> None:
        """How long a training is expected to take, and steps whose trainings take so many times as long as others."""
        self._progress.weights |= weights
        self._progress.expected = (float(SOME), SOME * seconds)

    def already(self, there: Mapping[str, float]) -> None:
        """How many trainings of steps to come an earlier start has done."""
        self._progress.there = dict(there)

    def leave_out(self, steps: Iterable[str]) -> None:
        """These are not carried out after all."""
        for step in steps:
            self._progress.work.pop(step, None)

    def run(
        self,
        step: str,
        command: str,
        *words: str,
        place: Path | None = None,
        done: Callable[[], float] | None = None,
        unshown: Sequence[str] = (),
    ) -> Any:
        """Run a command; its outcome.

        Args:
            step: its name here.
            command: its name.
            words: ``KEY=VALUE``.
            place: its run folder; None for a new one below ``runs``.
            done: tells how much of the step's work is done.
            unshown: words that only this time needs.

        Raises:
            UserError: where the command does, with its command line.
        """
        place = place or self.folder / "runs" / f"{len(self.commands):02d}-{command}"
        place.mkdir(parents=True, exist_ok=True)
        shown = [word.replace(f"{self.folder}/", "") for word in words]
        self.commands[step] = self.prefix + " ".join([runs.invocation(command), *map(shell_word, shown)])
        with self.timed(step, done):
            try:
                outcome = jobs.module(command).run(jobs.options(command, *words, *unshown), place)
            except UserError as error:
                raise UserError(f"the step '{step}' failed ({error}); its command: {self.commands[step]}") from None
        if (pictures := sorted(place.glob("*.png"))) and place.is_relative_to(self.folder):
            self.pictures[step] = str(pictures[0].relative_to(self.folder))
        return outcome

    @contextlib.contextmanager
    def timed(self, step: str, done: Callable[[], float] | None = None) -> Iterator[None]:
        """Around the work of a step: tells how far it is, and keeps its time."""
        started, before = time.perf_counter(), _processor_time()
        with self._progress.step(step, done):
            yield
        self.seconds[step] = time.perf_counter() - started
        self.cpu_seconds[step] = _processor_time() - before


def _processor_time() -> float:
    """Of this process and of all that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
