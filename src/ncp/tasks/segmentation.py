"""Semantic segmentation: per-pixel cross entropy, mIoU, mAcc, aAcc (paper, appendix A.1)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ncp.data.base import IGNORE, DataModule
from ncp.metrics.segmentation import SegmentationScores, confusion, percent
from ncp.models.heads import SegmentationHead
from ncp.spaces import cost
from ncp.spaces.base import AnyArchitecture
from ncp.tasks.base import Task


class Segmentation(Task):
    """Batches hold ``image`` ``(B, C, H, W)`` and ``label`` ``(B, H', W')`` uint8 with 255 where nothing is counted.

    The logits (at a quarter of the input) are resized to the label's size, in the loss and in the evaluation.

    Attributes:
        per_class: class -> IoU in percent of the newest evaluation, NaN for a class that did not occur.
        sizes: (height, width) of the newest evaluation's inputs on this device -> how many there were.
    """

    name = "seg"
    main_metric = "mIoU"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scores = SegmentationScores(len(self.classes), IGNORE)
        self.per_class: dict[str, float] = {}
        self.sizes: Counter[tuple[int, int]] = Counter()

    @classmethod
    def make_network(cls, architecture: Any, data: DataModule, **options: Any) -> nn.Module:
        """The network of an architecture; with ``head`` under a decode head of mmsegmentation."""
        head = options.pop("head", None)
        if head is None:
            return super().make_network(architecture, data, **options)
        from ncp.models.decode_heads import build_with_head

        return build_with_head(architecture, len(data.classes), data.in_channels, head, **options)

    @classmethod
    def model_options(cls, architecture: Any) -> tuple[str, ...]:
        """Of searched architectures also ``head``."""
        own = super().model_options(architecture)
        return own if isinstance(architecture, str) else (*own, "head")

    def full_logits(self, batch: dict[str, Any]) -> Tensor:
        """``(B, classes, H', W')`` at the label's size."""
        logits = self(batch)
        return F.interpolate(logits.float(), batch["label"].shape[-2:], mode="bilinear", align_corners=False)

    def loss(self, batch: dict[str, Any], report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy summed over the labelled pixels, divided by the number of all pixels.

        So a pixel weighs the same wherever it is, and a batch that is spread over devices has the gradient of the whole.
        """
        logits_BKHW = self.full_logits(batch)
        label_BHW = batch["label"].long()
        # flattened with the classes last: a view of channels-last logits, and deterministic on GPUs
        flat = logits_BKHW.permute(0, 2, 3, 1).reshape(-1, logits_BKHW.shape[1])
        total = F.cross_entropy(
            flat, label_BHW.reshape(-1), weight=self.class_weights, ignore_index=IGNORE, reduction="sum"
        )
        loss = total / label_BHW.numel()
        if not report:
            return loss, {}
        found = percent(confusion(logits_BKHW.detach().argmax(1), label_BHW, len(self.classes), IGNORE))
        return loss, {key: value for key, value in found.items() if key in ("mAcc", "aAcc")}

    def usage(self, data: DataModule) -> dict[str, Any]:
        """With the classes' colours, and the size that images are brought to."""
        palette = [list(colour) for colour in getattr(data, "palette", ())]
        short = getattr(data, "eval_short", None) or getattr(data, "short", None)
        return {**super().usage(data), "palette": palette, "short": short}

    def macs(self, architecture: AnyArchitecture | str, data: DataModule, size: tuple[int, int] | None = None) -> int:
        """Of an architecture of the space: counted from its code."""
        if isinstance(architecture, str) or not isinstance(getattr(self.network, "head", None), SegmentationHead):
            return super().macs(str(architecture), data, size)
        size = size or data.eval_size or data.size
        return int(cost.count(architecture, size, "segmentation", len(data.classes), data.in_channels).macs)

    @torch.no_grad()
    def score(self, batch: dict[str, Any]) -> None:
        """Count pixels."""
        self.scores.update(self.full_logits(batch).argmax(1), batch["label"])
        height, width = batch["image"].shape[-2:]
        self.sizes[height, width] += len(batch["image"])

    def on_validation_start(self) -> None:
        """Sizes are counted anew."""
        super().on_validation_start()
        self.sizes.clear()

    def on_validation_epoch_end(self) -> None:
        """The scores, and those of each class, over the whole set and all devices."""
        scores: Any = self.scores
        with scores.sync_context():
            iou_K = scores.per_class().tolist()
        self.per_class = dict(zip(self.classes, iou_K, strict=True))
        super().on_validation_epoch_end()

    @torch.no_grad()
    def predict(self, batch: dict[str, Any]) -> Tensor:
        """``(B, H', W')`` the likeliest classes."""
        classes_BHW: Tensor = self.full_logits(batch).argmax(1)
        return classes_BHW
