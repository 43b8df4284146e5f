"""Rows of known functions for the tests of predictors."""

import numpy as np

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
