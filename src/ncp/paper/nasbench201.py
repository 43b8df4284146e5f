"""The paper's walk on NAS-Bench-201 (appendix C.3, Figure 6), where the truth about every cell is known.

A process about a line stands for the predictor: between the cells, where the walk's codes are, it has a slope everywhere. Its
lambda and learning rate are those whose ends such a process itself thinks best (see ``bench/nasbench201.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import spaces
from ncp.benchmark.table import Table
from ncp.predictors.answers import AnyPredictor

if TYPE_CHECKING:
    from ncp.search.result import Result

SETTING, SPACE = "nas-bench-201", "nasbench201"
ACCURACY, MEGA = 46.8, 90.36  # where the paper's run ends; the best of all cells: 47.33
LAMBDA, RATE, EVERY, ITERATIONS = 0.1, 10.0, 10, 60
STARTS = 20


class Truth:
    """The table: true accuracy and cost of every cell.

    Attributes:
        codes: ``(N, 30)``.
        accuracy, macs: ``(N,)`` in percent, and exact.
    """

    def __init__(self, table: Table) -> None:
        self.codes = np.asarray(table.codes, dtype=np.float64)
        self.accuracy = np.asarray(table.columns["Acc"], dtype=np.float64)
        self.macs = np.asarray(spaces.get(SPACE).cost(self.codes).macs)
        self.row = {tuple(code): i for i, code in enumerate(self.codes.astype(int).tolist())}

    def of(self, code: Any) -> tuple[float, float]:
        """Accuracy in percent and cost in millions."""
        i = self.row[tuple(int(v) for v in code)]
        return float(self.accuracy[i]), float(self.macs[i]) / 1e6

    def starts(self, seed: int) -> np.ndarray:
        """20 rows of the least accurate quarter with above-median cost."""
        poor = (self.accuracy <= np.quantile(self.accuracy, 0.25)) & (self.macs > np.median(self.macs))
        return np.random.default_rng(seed).choice(np.flatnonzero(poor), STARTS, replace=False)

    def predictor(self, rows: int, seed: int, trend: bool = False) -> AnyPredictor:
        """A Gaussian process, about a constant or about a line, on ``rows`` rows drawn with ``seed``."""
        return self.process(np.random.default_rng(seed).choice(len(self.codes), rows, replace=False), trend)

    def process(
        self, rows: Any, trend: bool = False, fit_rows: int = 1000, features: Callable[[Any], Any] | None = None
    ) -> AnyPredictor:
        """A Gaussian process, about a constant or about a line, on these rows; ``features`` other than the space's own."""
        from ncp.predictors.exact import ExactGP

        space, seen = spaces.get(SPACE), self.accuracy[rows]
        top, features = float(seen.max()) + 1, features or space.features
        return ExactGP(SETTING, "Acc", self.codes[rows], seen, features, space.name, top, trend, fit_rows)

    def path(self, result: Result) -> np.ndarray:
        """True accuracy and cost ``(T, 2)`` at every argmax of one whole walk."""
        return np.array([self.of(code) for code in result.trajectory.walk.codes[::EVERY]])

    def steps(self, result: Result) -> np.ndarray:
        """True accuracy and cost ``(T, 2)`` at every argmax of one walk until the one that it returns."""
        trajectory = result.trajectory
        last = trajectory.best[1] // EVERY * EVERY
        return np.array([self.of(code) for code in trajectory.walk.codes[: last + 1 : EVERY]])


def walks(truth: Truth, seed: int) -> list[Result]:
    """The paper's walks from poor, costly cells, led by a process on 2,000 cells; their seconds are CPU seconds."""
    from ncp.search import search

    predictor, out = truth.predictor(2000, seed, trend=True), []
    for start in truth.starts(seed):
        began = time.process_time()
        found = search(
            [SETTING], strategy="paper", predictor={SETTING: predictor}, start=truth.codes[start].astype(int).tolist(),
            iterations=ITERATIONS, lam=LAMBDA, options={"round_every": EVERY, "learning_rate": RATE},
        )  # fmt: skip
        out.append(replace(found, seconds=time.process_time() - began))
    return out
