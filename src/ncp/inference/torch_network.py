"""Checkpoints and safetensors files as networks, run by torch in float32, or in bfloat16 where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncp import card, files, tensorfile
from ncp.errors import UserError, no_memory
from ncp.inference.network import Ranked, Written
from ncp.models import detector_file, export
from ncp.models.capture import Capture, CudaGraphs
from ncp.models.detector import Detector
from ncp.models.factory import to_channels_last
from ncp.models.recorded import Recorded
from ncp.models.runtime import fused
from ncp.models.transnas import saved

STEP = 8192  # points: recorded scenes have a multiple of this, so that they come in few shapes


class TorchNetwork:
    """A :class:`ncp.inference.network.Network` of torch, its norms folded into the convolutions.

    Args:
        net: of the card's task.
        about: its card.
        device: auto, cpu or cuda.
        capture: what records the network for inputs that come in one shape; unless given, CUDA graphs on a GPU.
        dtype: fp32 or bf16, of the network; a detector's pillars and boxes are float32 always.

    Raises:
        UserError: where there is no GPU although one is asked for.
    """

    fixed: tuple[int, int] | None = None

    def __init__(
        self,
        net: nn.Module,
        about: card.NetworkCard,
        device: str,
        capture: Capture | None = None,
        dtype: str = "fp32",
    ) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device=cuda, but torch sees no GPU here; use device=cpu")
        self.card = about
        self.place = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
        self.device = torch.cuda.get_device_name(0) if self.place.type == "cuda" else "cpu"
        self.lowered = dtype == "bf16"
        self.net = to_channels_last(fused(net)).to(self.place)
        if capture is None and self.place.type == "cuda":
            capture = CudaGraphs(self.place)
        self.run: Callable[..., Any] = self.net
        self.ranks = capture is not None and isinstance(self.net, Detector)
        if capture is not None:
            self.run = Recorded(self._ranked if self.ranks else self.net, capture)

    @torch.inference_mode()
    def logits(self, x: np.ndarray) -> np.ndarray:
        """See :class:`ncp.inference.network.Network`; raises ``UserError`` where memory does not suffice."""
        given = torch.from_numpy(np.ascontiguousarray(x)).to(self.place)
        if given.ndim == 4:
            given = given.contiguous(memory_format=torch.channels_last)
        with _memory(x), _exact(), self._precision():
            out: np.ndarray = self.run(given).float().cpu().numpy()
        return out

    @torch.inference_mode()
    def scene(self, points_M4: np.ndarray) -> Written | Ranked:
        """See :class:`ncp.inference.network.Network`; recorded, the best boxes alone leave the device.

        Without a device of its own nothing would be gained, and equal scores stay in the anchors' order.
        """
        with _memory(points_M4), _exact(benchmark=True), self._precision():
            if not self.ranks:
                points = torch.from_numpy(np.ascontiguousarray(points_M4)).to(self.place)
                found: Any = self.run(points, torch.tensor([len(points)]))
                return Written(*(part[0].float().cpu().numpy() for part in found))
            boxes: Tensor = self.run(torch.from_numpy(filled(points_M4)).to(self.place))
            return Ranked(boxes.cpu().numpy(), (len(self.net.anchors), len(boxes)))

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.place.type, torch.bfloat16, enabled=self.lowered, cache_enabled=False)

    def _ranked(self, points_N4: Tensor) -> Tensor:
        """What is recorded of a detector: from points to boxes."""
        assert self.card.use.space is not None
        boxes: Tensor = self.net.ranked(points_N4, self.card.use.space.nms.before)
        return boxes


def filled(points_M4: np.ndarray) -> np.ndarray:
    """Float32 points and rows of NaN, which are no points, up to the next multiple of ``STEP``."""
    out = np.full((max(1, -(-len(points_M4) // STEP)) * STEP, 4), np.nan, dtype=np.float32)
    out[: len(points_M4)] = points_M4
    return out


class _memory:
    """Within, too little memory is a ``UserError`` that says what to do."""

    def __init__(self, x: np.ndarray) -> None:
        self.shape = x.shape

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RuntimeError) and no_memory(error):
            raise UserError(
                f"an input of {' x '.join(map(str, self.shape))} does not fit into memory; give a smaller batch=..., or "
                "window=[512,512] for large images"
            ) from None


def _exact(benchmark: bool = False) -> Any:
    """Convolutions in float32 also on GPUs, which take 10 bits of it otherwise.

    Args:
        benchmark: whether the fastest one is looked for at the first input of a shape.
    """
    enabled = torch.backends.cudnn.enabled  # unless said, the library itself is switched off
    return torch.backends.cudnn.flags(enabled=enabled, benchmark=benchmark, allow_tf32=False)  # type: ignore[no-untyped-call]


def open_torch(path: Path, device: str, dtype: str = "fp32") -> TorchNetwork:
    """The network of a checkpoint or of a safetensors file of ours.

    Raises:
        UserError: where it cannot be read or does not say what it holds.
    """
    if path.suffix != ".safetensors":
        from ncp.tasks.export import from_checkpoint  # Lightning

        found = from_checkpoint(path)
        assert found.card is not None
        return TorchNetwork(found.net, found.card, device, dtype=dtype)
    metadata = tensorfile.head(path).metadata
    if metadata.get("format") == detector_file.FORMAT:
        detector, about = detector_file.load(path)
        return TorchNetwork(detector, about, device, dtype=dtype)
    if metadata.get("format") == saved.FORMAT:
        room, about = saved.load(path), card.from_text(metadata, f"'{files.printable(path)}'")
        _check_outputs(room.made_from.outputs, about, path)
        return TorchNetwork(room, about, device, dtype=dtype)
    net = export.load(path)  # says what is wrong with the file
    about = card.from_text(metadata, f"'{files.printable(path)}'")
    if net.signature is not None:
        _check_outputs(net.signature.classes, about, path)
    return TorchNetwork(net, about, device, dtype=dtype)


def _check_outputs(count: int, about: card.NetworkCard, path: Path) -> None:
    if count != len(about.classes):
        raise UserError(f"'{files.printable(path)}' has {count} classes, but names of {len(about.classes)}")
