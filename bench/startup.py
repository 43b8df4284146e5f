"""How long the commands take as whole processes, and how much memory, against importing torch: python -m bench startup

A search imports no torch. Every process is started anew; they alternate, and the least CPU time of each counts, which on an idle
machine is the wall time of a program with one thread. Bytecode should be compiled (`make setup` does so).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench._timing import show

ROOT = Path(__file__).resolve().parents[1]
BAR = 0.6  # the whole search against `import torch`
MEMORY = 250  # MB that it takes at most
MAIN = "src.search objectives=[cls,seg]"


def process(arguments: list[str], outputs: str) -> tuple[float, float, float]:
    """Wall and CPU seconds of one process, and its peak memory in MB; raises if it fails."""
    environment = {**os.environ, "NCP_OUTPUTS": outputs, "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    assert child.stderr is not None
    if status:
        raise RuntimeError(f"{' '.join(arguments)} failed: {child.stderr.read().decode()[-500:]}")
    child.stderr.close()
    child.returncode = 0
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="processes of each kind (default 5)")
    options = parser.parse_args(arguments)
    commands = {
        "import torch": ["-c", "import torch"],
        MAIN: ["-m", *MAIN.split()],
        "src.search objectives=[seg] strategy=paper": ["-m", "src.search", "objectives=[seg]", "strategy=paper"],
        "src.search --help": ["-m", "src.search", "--help"],
        "src.search --cfg job": ["-m", "src.search", "--cfg", "job"],
    }
    measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as outputs:
        for _ in range(options.repeat):
            for name, command in commands.items():
                measured[name].append(process(command, outputs))
    wall, cpu = ({name: min(m[i] for m in found) for name, found in measured.items()} for i in range(2))
    memory = {name: max(m[2] for m in found) for name, found in measured.items()}
    ratio = {name: cpu[name] / cpu["import torch"] for name in commands}
    rows = [
        [name, f"{wall[name]:.2f} s", f"{cpu[name]:.2f} s", f"{ratio[name]:.2f}x", f"{memory[name]:.0f} MB",
         f"{BAR:g}x, {MEMORY} MB" if name == MAIN else ""]
        for name in commands
    ]  # fmt: skip
    head = ["", "wall", "CPU", "of import torch (CPU)", "peak memory", "bar"]
    show(f"Whole processes, least of {options.repeat}", head, rows)
    return int(ratio[MAIN] > BAR or memory[MAIN] > MEMORY)


if __name__ == "__main__":
    sys.exit(main())
