"""Which architectures to train next: a first batch that covers the space, later ones where a predictor expects most.

Neither asks more of a space than :class:`ncp.spaces.Space` and the search's limits, nor of a predictor than its mean and its own
doubt, so any of both will do.

Shape suffixes: N candidates, R measured rows, B chosen codes, D dimensions of the code, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp import spaces
from ncp.errors import UserError
from ncp.predictors.answers import AnyPredictor
from ncp.search.criterion import Criterion
from ncp.search.limits import Budget
from ncp.search.objectives import Objective, Objectives
from ncp.search.robust import Robust

if TYPE_CHECKING:
    from ncp.predictors.transfer import Transfer

STRATA = 4
KEPT = 0.25  # of the candidates of like cost, those that other settings think best of
SPAN = 2.0  # the first batch costs from the limit divided by this up to the limit
REPAIRS = 400  # at most so many dimensions of a candidate are made cheaper
CANDIDATES = 1024
DRAWN = 4096
PARENTS = 16  # codes whose mutations are tried, in each generation
GENERATIONS = 6


def first_batch(
    space: spaces.Space[Any],
    count: int,
    limits: Budget,
    rng: np.random.Generator,
    pool: np.ndarray | None = None,
    taken: np.ndarray | None = None,
    guess: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """``(count, D)`` int64 codes that keep the limits and lie far apart in feature space, in equal numbers by cost.

    Args:
        space: of the codes.
        count: how many.
        limits: region and upper limits of cost.
        rng: draws the candidates.
        pool: ``(N, D)`` codes among which to choose; None for any of the space.
        taken: ``(R, D)`` codes that are trained already: others are chosen, far from them.
        guess: ``(N, D)`` codes -> ``(N,)`` what other settings say of them, larger is better: of those of like cost only the
            better ones are chosen among.

    Raises:
        UserError: where so many different ones do not exist within the limits.
    """
    there = np.zeros((0, space.dim), dtype=np.int64) if taken is None else taken
    trained = set(map(tuple, there.tolist()))
    codes_ND = _candidates(space, limits, rng, max(CANDIDATES, 8 * count), pool, trained)
    if len(codes_ND) < count:
        raise UserError(f"only {len(codes_ND)} architectures are within the limits, given was a batch of {count}")
    macs_N = np.asarray(space.cost(codes_ND).macs, dtype=np.float64)
    f_NF, f_RF = _features(space, codes_ND, there)
    order = np.argsort(macs_N, kind="stable")
    strata = [part for part in np.array_split(order, min(STRATA, count)) if len(part)]
    if guess is not None:
        guess_N = guess(codes_ND)
        strata = [part[np.argsort(-guess_N[part], kind="stable")] for part in strata]
        least = -(-count // len(strata))
        strata = [part[: max(least, round(KEPT * len(part)))] for part in strata]
    near_N = np.min(_distances(f_NF, f_RF), axis=1, initial=np.inf)
    chosen: list[int] = []
    while len(chosen) < count:
        part = strata[-1 - len(chosen) % len(strata)]  # the dearest first: there the best are
        part = part[near_N[part] > 0]
        if not len(part):
            part = np.setdiff1d(np.arange(len(codes_ND)), chosen)
        # the first one lies in the middle of its stratum
        middle = not chosen and not len(there)
        score = -np.square(f_NF[part] - f_NF[part].mean(0)).sum(1) if middle else near_N[part]
        best = int(part[int(score.argmax())])
        chosen.append(best)
        near_N = np.minimum(near_N, _distances(f_NF, f_NF[[best]])[:, 0])
        near_N[best] = 0.0
    return np.asarray(codes_ND[chosen], dtype=np.int64)


def random_batch(
    space: spaces.Space[Any],
    count: int,
    limits: Budget,
    rng: np.random.Generator,
    pool: np.ndarray | None,
    taken: np.ndarray,
) -> np.ndarray:
    """``(count, D)`` int64 codes of a pool or the region, drawn from those that keep the limits. Arguments and errors of
    :func:`first_batch`.

    What lies far apart is mostly at the space's ends: a predictor learned less from it than from as many random ones. So it
    does from those that were narrowed to a limit.
    """
    codes_ND, there = np.zeros((0, space.dim), dtype=np.int64), set(map(tuple, taken.tolist()))
    if pool is None:
        codes_ND = _allowed(np.unique(limits.region.round(limits.region.sample(DRAWN, rng)), axis=0), limits, there)
    if len(codes_ND) < count:
        codes_ND = _candidates(space, limits, rng, max(CANDIDATES, 8 * count), pool, there)
    if len(codes_ND) < count:
        raise UserError(f"only {len(codes_ND)} architectures are within the limits, given was a batch of {count}")
    return np.asarray(codes_ND[rng.permutation(len(codes_ND))[:count]], dtype=np.int64)


def within(limits: Budget, most: int, pool: np.ndarray | None = None) -> int:
    """How many architectures keep the limits, counted up to ``most``: of a pool, or of the region, step by step from its
    cheapest one, to which every other one leads by steps that make it cheaper (and from some at random, where that is not so)."""
    if pool is not None:
        return min(most, len(_allowed(np.unique(np.asarray(pool, dtype=np.int64), axis=0), limits, ())))
    region = limits.region
    drawn = region.round(region.sample(CANDIDATES, np.random.default_rng(0)))
    starts = np.unique(np.concatenate([region.cheapest()[None], drawn]).astype(np.int64), axis=0)
    waiting = [tuple(code) for code in _allowed(starts, limits, ()).tolist()]
    found = set(waiting)
    while waiting and len(found) < most:
        near = np.unique(limits.region.neighbours(np.array(waiting.pop())), axis=0).astype(np.int64)
        fresh = {tuple(code) for code in _allowed(near, limits, ()).tolist()} - found
        found |= fresh
        waiting += fresh
    return min(most, len(found))


def guess(known: Any, space: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """What the known predictors say of codes before anything was measured: their mean, in units of each one's spread.

    None where there are none.
    """
    from ncp.predictors import known as bundled

    found = list(bundled.predictors(known, "", space).values())

    def mean(codes_ND: np.ndarray) -> np.ndarray:
        answers = [predictor.predict(codes_ND)[predictor.metrics[0]] for predictor in found]
        return np.asarray(np.mean([(a - a.mean()) / max(float(a.std()), 1e-9) for a in answers], axis=0))

    return mean if found else None


def next_batch(
    predictor: AnyPredictor,
    measured: np.ndarray,
    count: int,
    limits: Budget,
    rng: np.random.Generator,
    pool: np.ndarray | None = None,
    learn: Budget | None = None,
) -> np.ndarray:
    """``(count, D)`` int64 codes from which most is expected: improvement within the limits, far from each other.

    Args:
        predictor: fitted to the measured rows; its first metric is raised.
        measured: ``(R, D)`` codes that need no second training (those that failed too).
        count: how many.
        limits: region and upper limits of cost.
        rng: draws the candidates.
        pool: ``(N, D)`` codes among which to choose; None for any of the space.
        learn: wider limits of the pool's codes that are to teach the predictor, where the pool lacks what a search ends at: those
            that tell most about which of the ends of its searches within ``limits`` is best. Where the predictor cannot say which
            these are, what the pool has within ``limits`` is taken for improvement, and the rest drawn at random. None for
            improvement alone.

    Raises:
        UserError: where so many different ones do not exist within the limits.
    """
    from ncp.predictors.transfer import Transfer

    space = predictor.space
    taken = {tuple(code) for code in np.asarray(measured, dtype=np.int64).tolist()}
    if learn is not None and pool is not None:
        if isinstance(predictor, Transfer):
            return _most_telling(predictor, taken, count, limits, learn, rng, pool)
        wanted = min(count, len(_candidates(space, limits, rng, CANDIDATES, pool, taken)))
        if wanted < count:
            first = next_batch(predictor, measured, wanted, limits, rng, pool) if wanted else measured[:0]
            both = np.concatenate([measured, first])
            return np.concatenate([first, random_batch(space, count - wanted, learn, rng, pool, both)])
    best = _best(predictor, measured, limits)
    codes_ND = _candidates(space, limits, rng, CANDIDATES, pool, taken)
    if pool is None:
        codes_ND = _improved(predictor, codes_ND, best, limits, rng, taken)
    if len(codes_ND) < count:
        raise UserError(
            f"only {len(codes_ND)} further architectures are within the limits, given was a batch of {count}"
        )
    mean_N, std_N = answers(predictor, codes_ND)
    f_NF, _ = _features(space, codes_ND)
    return np.asarray(codes_ND[_improving(mean_N, std_N, f_NF, best, count)], dtype=np.int64)


def _most_telling(
    predictor: Transfer,
    taken: Any,
    count: int,
    limits: Budget,
    learn: Budget,
    rng: np.random.Generator,
    pool: np.ndarray,
) -> np.ndarray:
    """``(count, D)`` codes of a pool from whose results most is learned about how the ends of searches differ."""
    from ncp.predictors.telling import most_telling

    codes_ND = _candidates(predictor.space, learn, rng, CANDIDATES, pool, taken)
    if len(codes_ND) < count:
        raise UserError(f"only {len(codes_ND)} further architectures can be chosen, given was a batch of {count}")
    ends = np.unique(_ascended(predictor, limits, rng), axis=0)
    return np.asarray(codes_ND[most_telling(predictor, codes_ND, ends, count)], dtype=np.int64)


def _improving(mean_N: np.ndarray, std_N: np.ndarray, f_NF: np.ndarray, best: float, count: int) -> list[int]:
    """The best by expected improvement, one after the other as if each earlier one had come out as predicted."""
    length = float(np.median(_distances(f_NF[:256], f_NF[:256]))) / 2
    left_N = np.ones(len(mean_N))
    chosen: list[int] = []
    for _ in range(count):
        score_N = _promise(mean_N, std_N * np.sqrt(left_N), best)
        score_N[chosen] = -np.inf
        pick = int(score_N.argmax())
        chosen.append(pick)
        best = max(best, float(mean_N[pick]))
        # doubt falls near it, as a process with this length would have it
        r_N = np.sqrt(5) * _distances(f_NF, f_NF[[pick]])[:, 0] / length
        left_N *= np.maximum(1 - np.square((1 + r_N + r_N**2 / 3) * np.exp(-r_N)), 1e-6)
    return chosen


def expected_improvement(mean_N: np.ndarray, std_N: np.ndarray, best: float) -> np.ndarray:
    """``(N,)`` expected excess of a normal value over ``best`` (Jones et al., 1998), all in the metric's unit.

    >>> expected_improvement(np.array([1.0, 0.0]), np.array([1e-9, 1.0]), 0.0).round(3).tolist()
    [1.0, 0.399]
    """
    from scipy.special import ndtr

    z_N = (mean_N - best) / std_N
    return np.asarray(std_N * (z_N * ndtr(z_N) + np.exp(-(z_N**2) / 2) / np.sqrt(2 * np.pi)))


def _promise(mean_N: np.ndarray, std_N: np.ndarray, best: float) -> np.ndarray:
    """Expected improvement, and of two without any (as far as numbers go) the higher mean first."""
    return expected_improvement(mean_N, std_N, best) + 1e-9 * (mean_N - best)


def answers(predictor: AnyPredictor, codes_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and own doubt ``(N,)`` of the first metric, float64."""
    name, spread = predictor.metrics[0], float(predictor.output_std[0])
    # a predictor may doubt a value far down without an end; that is no hope of one far up
    std_N = np.clip(predictor.predict_std(codes_ND, noise=False)[name], 1e-9, spread / 2)
    return predictor.predict(codes_ND)[name], std_N


def _best(predictor: AnyPredictor, measured: np.ndarray, limits: Budget) -> float:
    """What the best measured code within the limits is worth, noise smoothed away; the lowest of all where none is within."""
    inside = limits.excess(measured) == 0
    mean_R = predictor.predict(measured)[predictor.metrics[0]]
    return float(mean_R[inside].max() if inside.any() else mean_R.min())


def _candidates(
    space: spaces.Space[Any],
    limits: Budget,
    rng: np.random.Generator,
    number: int,
    pool: np.ndarray | None,
    taken: Any = (),
) -> np.ndarray:
    """``(N, D)`` different codes within the limits: of the pool all, of the space as many, spread by cost."""
    if pool is not None:
        codes_ND = np.unique(np.asarray(pool, dtype=np.int64), axis=0)
        return _allowed(codes_ND, limits, taken)
    drawn = limits.region.sample(number, rng)
    if limits.limits:
        share_N = np.exp(-np.log(SPAN) * rng.random(number))
        drawn = _repaired(drawn, limits, share_N, rng)
    return _allowed(np.unique(limits.region.round(drawn), axis=0), limits, taken)


def _repaired(codes_ND: np.ndarray, limits: Budget, share_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Codes made cheaper until they cost at most a share of the limits, one dimension after the other at random.

    Some dimensions stay wide then and others become narrow, as in good architectures; to narrow all alike would try only
    small copies of large ones.
    """
    region, codes_ND = limits.region, np.array(codes_ND, dtype=np.float64)
    for _ in range(REPAIRS):
        costs = zip(limits.costs(codes_ND), limits.limits, strict=True)
        over = np.flatnonzero(np.any([np.asarray(cost) > limit.value * share_N for cost, limit in costs], axis=0))
        if not len(over):
            break
        which = rng.integers(0, region.space.dim, len(over))
        least = region.lower[which]
        codes_ND[over, which] = least + rng.random(len(over)) * (codes_ND[over, which] - least)
    return region.clamp(codes_ND)


def scaled(limits: Budget, share: float) -> Budget:
    """The same region with so many times the limits of cost."""
    macs, params = (None if limit is None else limit * share for limit in (limits.macs, limits.params))
    return Budget(limits.region, macs, params)


def _allowed(codes_ND: np.ndarray, limits: Budget, taken: Any) -> np.ndarray:
    keep = limits.excess(codes_ND) == 0
    keep &= limits.region.contains(codes_ND)
    if taken:
        keep &= np.array([tuple(code) not in taken for code in codes_ND.tolist()], dtype=bool)
    return np.asarray(codes_ND[keep])


def _improved(
    predictor: AnyPredictor, codes_ND: np.ndarray, best: float, limits: Budget, rng: np.random.Generator, taken: Any
) -> np.ndarray:
    """More candidates: mutations of those with the highest expected improvement, and where the search's own ascent ends."""
    codes_ND = np.concatenate([codes_ND, _allowed(_ascended(predictor, limits, rng), limits, taken)])
    codes_ND = np.unique(codes_ND, axis=0)
    seen = {*taken, *map(tuple, codes_ND.tolist())}  # asked about once each
    score_N = _promise(*answers(predictor, codes_ND), best)
    for _ in range(GENERATIONS):
        parents = codes_ND[np.argsort(-score_N, kind="stable")[:PARENTS]]
        mutated = np.concatenate([_mutated(limits, parent, rng) for parent in parents])
        children = np.unique(_allowed(mutated, limits, seen), axis=0)
        if len(children):
            seen.update(map(tuple, children.tolist()))
            codes_ND = np.concatenate([codes_ND, children])
            score_N = np.concatenate([score_N, _promise(*answers(predictor, children), best)])
    return codes_ND


def _mutated(limits: Budget, code: np.ndarray, rng: np.random.Generator, number: int = 24) -> np.ndarray:
    """``(number, D)`` codes one to four steps from ``code``."""
    near = limits.region.neighbours(code) - code
    steps = rng.integers(1, 5, number)
    moved = np.stack([code + near[rng.integers(0, len(near), k)].sum(0) for k in steps])
    return limits.region.round(moved)


def _ascended(predictor: AnyPredictor, limits: Budget, rng: np.random.Generator, starts: int = 16) -> np.ndarray:
    """Rounded and polished ends of the default search, once as it distrusts the predictor and once believing it."""
    metric = predictor.metrics[0]
    objectives = Objectives([Objective(predictor.setting, metric)], {predictor.setting: predictor})
    strategy = Robust(starts=starts)
    found = []
    for kappa in (0.0, 1.0):
        criterion = Criterion(objectives, limits, kappa=kappa)
        codes_TSD, _ = strategy.ascend(criterion, limits.region.sample(starts, rng))
        rounded, _, _ = strategy.ends(criterion, codes_TSD[-1])
        found += [end.path[-1] for end in strategy.finish(criterion, rounded)]
    return np.stack(found).astype(np.int64)


def _features(
    space: spaces.Space[Any], codes_ND: np.ndarray, others_RD: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """``(N, F)`` features in units of their spread over the candidates, and ``(R, F)`` of other codes in the same units."""
    f_NF = np.asarray(space.features(np.asarray(codes_ND, dtype=np.float64)))
    center_F, spread_F = f_NF.mean(0), np.maximum(f_NF.std(0), 1e-6)
    others = np.zeros((0, space.dim)) if others_RD is None else np.asarray(others_RD, dtype=np.float64)
    f_RF = np.asarray(space.features(others)) if len(others) else np.zeros((0, f_NF.shape[1]))
    return np.asarray((f_NF - center_F) / spread_F), np.asarray((f_RF - center_F) / spread_F)


def _distances(a_NF: np.ndarray, b_BF: np.ndarray) -> np.ndarray:
    squares = np.square(a_NF).sum(1)[:, None] + np.square(b_BF).sum(1) - 2 * a_NF @ b_BF.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
