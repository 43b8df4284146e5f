"""What weighted sums of quantities cannot reach: the best within limits of cost, inside the wide gaps of a front.

A weighted sum finds only what lies on the hull of all that can be had. Where accuracy bends the other way against (the
logarithm of) cost, it jumps from one end of the bend to the other, and a limit of cost between them is the only way in.

Shape suffixes: P architectures of a front, D dimensions of the code, T targets.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from ncp.search.criterion import Criterion
from ncp.search.limits import Budget, Limit
from ncp.search.objectives import Objectives
from ncp.search.quantities import Quantity
from ncp.search.robust import Robust

WIDE = 1.2
"""By this factor the costs of two neighbours on a front may differ before something is looked for between them."""
RANDOM = 2
"""Of the starts within each limit; the others are the front's own on both sides of it."""


def targets(cost_P: np.ndarray, wide: float = WIDE) -> np.ndarray:
    """``(T,)`` limits of cost, ascending, that part the gaps of positive costs until none is wider than the factor ``wide``.

    >>> targets(np.array([1.0, 8.0, 9.0]), wide=2.0).round(2).tolist()
    [2.0, 4.0]
    """
    ordered = np.sort(np.asarray(cost_P, dtype=np.float64))
    found = []
    for low, high in itertools.pairwise(ordered):
        parts = int(np.ceil(np.log(high / low) / np.log(wide) - 1e-9))
        found += [low * (high / low) ** (i / parts) for i in range(1, parts)]
    return np.array(found)


def within(budget: Budget, quantity: Quantity, most: float) -> Budget:
    """The same limits, and at most so much of a quantity."""
    if quantity.name == "macs":
        return replace(budget, macs=most if budget.macs is None else min(most, budget.macs))
    if quantity.name == "params":
        return replace(budget, params=most if budget.params is None else min(most, budget.params))
    return replace(budget, others=(*budget.others, Limit(quantity, most)))


def filled(
    objectives: Objectives, budget: Budget, strategy: Robust, quantity: Quantity, codes_PD: np.ndarray, seed: int
) -> np.ndarray:
    """``(N, D)`` int64 codes inside the wide gaps of a front along one quantity, each the best that was found within a limit.

    Args:
        objectives: the metrics of the front, raised with equal weight.
        budget: limits that hold for the whole front.
        strategy: ascends within each limit.
        quantity: along which gaps are looked for.
        codes_PD: the front.
        seed: of the random starts.
    """
    cost_P = np.asarray(quantity.of(codes_PD), dtype=np.float64)
    order = np.argsort(cost_P, kind="stable")
    codes_PD, cost_P = codes_PD[order], cost_P[order]
    rng, found = np.random.default_rng(seed), [np.zeros((0, codes_PD.shape[1]), dtype=np.int64)]
    for most in targets(cost_P):
        criterion = Criterion(objectives, within(budget, quantity, float(most)), kappa=strategy.kappa)
        above = int(np.searchsorted(cost_P, most))
        starts = np.concatenate([codes_PD[[above - 1, above]], budget.region.sample(RANDOM, rng)]).astype(np.float64)
        codes_TSD, _ = strategy.ascend(criterion, starts)
        ends, _, _ = strategy.ends(criterion, codes_TSD[-1])
        found += [one.path[-1:].astype(np.int64) for one in strategy.finish(criterion, ends[:1]) if one.excess == 0]
    return np.concatenate(found)
