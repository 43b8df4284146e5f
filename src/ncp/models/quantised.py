"""ONNX files that compute with eight bits, convolutions and what lies between them: static quantisation by onnxruntime.

Every activation gets one scale and offset, from the least and largest numbers that samples of the data brought forth; every
weight one scale for each output channel. The file says so by pairs of QuantizeLinear and DequantizeLinear, which onnxruntime and
OpenVINO turn into integer kernels.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files
from ncp.errors import missing_extra

PRECISION = "precision"  # of the metadata


def quantise(source: Path, target: Path, samples: Sequence[np.ndarray]) -> Path:
    """Write the file ``source`` with eight bits as ``target``.

    Args:
        source: an ONNX file of ours, float32, norms folded.
        target: of the new file, which appears whole or not at all.
        samples: batches of inputs, as the network reads them.

    Raises:
        UserError: where onnxruntime is missing.
    """
    try:
        import onnx
        from onnxruntime import quantization
    except ImportError as error:
        raise missing_extra(error.name or "onnxruntime", "export") from None
    name = onnx.load(source, load_external_data=False).graph.input[0].name

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[np.ndarray] = iter(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            sample = next(self.left, None)
            return None if sample is None else {name: sample}

    with files.writing(target) as scratch, _quiet():
        quantization.quantize_static(
            str(source),
            str(scratch),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        model: Any = onnx.load(scratch)
        metadata = {one.key: one.value for one in onnx.load(source, load_external_data=False).metadata_props}
        onnx.helper.set_model_props(model, {**metadata, PRECISION: "int8"})
        onnx.save(model, scratch)
    return target


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime advises on the root logger."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
