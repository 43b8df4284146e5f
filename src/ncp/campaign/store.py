"""The few operations that a build needs of a shared file system, so that a simulated one can take its place in tests.

All of them are atomic on POSIX file systems and on NFS: a file appears complete or not at all, and of several processes
that create the same file exactly one is told that it did.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import stat
import time
from pathlib import Path, PurePosixPath
from typing import Protocol

from ncp import files, scratch
from ncp.errors import UserError

LIMIT = 16 * 2**20
"""Bytes of a record, a lease or a note of a failure; a plan may have more (``ncp.campaign.plan.LIMIT``)."""
AHEAD = 300.0
"""Seconds that a file's time may lie ahead of the file system's clock; one from further in the future says nothing."""


class Unusable(UserError):
    """What carries a file's or a folder's name is something else, a link out of the build, or larger than any of its kind."""


def inside(name: str) -> str:
    """``name`` if it stays inside the build's folder.

    Raises:
        UserError: for an absolute name, one that goes up, or one that is no name.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or any(ord(letter) < 32 for letter in name):
        raise UserError(f"'{files.printable(name)[:80]}' lies outside of the build's folder")
    return name


class Store(Protocol):
    """Names are relative, with slashes; folders come into being with the first file in them."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that does not exist yet; False (and nothing changes) where it does."""
        ...

    def read(self, name: str, limit: int = LIMIT) -> bytes | None:
        """A file's content, None where there is none. Raises ``Unusable`` for a pipe, a folder, or more bytes than that."""
        ...

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, unsorted; nothing where there is none. Raises ``Unusable`` for what is no folder."""
        ...

    def touch(self, name: str) -> None:
        """Set a file's time to now."""
        ...

    def age(self, name: str) -> float | None:
        """Seconds since a file was written or touched, by the file system's own clock; None where there is no file.

        Infinity where its time says nothing: it lies in the future, or there is no regular file of that name.
        """
        ...

    def move(self, old: str, new: str) -> bool:
        """Give a file another name in its folder; False where there is none."""
        ...


class Folder:
    """A :class:`Store` in a folder.

    Args:
        root: the folder; made where there is none.
        reading: write nothing at all, neither here nor later; ages are then by this machine's clock.

    Raises:
        UserError: where the folder cannot be made, read or written.

    A folder below the root that is a link is refused: whatever it leads to is not this build's to read or to write.
    """

    def __init__(self, root: str | Path, reading: bool = False) -> None:
        self.root, self.reading = Path(root), reading
        self._token = f"{os.getpid()}-{secrets.token_hex(4)}"
        if reading:
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder '{root}' ({error.strerror}); give another build.dir") from None

    def path(self, name: str) -> Path:
        """Where a name lies.

        Raises:
            UserError: for a name that leaves the folder (names may come out of files).
        """
        return self.root / inside(name)

    def folder(self, name: str) -> Path:
        """Where a folder of the build lies, whether there is one or not. Raises ``Unusable`` where something else does."""
        path = self.path(name)
        self._check_folders(path)
        return path

    def create(self, name: str, content: bytes) -> bool:
        """Write beside the place, then give it its name, which fails where the name is taken."""
        assert not self.reading, "a folder that was opened for reading"
        path = self.path(name)
        self._check_folders(path.parent)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.file_beside(path) as made:
                os.chmod(made, 0o666 & ~files.umask())
                _write(made, content)
                return _link(made, path)
        except OSError as error:
            raise UserError(f"cannot write '{path}' ({error.strerror}); give another build.dir, or make room") from None

    def read(self, name: str, limit: int = LIMIT) -> bytes | None:
        """The content, None where there is none."""
        path = self.path(name)
        self._check_folders(path.parent)
        try:
            return files.read_bytes(path, limit)
        except UserError as error:
            about = _about(path)
            if about is None:
                return None
            odd = not stat.S_ISREG(about.st_mode) or about.st_size > limit
            raise Unusable(str(error)) if odd else error from None

    def names(self, folder: str) -> list[str]:
        """Without the files that are being written."""
        path = self.folder(folder)
        try:
            return [entry for entry in os.listdir(path) if not entry.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(
                f"'{path}' cannot be listed ({error.strerror}); it should be a folder of this build"
            ) from None

    def touch(self, name: str) -> None:
        """By the file system's clock, not this machine's."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path(name))

    def age(self, name: str) -> float | None:
        """Against a file touched now: machines' clocks differ, the file system's does not from itself."""
        path = self.path(name)
        then = _modified(path)
        if then is None or math.isinf(then):
            return None if then is None else math.inf
        age = (time.time() if self.reading else self._now()) - then
        return math.inf if age < -AHEAD else max(0.0, age)

    def move(self, old: str, new: str) -> bool:
        """Renamed: whatever it is, it is not read and nothing of it is lost."""
        assert not self.reading, "a folder that was opened for reading"
        try:
            os.rename(self.path(old), self.path(new))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UserError(f"cannot rename '{self.path(old)}' ({error.strerror})") from None
        return True

    def _check_folders(self, path: Path) -> None:
        """Raise ``Unusable`` where a part of the way from the root to the folder ``path`` is something else than a folder."""
        for part in reversed([path, *path.parents][: len(path.relative_to(self.root).parts)]):
            try:
                mode = part.lstat().st_mode
            except FileNotFoundError:
                return
            except OSError as error:
                raise UserError(f"'{part}' cannot be looked up ({error.strerror})") from None
            if not stat.S_ISDIR(mode):
                kind = "a link" if stat.S_ISLNK(mode) else "no folder"
                raise Unusable(
                    f"'{files.printable(part)}' is {kind}, where this build keeps a folder; remove or rename it"
                )

    def _now(self) -> float:
        """What the file system's clock says."""
        probe = self.root / ".clock" / self._token
        try:
            probe.parent.mkdir(exist_ok=True)
            probe.touch()
            with open(probe, "rb") as file:
                now = os.fstat(file.fileno()).st_mtime
        except OSError as error:
            raise UserError(f"cannot write '{probe.parent}' ({error.strerror}); it is to be a folder") from None
        with contextlib.suppress(OSError):
            probe.unlink()
        return now


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _modified(path: Path) -> float | None:
    """A regular file's time; infinity for anything else of that name, None where there is nothing."""
    try:  # opened first: network file systems then ask the server instead of their cache
        with files.open_regular(path) as file:
            return os.fstat(file.fileno()).st_mtime
    except UserError:  # perhaps it may not be read; its time may
        about = _about(path)
    if about is None:
        return None
    return about.st_mtime if stat.S_ISREG(about.st_mode) else math.inf


def _about(path: Path) -> os.stat_result | None:
    """What the file system knows of a name; None where it knows none."""
    try:
        return path.stat()
    except FileNotFoundError:
        return path.lstat() if path.is_symlink() else None
    except OSError as error:
        raise UserError(f"'{path}' cannot be looked up ({error.strerror})") from None


def _link(made: Path, path: Path) -> bool:
    """A hard link is the one exclusive creation that holds on every NFS; its answer may get lost, the count of names not."""
    try:
        os.link(made, path)
        return True
    except FileExistsError:
        return os.stat(made).st_nlink == 2
    except OSError:  # a file system without hard links
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        try:
            with open(file, "wb") as out:
                out.write(made.read_bytes())
                out.flush()
                os.fsync(out.fileno())
        except OSError:
            path.unlink(missing_ok=True)  # no half of a file
            raise
        return True
