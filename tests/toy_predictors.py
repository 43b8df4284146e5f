"""Predictors whose every value can be worked out by hand."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ncp.predictors.base import Card, Predictor


class Toy(Predictor):
    """Metrics from a plain function of the raw code; the same standard deviation everywhere unless given."""

    def __init__(
        self,
        setting: str,
        function: Callable[[Tensor], Tensor],
        metrics: Sequence[str] = ("mIoU",),
        std: Callable[[Tensor], Tensor] | None = None,
        mean: float = 70.0,
        scale: float = 5.0,
        space: str = "multires",
    ) -> None:
        super().__init__(Card("toy", setting, tuple(metrics), space=space))
        self.double()
        self.output_mean += mean
        self.output_std *= scale
        self.function, self.doubt = function, std

    def posterior(self, codes_ND: Tensor) -> tuple[Tensor, Tensor]:
        y_NM = self.function(codes_ND)
        y_NM = y_NM[:, None] if y_NM.ndim == 1 else y_NM
        doubt = torch.zeros_like(y_NM) if self.doubt is None else self.doubt(codes_ND)[:, None].expand_as(y_NM)
        return y_NM, doubt


def capacity(weights_D: np.ndarray, top: float = 80.0) -> Callable[[Tensor], Tensor]:
    """A metric that rises with every dimension, ever more slowly: ``top - sum_d w_d / code_d``."""
    w_D = torch.as_tensor(weights_D)
    return lambda x_ND: top - (w_D / x_ND).sum(1)


def exhaustive(space, free):
    """All architectures of the default with the dimensions ``free`` at every value."""
    where = [list(space.labels).index(name) for name in free]
    grids = [np.arange(space.lower[i], space.upper[i] + 1, space.step[i]) for i in where]
    codes = np.repeat(np.array([space.default().code]), np.prod([len(g) for g in grids]), 0)
    codes[:, where] = np.array(list(itertools.product(*grids)))
    return codes
