"""Images a second of the networks against the same networks run plainly and against timm: python -m bench.models

The default code and three random ones (seed 2022), classification, 128x128, batch 8. Compared are, in training (forward, loss,
backward, SGD step) and in inference:

* plain: the same network in eager mode, NCHW, fp32;
* ours, fp32 and bf16: channels_last, norms folded for inference, compiled with --compile;
* timm's hrnet_w18_small (eager, NCHW, fp32) at the same input, per multiply-add.

On a CPU one thread and CPU seconds (on an idle machine the wall seconds of one thread); on a GPU wall seconds. The variants
take turns and the fastest turn of each counts, since other work on the machine only ever adds time. The bars (fp32 1.1x, bf16
1.8x plain, geometric mean) hold on CPUs with bf16 instructions, bf16's on those that gain by them; on a GPU training must be 3x
plain. Elsewhere: no bar.

What is left to gain says the share of the device's rate, that of a large matrix product in the same type of numbers, and
--profile says where the time of a training step and of an inference goes.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import timm
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ncp.models import build
from ncp.models.runtime import compile_in_place, cpu_gains_by_bf16, cpu_has_bf16, fused
from ncp.spaces import cost
from ncp.spaces.multires import SPACE, Architecture

BARS_CPU = {"ours fp32": 1.1, "ours bf16": 1.8}
BAR_GPU = 3.0
CLASSES = 50
# dense bf16 rate of tensor cores, in floating-point operations a second, as the maker states it
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12, "4090": 165e12}


@dataclass
class Run:
    """One network in one variant: a step to be timed, and the fastest time it has taken."""

    code: str
    variant: str
    mode: str
    macs: float
    step: Callable[[], None]
    times: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The fastest time taken."""
        return min(self.times)


def main() -> int:
    """Measure, print, and return 1 when a bar that applies is missed."""
    options = parse()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    console = Console(width=120)
    bf16 = device.type == "cuda" or cpu_has_bf16() or options.bf16
    console.print(hardware(device, options.threads))
    runs = list(all_runs(options, device, bf16))
    for _ in range(options.rounds):
        for run in runs:
            run.times.append(timed(run.step, device, options.threads))
    failed = [report(console, runs, mode, options.batch, device) for mode in ("train", "inference")]
    share_of_peak(console, runs, options.batch, device)
    if options.profile or device.type == "cuda":
        best = "ours bf16" if device.type == "cuda" or cpu_gains_by_bf16() else "ours fp32"
        for mode in ("train", "inference"):
            profile(console, next(r for r in runs if r.variant == best and r.mode == mode), device)
    return int(any(failed))


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--size", type=int, default=128, help="side of the input in pixels")
    parser.add_argument("--batch", type=int, default=64 if on_gpu else 8)
    parser.add_argument("--rounds", type=int, default=20 if on_gpu else 5)
    parser.add_argument("--random", type=int, default=3, help="random codes beside the default one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=on_gpu)
    parser.add_argument(
        "--graphs", action="store_true", help="on a GPU, train ours as CUDA graphs (instead of --compile)"
    )
    parser.add_argument("--bf16", action="store_true", help="measure bf16 also where the CPU only emulates it")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    parser.add_argument("--cpu", action="store_true", help="stay on the CPU")
    options = parser.parse_args()
    options.graphs = options.graphs and on_gpu and not options.cpu
    options.compile = options.compile and not options.graphs
    return options


def hardware(device: torch.device, threads: int) -> str:
    """One line: what this ran on."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{cpu_name()}, {torch.backends.cpu.get_cpu_capability()}, {threads} thread(s)"
        name += "" if cpu_has_bf16() else ", no bf16 instructions"
    return f"torch {torch.__version__} on {name}"


def cpu_name() -> str:
    """The processor as Linux names it."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo") as file:
        return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    return "CPU"


def all_runs(options: argparse.Namespace, device: torch.device, bf16: bool) -> Iterator[Run]:
    """Every network in every variant and mode, warmed up."""
    size = (options.size, options.size)
    codes: list[tuple[str, Architecture]] = [("default", SPACE.default())]
    samples = SPACE.sample(options.random, np.random.default_rng(2022))
    codes += [(f"random {i + 1}", a) for i, a in enumerate(samples)]
    variants = ["plain", "ours fp32"] + (["ours bf16"] if bf16 else [])
    for name, architecture in codes:
        macs = int(cost.count(architecture, size, "classification", CLASSES).macs)
        for variant in variants:
            for mode in ("train", "inference"):
                torch.manual_seed(0)
                net: nn.Module = build(architecture, "cls", CLASSES, channels_last=variant != "plain").to(device)
                yield prepared(Run(name, variant, mode, macs, lambda: None), net, options, device)
    for mode in ("train", "inference"):
        net = timm.create_model("hrnet_w18_small", num_classes=CLASSES)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net.eval()(torch.zeros(1, 3, *size))
        macs = counter.get_total_flops() // 2
        yield prepared(Run("hrnet_w18_small", "plain", mode, macs, lambda: None), net.to(device), options, device)


def prepared(run: Run, net: nn.Module, options: argparse.Namespace, device: torch.device) -> Run:
    """``run`` with its step, taken twice so that nothing is compiled or allocated while timing."""
    ours, low = run.variant != "plain", run.variant.endswith("bf16")
    x_BCHW = torch.randn(options.batch, 3, options.size, options.size, device=device)
    if ours:
        x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
    if run.mode == "inference":
        net = fused(net) if ours else net.eval()
        if low:  # nothing is trained, so that the weights themselves can be bf16
            net, x_BCHW, low = net.bfloat16(), x_BCHW.bfloat16(), False
    if ours and options.compile:
        compile_in_place(net, device=device)
    precision = torch.autocast(device.type, torch.bfloat16, enabled=low, cache_enabled=not options.graphs)
    if ours and options.graphs and run.mode == "train":
        with precision:
            torch.cuda.make_graphed_callables(net.train(), (x_BCHW,))  # the network's own forward, from now on
    make = training_step if run.mode == "train" else inference_step
    run.step = make(net.train(run.mode == "train"), x_BCHW, precision)
    for _ in range(3 if options.compile else 1):
        run.step()
    return run


def training_step(net: nn.Module, x_BCHW: Tensor, precision: torch.autocast) -> Callable[[], None]:
    """Forward, cross-entropy, backward and an SGD step."""
    labels = torch.arange(x_BCHW.shape[0], device=x_BCHW.device) % CLASSES
    optimiser = torch.optim.SGD(net.parameters(), 0.001, momentum=0.9, weight_decay=1e-4, foreach=True)

    def step() -> None:
        optimiser.zero_grad()
        with precision:
            loss = F.cross_entropy(net(x_BCHW).float(), labels)
        loss.backward()
        optimiser.step()

    return step


def inference_step(net: nn.Module, x_BCHW: Tensor, precision: torch.autocast) -> Callable[[], None]:
    """One forward pass without gradients."""

    def step() -> None:
        with torch.inference_mode(), precision:
            net(x_BCHW)

    return step


def timed(step: Callable[[], object], device: torch.device, threads: int) -> float:
    """Seconds of one step."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    clock = time.process_time if device.type == "cpu" and threads == 1 else time.perf_counter
    start = clock()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def report(console: Console, runs: list[Run], mode: str, batch: int, device: torch.device) -> bool:
    """Print one table of ``mode``; True when a bar that applies is missed."""
    mine = [r for r in runs if r.mode == mode]
    peer = next(r for r in mine if r.code == "hrnet_w18_small")
    console.print(f"\n{mode}, batch {batch}: images/s; ratio to plain; ratio to hrnet_w18_small per multiply-add")
    table = Table()
    variants = sorted({r.variant for r in mine}, key=lambda v: ("plain ours fp32 ours bf16").index(v))
    for heading in ("code", "G multiply-adds", *variants):
        table.add_column(heading, justify="left" if heading == "code" else "right")
    ratios: dict[str, list[tuple[float, float]]] = {v: [] for v in variants}
    for code in dict.fromkeys(r.code for r in mine if r is not peer):
        row = {r.variant: r for r in mine if r.code == code}
        cells = []
        for v in variants:
            pair = (row["plain"].seconds / row[v].seconds, (peer.seconds / peer.macs) / (row[v].seconds / row[v].macs))
            ratios[v].append(pair)
            cells.append(f"{batch / row[v].seconds:.1f} ({pair[0]:.2f}x, {pair[1]:.2f}x)")
        table.add_row(code, f"{row['plain'].macs / 1e9:.3f}", *cells)
    table.add_row(peer.code, f"{peer.macs / 1e9:.3f}", f"{batch / peer.seconds:.1f}")
    means = {v: tuple(math.exp(sum(map(math.log, r)) / len(r)) for r in zip(*ratios[v], strict=True)) for v in variants}
    table.add_row("geometric mean", "", *(f"{means[v][0]:.2f}x, {means[v][1]:.2f}x" for v in variants))
    console.print(table)
    missed = [
        f"{v} is {means[v][0]:.2f}x plain, the bar is {bar}x" for v, bar in bars(mode, device) if means[v][0] < bar
    ]
    for line in missed:
        console.print(f"MISSED ({mode}): {line}")
    return bool(missed)


def bars(mode: str, device: torch.device) -> list[tuple[str, float]]:
    """The bars that apply here."""
    if device.type == "cuda":
        return [("ours bf16", BAR_GPU)] if mode == "train" else []
    if not cpu_has_bf16():
        return []
    return [(name, bar) for name, bar in BARS_CPU.items() if name != "ours bf16" or cpu_gains_by_bf16()]


def share_of_peak(console: Console, runs: list[Run], batch: int, device: torch.device) -> None:
    """Say which share of the device's rate a step reaches (training: 3 times the forward multiply-adds; 2 operations each)."""
    stated = next((rate for key, rate in PEAKS.items() if device.type == "cuda" and key in hardware(device, 1)), None)
    kinds = {"bf16": torch.bfloat16} if device.type == "cuda" else {"fp32": torch.float32, "bf16": torch.bfloat16}
    kinds = {name: kind for name, kind in kinds.items() if any(r.variant == f"ours {name}" for r in runs)}
    rates = {name: matmul_rate(kind, device) for name, kind in kinds.items()}
    console.print("\na large matrix product: " + ", ".join(f"{rate / 1e9:,.0f} G in {k}" for k, rate in rates.items()))
    console.print("operations a second, and share of that product's in the same type of numbers:")
    for run in runs:
        name = run.variant.removeprefix("ours ").replace("plain", "fp32")
        if name in rates:
            rate = 2 * (3 if run.mode == "train" else 1) * run.macs * batch / run.seconds
            share = f"{rate / 1e9:,.0f} G, {rate / rates[name]:.1%}"
            share += f", {rate / stated:.1%} of the stated {stated / 1e12:.0f} T" if stated else ""
            console.print(f"  {run.code}, {run.mode}, {run.variant}: {share}")


def matmul_rate(kind: torch.dtype, device: torch.device) -> float:
    """Operations a second of a matrix product; on a CPU of one thread's own time, as everything here."""
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device).to(kind)
    seconds = min(timed(lambda: a @ a, device, torch.get_num_threads()) for _ in range(10))
    return 2 * n**3 / seconds


GROUPS = {
    "convolutions and matrix products": ("conv", "gemm", "mm", "xmma", "cutlass", "wgrad", "dgrad", "implicit"),
    "norms": ("norm", "bn_"),
    "activations, sums and other fused pointwise work": ("threshold", "relu", "add", "triton", "mul", "elementwise"),
    "resizing and concatenation": ("upsample", "interpolate", "cat"),
    "copies and layout": ("copy", "memcpy", "memset", "fill", "zero", "to_"),
    "optimiser": ("foreach", "sgd", "multi_tensor"),
}


def profile(console: Console, run: Run, device: torch.device) -> None:
    """Where the time of one step goes, by kind of kernel, and how much of a GPU's wall time no kernel runs."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as record:
        start = time.perf_counter()
        run.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        wall = time.perf_counter() - start
    attribute = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    spent: dict[str, float] = {}
    for event in record.key_averages():
        if device.type == "cuda" and event.device_type != torch.autograd.DeviceType.CUDA:  # type: ignore[attr-defined]
            continue
        group = next((g for g, words in GROUPS.items() if any(w in event.key.lower() for w in words)), "other")
        spent[group] = spent.get(group, 0.0) + getattr(event, attribute) / 1e6
    table = Table(title=f"one step of {run.mode}, {run.code}, {run.variant}: {wall * 1e3:.0f} ms with the profiler")
    table.add_column("part")
    table.add_column("ms", justify="right")
    table.add_column("share", justify="right")
    for group, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        whole = wall if device.type == "cuda" else sum(spent.values())  # other work adds to a CPU's wall time
        table.add_row(group, f"{seconds * 1e3:.1f}", f"{seconds / whole:.1%}")
    if device.type == "cuda":
        idle = max(wall - sum(spent.values()), 0.0)
        table.add_row("no kernel running (launches, profiler)", f"{idle * 1e3:.1f}", f"{idle / wall:.1%}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
