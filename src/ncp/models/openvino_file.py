"""OpenVINO's own files (NAME.xml with the operators, NAME.bin with the weights), made of ONNX files of ours."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ncp import files, scratch
from ncp.errors import UserError
from ncp.models.runners import openvino_core

TOLERANCE = 1e-3
"""Of the largest output, between torch and OpenVINO in float32."""


def from_onnx(source: Path, path: Path, metadata: Mapping[str, str]) -> Path:
    """Write an ONNX file of ours, of whatever precision, as ``path`` (.xml) and the file of its weights beside it.

    Args:
        source: the ONNX file.
        path: ends in ``.xml``.
        metadata: texts, which stand in the file under ``rt_info/ncp``.

    Raises:
        UserError: where OpenVINO is missing or the files cannot be written.
    """
    # not by openvino.convert_model, which would report to its makers
    model = openvino_core().read_model(str(source))
    import openvino

    for key, value in metadata.items():
        model.set_rt_info(value, ["ncp", key])
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.folder_beside(path) as folder:
            made = folder / path.name
            openvino.save_model(model, str(made), compress_to_fp16=False)
            # the weights first: a reader that finds the operators finds them too
            for part in (made.with_suffix(".bin"), made):
                with open(part, "rb") as file:
                    os.fsync(file.fileno())
                os.replace(part, path.with_suffix(part.suffix))
    except OSError as error:
        raise UserError(
            f"cannot write '{files.printable(path)}' ({error.strerror or error}); give another folder"
        ) from None
    return path


def check(net: nn.Module, path: Path, trials: Sequence[tuple[Tensor, ...]]) -> None:
    """Compare a float32 file with the network that it was made of, and take it away where they differ.

    Args:
        net: in evaluation mode, on the CPU.
        path: of the file.
        trials: inputs.

    Raises:
        UserError: where they differ, or OpenVINO is missing.
    """
    compiled = openvino_core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for trial in trials:
        given = compiled([one.numpy() for one in trial])
        with torch.no_grad():
            found = net(*trial)
        wanted = [found] if isinstance(found, Tensor) else list(found)
        for i, one in enumerate(wanted):
            error = float(np.abs(given[i] - one.numpy()).max() / max(float(one.abs().max()), 1e-30))
            if not error <= TOLERANCE:
                path.unlink()
                path.with_suffix(".bin").unlink()
                raise UserError(
                    f"the OpenVINO file differs from torch by {error:.1e} of the largest output and was not kept; use format=onnx"
                )
