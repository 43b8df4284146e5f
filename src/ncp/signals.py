"""Signals that ask a process to end, or a training to write a checkpoint.

SIGTERM, SIGINT (Ctrl-C) and SIGHUP (the terminal was closed) raise :class:`Interrupted` in the main thread, so what was begun is
put away and records are written; a command then exits with 128 + the signal's number, as shells expect (143, 130, 129). SIGUSR1,
which a scheduler sends before its time limit, only asks for a checkpoint; the training writes it after the running step.

Needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

END = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))
_SAVE = getattr(signal, "SIGUSR1", None)  # Windows has none


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


class _State:
    owner = 0  # the process whose handlers these are; those that it forks inherit them
    received: int | None = None
    leaving = False
    save = False


def exit_code(error: BaseException) -> int:
    """Of a command that ended with ``error``, a ``KeyboardInterrupt``.

    >>> exit_code(Interrupted(signal.SIGTERM)), exit_code(KeyboardInterrupt())
    (143, 130)
    """
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


@contextlib.contextmanager
def handled(yielding: bool = False) -> Iterator[None]:
    """Within this block the signals mean what this module says. Within another such block, or a thread, it does nothing.

    Args:
        yielding: nor where somebody else handles SIGTERM, such as a cluster's launcher that queues the job again.
    """
    others = yielding and signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN)
    if others or threading.current_thread() is not threading.main_thread() or _State.owner == os.getpid():
        yield
        return
    before: dict[Any, Any] = {}
    for number in END:
        current = signal.getsignal(number)
        # what is ignored stays so (a shell's background jobs do not get Ctrl-C), as do others' handlers, of SIGTERM apart
        if current in (signal.SIG_DFL, signal.default_int_handler) or (
            number == signal.SIGTERM and current not in (None, signal.SIG_IGN)
        ):
            before[number] = signal.signal(number, _end)
    if _SAVE is not None and signal.getsignal(_SAVE) == signal.SIG_DFL:
        before[_SAVE] = signal.signal(_SAVE, _save)
    _State.owner, _State.received, _State.leaving, _State.save = os.getpid(), None, False, False
    try:
        yield
    finally:
        _State.owner = 0
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _State.owner:  # a process that was forked, such as a loader of data
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    _State.received = _State.received or number
    if not _State.leaving:
        raise Interrupted(number)


def _save(number: int, frame: FrameType | None) -> None:
    _State.save = os.getpid() == _State.owner


def check() -> None:
    """Raise :class:`Interrupted` if a signal came whose exception was lost (Python drops those raised in a destructor)."""
    if _State.received is not None and _State.owner == os.getpid():
        raise Interrupted(_State.received)


def received() -> bool:
    """Whether a signal to end came in the newest block of :func:`handled`, whatever a library made of its exception."""
    return _State.received is not None


def interruption() -> KeyboardInterrupt:
    """The exception for the signal that was received, where a library made another one of it."""
    return Interrupted(_State.received) if _State.received is not None else KeyboardInterrupt()


def check_after(error: BaseException, patience: float = 1.0) -> None:
    """Raise :class:`Interrupted` if ``error`` comes of a signal, this process's or one that its loaders got before it."""
    check()
    if "killed by signal: Terminated" in str(error) or "killed by signal: Interrupt" in str(error):
        time.sleep(patience)  # a signal to the whole group is about to arrive: its handler raises
        check()


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """While things are put away further signals are noted and raise nothing."""
    before, _State.leaving = _State.leaving, True
    try:
        yield
    finally:
        _State.leaving = before


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """A signal to end that comes within this short block is raised at its end, so that what belongs together is done."""
    if threading.current_thread() is not threading.main_thread():  # handlers run in the main thread
        yield
        return
    before, received = _State.leaving, _State.received
    _State.leaving = True
    try:
        yield
    finally:
        _State.leaving = before
        if received is None and not before:
            check()


def checkpoint_wanted() -> bool:
    """Whether a checkpoint was asked for that is not written yet."""
    return _State.save


def checkpoint_written() -> None:
    """The checkpoint that was asked for is on the disk."""
    _State.save = False
