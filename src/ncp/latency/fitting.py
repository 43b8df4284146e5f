"""Fitting a latency model to measurements, and its errors on networks that it did not see.

Shape suffixes: R measured rows, D dimensions of the code, W kinds of work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import minimize, nnls

from ncp import spaces
from ncp.benchmark.ranking import spearman
from ncp.errors import UserError
from ncp.latency.card import MachineCard
from ncp.latency.model import LEAST, LEAST_NOISE, SCALES, Latency, Parts, Standard, Tensors, raw_columns
from ncp.matern import SQRT5

LEAST_ROWS = 10
LEAST_HELD = 2  # to check a model
MOST_ROWS = 4000
SLOW, QUICK = 10_000.0, 1e-3
"""Milliseconds between which a network's time lies: no vision network of these spaces takes ten seconds or a microsecond."""
_FEW = 400  # rows on which the scales are fitted, and up to which errors are cross-validated
_FOLDS = 5


def fit(
    space: str | spaces.Space[Any],
    architectures: Any,
    milliseconds: Any,
    card: MachineCard | None = None,
    held: tuple[Any, Any] | None = None,
    seed: int = 0,
) -> Latency:
    """A model of measured networks.

    Args:
        space: its name, or itself.
        architectures: R of them, or ``(R, D)`` codes; one that is there several times counts once, with the median of its times.
        milliseconds: ``(R,)``, measured.
        card: what was measured: its device, size, task, ... None for those of a network for segmentation at 128 x 128.
        held: architectures and milliseconds on which the errors are measured, those among ``architectures`` left out; None, or
            fewer than 2 that are left, to cross-validate them.
        seed: of the folds.

    Raises:
        UserError: for fewer than 10 networks or more than 4,000, another number of times than of architectures, times that are
            not finite or not positive, or that can be no milliseconds.
    """
    space = spaces.get(space) if isinstance(space, str) else space
    card = card or MachineCard(space.name, task="seg", size=[128, 128])
    codes, times = check_rows(space, architectures, milliseconds)
    made = _fitted(replace(card, space=space.name, rows=len(codes)), codes, times, seed)
    rows, truth = (codes[:0], times[:0]) if held is None else check_rows(space, *held, least=LEAST_HELD)
    known = set(map(bytes, codes))
    unseen = np.array([bytes(row) not in known for row in rows], dtype=bool)
    if unseen.sum() >= LEAST_HELD:
        rows, truth = rows[unseen], truth[unseen]
        told = made.predict(rows)
    else:
        truth, told = _cross_validated(made.card, codes, times, seed)
    found: dict[str, Any] = errors(truth, told)
    made.card = replace(made.card, held=len(truth), **found)
    return made


def errors(truth: np.ndarray, told: np.ndarray) -> dict[str, float]:
    """Median and ninth decile of relative errors, and the rank correlation (0 where one of the two never varies)."""
    off = np.abs(told / truth - 1)
    same = np.ptp(truth) == 0 or np.ptp(told) == 0
    rank = 0.0 if same else spearman(truth, told)
    return {"median_error": float(np.median(off)), "p90_error": float(np.quantile(off, 0.9)), "spearman": rank}


def check_rows(
    space: spaces.Space[Any], architectures: Any, milliseconds: Any, least: int = LEAST_ROWS
) -> tuple[np.ndarray, np.ndarray]:
    """``(R, D)`` int64 codes, each once, and ``(R,)`` float64 times; raises ``UserError`` as :func:`fit`."""
    given = np.asarray(milliseconds, dtype=np.float64).ravel()
    codes = _codes(space, architectures)
    if len(codes) != len(given):
        raise UserError(
            f"every architecture has one time; given were {len(codes)} architectures and {len(given)} times"
        )
    count = len(np.unique(codes, axis=0))
    if count < least or len(codes) > MOST_ROWS:
        repeated = "" if count == len(codes) else f" ({len(codes):,} rows)"
        raise UserError(
            f"a latency model needs {least} to {MOST_ROWS:,} measured networks, given were {count:,}{repeated}"
        )
    bad = np.flatnonzero(~np.isfinite(given) | (given <= 0))
    if len(bad):
        raise UserError(
            f"times must be finite and positive milliseconds, row {bad[0] + 1} has {given[bad[0]]:g}"
            + (f" (and {len(bad) - 1} more)" if len(bad) > 1 else "")
        )
    if given.min() > SLOW:
        raise UserError(
            f"all times lie above {SLOW:,.0f} ms (from {given.min():,.0f}); they seem to be microseconds: give milliseconds"
        )
    if given.max() < QUICK:
        raise UserError(
            f"all times lie below {QUICK:g} ms (up to {given.max():g}); they seem to be seconds: give milliseconds"
        )
    return (codes, given) if count == len(codes) else _once(codes, given)


def _once(codes: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every code once, in the order of their first rows, with the median of its times.

    A network that was measured again would else be among those that a model has not seen.
    """
    _, first, place = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    place = place.ravel()
    order = np.argsort(first)
    return codes[first[order]], np.array([np.median(times[place == one]) for one in order])


def _codes(space: spaces.Space[Any], architectures: Any) -> np.ndarray:
    if isinstance(architectures, np.ndarray) or hasattr(architectures, "detach"):  # or a tensor
        array = np.asarray(architectures, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != space.dim or not np.isfinite(array).all():
            raise UserError(f"codes of space '{space.name}' have shape (N, {space.dim}), given was {array.shape}")
        wrong = np.flatnonzero((space.round(array) != array).any(1))
        if len(wrong):
            raise UserError(f"row {wrong[0] + 1} is no architecture of space '{space.name}'")
    else:
        listed: Sequence[Any] = list(architectures)
        array = space.encode([space.parse(a) for a in listed])
    return np.ascontiguousarray(array).astype(np.int64)


def _fitted(card: MachineCard, codes: np.ndarray, times: np.ndarray, seed: int) -> Latency:
    work, features = raw_columns(spaces.get(card.space), codes, card.setting())
    standard = Standard.of(work, features)
    prices = _prices(work / standard.work_top, times)
    scales = _scales(standard(work, features), work / standard.work_top, prices, times, seed)
    return Latency(card, Tensors(codes, times, prices, scales))


def _prices(share_RW: np.ndarray, times: np.ndarray) -> np.ndarray:
    """``(1 + W,)`` prices, none negative, with the least squared relative error; small ones are preferred."""
    rows, kinds = share_RW.shape
    design = np.concatenate([np.ones((rows, 1)), share_RW], 1) / times[:, None]
    shrink = 0.02 * np.sqrt(rows) / np.median(times) * np.eye(kinds + 1)
    out, _ = nnls(np.concatenate([design, shrink]), np.concatenate([np.ones(rows), np.zeros(kinds + 1)]))
    # nothing may be free altogether: a network of unseen proportions still takes time
    return np.asarray(np.maximum(out, 1e-6 * np.median(times)))


def _scales(parts: Parts, share_RW: np.ndarray, prices: np.ndarray, times: np.ndarray, seed: int) -> np.ndarray:
    """The five scales by marginal likelihood with weak priors, on some hundred rows."""
    some = np.random.default_rng(seed).permutation(len(times))[:_FEW]
    a, b = (part[some] for part in parts)
    rest = np.log(times[some]) - np.log(prices[0] + share_RW[some] @ prices[1:])
    spread = rest.std()
    rest = (rest - rest.mean()) / (spread if spread > 1e-9 else 1.0)
    usual = np.array([-1.0, -1.0, -1.0, 0.5 * np.log(a.shape[1] + b.shape[1]) + 0.7, -1.0])
    eye = np.eye(len(rest))
    linear = [part @ part.T / part.shape[1] for part in (a, b)]
    both = np.concatenate([a, b], 1)
    squares = np.square(both).sum(1)
    apart = SQRT5 * np.sqrt(np.maximum(squares[:, None] + squares - 2 * both @ both.T, LEAST))

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the logarithm of what is to be largest, up to a constant, and its derivatives by the scales."""
        weights = np.exp(at)
        far = apart / weights[3]
        falling = np.exp(-far)
        smooth = (1 + far + far**2 / 3) * falling
        # of the covariance, by each of the scales
        by = [weights[0] * linear[0], weights[1] * linear[1], weights[2] * smooth]
        by += [weights[2] * far**2 / 3 * (1 + far) * falling, weights[4] * eye]
        lower = np.linalg.cholesky(by[0] + by[1] + by[2] + (weights[4] + LEAST_NOISE) * eye)
        half = np.linalg.inv(lower)
        solved = half @ rest
        value = 0.5 * solved @ solved + np.log(np.diagonal(lower)).sum() + ((at - usual) ** 2).sum() / 8
        alpha = half.T @ solved
        slope_RR = 0.5 * (half.T @ half - np.outer(alpha, alpha))
        return float(value), np.array([(slope_RR * part).sum() for part in by]) + (at - usual) / 4

    found = minimize(loss, usual, jac=True, method="L-BFGS-B", bounds=[(-7, 5)] * SCALES, options={"maxiter": 40})
    return np.asarray(found.x)


def _cross_validated(
    card: MachineCard, codes: np.ndarray, times: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Times and predictions of rows that the predicting model was not fitted on; of many rows a fifth stands for all."""
    order = np.random.default_rng(seed).permutation(len(codes))
    folds = np.array_split(order, _FOLDS)
    folds = folds if len(codes) <= _FEW else folds[:1]
    told = []
    for fold in folds:
        kept = np.setdiff1d(order, fold)
        part = _fitted(replace(card, rows=len(kept)), codes[kept], times[kept], seed)
        told.append(part.predict(codes[fold]))
    return times[np.concatenate(folds)], np.concatenate(told)
