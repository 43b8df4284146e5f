"""What exported networks gain on a CPU: python -m bench.exports [--task seg cls] [--batch N]

The default code and random ones, at 128x128: the network as torch runs it plainly (eager, fp32, channels first, norms not
folded), ours in fp32 and bf16 (norms folded, channels last), and the exported file with onnxruntime (fp32, int8) and with
OpenVINO (fp32, bf16, int8), where that is installed. All take turns and medians count, so that other work on the machine slows
all of them alike; with one thread the clock is the processor's. The bar: the fastest exported file is 2.5 times as fast as the
plain network (geometric mean of the codes). What int8 costs in accuracy src.export measures, on a trained network's own
validation set.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from bench._timing import show
from bench.models import cpu_name
from ncp.errors import UserError
from ncp.models import build
from ncp.models.export import export_onnx
from ncp.models.quantised import quantise
from ncp.models.runners import clock_for, onnxruntime_runner, openvino_runner, plain, side_by_side
from ncp.models.runtime import cpu_has_bf16, fused
from ncp.spaces.multires import SPACE

BAR = 2.5
VARIANTS = ("plain torch", "ours fp32", "ours bf16", "onnxruntime fp32", "onnxruntime int8")
OPENVINO = ("openvino fp32", "openvino bf16", "openvino int8")
EXPORTED = ("onnxruntime fp32", "onnxruntime int8", *OPENVINO)


def ours(net: torch.nn.Module, x: np.ndarray, dtype: torch.dtype) -> Callable[[], object]:
    """The network as :class:`ncp.inference.torch_network.TorchNetwork` runs it, in one precision."""
    folded = fused(net).to(memory_format=torch.channels_last).to(dtype)
    given = torch.from_numpy(x).contiguous(memory_format=torch.channels_last).to(dtype)

    @torch.inference_mode()
    def run() -> object:
        return folded(given)

    return run


def runs_of(
    architecture: object, task: str, x: np.ndarray, threads: int, folder: Path
) -> dict[str, Callable[[], object]]:
    """Every variant of one network on one input."""
    torch.manual_seed(0)
    net = build(architecture, task, channels_last=False).eval()
    size = (x.shape[-2], x.shape[-1])
    path = export_onnx(net, folder / f"{task}.onnx", size, check=False)
    random = np.random.default_rng(0)
    low = quantise(path, folder / f"{task}-int8.onnx", [random.normal(size=x.shape).astype(np.float32)] * 2)
    runs: dict[str, Callable[[], object]] = {
        "plain torch": functools.partial(plain(net), x),
        "ours fp32": ours(net, x, torch.float32),
        "onnxruntime fp32": functools.partial(onnxruntime_runner(path, threads), x),
        "onnxruntime int8": functools.partial(onnxruntime_runner(low, threads), x),
    }
    if cpu_has_bf16():
        runs["ours bf16"] = ours(net, x, torch.bfloat16)
    try:
        for name in OPENVINO:
            precision = name.split()[1]
            if precision != "bf16" or cpu_has_bf16():
                file = low if precision == "int8" else path
                runs[name] = functools.partial(openvino_runner(file, threads, precision), x)
    except UserError as error:
        print(error)
    return runs


def main() -> int:
    """Measure, print, and return 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", default=["seg", "cls"], choices=["seg", "cls"])
    parser.add_argument("--size", type=int, nargs=2, default=(128, 128))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--random", type=int, default=3, help="random codes beside the default one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring, for each network")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = clock_for(options.threads)
    codes = [SPACE.default(), *SPACE.sample(options.random, np.random.default_rng(2022))]
    x = np.random.default_rng(1).normal(size=(options.batch, 3, *options.size)).astype(np.float32)
    missed = False
    for task in options.task:
        found = []
        for architecture in codes:
            with tempfile.TemporaryDirectory(prefix="ncp-bench-") as folder:
                runs = runs_of(architecture, task, x, options.threads, Path(folder))
                found.append(side_by_side(runs, options.seconds, now=clock))
        missed |= report(task, found, options)
    return int(missed)


def report(task: str, found: Sequence[Mapping[str, float]], options: argparse.Namespace) -> bool:
    """Print a task's table; whether its bar is missed."""
    names = [name for name in (*VARIANTS, *OPENVINO) if name in found[0]]
    means = {
        name: math.exp(sum(math.log(one["plain torch"] / one[name]) for one in found) / len(found)) for name in names
    }
    rows = [
        (
            name,
            *(f"{1e3 * one[name]:.1f} ms ({one['plain torch'] / one[name]:.2f}x)" for one in found),
            f"{means[name]:.2f}x",
        )
        for name in names
    ]
    heads = ["default", *(f"random {i + 1}" for i in range(len(found) - 1))]
    title = (
        f"{task}, batch {options.batch}, {options.size[0]}x{options.size[1]}, {options.threads} thread(s), {cpu_name()}"
    )
    show(f"{title}: times, and how often as fast as plain torch", ("variant", *heads, "geometric mean"), rows)
    best = max((name for name in EXPORTED if name in means), key=lambda name: means[name])
    if means[best] < BAR:
        print(f"MISSED: {task}'s fastest file, {best}, is {means[best]:.2f}x plain torch, the bar is {BAR}x")
    return means[best] < BAR


if __name__ == "__main__":
    sys.exit(main())
