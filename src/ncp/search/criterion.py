"""What makes one valid architecture better than another: predicted metrics with their doubt, cost, and the limits.

Strategies of every kind are compared by this one score.

Shape suffixes: N codes, K objectives, F floors, J limits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncp.errors import UserError
from ncp.numeric import finite, shortest
from ncp.search.limits import Budget
from ncp.search.objectives import Forward, Objectives

BROKEN = -1e9  # score of an architecture that breaks a limit, before its excess makes it worse still


class Scores(NamedTuple):
    """Of N valid codes: ``value`` is to be raised; ``excess`` is 0 where all limits are kept."""

    value: np.ndarray
    excess: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """``(N,)``: one order of both, in which every architecture that keeps the limits beats every one that does not."""
        return np.where(self.excess > 0, BROKEN * (1 + self.excess), self.value)


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
        self.kappa, self.lam = finite("kappa", kappa, least=0), finite("lambda", lam, least=0)
        self.queries = 0
        floored = {f.name for f in budget.floors}
        raised = torch.tensor([o.name not in floored for o in objectives.items], dtype=torch.float64)
        self.weights_K = objectives.weights_K * raised
        self.cheapest = not bool(raised.any())
        self.priced = not self.cheapest and not budget.limits  # whether lambda counts

    def terms(self, codes_ND: Tensor, lam: float | Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Value ``(N,)`` and how far each limit is exceeded ``(N, J)`` (negative: kept), differentiable.

        Cost limits in logarithms of the cost, floors in standard deviations of the metric. ``lam`` may be ``(N,)``.
        """
        self.queries += len(codes_ND)
        forward = self.objectives.forward(codes_ND, std=self.kappa > 0)
        limits = self.budget.limits
        excess = (
            [(c / x.value).log() for c, x in zip(self.budget.costs(codes_ND), limits, strict=True)] if limits else []
        )
        excess += [-column for column in self._floors(forward).unbind(1)] if self.budget.floors else []
        if self.cheapest:
            value_N = -self.objectives.charge(codes_ND).log()
        else:
            value_N = self._value(forward, self.lam if lam is None else lam)
        return value_N, torch.stack(excess, 1) if excess else value_N.new_zeros(len(value_N), 0)

    def _value(self, forward: Forward, lam: float | Tensor) -> Tensor:
        gain_NK = forward.z_NK if forward.u_NK is None else forward.z_NK - self.kappa * forward.u_NK
        if self.priced:
            lam = lam[:, None] if isinstance(lam, Tensor) else lam
            gain_NK = gain_NK - lam * forward.cost_NK
        return gain_NK @ self.weights_K

    def _floors(self, forward: Forward) -> Tensor:
        assert forward.floor_NF is not None
        return forward.floor_NF if forward.floor_u_NF is None else forward.floor_NF - self.kappa * forward.floor_u_NF

    def scores(self, codes_ND: Any, lam: np.ndarray | None = None, chunk: int = 4096) -> Scores:
        """Value and excess of ``(N, D)`` valid codes; costs are compared as exact integers."""
        codes = np.asarray(codes_ND, dtype=np.float64)
        values, excesses = [], []
        with torch.no_grad():
            for i in range(0, len(codes), chunk):
                part = torch.as_tensor(codes[i : i + chunk])
                value_N, excess_NJ = self.terms(part, None if lam is None else torch.as_tensor(lam[i : i + chunk]))
                values.append(value_N.numpy())
                excesses.append(excess_NJ[:, len(self.budget.limits) :].clamp(min=0).sum(1).numpy())
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
        with torch.no_grad():
            forward = self.objectives.forward(torch.as_tensor(code_D[None], dtype=torch.float64), std=self.kappa > 0)
        parts = []
        for cost, limit in zip(self.budget.costs(code_D[None].astype(np.int64)), self.budget.limits, strict=True):
            has = limit.quantity.shown(float(cost[0]))
            parts.append(f"budget.{limit.name}={shortest(limit.value)} (has {has})")
        for i, floor in enumerate(self.budget.floors):
            slack = float(self._floors(forward)[0, i]) * self.objectives.floor_scale[i]
            doubt = f" after {self.kappa:g} standard deviations are taken off" if self.kappa else ""
            parts.append(f"floor.{floor.name}={floor.value:g} (reaches {floor.value + slack:.2f}{doubt})")
        return " and ".join(parts)
