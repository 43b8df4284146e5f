"""A machine and how networks run on it: device, runtime, threads, size, batch and type of numbers.

Networks run as exported ones would: norms folded into convolutions, channels last, no gradients.
"""

from __future__ import annotations

import platform
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ncp import files
from ncp.errors import UserError, missing_extra
from ncp.latency.card import TASKS, MachineCard
from ncp.latency.here import DEVICE, gpus, is_there, processor
from ncp.models.factory import build, task_of
from ncp.models.runtime import cpu_has_bf16, fused
from ncp.models.setups import FRAMES

RUNTIMES = ("torch", "onnxruntime")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Run = Callable[[], None]


@dataclass(frozen=True)
class Machine:
    """How networks are run.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``torch`` or ``onnxruntime``.
        task, classes: of the networks; classes None for the task's own.
        size, batch: of the input.
        threads: of the CPU.
        dtype: fp32 or bf16.
        compiled: whether torch compiles them first (minutes more for a hundred networks).

    Raises:
        UserError: for a device that is not there, a runtime that is not installed, or a combination that does not run.
    """

    device: str = "cpu"
    runtime: str = "torch"
    task: str = "seg"
    size: tuple[int, int] = (128, 128)
    batch: int = 1
    threads: int = 2
    dtype: str = "fp32"
    compiled: bool = False
    classes: int | None = None

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise UserError(f"runtime is {' or '.join(RUNTIMES)}, given was '{files.shown(self.runtime)}'")
        if self.dtype not in DTYPES:
            raise UserError(f"dtype is {' or '.join(DTYPES)}, given was '{files.shown(self.dtype)}'")
        if self.task not in TASKS:
            raise UserError(f"task is one of {', '.join(TASKS)}, given was '{files.shown(self.task)}'")
        self._check_device()
        if self.compiled and self.runtime != "torch":
            raise UserError(f"compile=true is for runtime=torch, given was runtime={self.runtime}")
        if self.runtime == "onnxruntime":
            self._check_onnxruntime()
        elif self.dtype == "bf16" and self.device == "cpu" and not cpu_has_bf16():
            raise UserError("this CPU has no instructions for bf16, which would be slow for nothing; use dtype=fp32")

    def _check_device(self) -> None:
        if not DEVICE.fullmatch(self.device):
            raise UserError(
                f"device is cpu, cuda or cuda:N, given was '{files.shown(self.device)}'; for another machine see action=export"
            )
        if not is_there(self.device):
            raise UserError(
                f"device={self.device} is not there ({gpus()} GPUs are); use device=cpu, or measure on the machine that has it"
            )

    def _check_onnxruntime(self) -> None:
        try:
            import onnx  # noqa: F401  the exporter needs it
            import onnxruntime
        except ImportError as error:
            raise missing_extra(error.name or "onnxruntime", "export") from None
        if self.dtype != "fp32":
            raise UserError("runtime=onnxruntime runs exported networks in fp32; use dtype=fp32, or runtime=torch")
        if self.device != "cpu" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise UserError("this onnxruntime was built without CUDA; use device=cpu, or install onnxruntime-gpu")

    def card(self, space: str) -> MachineCard:
        """What a model of this machine says of itself, without its errors."""
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        if self.runtime == "onnxruntime":
            import onnxruntime

            versions["onnxruntime"] = onnxruntime.__version__
        return MachineCard(
            space, self.device, self.runtime, self.task, list(self.size), self.batch, self.dtype, self.threads, self.classes,
            platform.node()[:100], processor(self.device)[:200], versions, self.compiled,
        )  # fmt: skip

    def shape(self) -> tuple[int, ...]:
        """Of the input."""
        channels = task_of(self.task).in_channels
        if self.task == "video":
            return (self.batch, FRAMES, channels, *self.size)
        return (self.batch, channels, *self.size)

    def network(self, architecture: Any) -> torch.nn.Module:
        """An untrained network, norms folded; its weights always the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return fused(build(architecture, self.task, classes=self.classes))

    def runner(self, architecture: Any) -> Run:
        """A function that runs a network once and returns when the result is there."""
        torch.set_num_threads(self.threads)
        net = self.network(architecture)
        images = torch.randn(self.shape(), generator=torch.Generator().manual_seed(0))
        if self.runtime == "onnxruntime":
            with tempfile.TemporaryDirectory(prefix="ncp-latency-") as folder:
                path = write_onnx(net, Path(folder) / "network.onnx", images)
                return _onnx_runner(path, images, self.device, self.threads)
        return self._torch_runner(net, images)

    def _torch_runner(self, net: torch.nn.Module, images: torch.Tensor) -> Run:
        device, dtype = torch.device(self.device), DTYPES[self.dtype]
        net = net.to(device, dtype)
        x = images.to(device, dtype)
        x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
        if self.compiled:
            net.compile()
        wait = torch.cuda.synchronize if device.type == "cuda" else None

        def run() -> None:
            with torch.inference_mode():
                net(x)
            if wait is not None:
                wait(device)

        return run


def write_onnx(net: torch.nn.Module, path: Path, images: torch.Tensor) -> Path:
    """One network of one input size as ONNX; by torch's older exporter, which takes a tenth of the newer one's time."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(),
            (images,),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            output_names=["output"],
        )
    return path


def _onnx_runner(path: Path, images: torch.Tensor, device: str, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    provider = "CPUExecutionProvider" if device == "cpu" else "CUDAExecutionProvider"
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=[provider])
    given = {session.get_inputs()[0].name: images.numpy()}
    return lambda: session.run(None, given) and None


def of_card(card: MachineCard) -> Machine:
    """The machine that a card describes; raises ``UserError`` where it cannot be used here."""
    size = (card.size[0], card.size[1]) if card.size else (128, 128)
    threads = max(card.threads, 1)
    return Machine(
        card.device, card.runtime, card.task, size, card.batch, threads, card.dtype, card.compiled, card.classes
    )
