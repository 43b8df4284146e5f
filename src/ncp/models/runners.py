"""A network on a CPU, run by torch as it is, by onnxruntime, or by OpenVINO; and their times side by side."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ncp.errors import missing_extra

Runner = Callable[[np.ndarray], np.ndarray]
"""Images or clips, float32, to what the head writes."""
PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""Ours -> OpenVINO's hint for what is not quantised."""


def plain(net: nn.Module) -> Runner:
    """torch in eager mode, float32, norms not folded, channels first: what everything here is compared with."""
    net = copy.deepcopy(net).cpu().float().eval().to(memory_format=torch.contiguous_format)

    @torch.inference_mode()
    def run(x: np.ndarray) -> np.ndarray:
        out: np.ndarray = net(torch.from_numpy(x)).numpy()
        return out

    return run


def onnxruntime_runner(path: Path, threads: int) -> Runner:
    """onnxruntime on a file of ours; raises ``UserError`` where it is missing."""
    try:
        import onnxruntime
    except ImportError:
        raise missing_extra("onnxruntime", "export") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(x: np.ndarray) -> np.ndarray:
        out: np.ndarray = session.run(None, {name: x})[0]
        return out

    return run


def openvino_runner(path: Path, threads: int, precision: str = "fp32") -> Runner:
    """OpenVINO on an ONNX file or one of its own; raises ``UserError`` where it is missing.

    Args:
        path: of the file.
        threads: of the CPU.
        precision: fp32, bf16, or int8 for a file that is quantised.
    """
    core = openvino_core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
    }
    request = core.compile_model(core.read_model(str(path)), "CPU", settings).create_infer_request()

    def run(x: np.ndarray) -> np.ndarray:
        return np.array(request.infer({0: x}, share_inputs=True)[0])

    return run


def openvino_core() -> Any:
    """OpenVINO's, without its reports to its makers; raises ``UserError`` where it is missing."""
    try:
        import openvino
    except ImportError:
        raise missing_extra("openvino", "openvino") from None
    logging.getLogger("openvino").setLevel(logging.WARNING)
    return openvino.Core()


def side_by_side(
    runs: Mapping[str, Callable[[], object]],
    seconds: float = 3.0,
    least: int = 5,
    now: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each; see :func:`turns`."""
    return {name: float(np.median(found)) for name, found in turns(runs, seconds, least, now).items()}


def clock_for(threads: int) -> Callable[[], float]:
    """What tells the time of work on so many threads: with one the processor's own, which other work does not add to."""
    return time.process_time if threads == 1 else time.perf_counter


def turns(
    runs: Mapping[str, Callable[[], object]],
    seconds: float = 3.0,
    least: int = 5,
    now: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every run of each, measured in turns, so that whatever else the machine does slows all of them alike.

    Args:
        runs: name -> what is timed.
        seconds: that all rounds together may take, after a warm-up.
        least: rounds, however long they take.
        now: tells the time in seconds.
    """
    for run in runs.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    began = now()
    while (done := len(next(iter(times.values())))) < least or (now() - began < seconds and done < 1000):
        for name, run in runs.items():
            before = now()
            run()
            times[name].append(now() - before)
    return times
