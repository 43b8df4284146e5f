"""Files that are derived from a data set and kept: their place, their names, and folders that are whole or made anew.

A folder is made beside its place, flushed to the disk, sealed with the size and the checksum of every file, and renamed: it
appears complete or not at all, whatever fills the disk or kills the process. When it is used again the seal is checked, so that
what was cut off or altered since is noticed, and replaced.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ncp import files, scratch
from ncp.errors import UserError

log = logging.getLogger(__name__)
SEAL = "sealed.json"


def cache_folder(cache: str | os.PathLike[str] | None) -> Path:
    """Where derived files go: ``cache``, else the user's cache folder (:func:`ncp.files.cache_folder`)."""
    return Path(cache).expanduser() if cache else files.cache_folder()


def stamp(path: str | os.PathLike[str]) -> bytes:
    """A file's name, size and date, for the names of what is derived from it; the name alone where there is no such file."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return os.fsencode(path) + b"||"
    return os.fsencode(path) + f"|{about.st_size}|{about.st_mtime_ns}|".encode()


def sealed_folder(folder: Path, make: Callable[[Path], None], what: str) -> Path:
    """``folder``, as it was made before where its seal holds, else made now.

    Args:
        folder: its place; the name must say everything that the content depends on.
        make: writes the files into the empty folder that it is given.
        what: of the folder, for messages.

    Raises:
        UserError: where it cannot be written; nothing is left then.
    """
    if folder.exists():
        wrong = broken_seal(folder)
        if wrong is None:
            return folder
        log.warning("%s in '%s' cannot be used (%s); made anew", what, files.printable(folder), wrong)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch.folder_beside(folder) as place:
            part = place / "new"
            part.mkdir()
            make(part)
            seal(part)
            _put(part, folder, place / "old")
    except OSError as error:
        raise UserError(
            f"cannot write {what} to '{files.printable(folder.parent)}' ({error.strerror or error}); make room there, or set "
            "data.cache to another folder"
        ) from None
    return folder


def seal(folder: Path) -> None:
    """Flush every file below ``folder`` to the disk and write down its size and checksum."""
    content = {}
    for name, path in sorted(_files(folder).items()):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            content[name] = [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]
    files.write_text(folder / SEAL, json.dumps(content))
    for place in {folder, *(path.parent for path in _files(folder).values())}:
        _flush_folder(place)


def broken_seal(folder: Path) -> str | None:
    """What speaks against the files below ``folder`` being those that were sealed; None where nothing does."""
    try:
        content = files.read_json(folder / SEAL, dict[str, tuple[int, str]])
        there = _files(folder)
        differing = sorted((set(there) - {SEAL}) ^ set(content))
        if differing:
            return f"{files.printable(differing[0])} is {'missing' if differing[0] in content else 'not of it'}"
        for name, (size, checksum) in content.items():
            with files.open_regular(there[name]) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                if os.fstat(file.fileno()).st_size != size or found != checksum:
                    return f"{files.printable(name)} is cut off or altered"
    except UserError as error:
        return str(error)
    except OSError as error:
        return str(error.strerror or error)
    return None


def write_counts(path: Path, content: Any) -> None:
    """Keep plain values in one file, whole or not at all, with their checksum. Raises ``OSError`` where it cannot be written."""
    text = json.dumps(content)
    files.write_text(path, json.dumps({"checksum": hashlib.sha256(text.encode()).hexdigest(), "content": text}))


def read_counts(path: Path, kind: Any, limit: int) -> Any:
    """The same values, of the type ``kind`` (see :func:`ncp.files.checked`).

    Raises:
        UserError: where the file cannot be read, its checksum is another's, or it holds other values; make it anew then.
    """
    about = files.read_json(path, dict[str, str], limit)
    text = about.get("content", "")
    if about.get("checksum") != hashlib.sha256(text.encode()).hexdigest():
        raise UserError("its checksum is wrong")
    where = f"'{files.printable(path)}'"
    return files.checked(files.parse_json(text, where), kind, where)


def _files(folder: Path) -> dict[str, Path]:
    """Everything below a folder that is no folder, by its path within it."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            found[path.relative_to(folder).as_posix()] = path
    return found


def _put(part: Path, folder: Path, aside: Path) -> None:
    """Give a finished folder its place, unless another process has put a whole one there meanwhile."""
    try:
        os.replace(part, folder)
    except OSError:
        if not folder.exists():
            raise
        if broken_seal(folder) is None:
            return
        os.replace(folder, aside)
        os.replace(part, folder)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
