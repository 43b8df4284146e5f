"""ONNX files run by OpenVINO, behind the part of onnxruntime's interface that :mod:`ncp.inference.onnx_network` uses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np


class _Port(NamedTuple):
    """An input or output: its name, and its sides, a name where one is free."""

    name: str
    shape: list[Any]


class OpenVinoSession:
    """A compiled network.

    Args:
        content: of an ONNX file that :mod:`ncp.inference.onnx_check` has looked at.
        metadata: its texts.
        threads: of the CPU.
    """

    def __init__(self, content: bytes, metadata: dict[str, str], threads: int) -> None:
        import openvino

        self._metadata = metadata
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        core = openvino.Core()
        self._compiled = core.compile_model(core.read_model(content, b""), "CPU", settings)
        self._request = self._compiled.create_infer_request()

    def get_modelmeta(self) -> Any:
        """The texts of the file, as ``custom_metadata_map``."""
        return SimpleNamespace(custom_metadata_map=self._metadata)

    def get_inputs(self) -> list[_Port]:
        """In the file's order."""
        return [_port(one) for one in self._compiled.inputs]

    def get_outputs(self) -> list[_Port]:
        """In the file's order."""
        return [_port(one) for one in self._compiled.outputs]

    def run(self, wanted: None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """All outputs."""
        found = self._request.infer(feeds, share_inputs=True)
        return [np.array(found[i]) for i in range(len(self._compiled.outputs))]


def _port(one: Any) -> _Port:
    sides = [str(side) if side.is_dynamic else side.get_length() for side in one.get_partial_shape()]
    return _Port(one.get_any_name(), sides)
