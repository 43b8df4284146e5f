"""The layout of a room: nine numbers of a box, standardised by the data.

Shape suffixes: B batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ncp.data.base import DataModule
from ncp.metrics.averages import Averages
from ncp.tasks.scenes.base import SceneTask


def squared_error(numbers_B9: Tensor, target_B9: Tensor) -> Tensor:
    """``(B,)`` mean squared error of each sample's numbers."""
    return (numbers_B9.float() - target_B9.float()).square().mean(1)


class RoomLayout(SceneTask):
    """Nine numbers ``(B, 9)``: centre, angles and size of the box. The metric is minus the mean squared error."""

    name = "room_layout"
    main_metric = "valid_neg_loss"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scores = Averages(["neg_loss", "loss"])

    def usage(self, data: DataModule) -> dict[str, Any]:
        """With how the numbers become metres and radians."""
        if not hasattr(data, "layout_mean"):
            return super().usage(data)
        numbers = {"scale": [float(n) for n in data.layout_std], "shift": [float(n) for n in data.layout_mean]}  # type: ignore[attr-defined]
        return {**super().usage(data), **numbers}

    def loss(self, batch: Any, report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean squared error."""
        loss = squared_error(self(batch), self.targets(batch)).mean()
        return loss, {"neg_loss": -loss.detach()} if report else {}

    @torch.no_grad()
    def score(self, batch: Any) -> None:
        """Count errors."""
        loss_B = squared_error(self(batch), self.targets(batch))
        self.scores.update({"neg_loss": -loss_B, "loss": loss_B})

    @torch.no_grad()
    def predict(self, batch: Any) -> Tensor:
        """``(B, 9)`` the numbers."""
        out: Tensor = self(batch).float()
        return out
