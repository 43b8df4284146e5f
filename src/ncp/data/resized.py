"""Copies of a segmentation set at one small size, made once and kept in the cache as two memory-mapped files.

A folder of copies is whole or not there: it is filled beside its place, flushed to the disk, and renamed. Its ``complete.json``
holds the sizes and checksums of both files; copies that differ from them are made anew. The room on the disk is taken before
the first image is read, so that a full disk is an error at once and never a file with holes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ncp.data.base import Loader, worker_count
from ncp.data.segmentation import ArrayPairs, Pairs
from ncp.errors import UserError
from ncp.files import cache_folder, printable, read_json, write_text

NAMES = ("images.npy", "labels.npy")
MARKER = "complete.json"
CHUNK = 2**24


def small_copies(pairs: Pairs, cache: str | os.PathLike[str] | None = None) -> ArrayPairs:
    """Resize every pair once and keep the result.

    Args:
        pairs: with ``size``.
        cache: folder of the copies; None: the user's cache folder (:func:`ncp.files.cache_folder`). The name of the set's own
            folder there depends on the files, their sizes and dates, and the target size.

    Raises:
        UserError: when the copies cannot be written, or an image cannot be read.
    """
    assert pairs.size is not None
    base = Path(cache).expanduser() if cache else cache_folder()
    target = base / f"resized-{pairs.size[0]}x{pairs.size[1]}-{_key(pairs)}"
    if not _complete(target):
        try:
            with _scratch(target) as folder:
                _write_copies(pairs, folder)
                _publish(folder, target)
        except OSError as error:
            raise UserError(
                f"cannot write the resized copies to '{printable(base)}' ({error.strerror or error}); they need "
                f"{_bytes_needed(pairs) / 1e9:,.2f} GB: make room, or set data.cache to another folder"
            ) from None
    images, labels = (np.load(target / name, mmap_mode="r") for name in NAMES)
    return ArrayPairs(images, labels)


def _key(pairs: Pairs) -> str:
    digest = hashlib.sha256(repr((pairs.size, pairs.label_map.table.tolist())).encode())
    for paths in (pairs.images, pairs.labels):
        for name in paths:
            about = os.stat(name)
            digest.update(os.fsencode(name) + f"|{about.st_size}|{about.st_mtime_ns}|".encode())
    return digest.hexdigest()[:16]


def _bytes_needed(pairs: Pairs) -> int:
    assert pairs.size is not None
    return len(pairs) * pairs.size[0] * pairs.size[1] * 4


def _complete(target: Path) -> bool:
    """Whether both files are what the marker says they are."""
    try:
        marker = read_json(target / MARKER, dict[str, tuple[int, int]])
        return set(marker) == set(NAMES) and all(_measured(target / name) == marker[name] for name in NAMES)
    except (UserError, OSError):
        return False


def _measured(path: Path) -> tuple[int, int]:
    """Size and checksum of a file."""
    size = check = 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            size, check = size + len(chunk), zlib.crc32(chunk, check)
    return size, check


@contextlib.contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, target: Path) -> None:
    """Rename the folder; what was there and is not whole makes way."""
    os.chmod(folder, 0o755)
    try:
        folder.rename(target)
    except OSError:
        if _complete(target):  # another process was faster; its copies are the same
            return
        with _scratch(target) as aside:
            target.rename(aside / "damaged")
            folder.rename(target)


def _write_copies(pairs: Pairs, folder: Path) -> None:
    from rich.progress import track

    assert pairs.size is not None
    shapes = ((len(pairs), 3, *pairs.size), (len(pairs), *pairs.size))
    workers = worker_count() if len(pairs) > 64 else 0
    loader = Loader(pairs, batch_size=None, num_workers=workers)  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(folder / name, "wb")) for name in NAMES]
        for file, shape in zip(files, shapes, strict=True):
            _begin(file, shape)
        for planes in track(loader, f"Resizing {len(pairs)} images once", total=len(pairs)):
            for file, plane in zip(files, planes, strict=True):
                file.write(np.ascontiguousarray(plane.numpy()).data)
        for file in files:
            file.flush()
            os.fsync(file.fileno())

    write_text(folder / MARKER, json.dumps({name: _measured(folder / name) for name in NAMES}))


def _begin(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """The head of a ``.npy`` file, and the room for the rest."""
    head: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)
    if hasattr(os, "posix_fallocate"):
        file.flush()
        try:
            os.posix_fallocate(file.fileno(), 0, file.tell() + int(np.prod(shape, dtype=np.int64)))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):  # not every file system can
                raise
