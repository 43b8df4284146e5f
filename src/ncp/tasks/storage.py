"""How a checkpoint comes to the disk (beside its place, then renamed, straight from memory to the outputs' own file system), and
how Lightning gets it back."""

from __future__ import annotations

import errno
import os
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ncp import files
from ncp.tasks import checkpoint


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

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """What a training needs to go on, checked (:meth:`ncp.tasks.checkpoint.Checkpoint.for_lightning`)."""
        return checkpoint.read(path).for_lightning()
