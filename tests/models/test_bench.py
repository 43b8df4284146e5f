"""The benchmark of the networks runs and prints what it promises."""

import os
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


@pytest.mark.slow
def test_the_benchmark_of_exports_compares_every_variant():
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    options = ["--random", "0", "--seconds", "0.1", "--size", "64", "64", "--batch", "1", "--task", "cls"]
    done = subprocess.run([sys.executable, "-m", "bench.exports", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr  # at this size the bar may be missed
    for name in ("plain torch", "ours fp32", "onnxruntime fp32", "onnxruntime int8"):
        (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"│ {name} ")]
        assert re.search(r"\d ms \(\d+\.\d\dx\)", row)


@pytest.mark.slow
def test_the_benchmark_of_a_gpu_runs_its_steps_on_a_cpu_too_and_says_where_there_is_none():
    options = ["train", "--cpu", "--random", "0", "--seconds", "0.1", "--size", "32", "--batch", "2"]
    done = subprocess.run([sys.executable, "-m", "bench.gpu", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "eager bf16" in done.stdout
    assert re.search(r"default .*\(1\.00x\).*\(\d+\.\d\dx\)", done.stdout)
    without = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-m", "bench.gpu"], cwd=ROOT, capture_output=True, text=True, env=without)
    assert done.stdout.startswith("nothing was measured: torch sees no GPU here")
