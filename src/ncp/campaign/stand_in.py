# ruff: noqa: D101, D102, D103
"""A stand-in for ``ncp.predictors.fit`` until it is there: a process on few rows about a linear map of known predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp import spaces
from ncp.benchmark import settings
from ncp.predictors import base
from ncp.predictors.base import Card, Predictor
from ncp.predictors.gp import matern52


class StandIn(Predictor):
    def __init__(
        self,
        space: spaces.Space[Any],
        metric: str,
        codes: np.ndarray,
        values: np.ndarray,
        known: list[Predictor],
        setting: str,
    ):
        super().__init__(Card("gp", setting, (metric,), space.name, rows=len(codes)))
        self.double()
        self.known = known
        self.mains = [p.metrics.index(settings.get(p.setting).main) for p in known]
        y = torch.as_tensor(values, dtype=torch.float64)
        self.output_mean += y.mean()
        self.output_std *= y.std().clamp(min=1e-9)
        t = (y - self.output_mean) / self.output_std
        x = torch.as_tensor(codes, dtype=torch.float64)
        wide = space.encode(space.sample(512, np.random.default_rng(0)))
        f0 = space.features(torch.as_tensor(wide))
        self.offset, self.spread = f0.mean(0), f0.std(0).clamp(min=1e-6)
        phi, f = self.phi(x), self.scaled(x)
        best = None
        for length in (2.0, 4.0, 8.0, 16.0):
            for noise in (0.02, 0.05, 0.1, 0.2, 0.4):
                for signal in (0.05, 0.15, 0.4, 1.0):
                    k = (
                        1.0 * phi @ phi.T
                        + 1.0
                        + signal * matern52(f / length, f / length)
                        + noise**2 * torch.eye(len(t)).double()
                    )
                    lower = torch.linalg.cholesky(k)
                    a = torch.cholesky_solve(t[:, None], lower)
                    evidence = float(-0.5 * (t @ a[:, 0]) - lower.diagonal().log().sum())
                    if best is None or evidence > best[0]:
                        best = (evidence, length, noise, signal, lower, a)
        assert best is not None
        _, self.length, self.sigma, self.signal, self.lower, self.alpha = best
        self.phi_R, self.f_R = phi, f
        self.noise_std += self.sigma * self.output_std

    def scaled(self, x: Tensor) -> Any:
        return (self.space.features(x) - self.offset) / self.spread

    def phi(self, x: Tensor) -> Any:
        columns = []
        for predictor, i in zip(self.known, self.mains, strict=True):
            mean = predictor.forward(x.to(predictor.output_mean.dtype))[:, i].double()
            columns.append(((mean - predictor.output_mean[i]) / predictor.output_std[i])[:, None])
        cost = self.space.cost(x)
        columns += [((c.double() + 1).log() - 21)[:, None] for c in (cost.macs, cost.params + 1e6)]
        phi = torch.cat(columns, 1)
        return phi / len(columns) ** 0.5

    def posterior(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        x = codes_ND.double()
        phi, f = self.phi(x), self.scaled(x)
        k = phi @ self.phi_R.T + 1.0 + self.signal * matern52(f / self.length, self.f_R / self.length)
        prior = phi.square().sum(1) + 1.0 + self.signal
        half = torch.linalg.solve_triangular(self.lower, k.T, upper=False)
        var = (prior - half.square().sum(0)).clamp(min=1e-9)
        mean = (k @ self.alpha)[:, 0]
        return (mean * self.output_std + self.output_mean)[:, None], (var.sqrt() * self.output_std)[:, None]


def fit(
    architectures: Sequence[Any], values: Mapping[str, Any], known: Any = "all", seed: int = 0, setting: str = "new"
) -> Predictor:
    space = spaces.get("multires")
    codes = base.as_codes(architectures, space)
    names = list(settings.PAPER) if known == "all" else [] if known == "none" else list(known)
    ((metric, y),) = values.items()
    predictors = [base.load(n) if isinstance(n, str) else n for n in names]
    return StandIn(space, metric, codes, np.asarray(y, dtype=np.float64), predictors, setting)
