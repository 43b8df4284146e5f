"""Safetensors files: their head is checked before any tensor is read, and what is written is whole, finite or not there.

The head of such a file says everything about it: texts (metadata), names, types and shapes of the tensors. Readers compare
the shapes with those that they expect before they read or build anything, so that a small file cannot ask for much memory.

Needs safetensors; torch only to read or write tensors, not for arrays.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ncp import files
from ncp.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEAD = 8 * 2**20
"""Bytes of the head; that of a network of the space has up to 0.1 MB."""
MAX_FILE = 4 * 2**30
DTYPES = ("F16", "BF16", "F32", "F64", "I64")
"""Types of tensors that are read: those of weights, and the counters of batch norms."""


class Head(NamedTuple):
    """What a file says of itself.

    Attributes:
        metadata: texts by name.
        shapes: of the tensors, by name.
    """

    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]


def head(path: str | os.PathLike[str], limit: int = MAX_FILE, types: Sequence[str] = DTYPES) -> Head:
    """The head of a file. Its tensors lie within the file, one behind the other, which the format's library checks.

    Raises:
        UserError: for a file that is missing, no regular one, larger than ``limit`` bytes or damaged, or holds tensors of
            another type than ``types``.
    """
    from safetensors import SafetensorError, safe_open

    shown = files.printable(path)
    with files.open_regular(path, limit) as raw:
        size = int.from_bytes(raw.read(8), "little")
    if size > MAX_HEAD:
        raise UserError(f"'{shown}' is not a complete safetensors file, or its head is larger than {MAX_HEAD:,} bytes")
    try:
        with safe_open(str(path), framework="np") as file:
            metadata = dict(file.metadata() or {})
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
            shapes = {name: tuple(int(n) for n in part.get_shape()) for name, part in parts.items()}
            kinds = {name: part.get_dtype() for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"'{shown}' is not a complete safetensors file: {files.printable(error)[:200]}") from None
    other = [name for name, kind in kinds.items() if kind not in types]
    if other:
        raise UserError(
            f"'{shown}' holds {kinds[other[0]]} numbers ({files.shown(other[0])}); read are {', '.join(types)}"
        )
    return Head(metadata, shapes)


def shapes_of(found: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors, by name, as :func:`check_shapes` compares them."""
    return {name: tuple(value.shape) for name, value in found.items()}


def check_shapes(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raise ``UserError`` (naming ``where``) unless the tensors have exactly the names and shapes that are wanted."""
    missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    other = [name for name in wanted if name in found and tuple(found[name]) != tuple(wanted[name])]
    parts = [
        f"{what}: {files.shown(names[0])}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for what, names in (("missing", missing), ("unknown", unknown))
        if names
    ]
    if other:
        first, more = other[0], f", and {len(other) - 1} more are of another shape" if len(other) > 1 else ""
        parts.append(f"{first} has shape {tuple(found[first])}, not {tuple(wanted[first])}{more}")
    if parts:
        raise UserError(f"{where} ({'; '.join(parts)})")


def tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """All tensors of a file whose head was checked, on the CPU.

    Raises:
        UserError: where one cannot be read, or is not finite.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"'{files.printable(path)}' cannot be read: {files.printable(error)[:200]}") from None
    check_finite(found, f"the weights in '{files.printable(path)}'")
    return found


def arrays(path: str | os.PathLike[str], finite: bool = True) -> dict[str, np.ndarray]:
    """The same as arrays, without torch; with ``finite=False`` whatever numbers they hold.

    Raises:
        UserError: where one cannot be read, is of a type that numpy does not know (BF16), or is not finite.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise UserError(f"'{files.printable(path)}' cannot be read: {files.printable(error)[:200]}") from None
    if finite:
        check_finite(found, f"the weights in '{files.printable(path)}'")
    return found


def check_finite(found: Mapping[str, Any], what: str) -> None:
    """Raise ``UserError`` where a tensor or an array holds a number that is not finite."""
    bad = [name for name, value in found.items() if not _is_finite(value)]
    if bad:
        more = f" and {len(bad) - 1} more tensors" if len(bad) > 1 else ""
        raise UserError(f"{what} are not finite: {files.shown(bad[0])}{more}")


def check_variances(found: Mapping[str, Tensor], where: str) -> None:
    """Raise a ``UserError`` (naming ``where``) where a batch norm's variance is below 0."""
    if bad := [name for name, value in found.items() if name.endswith("running_var") and (value < 0).any()]:
        raise UserError(f"{where} holds variances below 0 ({files.shown(bad[0])})")


def _is_finite(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    return not value.is_floating_point() or bool(value.isfinite().all())


def write(
    path: str | os.PathLike[str],
    found: Mapping[str, Any],
    metadata: Mapping[str, str],
    what: str = "the weights",
    finite: bool = True,
) -> Path:
    """Write a file of tensors, or of arrays, whole or not at all; with ``finite=False`` whatever numbers they hold.

    Raises:
        UserError: where it cannot be written, or a tensor is not finite: no reader of ours would take it.
    """
    from safetensors import SafetensorError

    if finite:
        check_finite(found, what)
    path = Path(path)
    with files.writing(path) as scratch:
        try:
            if all(isinstance(value, np.ndarray) for value in found.values()):
                from safetensors.numpy import save_file as save_arrays

                save_arrays({k: np.asarray(v, order="C") for k, v in found.items()}, scratch, dict(metadata))
            else:
                from safetensors.torch import save_file

                save_file({k: v.detach().cpu().contiguous() for k, v in found.items()}, scratch, dict(metadata))
        except SafetensorError as error:
            raise OSError(str(error)) from None
    return path
