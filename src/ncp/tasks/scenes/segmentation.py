"""Which of 17 classes every pixel shows.

Shape suffixes: B batch, K classes, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from ncp.data.base import IGNORE, DataModule
from ncp.metrics.averages import Averages
from ncp.metrics.segmentation import SegmentationScores
from ncp.tasks.scenes.base import SceneTask, side_of


def pixel_cross_entropy(logits_BKHW: Tensor, label_BHW: Tensor, weights_K: Tensor | None = None) -> Tensor:
    """Cross entropy, the mean over all labelled pixels of the batch; 0 where none is labelled.

    With weights a pixel counts as often as its class's weight says. The sum is not divided by the weights' sum: so a batch
    that is spread over devices has the gradient of the whole.
    """
    total = F.cross_entropy(
        logits_BKHW.float(), label_BHW.long(), weight=weights_K, ignore_index=IGNORE, reduction="sum"
    )
    return total / (label_BHW != IGNORE).sum().clamp(min=1)


class SceneScores(Metric):
    """``{"mIoU", "acc", "loss"}``: one confusion matrix over the set, classes that are neither in labels nor in predictions
    left out; percent of right pixels; the mean of the samples' losses."""

    full_state_update = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.pixels, self.means = SegmentationScores(classes, IGNORE), Averages(["loss"])

    def update(self, logits_BKHW: Tensor, label_BHW: Tensor) -> None:
        """Count a batch."""
        self.pixels.update(logits_BKHW.argmax(1), label_BHW.long())
        pairs = zip(logits_BKHW, label_BHW, strict=True)
        losses = [pixel_cross_entropy(logits_KHW[None], label_HW[None]) for logits_KHW, label_HW in pairs]
        self.means.update({"loss": torch.stack(losses)})

    def compute(self) -> dict[str, Tensor]:
        """Over the set and all devices."""
        found: Mapping[str, Tensor] = self.pixels.compute()
        return {"mIoU": found["mIoU"], "acc": found["aAcc"], **self.means.compute()}

    def reset(self) -> None:
        """Begin anew."""
        super().reset()
        self.pixels.reset()
        self.means.reset()


class SceneSegmentation(SceneTask):
    """Labels ``(B, H, W)``, 255 where nothing is counted; logits at the image's own size."""

    name = "segmentsemantic"
    main_metric = "valid_mIoU"
    weighs_classes = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scores = SceneScores(len(self.classes))

    def loss(self, batch: Any, report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy, plain as the benchmark's where the recipe weighs no class; with the batch's pixel accuracy."""
        logits_BKHW, label_BHW = self(batch), self.targets(batch)
        loss = pixel_cross_entropy(logits_BKHW, label_BHW, self.class_weights)
        if not report:
            return loss, {}
        counted = label_BHW != IGNORE
        right = (logits_BKHW.detach().argmax(1) == label_BHW) & counted
        return loss, {"acc": 100 * right.sum() / counted.sum().clamp(min=1)}

    def usage(self, data: DataModule) -> dict[str, Any]:
        """With the size that images are brought to, and the classes' colours."""
        palette = [list(colour) for colour in getattr(data, "palette", ())]
        return {**super().usage(data), "short": side_of(data), "palette": palette}

    @torch.no_grad()
    def score(self, batch: Any) -> None:
        """Count pixels."""
        self.scores.update(self(batch), self.targets(batch))

    @torch.no_grad()
    def predict(self, batch: Any) -> Tensor:
        """``(B, H, W)`` the likeliest classes."""
        out: Tensor = self(batch).argmax(1)
        return out
