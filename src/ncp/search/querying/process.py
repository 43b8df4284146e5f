"""Exact Gaussian processes on a few rows, many at once: one process a run, fitted by gradient in one batch.

Shape suffixes: R runs, N rows, C candidates, F features, K known columns.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

JITTER = 1e-5
SPREAD = 0.5  # of the length scales about their common one, in logarithms, a priori
NOISE = -3.0  # logarithm of the noise variance a priori, of targets with variance 1


class Processes:
    """R processes about a constant, Matern 5/2 with a length scale a feature, and a line through known columns.

    Args:
        z_RNF: features, standardised over what may be asked.
        t_RN: targets, standardised.
        k_RNK: columns that are known of every architecture and likely to go along with the target, standardised; K may be 0.
        steps: gradient steps on the marginal likelihood with weak priors.
    """

    def __init__(self, z_RNF: Tensor, t_RN: Tensor, k_RNK: Tensor, steps: int = 40) -> None:
        runs, _, features = z_RNF.shape
        self.z, self.t, self.k = z_RNF, t_RN, k_RNK
        self.common = 0.5 * math.log(features)
        start = {"length": torch.zeros(runs, features), "scale": torch.full((runs,), self.common)}
        start |= {"signal": torch.zeros(runs), "noise": torch.full((runs,), NOISE), "line": torch.zeros(runs)}
        self.p = {name: value.double().requires_grad_() for name, value in start.items()}
        optimiser = torch.optim.Adam(list(self.p.values()), lr=0.1)
        for _ in range(steps):
            optimiser.zero_grad()
            self._loss().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            self.lower = self._lower()
            self.weights = torch.linalg.solve_triangular(self.lower, self.t[..., None], upper=False)

    def _kernel(self, a: Tensor, b: Tensor, ka: Tensor, kb: Tensor) -> Tensor:
        inverse = torch.exp(-self.p["length"] - self.p["scale"][:, None])[:, None]
        a, b = a * inverse, b * inverse
        squares = a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None] - 2 * a @ b.mT
        r = (5 * squares.clamp_min(1e-12)).sqrt()
        smooth: Tensor = self.p["signal"].exp()[:, None, None] * (1 + r + r * r / 3) * torch.exp(-r)
        if not ka.shape[-1]:
            return smooth
        line: Tensor = (self.p["line"].exp() / ka.shape[-1])[:, None, None] * (ka @ kb.mT)
        return smooth + line

    def _lower(self) -> Tensor:
        own = (self.p["noise"].exp() + JITTER)[:, None, None] * torch.eye(self.t.shape[1], dtype=torch.float64)
        lower: Tensor = torch.linalg.cholesky(self._kernel(self.z, self.z, self.k, self.k) + own)
        return lower

    def _loss(self) -> Tensor:
        lower = self._lower()
        solved = torch.linalg.solve_triangular(lower, self.t[..., None], upper=False)[..., 0]
        fit = 0.5 * solved.square().sum(-1) + lower.diagonal(dim1=1, dim2=2).log().sum(-1)
        prior = 0.5 * (self.p["length"] / SPREAD).square().sum(-1)
        prior = prior + 0.5 * ((self.p["scale"] - self.common) / 0.7).square()
        prior = prior + 0.5 * (self.p["noise"] - NOISE).square() + 0.5 * self.p["signal"].square()
        total: Tensor = fit + prior + 0.5 * self.p["line"].square()
        return total.sum()

    @torch.no_grad()
    def posterior(self, z_RCF: Tensor, k_RCK: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """``(R, C)`` means and standard deviations of the process, without noise, in units of the targets."""
        cross = self._kernel(z_RCF, self.z, k_RCK, self.k)
        v = torch.linalg.solve_triangular(self.lower, cross.mT, upper=False)
        own = self.p["signal"].exp()[:, None].expand(-1, z_RCF.shape[1])
        if k_RCK.shape[-1]:
            own = own + self.p["line"].exp()[:, None] * k_RCK.square().mean(-1)
        left = (own - v.square().sum(1)).clamp_min(1e-9)
        return (v * self.weights).sum(1).numpy(), left.sqrt().numpy()
