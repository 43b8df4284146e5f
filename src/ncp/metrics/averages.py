"""Means over a whole set and all devices of figures that are known for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class Averages(Metric):
    """``{name: mean over the samples}``; every sample counts alike, whatever batches it came in.

    Args:
        names: of the figures.

    >>> means = Averages(["loss", "hit"])
    >>> means.update({"loss": torch.tensor([1.0, 2.0]), "hit": torch.tensor([100.0, 0.0])})
    >>> means.update({"loss": torch.tensor([6.0]), "hit": torch.tensor([100.0])})
    >>> {name: round(float(value), 2) for name, value in means.compute().items()}
    {'loss': 3.0, 'hit': 66.67}
    """

    full_state_update = False
    sums: Tensor
    total: Tensor

    def __init__(self, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = tuple(names)
        self.add_state("sums", torch.zeros(len(self.names), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, figures: dict[str, Tensor]) -> None:
        """Count a batch: ``(B,)`` of each figure."""
        self.sums += torch.stack([figures[name].double().sum() for name in self.names])
        self.total += len(figures[self.names[0]])

    def compute(self) -> dict[str, Tensor]:
        """The means over the set."""
        return {name: value / self.total for name, value in zip(self.names, self.sums, strict=True)}
