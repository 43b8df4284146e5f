"""Discoveries whose trainings are rows of the recorded tables, judged by one who saw all rows: python -m bench discover TABLES

TABLES is the released ``data`` folder. Of each setting, with both samplers, ``src.discover ... source=TABLES`` is run with some
seeds and 40 trainings; the bundled predictors of other tasks are known, those of the own task are not. The judge is the exact
process of ``bench.search_quality``; beside it stand the best of the 40 rows within the limit, as recorded, and the default search
on the bundled predictor of all rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench._timing import show
from bench.search_quality import judge, verdict
from ncp import jobs
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.search import search

# setting, limit of macs, bar of the judged mean by sampler
CASES: tuple[tuple[str, float, dict[str, float]], ...] = (
    ("seg", 0.89e9, {"random": 77.0, "adaptive": 77.3}),
    ("cls-50-1000", 2.01e9, {"random": 85.3, "adaptive": 85.3}),
    ("video", 0.73e9, {"random": 26.5, "adaptive": 26.5}),
)


def words(name: str, macs: float, sampler: str, seed: int, tables: Path, trainings: int) -> list[str]:
    """The command line of one discovery."""
    task = settings.get(name).task
    known = [other for other in settings.PAPER if settings.get(other).task != task]
    return [
        f"setting={name}", f"source={tables}", f"known=[{','.join(known)}]", f"sampler={sampler}", f"trainings={trainings}",
        f"budget.macs={macs}", f"seed={seed}",
    ]  # fmt: skip


def main() -> int:
    """Print a row a setting and sampler; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="?", help="the released data folder")
    parser.add_argument("--settings", nargs="*", default=[case[0] for case in CASES])
    parser.add_argument("--samplers", nargs="*", default=["random", "adaptive"], choices=["random", "adaptive"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trainings", type=int, default=40)
    options = parser.parse_args()
    if options.tables is None:
        print("left out: it needs the released tables, python -m bench discover TABLES")
        return 0
    rows, missed = [], False
    for name, macs, bars in CASES:
        if name not in options.settings:
            continue
        try:
            judging = judge(options.tables, name)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        everything, _ = verdict(judging, search([name], budget={"macs": macs}).architecture)
        for sampler in options.samplers:
            judged, best, seconds = [], [], []
            for seed in range(options.seeds):
                line = words(name, macs, sampler, seed, options.tables.resolve(), options.trainings)
                with tempfile.TemporaryDirectory() as scratch:
                    given = jobs.options("discover", *line, f"dir={scratch}/rows")
                    found = jobs.module("discover").run(given, Path(scratch) / "page").discovery
                judged.append(verdict(judging, found.candidates["found"])[0])
                best.append(found.scores["best sampled"][name][0])
                seconds.append(found.cpu_seconds["build " + name] + found.cpu_seconds["fit " + name])
                print(f"{name}, {sampler}, seed {seed}: {judged[-1]:.2f}, best row {best[-1]:.2f}", flush=True)
            mean, spread = np.mean(judged), np.std(judged, ddof=1) / len(judged) ** 0.5 if len(judged) > 1 else np.nan
            missed |= bool(mean < bars[sampler])
            numbers = [f"{mean:.2f} ± {spread:.2f}", f"{min(judged):.2f}", f"{bars[sampler]:.1f}"]
            met = "met" if mean >= bars[sampler] else "MISSED"
            row = [f"{name}, {sampler}", f"{macs / 1e9:.2f}", *numbers, met]
            rows.append([*row, f"{np.mean(best):.2f}", f"{everything:.2f}", f"{np.mean(seconds):.1f} s"])
    columns = [
        "setting, sampler",
        "G MACs",
        "judged",
        "worst seed",
        "bar",
        "",
        "best row",
        "all rows",
        "CPU, rows and fit",
    ]
    show(f"Discoveries from {options.trainings} recorded trainings, mean of {options.seeds} seeds", columns, rows)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
