"""KITTI's average precision as a torchmetrics metric: detections are collected as numbers, counted when all are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from ncp.metrics.kitti import MIN_OVERLAP, evaluate_objects
from ncp.metrics.kitti_files import Objects
from ncp.metrics.kitti_names import short as short


class Frames(Protocol):
    """What a data set tells of its frames (see :class:`ncp.data.kitti.KittiSet`)."""

    def truth(self, index: int) -> Objects:
        """Labels of a frame."""

    def results(self, index: int, boxes_K7: np.ndarray, labels_K: np.ndarray, scores_K: np.ndarray) -> Objects:
        """Detections in a frame as a KITTI result."""


class KittiScores(Metric):
    """Average precision over the frames seen since ``reset``, on all devices together.

    Attributes:
        full: after ``compute``, all 36 figures as :func:`ncp.metrics.kitti.evaluate` gives them.
        results: after ``compute``, the KITTI results by frame index.

    Args:
        frames: labels and calibration.
        min_overlap: what counts as found, by class.
    """

    full_state_update = False
    indices: list[Tensor]
    rows: list[Tensor]

    def __init__(self, frames: Frames, min_overlap: Mapping[str, float] = MIN_OVERLAP) -> None:
        super().__init__()
        self.frames, self.min_overlap = frames, dict(min_overlap)
        self.full: dict[str, dict[str, float]] = {}
        self.results: dict[int, Objects] = {}
        self.add_state("indices", default=[], dist_reduce_fx="cat")
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, index: int, boxes_K7: Tensor, labels_K: Tensor, scores_K: Tensor) -> None:
        """Add the detections of one frame, none included."""
        self.indices.append(torch.full((1,), index, device=self.device))  # a copy from the host would wait for a GPU
        number = torch.full((len(scores_K), 1), float(index), device=boxes_K7.device)
        row = torch.cat([number, boxes_K7, labels_K[:, None].to(boxes_K7), scores_K[:, None].to(boxes_K7)], 1)
        self.rows.append(row.double().to(self.device))

    def update_nothing(self) -> None:
        """Take part in what the devices gather without a frame of its own."""
        self.indices.append(torch.zeros(0, dtype=torch.long, device=self.device))
        self.rows.append(torch.zeros(0, 10, dtype=torch.double, device=self.device))

    def compute(self) -> dict[str, float]:
        """The figures of the paper's tables in percent, or of other classes; ``full`` holds the others."""
        seen = sorted(set(_joined(self.indices).long().tolist()))
        table = _joined(self.rows).reshape(-1, 10).cpu().numpy()
        self.results = {i: self._result(i, table[table[:, 0] == i]) for i in seen}
        labels = [self.frames.truth(i) for i in seen]
        self.full = evaluate_objects(labels, list(self.results.values()), self.min_overlap)
        return short(self.full, list(self.min_overlap))

    def _result(self, index: int, rows: np.ndarray) -> Objects:
        return self.frames.results(index, rows[:, 1:8], rows[:, 8].astype(np.int64), rows[:, 9])


def _joined(state: Any) -> Tensor:
    """A list state before or after it was gathered."""
    if isinstance(state, Tensor):
        return state
    return torch.cat(state) if state else torch.zeros(0)
