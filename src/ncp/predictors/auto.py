"""The family ``auto``: transfer from few rows, the default process from many; cross-validation inside the rows decides."""

from __future__ import annotations

from typing import Any

from ncp.predictors import few
from ncp.predictors.base import Predictor
from ncp.predictors.rows import Rows
from ncp.progress import Progress


def fit(rows: Rows, *, known: Any = "all", seed: int = 0, progress: Progress | None = None) -> Predictor:
    """Fit what suits the number of rows; ``choice`` of the result says what was compared."""
    return few.fit_rows(rows, few.Options(known=known, seed=seed), progress)
