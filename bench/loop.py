"""The loop (src/loop.py) over several seeds: does the found architecture win? python -m bench.loop [SEED ...]

Each seed draws its own sample, trainings and comparison; about 15 minutes a seed on two cores (default: seed 1 alone). Shown are
all of them, won or lost. ``--keep FOLDER`` leaves every loop's pages there, and a seed that is there already is not run again.
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
RESULTS = "loop/*/*/result.json"


def run(seed: int, outputs: Path, more: list[str]) -> dict[str, Any]:
    """The result of one loop, run where it is not there yet."""
    place = (outputs / f"seed-{seed}").resolve()
    if not any(place.glob(RESULTS)):
        line = [sys.executable, "-m", "src.loop", f"seed={seed}", f"paths.outputs={place}", *more]
        subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return runs.read_result(max(place.glob(RESULTS)))


def gap(results: list[dict[str, Any]], setting: str, other: str) -> str:
    """Over the seeds, in words: the mean difference, its standard error, and how often the found one is ahead."""
    means = [{name: c["scores"][setting]["mean"] for name, c in result["compared"].items()} for result in results]
    gaps = np.array([mean["found"] - mean[other] for mean in means])
    ahead = f"ahead in {int((gaps > 0).sum())} of {len(gaps)}"
    if len(gaps) < 2:
        return f"{gaps.mean():+.2f} points"
    return f"{gaps.mean():+.2f} points, standard error {gaps.std(ddof=1) / len(gaps) ** 0.5:.2f}, {ahead}"


def main() -> int:
    """Print a row a seed and setting; 1 where a loop took longer than its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--with", dest="more", nargs="*", default=[], metavar="KEY=VALUE", help="overrides of src.loop")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the loops' pages stay")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in options.seeds:
            results.append(run(seed, options.keep or Path(scratch), options.more))
            print(f"seed {seed}: {results[-1]['seconds']['total'] / 60:.1f} minutes", flush=True)
    rows = []
    for seed, result in zip(options.seeds, results, strict=True):
        for setting in result["settings"]:
            scores = {name: c["scores"][setting] for name, c in result["compared"].items()}
            cells = [f"{s['mean']:.2f}" + (f" ± {s['std']:.2f}" if s["std"] else "") for s in scores.values()]
            kendall = result["predictor_errors"][setting]["kendall"]
            minutes = (result[key]["total"] / 60 for key in ("seconds", "cpu_seconds"))
            rows.append((str(seed), setting, *cells, f"{kendall:.2f}", *(f"{m:.1f}" for m in minutes)))
    names = list(results[0]["compared"])
    show(
        "the loop over seeds, at equal cost",
        ("seed", "setting", *names, "tau", "minutes", "CPU minutes"),
        rows,
    )
    for setting in results[0]["settings"]:
        for other in ("default", "best sampled"):
            print(f"{setting}: found minus {other}: {gap(results, setting, other)}")
    return int(any(result["seconds"]["total"] > 60 * MINUTES_BAR for result in results))


if __name__ == "__main__":
    sys.exit(main())
