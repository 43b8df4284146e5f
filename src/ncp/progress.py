"""How far a long piece of work is: of one with a bar, of one of several steps with lines (which step, how far, until when).

Standard library alone; what a bar is drawn with is imported when one is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from ncp import terminal

Progress = Callable[[float, str], None]
"""Called with the part that is done (0..1) and a line about it."""


@contextlib.contextmanager
def bar(title: str, after: float = 0.0) -> Iterator[Progress]:
    """Yields what is told the progress: a bar on stderr where that is a terminal, from ``after`` seconds on."""
    began = time.monotonic()
    drawn = None if after else terminal.Progress(title, total=1.0, counted=False)

    def tell(done: float, note: str) -> None:
        nonlocal drawn
        if drawn is None and done < 1 and time.monotonic() - began > after:
            drawn = terminal.Progress(title, total=1.0, counted=False)
        if drawn is not None:
            drawn.tell(done, note)

    try:
        yield tell
    finally:
        if drawn is not None:
            drawn.stop()


def part(progress: Progress | None, number: int, of: int, name: str = "") -> Progress | None:
    """The progress of one of several equal parts of a work, ``number`` from 0; ``name`` stands before its lines."""
    if progress is None:
        return None
    return lambda done, text: progress((number + done) / of, f"{name}, {text}" if name else text)


class Steps:
    """Lines about steps that are done one after the other: one when a step begins, more while it takes long.

    Args:
        work: the steps in order, name -> how much work each is (in any unit, trainings for example): the expected end follows
            from how long the work took that is done.
        tell: takes each line, for example ``log.info``.
        every: seconds between two lines of one step.
        now: tells the time in seconds.
        unit: of the work, as lines name it.

    Attributes:
        weights: of steps whose work takes longer than that of others: how many times as long; may be set when it is known.
        expected: some work, and the seconds that it is expected to take: counts like work that is done, so that the first
            short step tells little about the rest.
        there: of steps to come, how much of their work an earlier start has done; may be set when it is known.
    """

    def __init__(
        self,
        work: Mapping[str, float],
        tell: Callable[[str], object],
        every: float = 30.0,
        now: Callable[[], float] = time.monotonic,
        unit: str = "",
    ) -> None:
        self.unit = f"{unit} " if unit else ""
        self.work, self.tell, self.every, self._now = dict(work), tell, every, now
        self._began = now()
        self._finished: list[str] = []
        self._found = 0.0  # work that an earlier start had done
        self.weights: dict[str, float] = {}
        self.expected: tuple[float, float] = (0.0, 0.0)
        self.there: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str, done: Callable[[], float] | None = None) -> Iterator[None]:
        """Around the work of a step.

        Args:
            name: of the step.
            done: says how much of its work is done; it is asked from another thread, and what it raises is passed over.
        """
        self.work.setdefault(name, 1.0)
        there = None
        if done is not None:
            with contextlib.suppress(Exception):  # a look at files that others write
                there = done()
            self.there[name] = there or 0.0
            self._was_there(name)
        self.tell(self.line(name, 0.0 if done is not None and there is None else there))
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(name, done, ended), daemon=True)
        watcher.start()
        try:
            yield
            self._was_there(name)
            self._finished.append(name)
        finally:
            ended.set()
            watcher.join()

    def _watch(self, name: str, done: Callable[[], float] | None, ended: threading.Event) -> None:
        while not ended.wait(self.every):
            part = None
            with contextlib.suppress(Exception):  # a look at files that others write
                part = done() if done is not None else None
            self.tell(self.line(name, part))

    def line(self, name: str, done: float | None = None) -> str:
        """What is being done, n of m, and when the end is expected."""
        number = min(len(self._finished) + 1, len(self.work))
        out = f"step {number} of {len(self.work)}, {name}"
        if done is not None:
            out += f": {done:g} of {self.work[name]:g} {self.unit}done"
        before = sum(self._weight(step) * self.work[step] for step in self._finished)
        so_far = before + self._weight(name) * min(done or 0.0, self.work[name])
        ahead = sum(self._weight(step) * min(part, self.work.get(step, 0.0)) for step, part in self.there.items())
        left = sum(self._weight(step) * self.work[step] for step in self.work) - so_far - ahead
        new = so_far - self._found
        elapsed = self._now() - self._began
        work, seconds = self.expected
        if elapsed > 1:
            out += f"; {terminal.duration(elapsed)} so far"
        if new + work > 0 and elapsed + seconds > 1:
            end = terminal.clock((elapsed + seconds) / (new + work) * left)
            out += f"{',' if elapsed > 1 else ';'} end expected at {end}"
        return out

    def _was_there(self, name: str) -> None:
        """From now on what an earlier start did of a step is told as done."""
        self._found += self._weight(name) * min(self.there.pop(name, 0.0), self.work[name])

    def _weight(self, name: str) -> float:
        return self.weights.get(name, 1.0)
