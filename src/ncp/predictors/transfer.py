"""A predictor from few rows: a Gaussian process about what other predictors know of the same architectures.

A metric of a new setting is taken to be a combination of the scores that predictors of other settings give (their average
and each by itself), of the logarithm of multiply-adds, and of a smooth remainder with the length scales of the known predictors:

    t = a0 + a1 * average score + sum_k w_k * score_k + v * log cost + g(features) + noise

All weights have normal priors, so the whole is one exact Gaussian process, and with few rows it leans on the average, with
more on single settings, with many on the remainder. Metrics are warped as in :mod:`ncp.predictors.gp`. What the rows do not
tell about the strength of each part is kept as J weighted components, whose mixture is the answer.

The file holds all that the answer needs: the known predictors' means (one metric each) beside the rows. Names and checksums
of bundled weights would save about a megabyte, but a file would then stop answering, or answer otherwise, with another
version of the package, and a user's own known predictors could not be named at all.

Shape suffixes: N codes, R rows, D dimensions, F features, K known predictors, L linear inputs, M metrics, J components.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ncp.matern import SQRT5
from ncp.predictors import module
from ncp.predictors.answers import AnyPredictor
from ncp.predictors.card import Card
from ncp.predictors.closed import transfer as closed
from ncp.predictors.closed.transfer import COSTS, HYPER, JITTER, LEVEL, MAX_KNOWN, MAX_ROWS, inner_cards, own_shapes
from ncp.predictors.gp import SparseGP, matern52_at
from ncp.predictors.module import Predictor

__all__ = [
    "HYPER", "MAX_KNOWN", "MAX_ROWS", "Inputs", "Transfer", "build", "covariance", "factor", "reduced", "score", "variance",
]  # fmt: skip


class Inputs(NamedTuple):
    """What the process sees of N codes: ``smooth`` ``(N, F)`` features by their length scales, ``linear`` ``(N, L)``.

    The linear ones are the average score, each score (divided by the root of K), and the cost; without known predictors
    the cost alone.
    """

    smooth: Tensor
    linear: Tensor


def strengths(hyper: Tensor, known: int) -> Tensor:
    """``(..., L)``: the prior standard deviation of each linear input's weight, of components ``(..., 7)``."""
    average, each, cost = hyper[..., 0:1], hyper[..., 1:2], hyper[..., 2:3]
    costs = cost.expand(*cost.shape[:-1], COSTS)
    return torch.cat([average, each.expand(*each.shape[:-1], known), costs], -1) if known else costs


def covariance(a: Inputs, b: Inputs, hyper: Tensor, known: int) -> Tensor:
    """Prior covariance ``(..., N, R)`` of the warped metric, without noise, of components ``(..., 7)``."""
    linear = (a.linear * strengths(hyper, known).square()[..., None, :]) @ b.linear.mT
    squares = a.smooth.square().sum(-1)[..., :, None] + b.smooth.square().sum(-1)[..., None, :]
    squares = squares - 2 * a.smooth @ b.smooth.mT
    distance = (SQRT5 * hyper[..., 4, None, None]) * squares.clamp_min(1e-10).sqrt()
    return LEVEL**2 + linear + hyper[..., 3, None, None].square() * matern52_at(distance)


def variance(a: Inputs, hyper: Tensor, known: int) -> Tensor:
    """The diagonal of :func:`covariance` of codes with themselves, ``(..., N)``."""
    linear = strengths(hyper, known).square() @ a.linear.square().mT
    return LEVEL**2 + linear + hyper[..., 3, None].square()


def warped(values: Tensor, top: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standardised ``-log(top - values)`` over the last axis, with the mean and the standard deviation that were taken out."""
    u = -torch.log(top - values)
    level, width = u.mean(-1, keepdim=True), u.std(-1, keepdim=True).clamp_min(1e-6)
    return (u - level) / width, level, width


class _Solved(NamedTuple):
    """The process conditioned on its rows; the leading axes are M metrics and J components."""

    weight: Tensor  # (M, J, 1, 1) of the components
    hyper: Tensor  # (M, J, 7)
    alpha: Tensor  # (M, J, R, 1)
    half: Tensor  # (M, J, R, R), the inverse of the covariance's lower factor
    level: Tensor  # (M, J, 1)
    width: Tensor  # (M, J, 1)
    noise: Tensor  # (M,) as a share of the distance to the top
    top: Tensor  # (M,) in standardised values


class Transfer(Predictor):
    """Means and standard deviations of M metrics from R rows and K known predictors.

    Buffers: ``codes`` (R, D) and ``values`` (R, M), the rows, standardised by ``output_mean`` and ``output_std``; ``hyper``
    (M, J, 7) and ``logits`` (M, J) of the components; ``stretch`` (M,), by which cross-validation widened or narrowed the
    doubt; ``feature_center``, ``feature_scale`` (F,), ``score_center``, ``score_scale`` (K,), ``cost_center``,
    ``cost_scale`` (1,): standardisations of the inputs.
    """

    codes: Tensor
    values: Tensor
    hyper: Tensor
    logits: Tensor
    stretch: Tensor
    feature_center: Tensor
    feature_scale: Tensor
    score_center: Tensor
    score_scale: Tensor
    cost_center: Tensor
    cost_scale: Tensor

    def __init__(self, card: Card, known: Sequence[Predictor] | None = None) -> None:
        """``known``: the known predictors themselves; None for empty ones as the card describes them."""
        super().__init__(card)
        if known is None:
            known = [module.empty(inner) for inner in inner_cards(card)]
        self.known = nn.ModuleList(known)
        for name, shape in own_shapes(card).items():
            self.register_buffer(name, torch.zeros(shape))
        self._solved: _Solved | None = None

    def select(self, metrics: Sequence[str]) -> Transfer:
        """The same predictor for some of its metrics only: that much faster."""
        keep = [self.metrics.index(name) for name in metrics]
        other = Transfer(Card(**{**vars(self.card), "metrics": tuple(metrics)}), copy.deepcopy(list(self.known)))  # type: ignore[arg-type]
        own = {k: v for k, v in self.state_dict().items() if not k.startswith("known.")}
        for name, value in own.items():
            if name == "values":
                value = value[:, keep]
            elif name in ("hyper", "logits", "stretch") or name.startswith(("output_", "noise_")):
                value = value[keep]
            setattr(other, name, value.clone())
        return other.eval().requires_grad_(False)

    def closed_form(self) -> closed.Transfer:
        """The same answers with numpy alone."""
        known: Any = self.known
        return closed.Transfer(self.card, self.arrays, [predictor.closed() for predictor in known])

    def inputs(self, codes_ND: Tensor) -> Inputs:
        """What the process sees of codes, in the predictor's own precision."""
        codes_ND = codes_ND.to(self.feature_scale.dtype)
        features_NF = self.space.features(codes_ND)
        cost = self.space.cost(codes_ND)
        costs_N1 = (log_cost(cost.macs)[:, None] - self.cost_center) / self.cost_scale
        smooth_NF = (features_NF - self.feature_center) * self.feature_scale
        if not len(self.known):
            return Inputs(smooth_NF, costs_N1)
        scores_NK = torch.stack([score(p, codes_ND, features_NF) for p in self.known], -1)
        scores_NK = (scores_NK - self.score_center[: len(self.known)]) / self.score_scale[: len(self.known)]
        average_N1 = scores_NK.mean(-1, keepdim=True)
        each_NK = scores_NK / math.sqrt(len(self.known))
        return Inputs(smooth_NF, torch.cat([average_N1, each_NK, costs_N1], -1))

    def posterior(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and the model's own standard deviation, ``(N, M)`` in the metrics' units; differentiable."""
        solved, inputs = self._conditioned(), self.inputs(codes_ND)
        k = len(self.known)
        cross_MJNR = covariance(inputs, self._rows, solved.hyper, k)
        u_MJN = solved.level + solved.width * (cross_MJNR @ solved.alpha)[..., 0]
        explained_MJN = (cross_MJNR @ solved.half.mT).square().sum(-1)
        left_MJN = (variance(inputs, solved.hyper, k) - explained_MJN).clamp_min(1e-6)
        gap_MJN = torch.exp(-u_MJN)
        value_MJN = solved.hyper[..., 6:7] - gap_MJN
        weight = solved.weight[..., 0]
        mean_MN = (weight * value_MJN).sum(1)
        spread_MJN = (gap_MJN * solved.width).square() * left_MJN + (value_MJN - mean_MN[:, None]).square()
        std_MN = (weight * spread_MJN).sum(1).sqrt() * self.stretch[:, None]
        return self.output_mean + self.output_std * mean_MN.mT, self.output_std * std_MN.mT

    def noise(self, mean_NM: Tensor) -> Tensor:
        """Spread of a training's result around ``mean_NM``: wider where the metric is low."""
        solved = self._conditioned()
        gap_NM = (solved.top - (mean_NM - self.output_mean) / self.output_std).clamp_min(0)
        return solved.noise * gap_NM * self.stretch * self.output_std

    def _conditioned(self) -> _Solved:
        """Solved in double precision when it is first asked for."""
        if self._solved is None:
            dtype = self.output_mean.dtype
            with torch.no_grad():
                inputs = self.inputs(self.codes)
                self._rows = inputs
                self._solved = _Solved(*(part.to(dtype) for part in self._solve(Inputs(*(i.double() for i in inputs)))))
        return self._solved

    def _solve(self, rows: Inputs) -> _Solved:
        hyper = self.hyper.double()
        weight_MJ = torch.softmax(self.logits.double(), -1)
        t_MJR, level, width = warped(self.values.double().mT[:, None], hyper[..., 6:7])
        lower = factor(rows, hyper, len(self.known))
        alpha = torch.cholesky_solve(t_MJR[..., None], lower)
        eye = torch.eye(lower.shape[-1], dtype=lower.dtype).expand_as(lower)
        half = torch.linalg.solve_triangular(lower, eye, upper=False)
        noise_M = (weight_MJ * hyper[..., 5] * width[..., 0]).sum(-1)
        top_M = (weight_MJ * hyper[..., 6]).sum(-1)
        return _Solved(weight_MJ[..., None, None], hyper, alpha, half, level, width, noise_M, top_M)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Transfer:
        self._solved = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """As in torch; what was derived from earlier weights is forgotten."""
        self._solved = None
        return super().load_state_dict(state_dict, strict, assign)


def factor(rows: Inputs, hyper: Tensor, known: int) -> Tensor:
    """The lower Cholesky factor ``(..., R, R)`` of the rows' covariance with noise."""
    lower: Tensor = torch.linalg.cholesky(with_noise(covariance(rows, rows, hyper, known), hyper))
    return lower


def with_noise(both: Tensor, hyper: Tensor) -> Tensor:
    """Covariance ``(..., R, R)`` of measured values, from that of the function."""
    # relative to what it is added to: rows without noise let a part of it grow
    least = JITTER * (1 + both.diagonal(dim1=-2, dim2=-1).mean(-1))
    eye = torch.eye(both.shape[-1], dtype=hyper.dtype)
    return both + (hyper[..., 5].square() + least)[..., None, None] * eye


def score(predictor: Predictor | nn.Module, codes_ND: Tensor, features_NF: Tensor) -> Tensor:
    """What a known predictor says of codes, ``(N,)``: its first metric, warped where it warps it."""
    if isinstance(predictor, SparseGP):
        return predictor.warped_at(features_NF)[0][:, 0]
    answer: Tensor = predictor(codes_ND)[:, 0]
    return answer


def log_cost(values: Tensor) -> Tensor:
    """Logarithm of multiply-adds; architectures without any have 0."""
    return torch.log1p(values.clamp_min(0))


def reduced(predictor: AnyPredictor) -> Predictor:
    """What is kept of a known predictor: its first metric, and of a process its mean alone."""
    first = predictor.metrics[:1]
    predictor = module.of(predictor)
    selectable: Any = predictor
    one: Predictor = selectable.select(first) if len(predictor.metrics) > 1 else predictor
    return one.mean_alone() if isinstance(one, SparseGP) else one


def build(card: Card) -> Transfer:
    """An empty predictor of the size on the card."""
    return Transfer(card)
