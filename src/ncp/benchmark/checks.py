"""Is a row plausible? Recorded costs against exact ones, failed trainings, and batches of rows that are shifted as one.

Shape suffixes: N rows, D dimensions of the code, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ncp.benchmark.settings import Setting
from ncp.spaces import Space

# A batch is suspect when a second population of this share and this distance below the first explains the residuals.
MIN_ROWS, MAX_ROWS = 300, 10_000  # outside of these a table is not examined
MIN_SHARE = 0.05
MIN_SHIFT = 3.0  # percent points
MIN_DISTANCE = 2.5  # in standard deviations of the first population
KITTI_SIZES = (128, 112)


@dataclass(frozen=True)
class CostCheck:
    """Recorded against exact cost.

    Attributes:
        wrong: ``(N,)`` bool, the recorded numbers fit no known convention.
        size: ``(N,)`` int16, the input size in whose convention they were recorded (0: does not depend on it or unknown),
            or None where there is one convention only.
    """

    wrong: np.ndarray
    size: np.ndarray | None


def check_cost(
    setting: Setting, space: Space[Any], codes_ND: np.ndarray, flops: np.ndarray, params: np.ndarray
) -> CostCheck:
    """Compare recorded ``flops`` and ``params`` ``(N,)`` with our exact counts, in the convention that the setting names.

    ``release``: the released tables' units with all digits; ``release-kitti``: three decimals, of one of two input sizes that
    only an exact match tells apart; ``rounded-millions``: two and three decimals. Without one nothing is wrong, as a table of
    another program may count otherwise; nor are rows without recorded cost (NaN).
    """
    missing = np.isnan(flops) | np.isnan(params)
    if setting.cost_units == "rounded-millions":
        cost = space.cost(codes_ND)
        good = _rounds_to(cost.macs / 1e6, flops, 2) & _rounds_to(cost.params / 1e6, params, 3)
        return CostCheck(~good & ~missing, None)
    if not setting.cost_units:
        return CostCheck(np.zeros(len(codes_ND), dtype=bool), None)
    from ncp.spaces import cost as costs

    if setting.cost_units == "release":
        flops_g, params_m = costs.release_units(codes_ND)
        return CostCheck(((flops_g != flops) | (params_m != params)) & ~missing, None)
    size = np.zeros(len(codes_ND), dtype=np.int16)
    for pixels in KITTI_SIZES:
        flops_g, params_m = costs.kitti_units(codes_ND, pixels)
        size[_rounds_to(flops_g, flops, 3) & _rounds_to(params_m, params, 3)] = pixels
    return CostCheck((size == 0) & ~missing, size)


def _rounds_to(exact: np.ndarray, recorded: np.ndarray, digits: int) -> np.ndarray:
    """Whether ``recorded`` is ``exact`` rounded to ``digits`` decimals; about a half it may go either way."""
    close: np.ndarray = np.abs(exact - recorded) <= 0.501 * 10.0**-digits
    return close


@dataclass(frozen=True)
class Batch:
    """A population of shifted rows that was found.

    Attributes:
        rows: ``(N,)`` bool.
        shift: its distance from the others in percent points (negative: below).
        share: its part of the group of rows in which it was found.
    """

    rows: np.ndarray
    shift: float
    share: float


def shifted_batch(
    space: Space[Any], codes_ND: np.ndarray, metric: np.ndarray, group: np.ndarray | None
) -> Batch | None:
    """Rows whose metric lies points below what the other rows predict, as one population; None if there is none.

    The rule: (1) a robust quadratic fit over the codes predicts each row without itself (:func:`residuals`). (2) Within
    each ``group`` of rows (N labels, such as the input size of the recorded cost) the residuals are explained by two
    populations, the regular one around 0 and a shifted one, by expectation maximisation along the file order: a hidden
    Markov chain, so that contiguous batches support each other where the order is still that of the runs, and a plain
    mixture where it is not. (3) The shifted one is a batch if it holds at least ``MIN_SHARE`` of the group and lies at
    least ``MIN_SHIFT`` points and ``MIN_DISTANCE`` standard deviations below; its rows are those more likely in it than not.

    Measured on the release's 3ddet, whose third run lies about 6 points low: with the rows in mixed order 97% of that run
    are found and 91% of the rows found belong to it; in the order of the runs 97% and 99.5%. The rows of the run that it
    misses are failed trainings, which carry their own flag. In the release's other eight settings nothing is found.
    """
    usable = np.isfinite(metric)
    group = np.zeros(len(metric), dtype=np.int64) if group is None else group
    if not MIN_ROWS <= usable.sum() <= MAX_ROWS:
        return None
    rest = np.full(len(metric), np.nan)
    rest[usable] = residuals(space, codes_ND[usable], metric[usable])
    best: Batch | None = None
    for label in np.unique(group[usable]):
        members = np.flatnonzero(usable & (group == label))
        if len(members) < MIN_ROWS:
            continue
        posterior, shift, sd = _two_populations(rest[members])
        share = float((posterior > 0.5).mean())
        if share >= MIN_SHARE and -shift >= max(MIN_SHIFT, MIN_DISTANCE * sd):
            rows = np.zeros(len(metric), dtype=bool)
            rows[members[posterior > 0.5]] = True
            if best is None or rows.sum() > best.rows.sum():
                best = Batch(rows, shift, share)
    return best


def residuals(space: Space[Any], codes_ND: np.ndarray, metric: np.ndarray, ridge: float = 30.0) -> np.ndarray:
    """``(N,)`` metric minus its prediction from all other rows.

    A ridge regression on all products of two standardised dimensions (on a log scale where they are positive), refitted
    with Cauchy weights so that wrong rows do not bend it; leaving a row out is exact given the weights.
    """
    x_ND = np.asarray(codes_ND, dtype=np.float64)
    if (space.lower > 0).all():
        x_ND = np.log2(x_ND)
    spread = x_ND.std(0)
    x_ND = (x_ND - x_ND.mean(0))[:, spread > 0] / spread[spread > 0]
    i, j = np.triu_indices(x_ND.shape[1])
    x_NF = np.concatenate([np.ones((len(x_ND), 1)), x_ND, x_ND[:, i] * x_ND[:, j]], axis=1)
    penalty = ridge * np.eye(x_NF.shape[1])
    penalty[0, 0] = 0
    weight = np.ones(len(metric))
    for _ in range(5):
        xw_FN = (x_NF * weight[:, None]).T
        gram_FF = xw_FN @ x_NF + penalty
        rest = metric - x_NF @ np.linalg.solve(gram_FF, xw_FN @ metric)
        scale = 1.5 * 1.4826 * np.median(np.abs(rest - np.median(rest))) + 1e-9
        last, weight = weight, 1 / (1 + (rest / scale) ** 2)
    leverage = last * ((x_NF @ np.linalg.inv(gram_FF)) * x_NF).sum(1)
    out: np.ndarray = rest / np.maximum(1 - leverage, 0.1)
    return out


def _two_populations(rest: np.ndarray, iterations: int = 30) -> tuple[np.ndarray, float, float]:
    """A two-state hidden Markov chain over ``(N,)`` residuals.

    Returns the probability ``(N,)`` of the shifted state, its mean and the first state's standard deviation. Both
    populations are Student-t with 4 degrees of freedom, whose tails hold single bad trainings.
    """
    center = np.median(rest)
    sd0 = 1.4826 * np.median(np.abs(rest - center))
    mean = np.array([center, center - 5 * sd0])
    sd = np.array([sd0, 1.5 * sd0])
    chain = np.array([[0.9, 0.1], [0.4, 0.6]])
    for _ in range(iterations):
        z = (rest[:, None] - mean) / sd
        state, chain = _smooth((1 + z**2 / 4) ** -2.5 / sd, chain)
        weight = state * 5 / (4 + z**2)
        mean = (weight * rest[:, None]).sum(0) / weight.sum(0)
        sd = np.sqrt((weight * (rest[:, None] - mean) ** 2).sum(0) / state.sum(0))
        sd = np.maximum(sd, 0.3 * sd0)
    return state[:, 1], float(mean[1] - mean[0]), float(sd[0])


def _smooth(likelihood: np.ndarray, chain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forward and backward pass: state probabilities ``(N, 2)`` and the transition matrix they imply."""
    (stay, leave), (enter, remain) = chain.tolist()  # plain floats: arrays of two numbers would take ten times as long
    rows = likelihood.tolist()
    one, two = enter / (enter + leave), leave / (enter + leave)
    ahead = []
    for p, q in rows:
        one, two = one * p, two * q
        one, two = one / (one + two), two / (one + two)
        ahead.append((one, two))
        one, two = one * stay + two * enter, one * leave + two * remain
    one = two = 0.5
    behind = [(one, two)]
    for p, q in rows[:0:-1]:
        one, two = one * p, two * q
        one, two = stay * one + leave * two, enter * one + remain * two
        one, two = one / (one + two), two / (one + two)
        behind.append((one, two))
    forward, backward = np.array(ahead), np.array(behind[::-1])
    state = forward * backward
    state /= state.sum(1, keepdims=True)
    pairs = forward[:-1, :, None] * chain * (likelihood[1:] * backward[1:])[:, None, :]
    pairs /= pairs.sum((1, 2), keepdims=True)
    counts = pairs.sum(0) + 1.0
    return state, counts / counts.sum(1, keepdims=True)
