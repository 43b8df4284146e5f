"""Fitting :mod:`ncp.predictors.transfer`: marginal likelihood with priors, and what it leaves open as weighted components.

Shape suffixes: R rows, F features, L linear inputs, M metrics, J components, P free parameters, B parts of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncp.errors import UserError
from ncp.predictors.descent import curvature, minimise
from ncp.predictors.transfer import HYPER, Inputs, covariance, factor, variance, warped, with_noise

# log of each hyper-parameter: mean and standard deviation of its prior; warped metrics have standard deviation 1
PRIORS: dict[str, tuple[float, float]] = {
    "average": (0.0, 0.7),
    "each": (-0.7, 0.7),
    "cost": (-1.0, 1.0),
    "smooth": (-0.7, 0.7),
    "shrink": (0.0, 0.5),
    "noise": (-0.7, 0.7),
    "top": (0.5, 1.0),  # above the best row, in standard deviations of the metric
}
ALONE: dict[str, tuple[float, float]] = PRIORS | {"smooth": (0.0, 0.7), "shrink": (0.0, 0.7)}
TOP_LIMITS = (-4.0, 3.5)
PART = 400
"""The hyper-parameters are fitted on at most so many of the rows; the process is conditioned on all."""
EACH_LENGTH = 100
"""From so many rows on every feature has a length scale of its own ..."""
LENGTH_PRIOR = 0.3
"""... with a prior of this standard deviation, in logarithms, about the known ones."""
SPREAD = 0.7
"""Draws around the best hyper-parameters are so much narrower than the curvature says: few of them stand for the middle."""
LEAST_WEIGHT = 0.05
"""A structure that counts less in a mixture is left out, unless it says otherwise."""


@dataclass(frozen=True)
class Structure:
    """Which parts a process has, with their priors; a part that is left out has strength 0. ``weight``: how much it counts
    before rows tell; ``least``: it is left out of a mixture in which it would count less."""

    name: str
    priors: Mapping[str, tuple[float, float]]
    without: tuple[str, ...] = ()
    weight: float = 1.0
    least: float = LEAST_WEIGHT


TRANSFER = Structure("transfer", PRIORS)
LINEAR = Structure("linear map of the known alone", PRIORS, ("smooth", "shrink"))
# as the lesser part of a mixture it draws a search back to its few rows, and what is found is worse; so half or nothing
ROWS = Structure("rows alone", ALONE, ("average", "each"), weight=0.25, least=0.5)
LARGE = Structure("transfer with a large remainder", PRIORS | {"smooth": (0.5, 0.4)}, weight=4.0)


class Mixture(NamedTuple):
    """Structures that are stacked, and as how many rows their weights count before rows tell."""

    structures: tuple[Structure, ...]
    rows: float


MIXTURES = {"usual": Mixture((TRANSFER, LINEAR, ROWS), 5.0), "large": Mixture((LARGE, LINEAR, ROWS), 60.0)}
"""How much of a metric may be left to the remainder. Random rows seldom lie where a search goes, and what they say of the size
of the remainder, and of the linear map without it, holds for where they lie; ``large`` expects more of it than they show."""


class Fitted(NamedTuple):
    """Components of one metric: ``hyper`` ``(J, 7)``, ``logits`` ``(J,)``; ``length`` ``(F,)``, factors of inverse lengths."""

    hyper: Tensor
    logits: Tensor
    length: Tensor


class Process:
    """One metric's process, fitted to B parts of its rows at once; its free parameters are multiples ``q`` of the priors'
    deviations around their means.

    Args:
        rows: their inputs, float64.
        values_R: the metric, standardised.
        structure: which parts it has.
        known: number of known predictors.
        keep_BR: which rows each of the fits sees.
        lengths: whether each feature has a length scale of its own.
    """

    def __init__(
        self, rows: Inputs, values_R: Tensor, structure: Structure, known: int, keep_BR: Tensor, lengths: bool = False
    ) -> None:
        self.rows, self.values, self.known, self.keep_BR = rows, values_R, known, keep_BR
        self.names = [name for name in HYPER if name not in structure.without]
        priors = [structure.priors[name] for name in self.names]
        f = rows.smooth.shape[1] if lengths else 0
        self.mean = torch.tensor([m for m, _ in priors] + [0.0] * f, dtype=torch.float64)
        self.deviation = torch.tensor([s for _, s in priors] + [LENGTH_PRIOR] * f, dtype=torch.float64)
        self.best_B = torch.where(keep_BR, values_R, -torch.inf).amax(1)

    def hyper(self, q_BP: Tensor) -> Tensor:
        """``(B, 7)`` hyper-parameters in their own units, of ``(..., B, P)`` parameters likewise."""
        logs = (self.mean + self.deviation * q_BP)[..., : len(self.names)]
        found = dict(zip(self.names, logs.unbind(-1), strict=True))
        zero = q_BP.new_zeros(q_BP.shape[:-1])
        parts = [found[name].exp() if name in found else zero for name in HYPER[:-1]]
        return torch.stack([*parts, self.best_B + found["top"].clamp(*TOP_LIMITS).exp()], -1)

    def length(self, q_BP: Tensor) -> Tensor:
        """``(..., B, F)`` factors of the inverse length scales."""
        if q_BP.shape[-1] == len(self.names):
            return q_BP.new_ones(*q_BP.shape[:-1], self.rows.smooth.shape[1])
        return (self.mean + self.deviation * q_BP)[..., len(self.names) :].exp()

    def loss(self, q_BP: Tensor) -> Tensor:
        """Minus the log of prior times marginal likelihood of the metric, ``(..., B)``, up to a constant."""
        hyper, keep = self.hyper(q_BP), self.keep_BR
        own = q_BP.shape[-1] > len(self.names)
        rows = Inputs(self.rows.smooth * self.length(q_BP)[..., None, :], self.rows.linear) if own else self.rows
        gap = torch.where(keep, hyper[..., -1:] - self.values, 1.0)
        number = keep.sum(1)
        u = -torch.log(gap)  # 0 where a row is not seen
        apart = torch.where(keep, u - (u.sum(-1) / number)[..., None], 0.0)
        width = (apart.square().sum(-1) / (number - 1)).sqrt().clamp_min(1e-6)
        t = apart / width[..., None]
        # a row that is not seen stands alone, with variance 1 and value 0: it changes nothing
        both, alone = keep[:, :, None] & keep[:, None], torch.eye(t.shape[-1], dtype=t.dtype)
        noisy = with_noise(covariance(rows, rows, hyper, self.known), hyper)
        lower, failed = torch.linalg.cholesky_ex(torch.where(both, noisy, alone))
        solved = torch.linalg.solve_triangular(lower, t[..., None], upper=False)[..., 0]
        jacobian = u.sum(-1) - number * torch.log(width)
        prior = 0.5 * q_BP.square().sum(-1)
        loss = 0.5 * solved.square().sum(-1) + lower.diagonal(dim1=-2, dim2=-1).log().sum(-1) - jacobian + prior
        return torch.where(failed > 0, torch.nan, loss)

    def fit(self) -> Tensor:
        """The ``q`` ``(B, P)`` of the largest posterior density."""
        return minimise(self.loss, torch.zeros(len(self.keep_BR), len(self.mean), dtype=torch.float64))

    def components(self, q_BP: Tensor, number: int, seed: int) -> list[Fitted]:
        """Draws around the best ``q`` by the curvature there, weighted by how likely they are (importance sampling)."""
        if number == 1:
            one = torch.zeros(1, dtype=torch.float64)
            return [Fitted(h[None], one, f) for h, f in zip(self.hyper(q_BP), self.length(q_BP), strict=True)]
        values, vectors = torch.linalg.eigh(curvature(self.loss, q_BP))
        generator = torch.Generator().manual_seed(seed)
        half = torch.randn(number // 2, q_BP.shape[1], generator=generator, dtype=torch.float64)
        draws_JP = torch.cat([half, -half])
        steps_JBP = SPREAD * draws_JP[:, None] / values.clamp_min(1.0).sqrt()
        near_JBP = q_BP + (vectors @ steps_JBP[..., None])[..., 0]
        with torch.no_grad():
            logits_JB = 0.5 * draws_JP.square().sum(1)[:, None] - self.loss(near_JBP)
        logits_JB = torch.minimum(logits_JB, logits_JB.median(0).values + 2)  # no draw may outweigh the rest by chance
        parts = (self.hyper(near_JBP).unbind(1), logits_JB.unbind(1), self.length(q_BP))
        return [Fitted(*part) for part in zip(*parts, strict=True)]


def fit(
    rows: Inputs, values_R: Tensor, structure: Structure, known: int, components: int = 8, seed: int = 0,
    lengths: bool | None = None,
) -> Fitted:  # fmt: skip
    """Fit one metric. With :data:`EACH_LENGTH` rows or more there is one component, and each feature has its own length."""
    n = len(values_R)
    many = n >= EACH_LENGTH
    lengths = many and "smooth" not in structure.without if lengths is None else lengths
    part = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:PART].sort().values
    some, values = Inputs(*(i[part] for i in rows)), values_R[part]
    whole = torch.ones(1, len(part), dtype=torch.bool)
    [fitted] = fit_parts(some, values, structure, known, whole, 1 if many or lengths else components, seed, lengths)
    above = (values_R.max() - values.max()).clamp_min(0)  # the largest value may lie outside of the part
    return fitted._replace(hyper=fitted.hyper + above * torch.eye(len(HYPER), dtype=above.dtype)[-1])


def fit_parts(
    rows: Inputs, values_R: Tensor, structure: Structure, known: int, keep_BR: Tensor, components: int = 8, seed: int = 0,
    lengths: bool = False,
) -> list[Fitted]:  # fmt: skip
    """Fit one metric to B parts of its rows at once, those that ``keep_BR`` marks."""
    highest = torch.where(keep_BR, values_R, -torch.inf).amax(1)
    varied_B = highest - torch.where(keep_BR, values_R, torch.inf).amin(1) > 1e-9
    fitted: list[Fitted] = []
    if varied_B.any():
        process = Process(rows, values_R, structure, known, keep_BR[varied_B], lengths)
        try:
            fitted = process.components(process.fit(), components, seed)
            sound = all(bool(f.hyper.isfinite().all() and f.logits.isfinite().all()) for f in fitted)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            sound = False
        if not sound:
            raise UserError(
                "a Gaussian process cannot be fitted to these values (their covariance has no Cholesky factor): look for "
                "outliers among the rows"
            )
    rest = iter(fitted)
    return [next(rest) if varied else _constant(rows, highest[b]) for b, varied in enumerate(varied_B.tolist())]


def stacked(parts: Sequence[Fitted], weights: Sequence[float]) -> Fitted:
    """Components of several structures as one mixture with these weights; the lengths are those of the first."""
    hyper = torch.cat([part.hyper for part in parts])
    logits = [torch.log_softmax(p.logits, 0) + math.log(w) for p, w in zip(parts, weights, strict=True)]
    return Fitted(hyper, torch.cat(logits), parts[0].length)


def padded(fitted: Fitted, components: int) -> Fitted:
    """The same mixture with more components: the last one, parted."""
    more = components - len(fitted.logits)
    if not more:
        return fitted
    hyper = torch.cat([fitted.hyper, fitted.hyper[-1:].expand(more, -1)])
    last = (fitted.logits[-1:] - math.log(more + 1)).expand(more + 1)
    return Fitted(hyper, torch.cat([fitted.logits[:-1], last]), fitted.length)


def _constant(rows: Inputs, value: Tensor) -> Fitted:
    """A metric that is the same in all rows is answered by its value, without doubt."""
    hyper = torch.tensor([[0.0, 0, 0, 0, 1, 1e-3, float(value) + 1]], dtype=torch.float64)
    return Fitted(hyper, torch.zeros(1, dtype=torch.float64), rows.smooth.new_ones(rows.smooth.shape[1]))


def answers(rows: Inputs, values_R: Tensor, new: Inputs, fitted: Fitted, known: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of a training's result ``(N,)`` at new inputs, in standardised values."""
    rows, new = _scaled(rows, fitted), _scaled(new, fitted)
    t_JR, level, width = warped(values_R, fitted.hyper[:, -1:])
    lower = factor(rows, fitted.hyper, known)
    cross_JRN = covariance(rows, new, fitted.hyper, known)
    half = torch.linalg.solve_triangular(lower, cross_JRN, upper=False)
    solved = torch.linalg.solve_triangular(lower, t_JR[..., None], upper=False)
    mean_JN = level + width * (half.mT @ solved)[..., 0]
    left_JN = (variance(new, fitted.hyper, known) - half.square().sum(-2)).clamp_min(1e-6)
    return _mixed(mean_JN, width * (left_JN + fitted.hyper[:, 5:6].square()).sqrt(), fitted)


def left_out(rows: Inputs, values_R: Tensor, fitted: Fitted, known: int) -> tuple[np.ndarray, np.ndarray]:
    """The same for every row, from all others, with the hyper-parameters of all (in closed form)."""
    rows = _scaled(rows, fitted)
    t_JR, level, width = warped(values_R, fitted.hyper[:, -1:])
    lower = factor(rows, fitted.hyper, known)
    inverse = torch.cholesky_inverse(lower)
    alpha_JR = (inverse @ t_JR[..., None])[..., 0]
    share_JR = inverse.diagonal(dim1=-2, dim2=-1)
    return _mixed(level + width * (t_JR - alpha_JR / share_JR), width / share_JR.sqrt(), fitted)


def _scaled(inputs: Inputs, fitted: Fitted) -> Inputs:
    return Inputs(inputs.smooth * fitted.length, inputs.linear)


def _mixed(u_JN: Tensor, std_JN: Tensor, fitted: Fitted) -> tuple[np.ndarray, np.ndarray]:
    gap_JN, weight_J1 = torch.exp(-u_JN), torch.softmax(fitted.logits, 0)[:, None]
    value_JN = fitted.hyper[:, -1:] - gap_JN
    mean_N = (weight_J1 * value_JN).sum(0)
    spread_N = (weight_J1 * ((gap_JN * std_JN).square() + (value_JN - mean_N).square())).sum(0)
    return mean_N.numpy(), spread_N.clamp_min(1e-12).sqrt().numpy()


def log_density(error_N: np.ndarray, std_N: np.ndarray) -> np.ndarray:
    """Logarithm of the normal density of errors, ``(N,)``."""
    out: np.ndarray = -0.5 * np.square(error_N / std_N) - np.log(std_N) - 0.5 * math.log(2 * math.pi)
    return out
