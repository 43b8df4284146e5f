"""How a checkpoint comes to the disk, beside its place and then renamed, and how it is read: checked, as anybody's file."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ncp import files
from ncp.errors import UserError
from ncp.tasks.base import CHECKPOINT_KEY


class WholeFiles(TorchCheckpointIO):
    """Lightning's own writes the file into ``$TMPDIR`` first, which may be small, and copies it in memory before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Whole or not at all.

        Raises:
            OSError: naming the file, as of a full disk.
        """
        try:
            with files.replacing(path) as scratch, open(scratch, "wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            cause = error if isinstance(error, OSError) else error.__context__
            if isinstance(cause, OSError) and cause.errno:  # torch's own error says nothing of the disk
                raise OSError(cause.errno, os.strerror(cause.errno), str(path)) from None
            if isinstance(error, RuntimeError) and "unexpected pos" in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
            raise


Count = Annotated[int, Meta(ge=0, le=2**53)]


@dataclass
class About:
    """Our part of a checkpoint, as far as it must hold; see :meth:`ncp.tasks.base.Task.on_save_checkpoint`."""

    architecture: str
    task: str
    classes: list[str]
    config: dict[str, Any]
    step: Count
    position: dict[str, Count] = field(default_factory=dict)
    latest: dict[str, float] = field(default_factory=dict)
    at: Annotated[int, Meta(ge=-1)] = -1
    input: dict[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of ours; plain values and tensors only, so reading it runs no foreign code.

    Raises:
        UserError: where there is none, it is another file, or our part of it is of another shape.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint '{path}'") from None
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(f"'{path}' cannot be read as a checkpoint ({reason})") from None
    if not isinstance(content, dict) or "state_dict" not in content or CHECKPOINT_KEY not in content:
        raise UserError(f"'{path}' is no checkpoint of a training of this project")
    files.checked(content[CHECKPOINT_KEY], About, f"the checkpoint '{path}'")
    weights = content["state_dict"]
    if not isinstance(weights, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in weights.items()
    ):
        raise UserError(f"the checkpoint '{path}' cannot be used: its weights are no tensors by name")
    return content
