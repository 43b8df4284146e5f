"""Checkpoints of other frameworks: their weights, and nothing else that is in the file.

What lies beside the weights (curves of the losses, configurations, the optimiser's state) is never made, so nothing in a file is
run and none of it takes memory: :mod:`ncp.benchmark.frameworks`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ncp import files, tensorfile
from ncp.benchmark import archives, frameworks, torch_files
from ncp.benchmark.inert import View
from ncp.errors import UserError

DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8,
    "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


def weights_of(path: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint of mmengine, or of a bare ``state_dict``, as torch has written them since version 1.6.

    Raises:
        UserError: for anything else, and numbers that are not finite.
    """
    where = files.printable(path)
    data, parts = archives.read(path, "a checkpoint", torch_files.MAX_FILE, torch_files.MAX_PICKLE)
    views, storages = frameworks.parse(data, where)
    torch_files.check_storages(storages, parts, where)
    try:
        out = _numbers(path, parts, views)
    except (OSError, EOFError, zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise UserError(f"'{where}' cannot be read as a checkpoint ({files.first_line(error)})") from None
    tensorfile.check_finite(out, f"the weights in '{where}'")
    return out


def _numbers(path: Path, parts: Mapping[str, zipfile.ZipInfo], views: Mapping[str, View]) -> dict[str, Tensor]:
    flat: dict[str, Tensor] = {}
    with zipfile.ZipFile(path) as archive:
        for storage in {view.storage for view in views.values()}:
            numbers, kind = bytearray(archive.read(parts[f"data/{storage.key}"])), DTYPES[storage.type]
            flat[storage.key] = torch.frombuffer(numbers, dtype=kind) if numbers else torch.empty(0, dtype=kind)
    return {name: flat[v.storage.key].as_strided(v.sizes, v.steps, v.offset) for name, v in views.items()}
