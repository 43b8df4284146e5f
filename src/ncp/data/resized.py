"""Copies of a segmentation set at one small size, made once and kept in the cache as two memory-mapped files.

The room on the disk is taken before the first image is read, so that a full disk is an error at once and never a file with
holes, which would end the process when it is read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import IO, Any

import numpy as np

from ncp.data.base import Loader, worker_count
from ncp.data.sealed import cache_folder, sealed_folder, stamp
from ncp.data.segmentation import ArrayPairs, Pairs
from ncp.terminal import Progress

NAMES = ("images.npy", "labels.npy")


def small_copies(pairs: Pairs, cache: str | os.PathLike[str] | None = None) -> ArrayPairs:
    """Resize every pair once and keep the result; copies that were cut off or altered since are made anew.

    Args:
        pairs: with ``size``.
        cache: folder of the copies; None: the user's cache folder (:func:`ncp.files.cache_folder`). The name of the set's own
            folder there depends on the files, their sizes and dates, and the target size.

    Raises:
        UserError: when the copies cannot be written, or an image cannot be read.
    """
    assert pairs.size is not None
    target = cache_folder(cache) / f"resized-{pairs.size[0]}x{pairs.size[1]}-{_key(pairs)}"
    sealed_folder(target, lambda folder: _write_copies(pairs, folder), "the resized copies")
    images, labels = (np.load(target / name, mmap_mode="r") for name in NAMES)
    return ArrayPairs(images, labels)


def _key(pairs: Pairs) -> str:
    digest = hashlib.sha256(repr((pairs.size, pairs.label_map.table.tolist())).encode())
    for paths in (pairs.images, pairs.labels):
        for name in paths:
            digest.update(stamp(name))
    return digest.hexdigest()[:16]


def _write_copies(pairs: Pairs, folder: Path) -> None:
    assert pairs.size is not None
    shapes = ((len(pairs), 3, *pairs.size), (len(pairs), *pairs.size))
    workers = worker_count() if len(pairs) > 64 else 0
    loader = Loader(pairs, batch_size=None, num_workers=workers)  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(folder / name, "wb")) for name in NAMES]
        for file, shape in zip(files, shapes, strict=True):
            _begin(file, shape)
        bar = stack.enter_context(Progress(f"Resizing {len(pairs)} images once", len(pairs)))
        for done, planes in enumerate(loader, start=1):
            bar.tell(done)
            for file, plane in zip(files, planes, strict=True):
                file.write(np.ascontiguousarray(plane.numpy()).data)


def _begin(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Write the head of a ``.npy`` file of bytes, and take the room for the rest."""
    head: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)
    file.flush()
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, file.tell() + int(np.prod(shape, dtype=np.int64)))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):  # not every file system can
                raise
