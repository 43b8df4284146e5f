"""From a file to a network that eats arrays, whatever kind of file it is."""

from __future__ import annotations

from pathlib import Path

from ncp import files, runs
from ncp.errors import UserError
from ncp.inference.network import Network

LAST = Path("checkpoints") / "last.ckpt"  # of a training's run folder
FOUND = Path("found.safetensors")  # of a discovery's
DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("fp32", "bf16")
RUNTIMES = ("onnxruntime", "openvino")  # of ONNX files
_OTHERS = {".xml": "OpenVINO", ".bin": "OpenVINO", ".pt2": "torch.export"}  # what an export writes for other programs


def open_network(path: str | Path, device: str = "auto", runtime: str = "onnxruntime", dtype: str = "fp32") -> Network:
    """The network of a run folder, a checkpoint, a safetensors or an ONNX file.

    Args:
        path: of the file or folder.
        device: auto, cpu or cuda.
        runtime: onnxruntime or openvino, of an ONNX file.
        dtype: fp32 or bf16, of a network that torch runs.

    Raises:
        UserError: where there is none, or it cannot be used.
    """
    if device not in DEVICES:
        raise UserError(f"device must be one of {', '.join(DEVICES)}, given was '{device}'")
    if runtime not in RUNTIMES:
        raise UserError(f"runtime must be {' or '.join(RUNTIMES)}, given was '{files.shown(runtime)}'")
    if dtype not in DTYPES:
        raise UserError(f"dtype must be {' or '.join(DTYPES)}, given was '{files.shown(dtype)}'")
    file = found_file(path)
    if file.suffix == ".onnx":
        if dtype != "fp32":
            raise UserError(
                f"dtype={dtype} is for networks that torch runs; '{files.printable(file)}' computes in the numbers it was "
                "written with: leave dtype out"
            )
        from ncp.inference.onnx_network import OnnxNetwork

        return OnnxNetwork(file, device, runtime)
    if file.suffix in _OTHERS:
        raise UserError(
            f"'{files.printable(file)}' is for {_OTHERS[file.suffix]} alone; give the training's run folder, a checkpoint, or an "
            "export's .safetensors or .onnx file (with runtime=openvino OpenVINO runs that)"
        )
    if runtime == "openvino":
        raise UserError(
            f"runtime=openvino runs ONNX files, '{files.printable(file)}' is none; write one: "
            f"{runs.invocation('export')} ckpt_path=... format=onnx"
        )
    from ncp.inference.torch_network import open_torch

    return open_torch(file, device, dtype)


def found_file(path: str | Path) -> Path:
    """``path``, or of a run folder its last checkpoint or the network that it found. Raises ``UserError`` where there is none."""
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    for name in (LAST, FOUND):
        if (path / name).is_file():
            return path / name
    raise UserError(
        f"the folder '{files.printable(path)}' holds no {LAST} and no {FOUND}; give the run folder of a training or a discovery, "
        "a checkpoint, or a file of src.export (.safetensors, .onnx)"
    )
