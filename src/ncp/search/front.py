"""Accuracy against cost: the architectures of many lambdas, searched in one batch.

Shape suffixes: L lambdas, S starts of all lambdas together, P architectures of the front.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncp.benchmark import ranking
from ncp.errors import UserError
from ncp.predictors.answers import AnyPredictor
from ncp.search.criterion import Criterion
from ncp.search.robust import Robust
from ncp.search.run import one_thread, prepare
from ncp.search.trajectory import predict

LAMBDAS: tuple[float, ...] = tuple(float(v) for v in np.round(np.geomspace(0.05, 6.4, 15), 3))


@dataclass
class Front:
    """Architectures of which none is both cheaper and better than another, cheapest first.

    Attributes:
        architectures: P of them.
        lam: ``(P,)`` the lambda under which each was found.
        macs, params: ``(P,)`` int64 exact cost.
        value: ``(P,)`` weighted sum of the objectives in standard deviations, less ``kappa`` of the predictors' own.
        predicted, std: ``setting.metric`` -> ``(P,)``, in the metric's unit; std is that of a training's result.
        seconds: wall time.
    """

    architectures: list[Any]
    lam: np.ndarray
    macs: np.ndarray
    params: np.ndarray
    value: np.ndarray
    predicted: dict[str, np.ndarray]
    std: dict[str, np.ndarray]
    seconds: float

    def __len__(self) -> int:
        return len(self.architectures)

    def to_table(self) -> dict[str, np.ndarray]:
        """Columns of length P, ready for Parquet or CSV."""
        table = {
            "architecture": np.array([a.text for a in self.architectures]),
            "lam": self.lam,
            "macs": self.macs,
            "params": self.params,
            "value": self.value,
        }
        table |= {f"predicted.{name}": column for name, column in self.predicted.items()}
        return table | {f"std.{name}": column for name, column in self.std.items()}


def pareto(
    objectives: Any,
    lams: Sequence[float] = LAMBDAS,
    start: Any = None,
    starts: int = 6,
    iterations: int = 70,
    fixed: Sequence[str] = (),
    bounds: Mapping[str, Any] | None = None,
    combine: str = "sum",
    kappa: float = 1.0,
    seed: int = 0,
    predictor: str | Mapping[str, AnyPredictor] = "default",
    force: bool = False,
) -> Front:
    """Search one architecture per lambda, all in one batch, and keep those that no other one beats.

    Args:
        objectives: as in :func:`ncp.search.search`, and so are ``start`` to ``force``.
        lams: weights of cost; the larger, the cheaper the architecture.
        starts: how many codes move for each of them.

    Raises:
        UserError: for no lambda or a negative one, and as :func:`ncp.search.search`.
    """
    lam_L = np.asarray(lams, dtype=np.float64).ravel()
    if not len(lam_L) or not np.isfinite(lam_L).all() or (lam_L < 0).any():
        raise UserError(f"a front needs lambdas that are not negative, given were {list(lams)}")
    problem = prepare(
        objectives, "robust", start=start, fixed=fixed, bounds=bounds, combine=combine, cost="exact", seed=seed,
        predictor=predictor, force=force,
    )  # fmt: skip
    began = time.perf_counter()
    strategy = Robust(kappa=kappa, iterations=iterations)
    criterion = Criterion(problem.objectives, problem.budget, kappa=kappa)
    with one_thread():
        first_SD = problem.starts(starts).all()
        starts = len(first_SD)
        lam_S = np.repeat(lam_L, starts)
        codes_SD = np.tile(first_SD, (len(lam_L), 1))
        codes_TSD, _ = strategy.ascend(criterion, codes_SD, lam_S)
        ends_LD = _best_of_each(criterion, codes_TSD[-1], lam_S, starts)
        polished = strategy.finish(criterion, ends_LD, lam_L)
        found_LD = np.stack([p.path[-1] for p in polished])
        return _front(problem.objectives, criterion, found_LD, lam_L, began)


def _best_of_each(criterion: Criterion, codes_SD: np.ndarray, lam_S: np.ndarray, starts: int) -> np.ndarray:
    """``(L, D)`` rounded ends, the best of each lambda's starts."""
    rounded = criterion.budget.region.round(codes_SD)
    score_LS = criterion.scores(rounded, lam_S).score.reshape(-1, starts)
    best: np.ndarray = rounded.reshape(len(score_LS), starts, -1)[np.arange(len(score_LS)), score_LS.argmax(1)]
    return best


def _front(objectives: Any, criterion: Criterion, codes_LD: np.ndarray, lam_L: np.ndarray, began: float) -> Front:
    space = objectives.space
    value_L = criterion.scores(codes_LD, np.zeros(len(codes_LD))).value
    cost = space.cost(codes_LD.astype(np.int64))
    keep = ranking.front(cost.macs, value_L)
    codes = codes_LD[keep]
    mean, std = predict(objectives, codes, noise=True)
    return Front(
        architectures=space.decode(codes),
        lam=lam_L[keep],
        macs=np.asarray(cost.macs)[keep],
        params=np.asarray(cost.params)[keep],
        value=value_L[keep],
        predicted=mean,
        std=std,
        seconds=time.perf_counter() - began,
    )
