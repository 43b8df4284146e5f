"""A build that grows in rounds: each round's architectures are chosen from what the rounds before it measured.

Shape suffixes: R measured rows, P codes of a pool, D dimensions of the code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import spaces
from ncp.errors import UserError
from ncp.numeric import finite

if TYPE_CHECKING:
    from ncp.predictors.base import Predictor

LEAST = 8
"""So few measured rows teach a predictor nothing; fewer, and the next batch covers the space like the first."""
METRIC = "metric"
ROUNDS = 5
FIRST = 0.4


def propose(
    space: spaces.Space[Any] | str,
    codes: Any,
    values: Any,
    count: int,
    limits: Mapping[str, Any] | None = None,
    known: Any = "all",
    seed: int = 0,
    pool: Any = None,
    bounds: Mapping[str, Any] | None = None,
    skip: Any = (),
) -> np.ndarray:
    """The next ``(count, D)`` int64 codes to train, the same for the same arguments.

    With fewer than ``LEAST`` rows they cover the space within the limits; with more, a predictor of the rows chooses those
    from which most improvement is expected.

    Args:
        space: the space, or its name.
        codes: ``(R, D)`` measured codes (or architectures), none at first.
        values: ``(R,)`` their main metric, larger is better.
        count: how many to choose.
        limits: ``{"macs": 1e9, "params": 5e6}``, either or none: upper limits of exact cost.
        known: what the predictor may start from: ``all``, ``none``, or a list of settings (and predictors).
        seed: of all random numbers.
        pool: ``(P, D)`` codes among which to choose (a recorded table's); None for any of the space.
        bounds: dimension -> ``[lower, upper]``, narrower than the space's.
        skip: further codes that are not to be chosen: those whose training failed.

    Raises:
        UserError: for a limit below the smallest network, too few architectures within the limits, values that are not finite.
    """
    from ncp.campaign import acquisition
    from ncp.predictors.base import as_codes
    from ncp.search.limits import Budget, Region, parse_costs

    space = spaces.get(space) if isinstance(space, str) else space
    costs = parse_costs(limits)
    budget = Budget(Region(space, bounds=bounds), costs.get("macs"), costs.get("params"))
    budget.check_reachable()
    codes_RD = as_codes(codes, space).astype(np.int64) if len(codes) else np.zeros((0, space.dim), dtype=np.int64)
    values_R = np.array([finite("a measured value", value) for value in values], dtype=np.float64)
    if len(values_R) != len(codes_RD):
        raise UserError(f"each code needs a value; given were {len(codes_RD)} codes and {len(values_R)} values")
    others = as_codes(skip, space).astype(np.int64) if len(skip) else np.zeros((0, space.dim), dtype=np.int64)
    taken = np.concatenate([codes_RD, others])
    pool_PD = None if pool is None else as_codes(pool, space).astype(np.int64)
    rng = np.random.default_rng([seed, len(taken)])
    if len(codes_RD) < LEAST:
        return acquisition.first_batch(space, count, budget, rng, pool_PD, taken)
    predictor = fit(space, codes_RD, values_R, known, seed)
    return acquisition.next_batch(predictor, taken, count, budget, rng, pool_PD)


def fit(
    space: spaces.Space[Any],
    codes_RD: np.ndarray,
    values_R: np.ndarray,
    known: Any,
    seed: int,
    setting: str = "new",
    metric: str = METRIC,
) -> Predictor:
    """The predictor of measured rows by which a batch is chosen."""
    from ncp.campaign import stand_in

    architectures: Sequence[Any] = space.decode(codes_RD)
    return stand_in.fit(architectures, {metric: values_R}, known=known, seed=seed, setting=setting)


def sizes(count: int, number: int) -> tuple[int, ...]:
    """How many architectures each round has: a first one of more, which has to cover the space, then equal ones.

    >>> sizes(40, 5), sizes(8, 1), sizes(20, 20)
    ((16, 6, 6, 6, 6), (8,), (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1))
    """
    first = count if number == 1 else min(max(LEAST, round(FIRST * count)), count - (number - 1))
    rest = [len(part) for part in np.array_split(np.arange(count - first), number - 1)] if number > 1 else []
    return (first, *rest)
