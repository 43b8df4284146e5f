"""The second space end to end on its real table: what the benchmark of the same name measures, with fewer rows."""

from pathlib import Path

import numpy as np
from bench.nasbench201 import BUDGET, PAPER, ROBUST, ends, read


def test_searches_end_among_the_best_cells_that_the_limit_allows(shared: Path) -> None:
    truth = read(shared / "nas-bench-mr" / "data")
    starts = np.array([truth.of(truth.codes[i]) for i in truth.starts(0)])
    assert np.median(starts[:, 0]) < 25  # the least accurate quarter
    found, _, _ = ends(truth, truth.predictor(600, 0), ROBUST)
    assert (found[:, 1] <= BUDGET / 1e6).all()
    allowed = truth.accuracy[truth.macs <= BUDGET]
    assert np.median(found[:, 0]) > np.quantile(allowed, 0.98)

    options = {"round_every": 10, "learning_rate": 10.0}
    walked, _, results = ends(truth, truth.predictor(600, 0, trend=True), PAPER | {"lam": 0.1, "options": options})
    assert np.median(walked[:, 0]) > np.quantile(truth.accuracy, 0.8)
    path = truth.steps(results[0])
    np.testing.assert_array_equal(path[0], starts[0])
    np.testing.assert_array_equal(path[-1], walked[0])
