"""The few operations that a build needs of a shared file system, so that a simulated one can take its place in tests.

All of them are atomic on POSIX file systems and on NFS: a file appears complete or not at all, and of several processes
that create the same file exactly one is told that it did.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Protocol

from ncp.errors import UserError


class Store(Protocol):
    """Names are relative, with slashes; folders come into being with the first file in them."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that does not exist yet; False (and nothing changes) where it does."""
        ...

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is none."""
        ...

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, unsorted; nothing where there is none."""
        ...

    def touch(self, name: str) -> None:
        """Set a file's time to now."""
        ...

    def age(self, name: str) -> float | None:
        """Seconds since a file was written or touched, by the file system's own clock; None where there is no file."""
        ...


class Folder:
    """A :class:`Store` in a folder.

    Raises:
        UserError: where the folder cannot be made or written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._token = f"{os.getpid()}-{secrets.token_hex(4)}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder '{root}' ({error.strerror}); give another build.dir") from None

    def path(self, name: str) -> Path:
        """Where a name lies."""
        return self.root / name

    def create(self, name: str, content: bytes) -> bool:
        """Write beside the place, then give it its name, which fails where the name is taken."""
        path = self.path(name)
        scratch = path.with_name(f".{path.name}.{self._token}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(scratch, content)
            return _link(scratch, path)
        except OSError as error:
            raise UserError(f"cannot write '{path}' ({error.strerror}); give another build.dir, or make room") from None
        finally:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """The content, None where there is none."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Without the files that are being written."""
        try:
            return [entry for entry in os.listdir(self.path(folder)) if not entry.startswith(".")]
        except FileNotFoundError:
            return []

    def touch(self, name: str) -> None:
        """By the file system's clock, not this machine's."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path(name))

    def age(self, name: str) -> float | None:
        """Against a file touched now: machines' clocks differ, the file system's does not from itself."""
        try:
            then = _modified(self.path(name))
        except FileNotFoundError:
            return None
        probe = self.root / ".clock" / self._token
        probe.parent.mkdir(exist_ok=True)
        probe.touch()
        now = _modified(probe)
        with contextlib.suppress(OSError):
            probe.unlink()
        return max(0.0, now - then)


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _modified(path: Path) -> float:
    """Opened first: network file systems then ask the server instead of their cache."""
    with open(path, "rb") as file:
        return os.fstat(file.fileno()).st_mtime


def _link(scratch: Path, path: Path) -> bool:
    """A hard link is the one exclusive creation that holds on every NFS; its answer may get lost, the count of names not."""
    try:
        os.link(scratch, path)
        return True
    except FileExistsError:
        return os.stat(scratch).st_nlink == 2
    except OSError:  # a file system without hard links
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with open(file, "wb") as out:
            out.write(scratch.read_bytes())
        return True
