"""ONNX files of src.export as networks, run by onnxruntime; no torch."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ncp import card, files
from ncp.data.tiles import TILES
from ncp.errors import UserError, missing_extra
from ncp.inference import onnx_check
from ncp.inference.network import Written
from ncp.inference.pillars import chosen
from ncp.process import free_memory_mb, memory_limit, own_cores

LIMIT = 2**31 - 1
"""Bytes of a file: what the format can hold in one."""
MEMORY = 4 * 2**30
"""Bytes that a run may take, whatever its inputs: KITTI's largest detector takes a third of it."""
PER_BYTE = 128
"""Bytes more for each of the inputs: the widest network has 86 alive at once at a full-sized picture."""
PER_WEIGHT = 8
"""Bytes more for each of the file, while it is opened: as it is read, and as a runtime's kernels want it."""
PER_THREAD = 2**24
"""And for each of the runtime's threads: what is set aside for its stack and its own store of memory."""
SHARE = 0.75  # of the memory that is free, at most
OUTPUTS = ("classes", "boxes", "directions")  # of a detector
_NO_ROOM = re.compile(r"(?i)bad.?alloc|failed to allocate|out of memory")


class OnnxNetwork:
    """A :class:`ncp.inference.network.Network` of onnxruntime, or of OpenVINO (``runtime``).

    Raises:
        UserError: where the runtime or onnx is missing, the file cannot be read, it holds what
            :mod:`ncp.inference.onnx_check` refuses, it is not what its metadata says, or the runtime would take more memory to
            open it than it may.
    """

    def __init__(self, path: Path, device: str, runtime: str = "onnxruntime") -> None:
        self.runtime = runtime
        if runtime == "onnxruntime":
            _installed()
        where = f"'{files.printable(path)}'"
        content = files.read_bytes(path, LIMIT)
        onnx_check.check(content, where)
        gpu = _asked_gpu(runtime, device)
        opened = _with_openvino if runtime == "openvino" else _with_onnxruntime
        # a runtime works out what it can before anything is asked
        most = MEMORY + PER_WEIGHT * len(content) + PER_THREAD * len(own_cores())
        with _bounded(most, gpu, f"{where} cannot be read as ONNX"):
            self.session, self.device = opened(content, gpu)
            metadata = dict(self.session.get_modelmeta().custom_metadata_map)
        self.card = card.from_text(metadata, where)
        self.fixed: tuple[int, int] | None = None
        self.inputs = self.session.get_inputs()
        self._check(where)

    def _check(self, where: str) -> None:
        """Inputs and outputs are those of the card."""
        names = [one.name for one in self.session.get_outputs()]
        if self.card.use.space is not None:
            if [one.name for one in self.inputs] != ["points", "cells"] or names != list(OUTPUTS):
                raise UserError(f"{where} is no whole detector; export its checkpoint anew")
            return
        shape = list(self.inputs[0].shape)
        wanted = 5 if self.card.task in ("video", "jigsaw") else 4
        if len(self.inputs) != 1 or len(names) != 1 or len(shape) != wanted:
            raise UserError(f"{where} reads {shape}, which is no input of the task {self.card.task}")
        channels, height, width = shape[-3:]
        if channels != self.card.channels:
            raise UserError(f"{where} reads {channels} channels, but names {self.card.channels}")
        if isinstance(height, int) and isinstance(width, int):
            self.fixed = (height, width)
            if height * width * self.card.channels > card.LARGEST:
                raise UserError(f"{where} reads images of {height} x {width} pixels; too large")
        clips = self.card.use.clips
        if self.card.task == "jigsaw" and shape[1] != TILES:
            raise UserError(f"{where} reads {shape[1]} tiles; a jigsaw has {TILES}")
        if wanted == 5 and clips is not None and isinstance(shape[1], int) and shape[1] != clips.frames:
            raise UserError(f"{where} reads clips of {shape[1]} frames, but names {clips.frames}")

    def _run(self, feeds: dict[str, np.ndarray]) -> list[Any]:
        """What the network writes. A file of a few kilobytes may ask for maps that no machine holds, so its memory has an end."""
        most = MEMORY + PER_BYTE * sum(array.nbytes for array in feeds.values())
        with _bounded(most, self.device.startswith("CUDA"), f"{self.runtime} cannot run the network"):
            out: list[Any] = self.session.run(None, feeds)
        return out

    def logits(self, x: np.ndarray) -> np.ndarray:
        """See :class:`ncp.inference.network.Network`."""
        (out,) = self._run({self.inputs[0].name: np.ascontiguousarray(x, dtype=np.float32)})
        if out.shape[:2] != (len(x), len(self.card.classes)):
            raise UserError(f"the ONNX file writes {list(out.shape)[:2]} where {len(self.card.classes)} classes belong")
        return np.asarray(out, dtype=np.float32)

    def scene(self, points_M4: np.ndarray) -> Written:
        """See :class:`ncp.inference.network.Network`."""
        assert self.card.use.space is not None
        points, cells = chosen(points_M4, self.card.use.space)
        found = Written(*(np.asarray(part)[0] for part in self._run({"points": points, "cells": cells})))
        return found


@contextlib.contextmanager
def _bounded(most: int, gpu: bool, failed: str) -> Iterator[None]:
    """Within, the process gets at most ``most`` further bytes (on a GPU any number), and less where little is free.

    Raises:
        UserError: for whatever a runtime raises there; it begins with ``failed`` where memory was not the reason.
    """
    most = min(most, int(SHARE * free_memory_mb() * 2**20))
    try:
        with contextlib.nullcontext() if gpu else memory_limit(most):
            yield
    except UserError:
        raise
    except Exception as error:  # of many kinds
        if isinstance(error, MemoryError) or _NO_ROOM.search(str(error)):
            raise UserError(
                f"the ONNX network wants more than the {most / 2**20:,.0f} MiB that it may take here; give it smaller "
                "inputs (window=), or a file that you trust as a checkpoint"
            ) from None
        raise UserError(f"{failed} ({files.first_line(error)})") from None


def _asked_gpu(runtime: str, device: str) -> bool:
    """Whether the network is to run on a GPU; raises ``UserError`` where the runtime is missing or has none."""
    if runtime == "openvino":
        try:
            import openvino  # noqa: F401  what it loads is no part of a network's memory
        except ImportError:
            raise missing_extra("openvino", "openvino") from None
        if device == "cuda":
            raise UserError("runtime=openvino runs on the CPU; leave device out, or use runtime=onnxruntime")
        return False
    import onnxruntime

    there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not there:
        raise UserError("device=cuda, but this onnxruntime has no CUDA provider; use device=cpu or a checkpoint")
    return there and device != "cpu"


def _with_onnxruntime(content: bytes, gpu: bool) -> tuple[Any, str]:
    """A session of onnxruntime, and where it runs in words."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(own_cores())
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        content,
        options,
        [*(["CUDAExecutionProvider"] if gpu else []), "CPUExecutionProvider"],
        # without a second attempt, which would be told on the terminal with whatever the file holds
        enable_fallback=0,
        disabled_optimizers=["ConstantFolding"],  # which would work out arrays before anything is asked
    )
    return session, "CUDA (onnxruntime)" if gpu else "cpu (onnxruntime)"


def _with_openvino(content: bytes, gpu: bool) -> tuple[Any, str]:
    """The same of OpenVINO, which runs on the CPU."""
    import onnx

    from ncp.inference.openvino_session import OpenVinoSession

    metadata = {one.key: one.value for one in onnx.ModelProto.FromString(content).metadata_props}
    return OpenVinoSession(content, metadata, len(own_cores())), "cpu (OpenVINO)"


def _installed() -> None:
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        raise missing_extra("onnxruntime", "export") from None
