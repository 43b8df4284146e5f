"""A predictor from few trainings against its two halves, on the released tables: python -m bench transfer NCP/data

    python -m bench transfer NCP/data                                   # nine settings, 20 to 200 rows, 10 draws: some minutes
    python -m bench transfer NCP/data --settings seg video --draws 3    # a look
    python -m bench transfer NCP/data --siblings                        # the target's other settings are known too
    python -m bench transfer NCP/data --remainder large                 # as src.discover fits random rows
    python -m bench transfer NCP/data --all                             # all rows but the test rows, beside the default fit

What is known of a target are the bundled predictors of the other tasks: none of them saw a training of the target's task,
though they were fitted on the same architectures. A fifth of the target's rows is the test and decides nothing; of the
others n are drawn. Beside it, from the same rows: a Gaussian process of scikit-learn's (Matern 5/2, one length scale, logarithms
of channels) and scikit-learn's ridge regression on the known predictors' predictions, its penalty by cross-validation.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bench._timing import show
from ncp import predictors
from ncp.benchmark import settings
from ncp.benchmark.importing import import_file
from ncp.predictors import evaluation, gp_fit
from ncp.predictors.rows import Rows, from_table

BARS = {20: 0.55, 50: 0.60, 100: 0.64, 200: 0.66}
BELOW = 0.01
"""By so much the tau may lie below the better of the two halves, on every setting at every number of rows."""
CALIBRATION = (0.6, 1.1)
TEST = 0.2
NINE = settings.PAPER


def known_of(name: str, siblings: bool) -> list[str]:
    """The settings that are known: those of other tasks, or all others."""
    task = settings.get(name).task
    return [other for other in NINE if other != name and (siblings or settings.get(other).task != task)]


def halves(train: Rows, known: list[str], new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of a process on the rows alone, and of a linear map of the known predictions alone."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from sklearn.linear_model import RidgeCV

    y = train.targets[:, 0]
    x, x_new = (np.where(np.ptp(train.codes, axis=0) > 8, np.log2(c), c) for c in (train.codes, new))
    mean, scale = x.mean(0), x.std(0).clip(1e-6)
    start = ConstantKernel(1.0) * Matern(5.0, (0.1, 1e3), nu=2.5) + WhiteKernel(0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = GaussianProcessRegressor(start, normalize_y=True).fit((x - mean) / scale, y)
    rows = process.predict((x_new - mean) / scale)
    scores, scores_new = (
        np.stack([predictors.load(k).predict(c)[settings.get(k).main] for k in known], 1) for c in (train.codes, new)
    )
    mean, scale = scores.mean(0), scores.std(0)
    ridge = RidgeCV(np.logspace(-1, 3, 13)).fit((scores - mean) / scale, y)
    return rows, ridge.predict((scores_new - mean) / scale)


def draw(rows: Rows, n: int, seed: int) -> tuple[Rows, Rows]:
    """``n`` rows to fit on, and the test rows."""
    order = np.random.default_rng(1000 + seed).permutation(len(rows))
    test = round(TEST * len(rows))
    return rows.subset(order[test : test + n]), rows.subset(order[:test])


def measure(rows: Rows, known: list[str], n: int, seed: int, remainder: str) -> dict[str, float]:
    """Kendall's tau of all three, and the mean of |error| / std, on the test rows."""
    train, test = draw(rows, n, seed)
    metric, measured = rows.metrics[0], test.targets[:, 0]
    start = time.process_time()
    given = {metric: train.targets[:, 0]}
    ours = predictors.fit(train.codes, given, known=known, seed=seed, setting=rows.setting, remainder=remainder)
    seconds = time.process_time() - start
    predicted, std = ours.predict(test.codes)[metric], ours.predict_std(test.codes)[metric]
    alone, linear = halves(train, known, test.codes)
    return {
        "tau": evaluation.kendall(measured, predicted),
        "rows": evaluation.kendall(measured, alone),
        "linear": evaluation.kendall(measured, linear),
        "calibration": evaluation.calibration(measured, predicted, std),
        "mae": evaluation.mae(measured, predicted),
        "seconds": seconds,
    }


def load(source: Path, name: str) -> Rows:
    """The good rows of a setting, its main metric alone."""
    rows = from_table(import_file(source / name / "trainval.pkl", name), costs=False).only_good()
    return rows.only_metrics(rows.metrics[:1])


def few(tables: dict[str, Rows], numbers: list[int], draws: int, siblings: bool, remainder: str) -> int:
    """The table of few rows; 1 where a bar is missed."""
    missed = False
    for n in numbers:
        lines, taus = [], []
        for name, rows in tables.items():
            found = [measure(rows, known_of(name, siblings), n, seed, remainder) for seed in range(draws)]
            at: dict[str, Any] = {key: float(np.mean([f[key] for f in found])) for key in found[0]}
            better = max(at["rows"], at["linear"])
            good = at["tau"] >= better - BELOW and CALIBRATION[0] <= at["calibration"] <= CALIBRATION[1]
            missed |= not good
            taus.append(at["tau"])
            shown = [f"{at[key]:.3f}" for key in ("tau", "rows", "linear", "mae", "calibration")]
            lines.append((name, *shown, f"{at['seconds']:.1f} s", "met" if good else "MISSED"))
        mean, bar = float(np.mean(taus)), BARS.get(n, 0.0) if len(tables) == len(NINE) else 0.0
        missed |= mean < bar
        lines.append(("mean", f"{mean:.3f}", "", "", "", "", "", f"{bar:g}: {'met' if mean >= bar else 'MISSED'}"))
        columns = ("setting", "tau", "rows alone", "linear alone", "MAE", "|error|/std", "CPU", "")
        show(
            f"{n} rows, {draws} draws, siblings {'known' if siblings else 'left out'}, {remainder} remainder",
            columns,
            lines,
        )
    return int(missed)


def many(tables: dict[str, Rows], siblings: bool) -> int:
    """All rows but the test: what ``auto`` fits beside the default predictor."""
    lines, missed = [], False
    for name, rows in tables.items():
        train, test = draw(rows, len(rows), 0)
        metric, measured = rows.metrics[0], test.targets[:, 0]
        ours = predictors.fit(train.codes, {metric: train.targets[:, 0]}, known_of(name, siblings), setting=name)
        default = gp_fit.fit(train)
        tau = [evaluation.kendall(measured, p.predict(test.codes)[metric]) for p in (ours, default)]
        mae = [evaluation.mae(measured, p.predict(test.codes)[metric]) for p in (ours, default)]
        good = tau[0] >= tau[1] - BELOW
        missed |= not good
        calibration = evaluation.calibration(
            measured, ours.predict(test.codes)[metric], ours.predict_std(test.codes)[metric]
        )
        figures = (f"{tau[0]:.3f}", f"{tau[1]:.3f}", f"{mae[0]:.3f}", f"{mae[1]:.3f}", f"{calibration:.2f}")
        lines.append((name, str(len(train)), ours.card.kind, *figures, "met" if good else "MISSED"))
        print(f"{name}: {ours.choice}")
    columns = ("setting", "rows", "chosen", "tau", "default's", "MAE", "default's", "|error|/std", "")
    show("All rows but the test rows", columns, lines)
    return int(missed)


def main() -> int:
    """Print the tables; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench transfer", description=__doc__)
    parser.add_argument(
        "source", type=Path, nargs="?", help="the released data folder; without it there is nothing to do"
    )
    parser.add_argument("--settings", nargs="*", default=list(NINE), choices=NINE)
    parser.add_argument("--rows", nargs="*", type=int, default=list(BARS))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--siblings", action="store_true")
    parser.add_argument("--remainder", default="usual", choices=["usual", "large"], help="of few rows")
    parser.add_argument("--all", action="store_true", help="all rows instead of few")
    options = parser.parse_args()
    if options.source is None:
        print("left out: it needs the released tables, python -m bench transfer TABLES")
        return 0
    tables = {name: load(options.source, name) for name in options.settings}
    if options.all:
        return many(tables, options.siblings)
    return few(tables, options.rows, options.draws, options.siblings, options.remainder)


if __name__ == "__main__":
    sys.exit(main())
