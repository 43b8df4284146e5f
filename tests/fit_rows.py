"""Rows of known functions for the tests of predictors."""

import numpy as np
import torch

from ncp import spaces
from ncp.predictors.rows import Rows

METRICS = ("mIoU", "mAcc", "flops")


def make(
    n: int = 400, seed: int = 0, noise: float = 0.0, metrics: tuple[str, ...] = METRICS, setting: str = "seg"
) -> Rows:
    """``n`` architectures whose metrics are smooth functions of the code, the same for every seed."""
    space = spaces.get("multires")
    rng = np.random.default_rng(seed)
    codes = space.encode(space.sample(n, rng))
    z = (codes - space.center) / space.scale
    weights = np.random.default_rng(12345).normal(size=(space.dim, len(metrics)))
    targets = 70 + 3 * np.tanh(z @ weights / 4) + 0.5 * z[:, :1]
    return Rows(codes, targets + noise * rng.normal(size=targets.shape), metrics, setting, source="made up")


def like_classification(n: int, seed: int, noise: float = 0.2) -> Rows:
    """Architectures of which a metric is what the bundled predictor of cls says, bent, with a little of the code's own."""
    from ncp import predictors

    space, rng = spaces.get("multires"), np.random.default_rng(seed)
    codes = space.encode(space.sample(n, rng))
    top1 = predictors.load("cls").predict(codes)["top1"]
    own = (codes[:, 26] - 64) / 64
    values = 70 + 1.5 * (top1 - 84) + 0.3 * own + noise * rng.normal(size=n)
    return Rows(codes, values[:, None], ("mIoU",), "mine")


def check_slope(predictor, codes, dimensions=(0, 3, 10, 26)):
    """The gradient of mean and doubt, of a predictor in double precision, is their difference quotient."""
    codes = torch.as_tensor(codes, dtype=torch.float64).requires_grad_()
    mean, std = predictor.posterior(codes)
    (slope,) = torch.autograd.grad((mean + std).sum(), codes)
    step = torch.zeros_like(codes)
    for d in dimensions:
        step.zero_()[:, d] = 1e-4
        with torch.no_grad():
            up, down = predictor.posterior(codes + step), predictor.posterior(codes - step)
        numeric = ((up[0] + up[1]) - (down[0] + down[1])).sum(1) / 2e-4
        torch.testing.assert_close(slope[:, d], numeric, rtol=1e-3, atol=1e-5)
