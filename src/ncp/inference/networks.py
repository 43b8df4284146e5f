"""From a file to a network that eats arrays, whatever kind of file it is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from ncp import files
from ncp.card import Card
from ncp.errors import UserError

LAST = Path("checkpoints") / "last.ckpt"  # of a run folder
DEVICES = ("auto", "cpu", "cuda")


class Written(NamedTuple):
    """What a detector's head writes for the anchors of one scene: ``(A, N)`` logits, ``(A, 7)`` codes, ``(A, 2)`` logits."""

    classes: np.ndarray
    boxes: np.ndarray
    directions: np.ndarray


class Network(Protocol):
    """A network and its card.

    Attributes:
        card: what the file says of it.
        fixed: height and width that its input must have; None for any.
        device: where it runs, in words.
    """

    card: Card
    fixed: tuple[int, int] | None
    device: str

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Images ``(B, C, H, W)`` or clips ``(B, T, C, H, W)``, normalised float32, to what the head writes, float32."""

    def scene(self, points_M4: np.ndarray) -> Written:
        """Points (x, y, z, reflectance) of one scene to what the head writes; of a detector."""


def open_network(path: str | Path, device: str = "auto") -> Network:
    """The network of a run folder, a checkpoint, a safetensors or an ONNX file.

    Args:
        path: of the file or folder.
        device: auto, cpu or cuda.

    Raises:
        UserError: where there is none, or it cannot be used.
    """
    if device not in DEVICES:
        raise UserError(f"device must be one of {', '.join(DEVICES)}, given was '{device}'")
    file = found_file(path)
    if file.suffix == ".onnx":
        from ncp.inference.onnx_network import OnnxNetwork

        return OnnxNetwork(file, device)
    from ncp.inference.torch_network import open_torch

    return open_torch(file, device)


def found_file(path: str | Path) -> Path:
    """``path``, or of a run folder its last checkpoint. Raises ``UserError`` where there is none."""
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    if not (path / LAST).is_file():
        raise UserError(
            f"the folder '{files.printable(path)}' holds no {LAST}; give a training's run folder, a checkpoint, or a file "
            "of src.export (.safetensors, .onnx)"
        )
    return path / LAST
