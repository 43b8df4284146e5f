"""The loop (src/loop.py) over several seeds: does the found architecture win? python -m bench.loop [SEED ...]

Each seed draws its own sample, trainings and comparison; about 15 minutes a seed on two cores (default: seed 1 alone). Shown are
all of them, won or lost.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench._timing import show
from ncp import runs

ROOT = Path(__file__).resolve().parents[1]
MINUTES_BAR = 15.0


def run(seed: int, outputs: Path, more: list[str]) -> dict[str, Any]:
    """The result of one loop."""
    line = [sys.executable, "-m", "src.loop", f"seed={seed}", f"paths.outputs={outputs}", *more]
    subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    newest = max(outputs.glob("loop/*/*/result.json"), key=lambda file: file.stat().st_mtime)
    return runs.read_result(newest)


def main() -> int:
    """Print a row a seed and setting; 1 where a loop took longer than its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--with", dest="more", nargs="*", default=[], metavar="KEY=VALUE", help="overrides of src.loop")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        results = [run(seed, Path(root), options.more) for seed in options.seeds]
    rows, gaps = [], []
    for seed, result in zip(options.seeds, results, strict=True):
        for setting in result["settings"]:
            scores = {name: c["scores"][setting]["mean"] for name, c in result["candidates"].items()}
            gaps.append((scores["found"] - scores["default"], scores["found"] - scores["best sampled"]))
            kendall = result["predictor_errors"][setting]["kendall"]
            minutes = result["seconds"]["total"] / 60
            rows.append((str(seed), setting, *(f"{scores[n]:.2f}" for n in scores), f"{kendall:.2f}", f"{minutes:.1f}"))
    names = list(results[0]["candidates"])
    show("the loop over seeds, at equal cost", ("seed", "setting", *names, "predictor's tau", "minutes"), rows)
    mean = np.mean(gaps, axis=0)
    error = np.std(gaps, axis=0, ddof=1) / len(gaps) ** 0.5
    for other, m, e in zip(("default", "best sampled"), mean, error, strict=True):
        print(f"found minus {other}: {m:+.2f} points, standard error {e:.2f}")
    return int(any(result["seconds"]["total"] > 60 * MINUTES_BAR for result in results))


if __name__ == "__main__":
    sys.exit(main())
