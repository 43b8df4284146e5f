"""From a code to milliseconds: prices of physical work, and a small Gaussian process for what they leave.

A machine's time is near a sum of what it has to do (multiply-adds, numbers moved, kernels started, by stage and branch; the
space's ``work``) at its own prices, none negative. The logarithm of measured over priced time is a Gaussian process with a
linear part over logarithms of the work and the space's features, and a smooth part over all of them.

The model is its measurements, the prices and a handful of scales; everything else follows from them.

Shape suffixes: N codes, R measured rows, D dimensions, W kinds of work, F features.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncp import spaces
from ncp.errors import UserError
from ncp.latency.card import MachineCard

SCALES = 5
"""Logarithms of: variance of the linear part over work, over features, of the smooth part, its length, of the noise."""
LEAST_NOISE = 1e-4


class Tensors(NamedTuple):
    """What a model is made of.

    Attributes:
        codes: ``(R, D)`` int64, measured.
        milliseconds: ``(R,)`` float64.
        prices: ``(1 + W,)`` float64, milliseconds of nothing and of the largest measured work of each kind.
        scales: ``(5,)`` float64, see :data:`SCALES`.
    """

    codes: Tensor
    milliseconds: Tensor
    prices: Tensor
    scales: Tensor


def kernel(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], scales: Tensor) -> Tensor:
    """``(N, R)`` covariance between standardised work and features of two sets of architectures."""
    out = sum(scales[i].exp() * (a[i] @ b[i].mT) / a[i].shape[1] for i in (0, 1))
    x, y = torch.cat(a, -1), torch.cat(b, -1)
    squares = x.square().sum(-1)[:, None] + y.square().sum(-1) - 2 * x @ y.mT
    far = math.sqrt(5) * squares.clamp_min(1e-12).sqrt() / scales[3].exp()
    result: Tensor = out + scales[2].exp() * (1 + far + far.square() / 3) * torch.exp(-far)
    return result


class Standard(NamedTuple):
    """How raw columns become what the process sees, by the measured rows."""

    work_top: Tensor
    work: tuple[Tensor, Tensor]
    features: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, work_RW: Tensor, features_RF: Tensor) -> Standard:
        """By the largest work and by means and deviations of the rows."""
        top = work_RW.amax(0).clamp_min(1e-12)
        return cls(top, _moments(_logs(work_RW / top)), _moments(features_RF))

    def __call__(self, work_NW: Tensor, features_NF: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised logarithms of work, and features."""
        logs = (_logs(work_NW / self.work_top) - self.work[0]) / self.work[1]
        return logs, (features_NF - self.features[0]) / self.features[1]


def _logs(share: Tensor) -> Tensor:
    return torch.log(share.clamp_min(0) + 0.05)


def _moments(columns: Tensor) -> tuple[Tensor, Tensor]:
    # a column that (almost) never differs says nothing, and must not explode elsewhere
    spread = columns.std(0, correction=0)
    return columns.mean(0), torch.where(spread > 1e-6, spread, torch.inf)


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
        self.space: spaces.Space[Any] = spaces.get(card.space)
        self.setting = card.setting()
        if (
            not bool((tensors.milliseconds > 0).all())
            or bool((tensors.prices < 0).any())
            or not tensors.prices.sum() > 0
        ):
            raise UserError("a latency model holds times or prices that are not positive; measure or fit again")
        raw = self._raw(tensors.codes.double())
        self.standard = Standard.of(*raw)
        self.rows = self.standard(*raw)
        rest_R = tensors.milliseconds.log() - self._priced(raw[0]).log()
        self.level, width = rest_R.mean(), rest_R.std(correction=0)
        self.width = width if width > 1e-9 else width.new_ones(())
        noise = (tensors.scales[4].exp() + LEAST_NOISE) * torch.eye(len(rest_R), dtype=torch.float64)
        self.noise = noise[0, 0]
        covariance = kernel(self.rows, self.rows, tensors.scales) + noise
        try:
            self.lower = torch.linalg.cholesky(covariance)
        except RuntimeError:  # torch's own kind of error derives from it
            raise UserError(
                "a latency model cannot be solved (its covariance has no Cholesky factor); fit it again"
            ) from None
        self.weights = torch.cholesky_solve(((rest_R - self.level) / self.width)[:, None], self.lower)

    def _raw(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        return raw_columns(self.space, codes_ND, self.setting)

    def _priced(self, work_NW: Tensor) -> Tensor:
        return self.tensors.prices[0] + (work_NW / self.standard.work_top) @ self.tensors.prices[1:]

    def posterior(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Median and standard deviation of one measurement, ``(N,)`` milliseconds each; differentiable."""
        raw = self._raw(codes_ND.double())
        k_NR = kernel(self.standard(*raw), self.rows, self.tensors.scales)
        mean_N = (k_NR @ self.weights)[:, 0]
        solved_RN = torch.linalg.solve_triangular(self.lower, k_NR.mT, upper=False)
        left_N = (self._prior(raw) - solved_RN.square().sum(0)).clamp_min(1e-9) + self.noise
        median_N = self._priced(raw[0]).clamp_min(1e-9) * torch.exp(self.level + self.width * mean_N)
        return median_N, median_N * self.width * left_N.sqrt()

    def _prior(self, raw: tuple[Tensor, Tensor]) -> Tensor:
        """``(N,)`` variance of the process where nothing was measured."""
        scales, parts = self.tensors.scales, self.standard(*raw)
        linear = sum(scales[i].exp() * parts[i].square().sum(-1) / parts[i].shape[1] for i in (0, 1))
        out: Tensor = linear + scales[2].exp()
        return out

    def safe(self, codes_ND: Tensor, margin: float = 1.0) -> Tensor:
        """``(N,)`` milliseconds that limits are held against: the median plus ``margin`` standard deviations."""
        mean_N, std_N = self.posterior(codes_ND)
        return mean_N + margin * std_N

    def predict(self, codes: Any) -> np.ndarray:
        """``(N,)`` float64 milliseconds (the median of one measurement) of ``(N, D)`` codes, one code, or architectures."""
        return self.posterior_of(codes)[0]

    def predict_std(self, codes: Any) -> np.ndarray:
        """``(N,)`` float64 milliseconds: one standard deviation of a measurement around :meth:`predict`."""
        return self.posterior_of(codes)[1]

    def posterior_of(self, codes: Any, chunk: int = 2048) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`predict` and :meth:`predict_std` at once."""
        array = code_array(self.space, codes)
        parts = []
        with torch.no_grad():
            for i in range(0, len(array), chunk):
                parts.append(self.posterior(torch.from_numpy(array[i : i + chunk])))
        if not parts:
            return np.zeros(0), np.zeros(0)
        return torch.cat([p[0] for p in parts]).numpy(), torch.cat([p[1] for p in parts]).numpy()


def raw_columns(space: spaces.Space[Any], codes_ND: Tensor, setting: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Work ``(N, W)`` and features ``(N, F)``, float64; of a space that counts no work its multiply-adds and parameters."""
    if hasattr(space, "work"):
        work = space.work(codes_ND, **setting)
    else:
        cost = space.cost(codes_ND)
        work = torch.stack([cost.macs, cost.params], dim=-1)
    return work.double(), space.features(codes_ND).double()


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
