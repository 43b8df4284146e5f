"""From a code to milliseconds: prices of physical work, and a small Gaussian process for what they leave.

A machine's time is near a sum of what it has to do (multiply-adds, numbers moved, kernels started, by stage and branch; the
space's ``work``) at its own prices, none negative. The logarithm of measured over priced time is a Gaussian process with a
linear part over logarithms of the work and the space's features, and a smooth part over all of them.

The model is its measurements, the prices and a handful of scales; everything else follows from them, in numpy.

Shape suffixes: N codes, R measured rows, D dimensions, W kinds of work, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ncp import spaces
from ncp.errors import UserError
from ncp.latency.card import MachineCard
from ncp.matern import matern52
from ncp.slopes import Slope
from ncp.spaces import slopes

SCALES = 5
"""Logarithms of: variance of the linear part over work, over features, of the smooth part, its length, of the noise."""
LEAST_NOISE = 1e-4
LEAST = 1e-12  # of squared distances
_LEAST_OWN, _LEAST_PRICE = 1e-9, 1e-9
_FLOOR = 0.05  # added to shares of work before their logarithm is taken

Parts = tuple[np.ndarray, np.ndarray]
"""Standardised work ``(N, W)`` and features ``(N, F)``."""


class Tensors(NamedTuple):
    """What a model is made of.

    Attributes:
        codes: ``(R, D)`` int64, measured.
        milliseconds: ``(R,)`` float64.
        prices: ``(1 + W,)`` float64, milliseconds of nothing and of the largest measured work of each kind.
        scales: ``(5,)`` float64, see :data:`SCALES`.
    """

    codes: np.ndarray
    milliseconds: np.ndarray
    prices: np.ndarray
    scales: np.ndarray


def kernel(a: Parts, b: Parts, scales: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], list[np.ndarray]]]:
    """``(N, R)`` covariance between standardised work and features of two sets of architectures, and back to the first's."""
    weights = np.exp(scales)
    smooth, back = matern52(np.concatenate(a, -1), np.concatenate(b, -1), 1 / weights[3], LEAST)
    linear = [weights[i] / a[i].shape[1] for i in (0, 1)]
    value = weights[2] * smooth + sum(linear[i] * (a[i] @ b[i].T) for i in (0, 1))

    def pull(d_NR: np.ndarray) -> list[np.ndarray]:
        both = np.split(back(weights[2] * d_NR), [a[0].shape[1]], axis=1)
        return [part + linear[i] * (d_NR @ b[i]) for i, part in enumerate(both)]

    return value, pull


class Standard(NamedTuple):
    """How raw columns become what the process sees, by the measured rows."""

    work_top: np.ndarray
    work: Parts
    features: Parts

    @classmethod
    def of(cls, work_RW: np.ndarray, features_RF: np.ndarray) -> Standard:
        """By the largest work and by means and deviations of the rows."""
        top = np.maximum(work_RW.max(0), 1e-12)
        return cls(top, _moments(_logs(work_RW / top)), _moments(features_RF))

    def __call__(self, work_NW: np.ndarray, features_NF: np.ndarray) -> Parts:
        """Standardised logarithms of work, and features."""
        logs = (_logs(work_NW / self.work_top) - self.work[0]) / self.work[1]
        return logs, (features_NF - self.features[0]) / self.features[1]

    def back(self, work_NW: np.ndarray, d_logs: np.ndarray, d_features: np.ndarray) -> Parts:
        """Derivatives by what this gives, to those by raw work and features."""
        share = work_NW / self.work_top
        slope = (share > 0) / (np.maximum(share, 0) + _FLOOR)
        return d_logs / self.work[1] * slope / self.work_top, d_features / self.features[1]


def _logs(share: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(share, 0) + _FLOOR))


def _moments(columns: np.ndarray) -> Parts:
    # a column that (almost) never differs says nothing, and must not explode elsewhere
    spread = columns.std(0)
    return columns.mean(0), np.where(spread > 1e-6, spread, np.inf)


class Posterior(NamedTuple):
    """Of N codes: median and standard deviation of one measurement, ``(N,)`` milliseconds, and the way back from both."""

    median: np.ndarray
    std: np.ndarray
    pull: Callable[[np.ndarray, np.ndarray], np.ndarray]


class Latency:
    """Predicts milliseconds of architectures on the machine that it was measured on.

    Args:
        card: what was measured.
        tensors: what the model is made of, see :class:`Tensors`.

    Raises:
        UserError: where these are no model: times that are not positive, or rows of which no process can be made.
    """

    def __init__(self, card: MachineCard, tensors: Tensors) -> None:
        self.card, self.tensors = card, tensors
        self.file = ""  # that it was read from
        self.space: spaces.Space[Any] = spaces.get(card.space)
        self.setting = card.setting()
        if not (tensors.milliseconds > 0).all() or (tensors.prices < 0).any() or not tensors.prices.sum() > 0:
            raise UserError("a latency model holds times or prices that are not positive; measure or fit again")
        raw = raw_columns(self.space, tensors.codes, self.setting)
        self.standard = Standard.of(*raw)
        self.rows = self.standard(*raw)
        rest_R = np.log(tensors.milliseconds) - np.log(self._priced(raw[0]))
        self.level, width = rest_R.mean(), rest_R.std()
        self.width = width if width > 1e-9 else 1.0
        self.noise = np.exp(tensors.scales[4]) + LEAST_NOISE
        covariance = kernel(self.rows, self.rows, tensors.scales)[0] + self.noise * np.eye(len(rest_R))
        try:
            self.half = np.linalg.inv(np.linalg.cholesky(covariance))
        except np.linalg.LinAlgError:
            raise UserError(
                "a latency model cannot be solved (its covariance has no Cholesky factor); fit it again"
            ) from None
        self.weights = self.half.T @ (self.half @ ((rest_R - self.level) / self.width))

    def scaled(self, factor: float) -> Latency:
        """The model of a machine whose every time is so many times this one's."""
        mine = self.tensors
        other = Latency(self.card, mine._replace(milliseconds=mine.milliseconds * factor, prices=mine.prices * factor))
        other.file = self.file
        return other

    def _priced(self, work_NW: np.ndarray) -> np.ndarray:
        return np.asarray(self.tensors.prices[0] + (work_NW / self.standard.work_top) @ self.tensors.prices[1:])

    def posterior(self, codes_ND: np.ndarray) -> Posterior:
        """Median and standard deviation of one measurement, with the way back."""
        work = slopes.work(self.space, codes_ND, self.setting)
        features = slopes.features(self.space, codes_ND)
        parts = self.standard(work.value, features.value)
        k_NR, back = kernel(parts, self.rows, self.tensors.scales)
        solved_NR = k_NR @ self.half.T
        prior_N, prior_back = self._prior(parts)
        own_N = prior_N - np.square(solved_NR).sum(1)
        root_N = np.sqrt(np.maximum(own_N, _LEAST_OWN) + self.noise)
        priced_N = self._priced(work.value)
        rest_N = np.exp(self.level + self.width * (k_NR @ self.weights))
        median_N = np.maximum(priced_N, _LEAST_PRICE) * rest_N

        def pull(d_median: np.ndarray, d_std: np.ndarray) -> np.ndarray:
            d_median = d_median + d_std * self.width * root_N
            d_own = np.where(own_N > _LEAST_OWN, d_std * median_N * self.width / (2 * root_N), 0.0)
            d_k = (d_median * median_N * self.width)[:, None] * self.weights
            d_k = d_k - 2 * (d_own[:, None] * solved_NR) @ self.half
            d_parts = [part + more for part, more in zip(back(d_k), prior_back(d_own), strict=True)]
            d_work, d_features = self.standard.back(work.value, d_parts[0], d_parts[1])
            d_priced = d_median * rest_N * (priced_N >= _LEAST_PRICE)
            d_work = d_work + d_priced[:, None] * self.tensors.prices[1:] / self.standard.work_top
            return work.pull(d_work) + features.pull(d_features)

        return Posterior(median_N, median_N * self.width * root_N, pull)

    def safe(self, codes_ND: np.ndarray, margin: float = 1.0) -> Slope:
        """``(N,)`` milliseconds that limits are held against: the median plus ``margin`` standard deviations."""
        found = self.posterior(codes_ND)
        return Slope(found.median + margin * found.std, lambda d_N: found.pull(d_N, margin * d_N))

    def _prior(self, parts: Parts) -> tuple[np.ndarray, Callable[[np.ndarray], list[np.ndarray]]]:
        """``(N,)`` variance of the process where nothing was measured, and back to what it sees."""
        weights = np.exp(self.tensors.scales)
        linear = [weights[i] / parts[i].shape[1] for i in (0, 1)]
        value = weights[2] + sum(linear[i] * np.square(parts[i]).sum(-1) for i in (0, 1))
        return value, lambda d_N: [2 * linear[i] * parts[i] * d_N[:, None] for i in (0, 1)]

    def predict(self, codes: Any) -> np.ndarray:
        """``(N,)`` float64 milliseconds (the median of one measurement) of ``(N, D)`` codes, one code, or architectures."""
        return self.posterior_of(codes)[0]

    def predict_std(self, codes: Any) -> np.ndarray:
        """``(N,)`` float64 milliseconds: one standard deviation of a measurement around :meth:`predict`."""
        return self.posterior_of(codes)[1]

    def posterior_of(self, codes: Any, chunk: int = 2048) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`predict` and :meth:`predict_std` at once."""
        array = code_array(self.space, codes)
        parts = [self.posterior(array[i : i + chunk]) for i in range(0, len(array), chunk)]
        if not parts:
            return np.zeros(0), np.zeros(0)
        return np.concatenate([p.median for p in parts]), np.concatenate([p.std for p in parts])


def raw_columns(space: spaces.Space[Any], codes_ND: np.ndarray, setting: dict[str, Any]) -> Parts:
    """Work ``(N, W)`` and features ``(N, F)``, float64, see :mod:`ncp.spaces.slopes`."""
    codes = np.asarray(codes_ND, dtype=np.float64)
    return slopes.work(space, codes, setting).value, slopes.features(space, codes).value


def code_array(space: spaces.Space[Any], codes: Any) -> np.ndarray:
    """``(N, D)`` float64 of codes, one code, one architecture or several. Raises ``UserError`` for another shape."""
    if hasattr(codes, "code"):
        codes = [codes]
    if isinstance(codes, (list, tuple)) and codes and hasattr(codes[0], "code"):
        return space.encode(codes)
    array = np.asarray(codes, dtype=np.float64)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != space.dim or not np.isfinite(array).all():
        raise UserError(
            f"codes of space '{space.name}' are finite numbers of shape (N, {space.dim}), given was {np.shape(codes)}"
        )
    return array
