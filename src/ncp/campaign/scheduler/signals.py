"""SIGTERM as an orderly end: what is held is handed back, processes that were started end too, and the exit code says so."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

TERMINATED, INTERRUPTED = 128 + signal.SIGTERM, 128 + signal.SIGINT
"""Exit codes of a process that was asked to end: by SIGTERM, by Ctrl-C."""
LEAVING = (TERMINATED, INTERRUPTED, -signal.SIGTERM, -signal.SIGINT)
"""The same as another process sees them, where nobody caught the signal."""


@contextlib.contextmanager
def terminable() -> Iterator[bool]:
    """Let SIGTERM raise ``SystemExit(143)`` while the block runs.

    Whoever handles the signal already (a cluster's launcher that queues the job again, a command line) goes on doing so.
    Without effect outside of the main thread, where Python allows no handlers.

    Yields:
        Whether the signal has this effect.
    """
    free = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if free:
        signal.signal(signal.SIGTERM, _leave)
    try:
        yield free
    finally:
        if free:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore SIGTERM and Ctrl-C while the block runs: it tidies up after one of them, and another often follows."""
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT) if main else ()
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def end_with_parent() -> None:
    """Send this process a SIGTERM when the one that started it (by ``multiprocessing``) has gone, however it went."""
    from multiprocessing import connection, parent_process

    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="parent").start()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
