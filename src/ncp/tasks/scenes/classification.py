"""Object classes and scene classes against soft labels, and the jigsaw's permutation.

Shape suffixes: B batch, K classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ncp.metrics.averages import Averages
from ncp.metrics.classification import ranks
from ncp.tasks.scenes.base import SceneTask

FLOOR = 1e-5
"""Added to probabilities before their logarithm."""


def soft_cross_entropy(logits_BK: Tensor, shares_BK: Tensor) -> Tensor:
    """``(B,)`` cross entropy against a distribution, ``-sum t log(softmax + 1e-5)``, as in the benchmark's code."""
    return -(shares_BK * torch.log(logits_BK.float().softmax(-1) + FLOOR)).sum(-1)


def figures(logits_BK: Tensor, label_B: Tensor, loss_B: Tensor) -> dict[str, Tensor]:
    """``(B,)`` top-1 and top-5 hits (100 or 0) and losses."""
    rank_B = ranks(logits_BK, label_B)
    return {"top1": 100.0 * (rank_B < 1), "top5": 100.0 * (rank_B < min(5, logits_BK.shape[1])), "loss": loss_B}


class Classes(SceneTask):
    """Base: logits ``(B, K)`` and a loss for each sample. A hit is the likeliest class of the target."""

    main_metric = "valid_top1"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scores = Averages(["top1", "top5", "loss"])

    def losses(self, logits_BK: Tensor, target: Tensor) -> Tensor:
        """``(B,)``."""
        return soft_cross_entropy(logits_BK, target)

    def labels(self, target: Tensor) -> Tensor:
        """``(B,)`` the right classes."""
        return target.argmax(-1)

    def loss(self, batch: Any, report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss; with the batch's top-1 and top-5."""
        logits_BK, target = self(batch), self.targets(batch)
        loss_B = self.losses(logits_BK, target)
        found = figures(logits_BK.detach(), self.labels(target), loss_B.detach()) if report else {}
        return loss_B.mean(), {name: value.mean() for name, value in found.items() if name != "loss"}

    @torch.no_grad()
    def score(self, batch: Any) -> None:
        """Count hits and losses."""
        logits_BK, target = self(batch).float(), self.targets(batch)
        self.scores.update(figures(logits_BK, self.labels(target), self.losses(logits_BK, target)))

    @torch.no_grad()
    def predict(self, batch: Any) -> Tensor:
        """``(B,)`` the likeliest classes."""
        out: Tensor = self(batch).argmax(1)
        return out


class ObjectClasses(Classes):
    """Which objects are seen: a distribution over 75 classes."""

    name = "class_object"


class SceneClasses(Classes):
    """What kind of room it is: a distribution over 47 classes."""

    name = "class_scene"


class Jigsaw(Classes):
    """Which of 1,000 permutations has shuffled the nine tiles of an image."""

    name = "jigsaw"

    def losses(self, logits_BK: Tensor, target: Tensor) -> Tensor:
        """``(B,)`` cross entropy."""
        return F.cross_entropy(logits_BK.float(), target.long(), reduction="none")

    def labels(self, target: Tensor) -> Tensor:
        """The permutations themselves."""
        return target.long()
