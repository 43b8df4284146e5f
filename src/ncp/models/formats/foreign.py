"""Checkpoints of other frameworks: their weights, read without running anything that is in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ncp import files, tensorfile
from ncp.errors import UserError


def weights_of(path: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint of mmengine, or of a bare ``state_dict``.

    Raises:
        UserError: for anything else, and numbers that are not finite.
    """
    files.regular(path)
    where = f"'{files.printable(path)}'"
    try:
        with torch.serialization.safe_globals(_inert()):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, all about this file
        raise UserError(f"{where} cannot be read as a checkpoint ({files.first_line(error)})") from None
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not weights or not all(isinstance(v, Tensor) for v in weights.values()):
        raise UserError(f"{where} holds no weights (a state_dict)")
    out = {str(name): value for name, value in weights.items()}
    tensorfile.check_finite(out, f"the weights in {where}")
    return out


class _Inert:
    """In the place of a class that mmengine's checkpoints name: it keeps what it is given."""

    def __init__(self, *given: Any) -> None:
        self.given = given

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _nothing(*given: Any) -> None:
    """In the place of ``getattr``, by which the curves name their methods."""


def _inert() -> list[Any]:
    """Stand-ins for what mmengine's checkpoints hold beside weights: curves of the losses, numbers of numpy."""
    import numpy as np

    core = np._core.multiarray  # type: ignore[attr-defined]
    kinds = [type(np.dtype(name)) for name in ("f4", "f8", "i4", "i8", "u4", "u8", "bool")]
    return [
        (_Inert, "mmengine.logging.history_buffer.HistoryBuffer"),
        (_nothing, "builtins.getattr"),
        core._reconstruct,
        core.scalar,
        (core._reconstruct, "numpy.core.multiarray._reconstruct"),
        (core.scalar, "numpy.core.multiarray.scalar"),
        np.ndarray,
        np.dtype,
        *kinds,
    ]
