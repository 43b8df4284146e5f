"""Image classification: cross entropy, top-1 and top-5 (paper, appendix A.1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ncp.data.base import DataModule
from ncp.metrics.classification import TopK, percent
from ncp.spaces import cost
from ncp.spaces.base import AnyArchitecture
from ncp.tasks.base import Task, weighted_cross_entropy


class Classification(Task):
    """Batches hold ``image`` ``(B, C, H, W)`` and ``label`` ``(B,)``."""

    name = "cls"
    main_metric = "top1"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ks = (1, min(5, len(self.classes)))
        self.scores = TopK(self.ks)

    def loss(self, batch: dict[str, Any], report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy; with the batch's top-1 and top-5."""
        logits_BK = self(batch)
        loss = weighted_cross_entropy(logits_BK, batch["label"], self.class_weights, self.recipe.label_smoothing)
        if not report:
            return loss, {}
        return loss, percent(logits_BK.detach(), batch["label"], self.ks)

    def macs(self, architecture: AnyArchitecture | str, data: DataModule, size: tuple[int, int] | None = None) -> int:
        """Of an architecture of the space: counted from its code."""
        if isinstance(architecture, str):
            return super().macs(architecture, data, size)
        size = size or data.eval_size or data.size
        return int(cost.count(architecture, size, "classification", len(data.classes), data.in_channels).macs)

    @torch.no_grad()
    def score(self, batch: dict[str, Any]) -> None:
        """Count hits."""
        self.scores.update(self(batch), batch["label"])

    @torch.no_grad()
    def predict(self, batch: dict[str, Any]) -> Tensor:
        """``(B,)`` the likeliest classes."""
        classes_B: Tensor = self(batch).argmax(1)
        return classes_B
