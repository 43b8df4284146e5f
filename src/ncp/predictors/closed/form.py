"""A predictor whose answers are closed forms over its arrays, in double precision: numpy is all that is needed.

Predictors are fitted in torch (:mod:`ncp.predictors.gp`, ``mlp``, ``transfer``); what is read from a file, and what a search
asks, is this.

Shape suffixes: N architectures, D dimensions of the code, M metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ncp import spaces
from ncp.errors import needed
from ncp.predictors.answers import AnyPredictor
from ncp.predictors.card import Card


class ClosedForm(AnyPredictor):
    """Card and arrays.

    Args:
        card: its description.
        arrays: its numbers by name, of the shapes that the card says.
    """

    def __init__(self, card: Card, arrays: Mapping[str, np.ndarray]) -> None:
        self.card = card
        self.space: spaces.Space[Any] = spaces.get(card.space)
        self._arrays = dict(arrays)
        self.numbers = {name: np.asarray(values, dtype=np.float64) for name, values in arrays.items()}
        self.output_mean, self.output_std, self.noise_std = (
            self.numbers[name] for name in ("output_mean", "output_std", "noise_std")
        )

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """All its numbers by name, as they were given; ``numbers`` are the same in double precision."""
        return self._arrays

    def closed(self) -> ClosedForm:
        """Itself."""
        return self

    def noise_at(self, mean_NM: np.ndarray) -> np.ndarray:
        """The same everywhere."""
        return np.broadcast_to(self.noise_std, mean_NM.shape)

    @cached_property
    def _module(self) -> Any:
        return needed("ncp.predictors.module").of(self).double()

    def double(self) -> ClosedForm:
        """Itself: it always answers in double precision."""
        return self

    def posterior(self, codes_ND: Any) -> Any:
        """Mean and the model's own standard deviation of a tensor of codes, tensors ``(N, M)``, differentiable in torch."""
        return self._module.posterior(codes_ND)

    def forward(self, codes_ND: Any) -> Any:
        """The mean alone."""
        return self.posterior(codes_ND)[0]

    __call__ = forward

    def _for_metrics(self, metrics: Sequence[str], **config: Any) -> Card:
        """The card for some of the metrics."""
        return replace(self.card, metrics=tuple(metrics), config={**self.card.config, **config})
