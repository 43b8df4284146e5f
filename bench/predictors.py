"""The default predictor against scikit-learn's Gaussian process, in the same folds of the released tables.

    python -m bench predictors NCP/data                       # 5 folds, nine settings: about 20 minutes on one core
    python -m bench predictors NCP/data --settings seg --full # hours: scikit-learn optimises on all rows in every fold

The peer is ``GaussianProcessRegressor`` with a Matern 5/2 kernel, one length scale a dimension, channels in log2, and noise;
its hyper-parameters are optimised by scikit-learn on 800 rows of the first fold's training rows and kept for all folds, unless
``--full``. Also printed: calibration, mean of |error| / std on held-out rows (0.8 where errors are normal), and the share of
random corners of the space at which the model's own std exceeds its median on the data.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from ncp import benchmark, spaces
from ncp.benchmark import settings
from ncp.predictors import evaluation, gp_fit
from ncp.predictors.rows import Rows, from_table


def main() -> None:
    """Run the comparison and print one table."""
    parser = argparse.ArgumentParser(prog="python -m bench predictors", description=__doc__)
    parser.add_argument("source", nargs="?", help="folder of the released tables; without it there is nothing to do")
    parser.add_argument(
        "--settings", nargs="*", default=[n for n, s in settings.SETTINGS.items() if s.space == "multires"]
    )
    parser.add_argument("--full", action="store_true", help="let scikit-learn optimise on all rows in every fold")
    options = parser.parse_args()
    if options.source is None:
        print("bench predictors: needs the folder of the released tables as its argument; nothing was run")
        return
    from rich.console import Console

    table = Table(title="Mean absolute error in 5-fold cross-validation, percent points")
    for column in ("setting", "rows", "scikit-learn GP", "ours", "ratio", "tau", "|error|/std", "doubtful corners"):
        table.add_column(column, justify="left" if column == "setting" else "right")
    for name in options.settings:
        table.add_row(name, *compare(options.source, name, options.full))
        Console().print(f"{name}: done", style="dim")
    Console().print(table)


def compare(source: str, name: str, full: bool) -> tuple[str, ...]:
    """One setting's row of the table."""
    rows = _main_metric(from_table(_table(source, name), costs=False).only_good())
    measured = rows.targets[:, 0]
    peer, ours, std = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    kernel: Any = None
    for train, test in evaluation.k_fold(len(rows), 5, 0):
        peer[test], kernel = _scikit(rows.subset(train), rows.codes[test], None if full else kernel, full)
        predictor = gp_fit.fit(rows.subset(train))
        ours[test] = predictor.predict(rows.codes[test])[rows.metrics[0]]
        std[test] = predictor.predict_std(rows.codes[test])[rows.metrics[0]]
    mae_peer, mae_ours = evaluation.mae(measured, peer), evaluation.mae(measured, ours)
    return (
        str(len(rows)),
        f"{mae_peer:.3f}",
        f"{mae_ours:.3f}",
        f"{mae_ours / mae_peer:.3f}",
        f"{evaluation.kendall(measured, ours):.3f}",
        f"{evaluation.calibration(measured, ours, std):.2f}",
        f"{_doubtful_corners(predictor, rows):.0%}",
    )


def _table(source: str, name: str) -> Any:
    pickled = Path(source) / name / "trainval.pkl"
    return benchmark.load(pickled) if pickled.exists() else benchmark.load(source)[name]


def _main_metric(rows: Rows) -> Rows:
    return Rows(rows.codes, rows.targets[:, :1], rows.metrics[:1], rows.setting, rows.space)


def _log2_channels(codes: np.ndarray) -> np.ndarray:
    wide = spaces.get("multires").step > 1
    return np.where(wide, np.log2(codes), codes)


def _scikit(train: Rows, new: np.ndarray, kernel: Any, full: bool) -> tuple[np.ndarray, Any]:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    x, x_new = _log2_channels(train.codes), _log2_channels(new)
    mean, scale = x.mean(0), x.std(0)
    x, x_new, y = (x - mean) / scale, (x_new - mean) / scale, train.targets[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # length scales at their bounds are dimensions that do not matter
        if kernel is None:
            start = ConstantKernel(1.0) * Matern(np.full(x.shape[1], 3.0), (0.1, 1e3), nu=2.5) + WhiteKernel(0.1)
            some = slice(None) if full else np.random.default_rng(0).permutation(len(y))[:800]
            kernel = GaussianProcessRegressor(start, normalize_y=True).fit(x[some], y[some]).kernel_
        fitted = GaussianProcessRegressor(kernel, normalize_y=True, optimizer=None).fit(x, y)
        return fitted.predict(x_new), kernel


def _doubtful_corners(predictor: Any, rows: Rows) -> float:
    space = spaces.get("multires")
    corners = np.where(np.random.default_rng(0).random((1000, space.dim)) < 0.5, space.lower, space.upper)
    own = {k: v[rows.metrics[0]] for k, v in (("far", predictor.predict_std(corners, noise=False)),
                                              ("near", predictor.predict_std(rows.codes, noise=False)))}  # fmt: skip
    return float((own["far"] > np.median(own["near"])).mean())


if __name__ == "__main__":
    main()
