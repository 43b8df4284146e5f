"""Files and folders that are being written: they lie beside their place under a name of their own, and none is left.

What ends well is renamed, what fails or is told to end (SIGTERM, Ctrl-C) removes what it began. A process that is killed
(SIGKILL, the system runs out of memory, power) can remove nothing; so whoever makes something holds a lock on it, which the
system frees with the process, and the first time that a process writes into a folder it removes what lies there under such a
name without a lock. On file systems without locks nothing is removed. Some shared ones (BeeGFS, Lustre with localflock, NFS
with local_lock) keep locks to one machine; so the names say of which machine they are, and another machine's are left alone,
as are those of programs that name theirs in a similar way.

Needs the standard library and :mod:`ncp.signals`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ncp import signals

try:
    import fcntl
except ImportError:  # Windows has no such locks: what a killed process left stays there
    fcntl = None  # type: ignore[assignment]

HERE = f"{zlib.crc32(os.fsencode(os.uname().nodename)) if fcntl is not None else 0:08x}"
"""This machine, in the names."""
_FILE = re.compile(rf"\..{{0,40}}\.{HERE}-[a-z0-9_]{{8}}\.tmp(\..*)?", re.DOTALL)
_FOLDER = re.compile(rf"\.part-{HERE}-[a-z0-9_]{{8}}")
_cleared: set[str] = set()


@contextlib.contextmanager
def file_beside(path: Path) -> Iterator[Path]:
    """A new empty file beside ``path``, with its ending; it is gone at the end unless it was renamed.

    Raises:
        OSError: where the folder does not exist or cannot be written.
    """
    clear_once(path.parent)
    made: Path | None = None
    held: int | None = None
    try:
        with signals.deferred():
            while made is None:
                held, name = tempfile.mkstemp(
                    prefix=f".{path.stem[:40]}.{HERE}-", suffix=f".tmp{path.suffix}", dir=path.parent
                )
                if _hold(held):
                    made = Path(name)
                else:
                    os.close(held)
                    held = None
            if fcntl is None:  # an open file cannot be renamed there
                os.close(held)  # type: ignore[arg-type]
                held = None
        yield made
    finally:
        with signals.deferred():
            if made is not None:
                made.unlink(missing_ok=True)
            if held is not None:
                os.close(held)


@contextlib.contextmanager
def folder_beside(place: Path) -> Iterator[Path]:
    """A new empty folder beside ``place``; it is gone at the end with all that is in it. Raises as :func:`file_beside` does."""
    clear_once(place.parent)
    made: Path | None = None
    held: int | None = None
    try:
        with signals.deferred():
            while made is None:
                name = tempfile.mkdtemp(prefix=f".part-{HERE}-", dir=place.parent)
                try:
                    held = os.open(name, os.O_RDONLY) if fcntl is not None else None
                except FileNotFoundError:  # another process took it for a leftover
                    continue
                if held is None or _hold(held):
                    made = Path(name)
                else:
                    os.close(held)
                    held = None
        yield made
    finally:
        with signals.deferred():
            if made is not None:
                shutil.rmtree(made, ignore_errors=True)
            if held is not None:
                os.close(held)


def clear_once(folder: Path) -> None:
    """:func:`clear` at the first call for a folder in this process."""
    key = os.path.abspath(folder)
    if key not in _cleared:
        _cleared.add(key)
        clear(folder)


def clear(folder: Path) -> None:
    """Remove the files and folders of this module that lie in ``folder`` and that no process writes any more."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        left = [Path(folder, e.name) for e in entries if _FILE.fullmatch(e.name) or _FOLDER.fullmatch(e.name)]
        for path in left:
            with contextlib.suppress(OSError):
                _remove_unheld(path)


def _remove_unheld(path: Path) -> None:
    mode = path.lstat().st_mode
    folder = _FOLDER.fullmatch(path.name) is not None
    if not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
        return
    # network file systems lock for writing only what is open for writing
    found = os.open(path, (os.O_RDONLY if folder else os.O_RDWR) | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where another process holds it
        if folder:
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(found)


def _hold(descriptor: int) -> bool:
    """Lock what was just made; False where another process took it for a leftover before that."""
    held = try_lock(descriptor)
    return held is None or (held and os.fstat(descriptor).st_nlink > 0)


def try_lock(file: Any) -> bool | None:
    """Take the lock of an open file or folder: whether this process holds it now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True
