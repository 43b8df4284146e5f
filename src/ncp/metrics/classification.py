"""Top-k accuracy, counted over a whole set and over all devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


def ranks(logits_BK: Tensor, label_B: Tensor) -> Tensor:
    """``(B,)`` how many classes are ranked above the right one: those with a larger logit, or an equal one and before it."""
    right_B1 = logits_BK.gather(1, label_B.long()[:, None])
    before = torch.arange(logits_BK.shape[1], device=logits_BK.device)[None] < label_B[:, None]
    above = (logits_BK > right_B1) | ((logits_BK == right_B1) & before) | logits_BK.isnan()
    return above.sum(1)


def hits(logits_BK: Tensor, label_B: Tensor, ks: Sequence[int]) -> Tensor:
    """``(len(ks),)`` int64: samples whose class is among the k first, for each k."""
    rank_B = ranks(logits_BK, label_B)
    return torch.stack([(rank_B < k).sum() for k in ks])


def names_of(ks: Sequence[int]) -> tuple[str, ...]:
    """The keys of :class:`TopK`."""
    return ("top1", "top5") if len(ks) == 2 else tuple(f"top{k}" for k in ks)


def percent(logits_BK: Tensor, label_B: Tensor, ks: Sequence[int]) -> dict[str, Tensor]:
    """What :class:`TopK` says of one batch."""
    found = hits(logits_BK, label_B, ks)
    return {name: 100 * hit / len(label_B) for name, hit in zip(names_of(ks), found, strict=True)}


class TopK(Metric):
    """``{"top1": ..., "top5": ...}`` in percent.

    Args:
        ks: the numbers k. The key of the largest is ``top5`` even where there are fewer than five classes, so that the keys
            are those of the benchmark's tables.

    >>> scores = TopK()
    >>> scores.update(torch.tensor([[0.1, 0.9, 0.0, 0, 0, 0], [0.5, 0.2, 0.1, 0.1, 0.1, 0]]), torch.tensor([1, 4]))
    >>> {key: float(value) for key, value in scores.compute().items()}
    {'top1': 50.0, 'top5': 100.0}
    """

    full_state_update = False
    hits: Tensor
    total: Tensor

    def __init__(self, ks: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ks = tuple(ks)
        self.add_state("hits", torch.zeros(len(self.ks), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits_BK: Tensor, label_B: Tensor) -> None:
        """Count a batch; see :func:`ranks`."""
        self.hits += hits(logits_BK, label_B, self.ks)
        self.total += len(label_B)

    def compute(self) -> dict[str, Tensor]:
        """Percent of the set."""
        return self.local()

    def local(self) -> dict[str, Tensor]:
        """Percent of what this device saw."""
        return {name: 100 * hit / self.total for name, hit in zip(names_of(self.ks), self.hits, strict=True)}
