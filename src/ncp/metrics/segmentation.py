"""mIoU, mAcc, aAcc from one confusion matrix over a whole set and all devices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class SegmentationScores(Metric):
    """``{"mIoU", "mAcc", "aAcc"}`` in percent, and ``per_class()``.

    Pixels labelled ``ignore`` count nowhere, not as false positives either. As in Cityscapes' own tool, a class that is neither
    in the labels nor in the predictions is left out of mIoU; as in scikit-learn's balanced accuracy, a class that does
    not occur in the labels is left out of mAcc. aAcc is the share of right pixels.

    Args:
        classes: number of classes.
        ignore: the label that is not counted.

    >>> scores = SegmentationScores(2)
    >>> scores.update(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 255]]))
    >>> {key: round(float(value), 2) for key, value in scores.compute().items()}
    {'mIoU': 50.0, 'mAcc': 75.0, 'aAcc': 66.67}
    """

    full_state_update = False
    matrix: Tensor

    def __init__(self, classes: int, ignore: int = 255, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes, self.ignore = classes, ignore
        self.add_state("matrix", torch.zeros(classes, classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted_BHW: Tensor, label_BHW: Tensor) -> None:
        """Count pixels; see :func:`confusion`."""
        self.matrix += confusion(predicted_BHW, label_BHW, self.classes, self.ignore)

    def compute(self) -> dict[str, Tensor]:
        """Percent over the set."""
        return self.local()

    def local(self) -> dict[str, Tensor]:
        """Percent over what this device saw."""
        return percent(self.matrix)

    def per_class(self) -> Tensor:
        """``(classes,)`` IoU in percent over what this device saw, NaN where the class does not occur."""
        matrix = self.matrix.double()
        right = matrix.diagonal()
        return 100 * right / (matrix.sum(1) + matrix.sum(0) - right)


def confusion(predicted_BHW: Tensor, label_BHW: Tensor, classes: int, ignore: int = 255) -> Tensor:
    """``(classes, classes)`` int64: pixels of each class (rows) that were taken for each (columns).

    Args:
        predicted_BHW: integer classes.
        label_BHW: of the same shape: 0..classes-1, or ``ignore``.
        classes: their number.
        ignore: the label that is not counted.
    """
    label, predicted = label_BHW.reshape(-1), predicted_BHW.reshape(-1)
    # the ignored ones go to one further row instead of being cut out, which would wait for the device
    row = torch.where(label == ignore, classes, label.to(torch.int64))
    counts = _counted(row * classes + predicted, classes * (classes + 1))
    return counts.view(classes + 1, classes)[:classes]


def percent(matrix_KK: Tensor) -> dict[str, Tensor]:
    """The figures of a confusion matrix; see :class:`SegmentationScores`."""
    matrix = matrix_KK.double()
    right, labelled = matrix.diagonal(), matrix.sum(1)
    union = labelled + matrix.sum(0) - right
    return {
        "mIoU": 100 * (right / union).nanmean(),
        "mAcc": 100 * (right / labelled).nanmean(),
        "aAcc": 100 * right.sum() / labelled.sum(),
    }


def _counted(numbers_N: Tensor, most: int) -> Tensor:
    """``(most,)`` int64: how often each number from 0 occurs. On a GPU ``torch.bincount`` would wait for the largest."""
    if numbers_N.device.type == "cpu":
        return torch.bincount(numbers_N, minlength=most)
    counts = torch.zeros(most, dtype=torch.int64, device=numbers_N.device)
    return counts.scatter_add_(0, numbers_N, torch.ones_like(numbers_N))
