"""Latency models and latency-limited searches on recorded devices: python -m bench latency [TABLE] [--rows N]

Times are those of all 15,625 cells of NAS-Bench-201 on 19 devices, which lie beside a developer's checkout. Without TABLE (the
release's ``nas-bench-201/trainval.pkl`` or a folder above it; the one beside the checkout where there is one) only the models
are judged: fitted on 100 random cells, by rank correlation and relative error over the 15,525 others, the worst of the seeds.
With it, cells are searched under five limits a device (deciles 10 to 90 of its times) by a predictor of 1,000 rows and a
latency model of 1,000 rows. The best are timed as on a machine at hand (``verify=auto``); the one that keeps the limit is
looked up in the table and compared with the best cell that truly keeps it, which is the maximum of many trainings that
scatter. Two predictors search: one of random rows, and one whose second half of rows was chosen in rounds along the front of
accuracy and multiply-adds (no device has a say in it).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import gzip
import io
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench._timing import show
from bench.nasbench201 import read
from ncp import files, latency, spaces
from ncp.latency.fitting import errors
from ncp.latency.model import Latency
from ncp.paper.nasbench201 import SETTING, Truth
from ncp.predictors.answers import AnyPredictor
from ncp.search import Result, search
from ncp.search.verify import settle
from ncp.spaces.nasbench201 import SPACE as CELLS

SHARED = Path(__file__).resolve().parents[2] / "shared"
ROWS, SEEDS = 100, (0, 1, 2)
BAR, OTHER_BAR = 0.95, 0.92
# phones and a simulated chip
OTHERS = ("essential_ph_1", "eyeriss", "pixel2", "samsung_a50")
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
WITHIN = 0.3
LEVELS = 50
KINDS = ("random", "rounds")


def recorded(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of devices, codes ``(N, 30)`` and milliseconds ``(N, devices)``."""
    text = gzip.decompress(files.read_bytes(path)).decode()
    header, *rows = csv.reader(io.StringIO(text))
    space = spaces.get("nasbench201")
    codes = space.encode([space.parse(row[0]) for row in rows])
    return header[1:], codes, np.array([row[1:] for row in rows], dtype=np.float64)


def judged(codes: np.ndarray, times: np.ndarray, seed: int, rows: int = ROWS) -> dict[str, float]:
    """Errors of a model of some rows, on all others."""
    order = np.random.default_rng(seed).permutation(len(codes))
    seen, unseen = order[:rows], order[rows:]
    model = latency.fit("nasbench201", codes[seen], times[seen])
    mean, std = model.posterior_of(codes[unseen])
    return {**errors(times[unseen], mean), "kept": float((times[unseen] <= mean + std).mean())}


def in_rounds(truth: Truth, rows: int, seed: int) -> list[int]:
    """Half of the rows at random, the others in rounds: at ``LEVELS`` limits of exact cost the cell that would be best.

    Of each round half goes by the process' mean and half by mean plus deviation, so that doubtful cells have their turn.
    """
    chosen = np.random.default_rng(seed).choice(len(truth.codes), rows // 2, replace=False).tolist()
    limits = np.quantile(truth.macs, np.linspace(0.02, 1, LEVELS))
    while len(chosen) < rows:
        mean, std = told(truth, truth.process(chosen, fit_rows=500, features=with_paths))
        left = np.ones(len(truth.codes), dtype=bool)
        left[chosen] = False
        for kappa, limit in itertools.product((0.0, 1.0), limits):
            if len(chosen) == rows:
                break
            possible = left & (truth.macs <= limit)
            if possible.any():
                chosen.append(int(np.where(possible, mean + kappa * std, -np.inf).argmax()))
                left[chosen[-1]] = False
    return chosen


def with_paths(codes: Any) -> Any:
    """The space's features, and how many paths do what: with some hundreds of rows these tell good cells apart."""
    return torch.cat([CELLS.features(codes), CELLS.sequences(codes)], -1)


def told(truth: Truth, predictor: AnyPredictor, chunk: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every cell, ``(N,)`` each."""
    parts = [predictor.answer(truth.codes[i : i + chunk]) for i in range(0, len(truth.codes), chunk)]
    deviations = [p.std[:, 0] for p in parts if p.std is not None]
    return np.concatenate([p.mean[:, 0] for p in parts]), np.concatenate(deviations)


def searched(
    truth: Truth, predictor: AnyPredictor, codes: np.ndarray, times: np.ndarray, rows: int
) -> list[tuple[float, float]]:
    """A device's searches: points short of the best cell under the limit, and measured time over the limit."""
    accuracy = truth.accuracy[[truth.row[tuple(code)] for code in codes.astype(int).tolist()]]
    row = {tuple(code): i for i, code in enumerate(codes.astype(int).tolist())}
    seen = np.random.default_rng(1).choice(len(codes), rows, replace=False)
    model = latency.fit("nasbench201", codes[seen], times[seen])
    out = []
    for limit in np.quantile(times, QUANTILES).tolist():

        def again(models: list[Latency], limit: float = limit) -> Result:
            return search(
                [SETTING], predictor={SETTING: predictor}, budget={"latency_ms": limit}, latency=models, latency_trust=True,
                latency_margin=0.0, kappa=0.0,
            )  # fmt: skip

        found = settle(again([model]), {"latency_ms": lambda a: float(times[row[tuple(a.code)]])}, again)
        i = row[tuple(found.architecture.code)]
        out.append((float(accuracy[times <= limit].max() - accuracy[i]), float(times[i] / limit)))
    return out


def models(devices: list[str], codes: np.ndarray, times: np.ndarray) -> bool:
    """The table of models; whether all keep their bars."""
    lines, good = [], True
    for column, device in enumerate(devices):
        all_of = [judged(codes, times[:, column], seed) for seed in SEEDS]
        rank, bar = min(e["spearman"] for e in all_of), OTHER_BAR if device in OTHERS else BAR
        good &= rank >= bar
        median, kept = max(e["median_error"] for e in all_of), float(np.mean([e["kept"] for e in all_of]))
        lines.append([device, f"{rank:.3f}", f"{bar}", f"{100 * median:.1f} %", f"{100 * kept:.0f} %"])
    show(
        f"{ROWS} rows, worst of {len(SEEDS)} seeds",
        ["device", "Spearman", "bar", "median error", "within 1 deviation"],
        lines,
    )
    return good


def searches(
    devices: list[str], codes: np.ndarray, times: np.ndarray, table: Path, rows: int, kinds: Sequence[str] = KINDS
) -> bool:
    """The tables of searches; whether the median of those by rows chosen in rounds is within the bar."""
    truth = read(table)
    median = np.inf
    for kind in kinds:
        predictor: AnyPredictor = (
            truth.predictor(rows, 0)
            if kind == "random"
            else truth.process(in_rounds(truth, rows, 0), features=with_paths)
        )
        lines, every = [], []
        for column, device in enumerate(devices):
            found = searched(truth, predictor, codes, times[:, column], rows)
            every += found
            lines.append([device, *(f"{short:+.2f} ({share:.2f})" for short, share in found)])
            median = float(np.median([short for short, _ in every]))
            print(f"{', '.join(lines[-1])}; median so far {median:.3f}", file=sys.stderr, flush=True)
        names = ["device", *(f"fastest {100 * q:.0f} %" for q in QUANTILES)]
        kept = np.mean([share <= 1 for _, share in every])
        show(
            f"{rows:,} rows, {'random' if kind == 'random' else 'in rounds'}: points short of the best cell under the limit "
            f"(measured time over the limit); median {median:.2f}, limit truly kept in {100 * kept:.0f} %",
            names,
            lines,
        )
    return median <= WITHIN


def main() -> int:
    """Print the tables; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, nargs="?", help="nas-bench-201's trainval.pkl, or a folder with it")
    parser.add_argument(
        "--rows", type=int, default=1000, help="rows that predictor and latency model of the searches see"
    )
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=KINDS, help="of the predictors' rows; the last is judged"
    )
    parser.add_argument("--devices", nargs="*", help="only these")
    options = parser.parse_args()
    path = SHARED / "nb201-devices" / "latency_ms.csv.gz"
    if not path.is_file():
        print(f"left out: it needs the recorded devices in {path.parent}")
        return 0
    devices, codes, times = recorded(path)
    wanted = [i for i, name in enumerate(devices) if not options.devices or name in options.devices]
    devices, times = [devices[i] for i in wanted], times[:, wanted]
    good = models(devices, codes, times)
    table = options.table or SHARED / "nas-bench-mr" / "data"
    if (table / SETTING).is_dir() or table.is_file():
        good &= searches(devices, codes, times, table, options.rows, options.kinds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
