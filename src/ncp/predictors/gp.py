"""The default predictor: one sparse Gaussian process per metric, over features on which metrics are smooth.

Each metric is warped, ``u = -log((top - y) / scale)``, so that saturation at the top and the long tail below become plain;
``u`` is a Gaussian process with a Matern 5/2 kernel, one length scale a feature, summarised by U inducing points
(Titsias 2009). Its median is the prediction, and its standard deviation is carried back by the slope of the warp.

A fitted predictor is parametric: inducing points are free points in feature space, optimised, not rows of a table.

Shape suffixes: N codes, D dimensions, F features, U inducing points, M metrics, R directions in which variance is explained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ncp.matern import SQRT5
from ncp.predictors.card import Card
from ncp.predictors.closed import gp as closed
from ncp.predictors.closed.gp import JITTER, own_shapes
from ncp.predictors.module import Predictor

__all__ = ["JITTER", "SQRT5", "SparseGP", "Warp", "build", "matern52", "matern52_at"]


def matern52(a_NF: Tensor, b_UF: Tensor) -> Tensor:
    """Matern 5/2 correlation ``(..., N, U)`` of points already divided by their length scales."""
    squares = a_NF.square().sum(-1)[..., :, None] + b_UF.square().sum(-1)[..., None, :]
    distance = SQRT5 * torch.addcmul(squares, a_NF.new_tensor(-2.0), a_NF @ b_UF.mT).clamp_min(1e-10).sqrt()
    return matern52_at(distance)


def matern52_at(distance: Tensor) -> Tensor:
    """Matern 5/2 correlation at distances that are already multiplied by the root of 5."""
    return (1 + distance + distance.square() / 3) * torch.exp(-distance)


class Warp(nn.Module):
    """``u = -log((top - y) / scale)`` and back, per metric; ``y`` may exceed the largest value seen, never ``top``."""

    top: Tensor
    scale: Tensor

    def __init__(self, m: int) -> None:
        super().__init__()
        self.register_buffer("top", torch.ones(m))
        self.register_buffer("scale", torch.ones(m))

    def inverse(self, u_NM: Tensor) -> Tensor:
        """Metric's unit from warped values."""
        return self.top - self.scale * torch.exp(-u_NM)

    def slope(self, u_NM: Tensor) -> Tensor:
        """dy/du."""
        return self.scale * torch.exp(-u_NM)


class SparseGP(Predictor):
    """Medians and standard deviations of M metrics from U inducing points each.

    Buffers, per metric: ``points`` (M, U, F) inducing points divided by the length scales, ``inverse_scale`` (M, F),
    ``offset`` (F,) and ``spread`` (F,) the features' standardisation, ``level`` (M,) mean and ``signal`` (M,) standard
    deviation of the process, ``readout`` (M, 1 + R, U) the whitened mean and explained-variance directions, ``noise_u`` (M,).
    """

    offset: Tensor
    spread: Tensor
    points: Tensor
    inverse_scale: Tensor
    level: Tensor
    signal: Tensor
    readout: Tensor
    noise_u: Tensor

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        self.warp = Warp(len(card.metrics))
        for name, shape in own_shapes(card).items():
            self.register_buffer(name, torch.zeros(shape))
        # readout in terms of the kernel itself, made from the buffers when first asked
        self._projection: Tensor | None = None

    def select(self, metrics: Sequence[str]) -> SparseGP:
        """The same predictor for some of its metrics only: that much faster."""
        keep = [self.metrics.index(name) for name in metrics]
        card = Card(**{**vars(self.card), "metrics": tuple(metrics)})
        other = SparseGP(card)
        per_metric = {k: v[keep] if k not in ("offset", "spread") else v for k, v in self.state_dict().items()}
        other.load_state_dict(per_metric)
        return other.to(self.output_mean.dtype).eval()

    def closed_form(self) -> closed.SparseGP:
        """The same answers with numpy alone."""
        return closed.SparseGP(self.card, self.arrays)

    def mean_alone(self) -> SparseGP:
        """The same means without what is known of the doubt: a fraction of the size."""
        other = SparseGP(Card(**{**vars(self.card), "config": {**self.card.config, "directions": 0}}))
        other.load_state_dict({**self.state_dict(), "readout": self.readout[:, :1]})
        return other.to(self.output_mean.dtype).eval().requires_grad_(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SparseGP:
        self._projection = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """As in torch; what was derived from earlier weights is forgotten."""
        self._projection = None
        return super().load_state_dict(state_dict, strict, assign)

    def _project(self) -> Tensor:
        """``(M, 1 + R, U)``: readout times the inverse Cholesky factor of the inducing points' correlation."""
        if self._projection is None:
            points = self.points.double()
            eye = torch.eye(points.shape[1], dtype=torch.float64, device=points.device)
            lower = torch.linalg.cholesky(matern52(points, points) + JITTER * eye)
            solved = torch.linalg.solve_triangular(lower, self.readout.double(), upper=False, left=False)
            self._projection = solved.to(self.output_mean.dtype)
        return self._projection

    def warped(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and the model's own standard deviation of the warped metrics, ``(N, M)`` each."""
        return self.warped_at(self.space.features(codes_ND.to(self.output_mean.dtype)))

    def warped_at(self, features_NF: Tensor) -> tuple[Tensor, Tensor]:
        """The same from the space's features, for callers that ask several predictors about the same codes."""
        z_NF = (features_NF - self.offset) / self.spread
        k_MNU = matern52(z_NF * self.inverse_scale[:, None], self.points)
        out_MNR = k_MNU @ self._project().mT
        mean_MN = self.level[:, None] + self.signal[:, None] * out_MNR[..., 0]
        left_MN = (1 - out_MNR[..., 1:].square().sum(-1)).clamp_min(1e-6)
        return mean_MN.mT, (self.signal[:, None] * left_MN.sqrt()).mT

    def posterior(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Median and the model's own standard deviation, ``(N, M)`` in the metrics' units; differentiable."""
        mean_u, std_u = self.warped(codes_ND)
        return self.warp.inverse(mean_u), std_u * self.warp.slope(mean_u)

    def noise(self, mean_NM: Tensor) -> Tensor:
        """Spread of a training's result around ``mean_NM``: wider where the metric is low."""
        return self.noise_u * (self.warp.top - mean_NM).clamp_min(0)


def build(card: Card) -> SparseGP:
    """An empty predictor of the size on the card."""
    return SparseGP(card)
