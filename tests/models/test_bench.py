"""The benchmark of the networks runs and prints what it promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_bench_prints_ratios_and_the_hardware():
    options = ["--random", "0", "--rounds", "1", "--size", "32", "--batch", "2", "--cpu", "--bf16", "--profile"]
    done = subprocess.run([sys.executable, "-m", "bench.models", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr  # at this size the bars may be missed
    assert re.match(r"torch \S+ on .*thread", done.stdout)
    for mode in ("train", "inference"):
        assert f"{mode}, batch 2: images/s; ratio to plain" in done.stdout
    means = [line for line in done.stdout.splitlines() if "geometric mean" in line]
    ratios = [[float(n) for n in re.findall(r"([\d.]+)x", line)] for line in means]
    assert [len(r) for r in ratios] == [6, 6]  # plain, fp32 and bf16, each against plain and against timm's network
    assert all(r[0] == 1 and min(r) > 0.01 for r in ratios)
    assert "convolutions and matrix products" in done.stdout
