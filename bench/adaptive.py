"""What chosen trainings find, beside twice as many random ones: python -m bench adaptive TABLES

TABLES is the released ``data`` folder. A build of 40 trainings in rounds (``ncp.campaign.rounds``) is played through on it: once
choosing rows of the table, once choosing any codes, whose results an exact Gaussian process on all rows answers, with the noise
that it found. "Find" is the default search on the predictor fitted to those trainings at the setting's limit of cost, judged by
the same process (its mean, and that minus one standard deviation of its own, as bench.search_quality does); beside it stands the
best measured row within the limit. The known predictors leave out the setting's whole task. ``--keep FILE`` writes each result
down, and what is there already is not played again: about half a minute of one processor a seed and setting.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bench._timing import show
from ncp.benchmark import settings
from ncp.benchmark.importing import import_file
from ncp.campaign import growth, rounds
from ncp.errors import UserError
from ncp.predictors import exact
from ncp.predictors.exact import ExactGP
from ncp.search import search

LIMITS = {"cls-50-1000": 2.01e9, "seg": 0.89e9, "3ddet": 1.0e9, "video": 0.73e9}
ADAPTIVE, RANDOM = 40, 80
MODES = ("rows", "codes")


@dataclass
class Case:
    """A setting played through: its rows, judge and limit."""

    name: str
    codes: np.ndarray
    values: np.ndarray
    judge: ExactGP
    limit: float
    known: list[str]

    @classmethod
    def read(cls, folder: Path, name: str) -> Case:
        """Good rows of a table, and an exact process on them."""
        setting = settings.get(name)
        table = import_file(folder / name / "trainval.pkl", name)
        good = table.rows("clean") & table.rows("paper")
        codes, values = np.asarray(table.codes)[good], np.asarray(table.column(setting.main), dtype=np.float64)[good]
        judge = exact.remembered(name, setting.main, codes, values, fit_rows=1400)
        known = [other for other in settings.PAPER if settings.get(other).task != setting.task]
        return cls(name, codes, values, judge, LIMITS[name], known)

    def judged(self, code: np.ndarray) -> tuple[float, float]:
        """The judge's mean, and that less its own standard deviation."""
        with torch.no_grad():
            mean, std = self.judge.posterior(torch.as_tensor(np.asarray(code, dtype=np.float64)[None]))
        return float(mean), float(mean - std)

    def simulated(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As if they were trained: the judge's mean and its noise."""
        with torch.no_grad():
            mean = self.judge.posterior(torch.as_tensor(np.asarray(codes, dtype=np.float64)))[0][:, 0].numpy()
        return mean + float(self.judge.noise_std[0]) * rng.standard_normal(len(codes))

    def within(self, codes: np.ndarray) -> np.ndarray:
        """Codes that keep the limit."""
        return np.asarray(self.judge.space.cost(codes).macs <= self.limit)

    def found(self, codes: np.ndarray, values: np.ndarray, seed: int) -> tuple[float, float, float]:
        """Judged, mean and lower bound: what a search finds on these trainings' predictor; the mean of the best measured one."""
        names = (self.name, settings.get(self.name).main)
        predictor = rounds.fit(self.judge.space, codes, values, self.known, seed, *names)
        budget = {"macs": self.limit}
        result = search([self.name], predictor={self.name: predictor}, budget=budget, seed=seed, force=True)
        inside = self.within(codes)
        best = codes[inside][values[inside].argmax()] if inside.any() else codes[values.argmin()]
        return *self.judged(np.array(result.architecture.code)), self.judged(best)[0]

    def grown(self, mode: str, seed: int, number: int) -> tuple[float, float, float]:
        """The same of a build in ``number`` rounds."""
        return self.found(*adaptive(self, mode, seed, ADAPTIVE, number), seed)


def adaptive(case: Case, mode: str, seed: int, count: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes and values of a build in ``number`` rounds."""
    rng = np.random.default_rng(seed)
    rows = {tuple(code): value for code, value in zip(case.codes.tolist(), case.values, strict=True)}
    codes, values = np.zeros((0, case.codes.shape[1]), dtype=np.int64), np.zeros(0)
    for size in growth.sizes(count, number):
        pool, reach = (case.codes, rounds.RECORDED) if mode == "rows" else (None, rounds.REACH)
        new = rounds.propose(
            case.judge.space,
            codes,
            values,
            size,
            {"macs": case.limit},
            known=case.known,
            seed=seed,
            pool=pool,
            reach=reach,
        ).codes
        measured = [rows[tuple(code)] for code in new.tolist()] if pool is not None else case.simulated(new, rng)
        codes, values = np.concatenate([codes, new]), np.concatenate([values, measured])
    return codes, values


class Kept:
    """Results by setting, label and seed; in a file where one is given."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.found = path, dict[tuple[str, ...], tuple[float, ...]]()
        if path is not None and path.is_file():
            with path.open(newline="") as file:
                self.found = {tuple(row[:3]): tuple(map(float, row[3:])) for row in csv.reader(file)}

    def __call__(self, name: str, label: str, seed: int, play: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
        """The result, played where it is not there."""
        key = (name, label, str(seed))
        if key not in self.found:
            self.found[key] = play()
            shown = [f"{value:.4f}" for value in self.found[key]]
            print(f"{name}, {label}, seed {seed}: {', '.join(shown)}", flush=True)
            if self.path is not None:
                with self.path.open("a", newline="") as file:
                    csv.writer(file).writerow([*key, *shown])
        return self.found[key]


def main() -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, nargs="?", help="the released data folder")
    parser.add_argument("--settings", nargs="*", default=list(LIMITS), choices=list(LIMITS))
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=MODES)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=growth.ROUNDS)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="CSV file of what was played, in as many rounds")
    options = parser.parse_args()
    if options.tables is None:
        print("left out: it needs the released tables, python -m bench adaptive TABLES")
        return 0
    rows, missed, kept = [], False, Kept(options.keep)
    for name in options.settings:
        try:
            case = Case.read(options.tables, name)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        results: dict[str, list[tuple[float, ...]]] = {}
        for seed in range(options.seeds):
            some = np.random.default_rng(seed).permutation(len(case.codes))
            for n in (ADAPTIVE, RANDOM):
                play = partial(case.found, case.codes[some[:n]], case.values[some[:n]], seed)
                results.setdefault(f"{n} random rows", []).append(kept(name, f"{n} random rows", seed, play))
            for mode in options.modes:
                label = f"{ADAPTIVE} chosen {mode}"
                play = partial(case.grown, mode, seed, options.rounds)
                results.setdefault(label, []).append(kept(name, label, seed, play))
        bar = np.mean(results[f"{RANDOM} random rows"], axis=0)
        for label, values in results.items():
            mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
            judged = "chosen" in label
            met = bool((mean >= bar).all())
            missed |= judged and not met
            numbers = [f"{m:.2f} +- {s:.2f}" for m, s in zip(mean, spread, strict=True)]
            rows.append([name, label, *numbers, ("met" if met else "MISSED") if judged else ""])
            print(rows[-1], flush=True)
    title = f"Found at the limit of cost, judged, mean and deviation of {options.seeds} seeds"
    show(title, ["setting", "trainings", "search", "less its doubt", "best trained", ""], rows)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
