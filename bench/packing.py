"""Does it pay to train several small networks on one device at a time? python -m bench.packing [NUMBER ...] [--setting SETTING]

The same build of small architectures (sample=small) on the built-in set with 1, 2, ... trainings at a time; models an hour,
and the gain over one at a time. On a machine with a GPU that is what is shared; else the processor's cores are.
--mps measures every number above 1 again under NVIDIA's multi-process service, which it starts and ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench._timing import show

ROOT = Path(__file__).resolve().parents[1]


def seconds(setting: str, count: int, number: int, length: int) -> float:
    """Of a whole build, processes' start and all."""
    with tempfile.TemporaryDirectory() as root:
        line = [
            *(sys.executable, "-m", "src.build", f"setting={setting}", "sample=small", f"count={count}"),
            *(f"build.per_device={number}", f"paths.outputs={root}", f"recipe.length={length}"),
        ]
        # alone, a training may use every core
        threads = {"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))} if number == 1 else {}
        started = time.perf_counter()
        subprocess.run(line, cwd=ROOT, env={**os.environ, **threads}, check=True, capture_output=True)
        return time.perf_counter() - started


@contextlib.contextmanager
def mps() -> Iterator[None]:
    """Within, processes share the GPU at once instead of in turns (NVIDIA's multi-process service, of this user alone)."""
    with tempfile.TemporaryDirectory(prefix="ncp-mps-") as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        os.environ.update(places)
        subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True)
        try:
            yield
        finally:
            subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, check=False)
            for name in places:
                del os.environ[name]


def main() -> int:
    """Print the table; 1 where no number beats one at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--setting", default="seg")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--length", type=int, default=30, help="steps of a training")
    parser.add_argument("--mps", action="store_true", help="on a GPU, also under the multi-process service")
    options = parser.parse_args()
    if options.mps and shutil.which("nvidia-cuda-mps-control") is None:
        parser.error("--mps needs nvidia-cuda-mps-control, which comes with NVIDIA's driver")
    numbers = sorted({1, *options.numbers})
    took = {str(number): seconds(options.setting, options.count, number, options.length) for number in numbers}
    if options.mps:
        with mps():
            for number in numbers[1:]:
                took[f"{number}, MPS"] = seconds(options.setting, options.count, number, options.length)
    alone, *several = took.values()
    rows = [
        (label, f"{lasted:.0f} s", f"{3600 * options.count / lasted:.0f}", f"{alone / lasted:.2f}x")
        for label, lasted in took.items()
    ]
    show(
        f"{options.count} trainings of {options.length} steps, setting {options.setting}",
        ("at a time", "build", "models an hour", "gain"),
        rows,
    )
    return int(bool(several) and min(several) >= alone)


if __name__ == "__main__":
    sys.exit(main())
