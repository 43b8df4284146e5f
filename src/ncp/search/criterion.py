"""What makes one valid architecture better than another: predicted metrics with their doubt, cost, and the limits.

Strategies of every kind are compared by this one score.

Shape suffixes: N codes, K objectives, F floors, J limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ncp.benchmark.settings import figure_text
from ncp.errors import UserError
from ncp.numeric import finite, shortest
from ncp.search.forward import Forward
from ncp.search.limits import Budget
from ncp.search.objectives import Objectives

BROKEN = -1e9  # score of an architecture that breaks a limit, before its excess makes it worse still


class Scores(NamedTuple):
    """Of N valid codes: ``value`` is to be raised; ``excess`` is 0 where all limits are kept."""

    value: np.ndarray
    excess: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """``(N,)``: one order of both, in which every architecture that keeps the limits beats every one that does not."""
        return np.where(self.excess > 0, BROKEN * (1 + self.excess), self.value)


class Terms(NamedTuple):
    """Of N continuous codes.

    Attributes:
        value: ``(N,)``, to be raised.
        excess: ``(N, J)``, how far each limit is exceeded (negative: kept).
        pull: derivatives by both to those ``(N, D)`` by the codes.
    """

    value: np.ndarray
    excess: np.ndarray
    pull: Callable[[np.ndarray, np.ndarray], np.ndarray]


class Worth(NamedTuple):
    """A value ``(N,)``, and its derivatives, times given ones ``(N,)``: by the outputs of :class:`Forward` under their names, and
    by the codes themselves ``(N, D)`` or 0."""

    value: np.ndarray
    back: Callable[[np.ndarray], tuple[dict[str, np.ndarray], Any]]


class Criterion:
    """The value of architectures under given objectives and limits.

    - Without any limit: the paper's trade-off, the sum of ``weight * (z - kappa * u - lam * cost)``: ``z`` a metric in
      standard deviations of its table, ``u`` the predictor's own standard deviation in the same unit, ``cost`` the
      multiply-adds in standard deviations over the space.
    - With a cost limit: the same without the cost term: the most accurate under the limit.
    - With floors: an objective that has a floor is satisfied by it and not raised further. If all have one, the value is
      minus the logarithm of the cost (multiply-adds, or milliseconds): the cheapest above the floors.

    A floor is kept by the prediction minus ``kappa`` standard deviations.

    Args:
        objectives: the objectives, with predictors for the floors' settings too.
        budget: the limits.
        lam: lambda, the weight of cost where no limit is given.
        kappa: how many standard deviations a prediction is distrusted by.
    """

    def __init__(self, objectives: Objectives, budget: Budget, lam: float = 0.5, kappa: float = 1.0) -> None:
        self.objectives, self.budget = objectives, budget
        self.kappa, self.lam = finite("kappa", kappa, least=0), finite("lam", lam, least=0)
        self.queries = 0
        floored = {f.name for f in budget.floors}
        raised = np.array([o.name not in floored for o in objectives.items], dtype=np.float64)
        self.weights_K = objectives.weights_K * raised
        self.cheapest = not bool(raised.any())
        self.priced = not self.cheapest and not budget.limits  # whether lambda counts

    def terms(self, codes_ND: np.ndarray, lam: float | np.ndarray | None = None) -> Terms:
        """Value and excesses of continuous codes, with the way back.

        Cost limits in logarithms of the cost, floors in standard deviations of the metric. ``lam`` may be ``(N,)``.
        """
        self.queries += len(codes_ND)
        forward = self.objectives.forward(codes_ND, std=self.kappa > 0)
        costs, limits = self.budget.slopes(codes_ND), self.budget.limits
        worth = self.worth(forward, codes_ND, self.lam if lam is None else lam)
        excess = [np.log(c.value / x.value) for c, x in zip(costs, limits, strict=True)]
        if self.budget.floors:
            excess += list(-self._floors(forward).T)

        def pull(d_value: np.ndarray, d_excess: np.ndarray) -> np.ndarray:
            outputs, out_ND = worth.back(d_value)
            if self.budget.floors:
                outputs["floor"] = -d_excess[:, len(limits) :]
                if self.kappa:
                    outputs["floor_u"] = self.kappa * d_excess[:, len(limits) :]
            if outputs:
                out_ND = out_ND + forward.pull(**{"z": np.zeros_like(forward.z_NK), **outputs})
            for cost, d_N in zip(costs, d_excess.T, strict=False):
                if d_N.any():
                    out_ND = out_ND + cost.pull(d_N / cost.value)
            return np.asarray(out_ND)

        return Terms(worth.value, np.stack(excess, 1) if excess else np.zeros((len(codes_ND), 0)), pull)

    def worth(self, forward: Forward, codes_ND: np.ndarray, lam: Any) -> Worth:
        """What is raised; ``lam`` is the weight of cost, a number or ``(N,)``."""
        if self.cheapest:
            charge = forward.charge
            return Worth(-np.log(charge.value), lambda d: ({}, charge.pull(-d / charge.value)))
        gain_NK, weights_K = gain(forward, self.kappa), self.weights_K
        lam_N1 = np.reshape(lam, (-1, 1))
        if self.priced:
            gain_NK = gain_NK - lam_N1 * forward.cost_NK

        def back(d_N: np.ndarray) -> tuple[dict[str, np.ndarray], Any]:
            d_NK = d_N[:, None] * weights_K
            outputs = gained(d_NK, self.kappa)
            if self.priced:
                outputs["cost"] = -lam_N1 * d_NK
            return outputs, 0.0

        return Worth(gain_NK @ weights_K, back)

    def _floors(self, forward: Forward) -> np.ndarray:
        assert forward.floor_NF is not None
        return forward.floor_NF if forward.floor_u_NF is None else forward.floor_NF - self.kappa * forward.floor_u_NF

    def scores(self, codes_ND: Any, lam: np.ndarray | None = None, chunk: int = 4096) -> Scores:
        """Value and excess of ``(N, D)`` valid codes; costs are compared as exact integers."""
        codes = np.asarray(codes_ND, dtype=np.float64)
        values, excesses = [], []
        for i in range(0, len(codes), chunk):
            terms = self.terms(codes[i : i + chunk], None if lam is None else lam[i : i + chunk])
            values.append(terms.value)
            excesses.append(np.maximum(terms.excess[:, len(self.budget.limits) :], 0).sum(1))
        if not values:
            return Scores(np.zeros(0), np.zeros(0))
        return Scores(np.concatenate(values), np.concatenate(excesses) + self.budget.excess(codes))

    def excess(self, codes_ND: np.ndarray) -> np.ndarray:
        """``(N,)`` excess alone; asks the predictors only if there are floors."""
        return self.scores(codes_ND).excess if self.budget.floors else self.budget.excess(codes_ND)

    def unreachable(self, code_D: np.ndarray, how: str) -> UserError:
        """The error for limits that a search could not keep; ``code_D`` is the architecture that came nearest."""
        return UserError(f"{how} {self.missed(code_D)}; the best found is given in brackets: loosen a limit")

    def missed(self, code_D: np.ndarray) -> str:
        """The limits, and in brackets what an architecture has and reaches."""
        forward = self.objectives.forward(code_D[None], std=self.kappa > 0)
        parts = []
        for cost, limit in zip(self.budget.costs(code_D[None].astype(np.int64)), self.budget.limits, strict=True):
            has = limit.quantity.shown(float(cost[0]))
            parts.append(f"budget.{limit.name}={shortest(limit.value)} (has {has})")
        for i, floor in enumerate(self.budget.floors):
            slack = float(self._floors(forward)[0, i]) * self.objectives.floor_scale[i]
            taken = "1 standard deviation is" if self.kappa == 1 else f"{self.kappa:g} standard deviations are"
            doubt = f" after {taken} taken off" if self.kappa else ""
            parts.append(
                f"floor.{floor.name}={floor.value:g} (reaches {figure_text(floor.name, floor.value + slack)}{doubt})"
            )
        return " and ".join(parts)


def gain(forward: Forward, kappa: float) -> np.ndarray:
    """``(N, K)`` metrics minus ``kappa`` of the predictor's own standard deviations."""
    return forward.z_NK if forward.u_NK is None else np.asarray(forward.z_NK - kappa * forward.u_NK)


def gained(d_NK: np.ndarray, kappa: float) -> dict[str, np.ndarray]:
    """Derivatives by what :func:`gain` takes, of those by what it gives."""
    return {"z": d_NK, **({"u": -kappa * d_NK} if kappa else {})}
