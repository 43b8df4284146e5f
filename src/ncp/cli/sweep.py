"""Multiruns: settings written out job by job, and bad jobs left out instead of stopping the good ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ncp import overrides
from ncp.cli import text
from ncp.cli.job import USERS_MISTAKE, Ended
from ncp.errors import UserError
from ncp.jobs import composing, mistakes


class Words:
    """The words of a command line and what Hydra gets for them.

    In a multirun a setting, a task or the data's root may differ from job to job, and with them what the setting stands for.
    Hydra composes one configuration before it makes the jobs: that gets what the first job's words stand for (``written``, at
    the front); :meth:`of_job` takes these off again and writes out the job's own.
    """

    def __init__(self, command: str, file: Path, given: Sequence[str], multirun: bool) -> None:
        self.command, self.file = command, file
        self.written: list[str] = []
        if not multirun:
            self.for_hydra = composing.words_for_hydra(command, given, file)
            return
        adapted = overrides.adapt(given, composing.open_keys(file))
        if command in composing.DEFAULT_SETTING:
            adapted = overrides.by_setting(adapted)
            deciding = [
                overrides.first_choice(word) for word in adapted if overrides.key_of(word) in overrides.DECIDING
            ]
            written = composing.expanded(command, deciding)
            self.written = [word for word in written if word not in deciding and overrides.key_of(word) != "setting"]
        self.for_hydra = [*self.written, *adapted]

    def of_job(self, words: Sequence[str]) -> list[str]:
        """The words of one job of the multirun, its own setting written out. Raises ``UserError`` as :func:`overrides.expand`."""
        assert [overrides.key_of(word) for word in words[: len(self.written)]] == [
            overrides.key_of(word) for word in self.written
        ]
        return composing.words_for_hydra(self.command, words[len(self.written) :], self.file)


@contextlib.contextmanager
def jobs_checked(words: Words, ended: Ended) -> Iterator[None]:
    """Write out each job's setting, and leave those jobs out of a multirun whose configuration cannot be composed, naming them.

    Hydra checks all jobs before the first starts and gives up at the first bad one.
    """
    from hydra.errors import HydraException
    from hydra.plugins.sweeper import Sweeper

    original = Sweeper.validate_batch_is_legal

    def keep_the_good(self: Sweeper, batch: Sequence[Sequence[str]]) -> None:
        good = []
        for given in batch:
            own = given[len(words.written) :]
            try:
                expanded = words.of_job(given)
                original(self, [expanded])
                good.append(expanded)
            except (HydraException, UserError) as error:
                message = mistakes.mistake(error, composing=True, known=list)
                text.say_error(f"job ({' '.join(overrides.shown(own))}): {message}")
                ended.note(USERS_MISTAKE)
        if not good:
            raise UserError("no job of this multirun can start")
        batch[:] = good  # type: ignore[index]

    Sweeper.validate_batch_is_legal = keep_the_good  # type: ignore[method-assign]
    try:
        yield
    finally:
        Sweeper.validate_batch_is_legal = original  # type: ignore[method-assign]


@contextlib.contextmanager
def mode_settled() -> Iterator[None]:
    """Of a command that can be no multirun: Hydra would compose the whole configuration once more only to see that."""
    from hydra._internal.hydra import Hydra
    from hydra.types import RunMode

    original = Hydra.get_mode
    Hydra.get_mode = lambda *_, **__: RunMode.RUN  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = original  # type: ignore[method-assign]
