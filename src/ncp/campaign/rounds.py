"""A build that grows in rounds: each round's architectures are chosen from what the rounds before it measured.

Shape suffixes: R measured rows, P codes of a pool, D dimensions of the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import spaces
from ncp.benchmark import settings
from ncp.benchmark.settings import Setting
from ncp.campaign import choosing, proxies
from ncp.campaign.growth import LEAST, Growth, checked_sizes, digest
from ncp.campaign.options import BuildOptions
from ncp.errors import UserError
from ncp.numeric import finite, several, shown

if TYPE_CHECKING:
    from ncp.predictors.base import Predictor

SAMPLERS = ("random", "adaptive")
METRIC = "metric"
REACH = 8.0
"""Reach of the first round of a build: what is drawn from (almost) the whole space teaches the predictor more of the small
networks than small ones alone, which differ less."""
RECORDED = 16.0
"""Reach for choosing among a recorded table's rows."""


@dataclass(frozen=True)
class Proposal:
    """A batch that was chosen.

    Attributes:
        codes: ``(B, D)`` int64.
        predicted, std: ``(B,)`` what is expected of each, in the metric's unit, and the predictor's own doubt; empty where the
            batch is to cover the space.
        how: by what it was chosen, in words.
    """

    codes: np.ndarray
    predicted: np.ndarray
    std: np.ndarray
    how: str


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
    reach: float = 1.0,
    sign: float = 1.0,
) -> Proposal:
    """The next ``count`` architectures to train, with what is expected of them; the same for the same arguments.

    With fewer than ``ncp.campaign.growth.LEAST`` rows they cover the space within the limits; with more, a predictor of the
    rows chooses those from which most improvement is expected.

    Args:
        space: the space, or its name.
        codes: ``(R, D)`` measured codes (or architectures), none at first.
        values: ``(R,)`` their main metric.
        count: how many to choose.
        limits: ``{"macs": 1e9, "params": 5e6}``, either or none: upper limits of exact cost.
        known: what the predictor may start from: ``all``, ``none``, or a list of settings (and predictors).
        seed: of all random numbers.
        pool: ``(P, D)`` codes among which to choose (a recorded table's); None for any of the space.
        bounds: dimension -> ``[lower, upper]``, narrower than the space's.
        skip: further codes that are not to be chosen: those whose training failed.
        reach: how many times the limits a code that is chosen to cover the space may cost: dearer ones teach the predictor more.
            At 1 all keep the limits. With more than 1 of a pool (``RECORDED`` for a recorded table, whose rows cost nothing)
            later ones are to teach it, too: a pool lacks what a search within the limits ends at.
        sign: 1 where more of the metric is better, -1 where less is.

    Raises:
        UserError: for a limit below the smallest network, too few architectures within the limits, values that are not finite.
    """
    from ncp.campaign import acquisition
    from ncp.search.limits import Budget, Region

    space = spaces.get(space) if isinstance(space, str) else space
    costs = choosing.exact_limits(limits)
    budget = Budget(Region(space, bounds=bounds), costs.get("macs"), costs.get("params"))
    budget.check_reachable()
    wide = acquisition.scaled(budget, finite("reach", reach, least=1.0))
    codes_RD = _codes(space, codes)
    values_R = sign * np.array([finite("a measured value", value) for value in values], dtype=np.float64)
    if len(values_R) != len(codes_RD):
        raise UserError(f"each code needs a value; given were {len(codes_RD)} codes and {len(values_R)} values")
    taken = np.concatenate([codes_RD, _codes(space, skip)])
    pool_PD = None if pool is None else _codes(space, pool)
    rng = np.random.default_rng([seed, len(taken)])
    if len(codes_RD) < LEAST or np.ptp(values_R) == 0:
        if reach > 1 and (pool_PD is not None or budget.limits):
            chosen = acquisition.random_batch(space, count, wide, rng, pool_PD, taken)
        else:
            chosen = acquisition.first_batch(
                space, count, wide, rng, pool_PD, taken, acquisition.guess(known, space.name)
            )
        return Proposal(chosen, np.zeros(0), np.zeros(0), f"{several(count, 'architecture')} to cover the space")
    learn = wide if reach > 1 and pool_PD is not None else None
    predictor = fit(space, codes_RD, values_R, known, seed, remainder="usual" if learn is None else "large")
    chosen = acquisition.next_batch(predictor, taken, count, budget, rng, pool_PD, learn)
    aim = "from which most improvement is expected" if learn is None else "from which most is learned"
    how = f"{several(count, 'architecture')} {aim}, by a predictor of {len(codes_RD)} trainings"
    predicted, std = acquisition.answers(predictor, chosen)
    return Proposal(chosen, sign * predicted, std, how)


def _codes(space: spaces.Space[Any], given: Any) -> np.ndarray:
    """``(N, D)`` int64 of codes or architectures, none included."""
    from ncp.predictors.base import as_codes

    return as_codes(given, space).astype(np.int64) if len(given) else np.zeros((0, space.dim), dtype=np.int64)


def fit(
    space: spaces.Space[Any],
    codes_RD: np.ndarray,
    values_R: np.ndarray,
    known: Any,
    seed: int,
    setting: str = "new",
    metric: str = METRIC,
    remainder: str = "usual",
) -> Predictor:
    """The predictor of measured rows by which a batch is chosen; ``remainder`` as in :func:`ncp.predictors.fit`."""
    from ncp import predictors

    fitted: Predictor = predictors.fit(codes_RD, {metric: values_R}, known, seed, space.name, setting, remainder)
    return fitted


def first(options: BuildOptions, setting: Setting) -> tuple[np.ndarray, Growth | None]:
    """``(N, D)`` codes of a build's first round, and how it grows; all codes and None where it does not.

    Raises:
        UserError: for an unknown sampler, or options that do not fit it or each other.
    """
    adaptive = options.sampler == "adaptive"
    if options.sampler not in SAMPLERS:
        raise UserError(f"unknown sampler {shown(options.sampler)}; samplers: {', '.join(SAMPLERS)}")
    budget = {name: limit for name, limit in options.budget.items() if limit is not None}
    if not adaptive:
        if options.rounds is not None or budget:
            raise UserError(f"{'rounds' if options.rounds is not None else 'budget'} is for sampler=adaptive")
        if options.reach is not None:
            raise UserError("reach is for sampler=adaptive")
        if options.known not in ("all", "none", None):  # it knows nothing, whatever is left at its default
            raise UserError(f"known is for sampler=adaptive, given was known={options.known}")
        if options.proxy and options.action in ("run", "plan"):
            raise UserError(f"proxy is for sampler=adaptive and action=analyse, given was proxy={options.proxy}")
        return choosing.choose(options, setting), None
    pool = pool_of(options, setting)
    growth = _growth(options, setting, budget, pool)
    limits, known = dict(growth.budget), list(growth.known)
    reach = options.reach or (REACH if pool is None else 1.0)
    _check_within(setting.space, growth, pool, reach)
    codes = propose(
        setting.space, (), (), growth.sizes[0], limits, known, options.seed, pool, growth.bounds, reach=reach
    ).codes
    return codes, growth


def _growth(options: BuildOptions, setting: Setting, budget: Mapping[str, Any], pool: np.ndarray | None) -> Growth:
    """What the plan says of its rounds."""
    count, space = options.count, spaces.get(setting.space)
    if count is None:
        raise UserError("how many architectures? give count=40 (sampler=adaptive chooses them in rounds)")
    if not 1 <= count <= choosing.MAX_COUNT:
        raise UserError(f"count must be within 1..{choosing.MAX_COUNT:,}, given was {count}")
    lower, upper = choosing.limits(space, options.bounds)
    if pool is None:
        choosing.check_enough(space, lower, upper, count)
    elif len(np.unique(pool, axis=0)) < count:
        raise UserError(f"{options.build.architectures} has {len(pool):,} architectures, given was count={count}")
    narrowed = [i for i in range(space.dim) if (lower[i], upper[i]) != (space.lower[i], space.upper[i])]
    return Growth(
        sizes=checked_sizes(count, options.rounds),
        budget=choosing.exact_limits(budget),
        bounds={space.labels[i]: (float(lower[i]), float(upper[i])) for i in narrowed},
        known=known_names(options.known, setting),
        proxy=proxies.described(proxies.table(options.proxy, setting)) if options.proxy else {},
        pool=None if pool is None else digest(np.unique(pool, axis=0).astype("<i8").tobytes()),
    )


def _check_within(space: str, growth: Growth, pool: np.ndarray | None, reach: float) -> None:
    """Raise ``UserError`` where fewer architectures keep the limits than are to be trained: a later round would find none."""
    from ncp.campaign import acquisition
    from ncp.search.limits import Budget, Region

    if not growth.budget or (pool is not None and reach > 1):  # of a pool later rounds take what it has
        return
    region = Region(spaces.get(space), bounds=growth.bounds)
    budget = Budget(region, growth.budget.get("macs"), growth.budget.get("params"))
    budget.check_reachable()
    number = acquisition.within(budget, growth.count, pool)
    if number < growth.count:
        given = ", ".join(f"budget.{name}={limit:g}" for name, limit in growth.budget.items())
        raise UserError(
            f"only {number} architecture{'s are' if number != 1 else ' is'} within the limits ({given}), given was "
            f"count={growth.count}; raise them"
        )


def pool_of(options: BuildOptions, setting: Setting) -> np.ndarray | None:
    """``(P, D)`` codes of the list or table among which is chosen; None for any of the space."""
    if options.build.architectures == "sample":
        return None
    return choosing.choose(replace(options, count=None, bounds={}), setting)


def known_names(known: Any, setting: Setting) -> tuple[str, ...]:
    """The settings that ``known=...`` means, of the same space, as the plan lists them.

    Raises:
        UserError: for a name of which no predictor is bundled.
    """
    from ncp.predictors.known import bundled as of_space

    bundled = [name for name in of_space(setting.space) if name != setting.name]
    if known is None or (isinstance(known, str) and known in ("all", "none")):
        return tuple(bundled) if known == "all" else ()
    names = [settings.full_name(name) for name in (known if isinstance(known, list | tuple) else [known])]
    for name in names:
        if name not in bundled:
            raise UserError(
                f"known must be all, none, or of {', '.join(bundled) or 'no setting (none is of this space)'}; given was "
                f"{shown(name)}"
            )
    return tuple(dict.fromkeys(names))
