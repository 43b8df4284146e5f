"""The built-in classification set: the 1,797 real handwritten digits that scikit-learn ships (8 x 8 pixels), no download.

They are enlarged to the network's smallest input and moved, turned and scaled a little in training. Every fifth image is for
validation. (Source: UCI ML hand-written digits, test part; Alpaydin and Kaynak 1998.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional as nnF
from torch.utils.data import Dataset

from ncp.data.base import DataModule, Key, Sample, sample_rng
from ncp.errors import UserError

VALIDATION_EVERY = 5


class DigitImages(Dataset[Sample]):
    """Digits as ``{"image": (3, size, size) uint8, "label": int}``.

    Args:
        images: ``(N, 8, 8)`` floats 0..1.
        labels: ``(N,)``.
        size: side of the enlarged image.
        seed: of the augmentation.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, size: int, seed: int) -> None:
        self.images = torch.from_numpy(images).float()[:, None]
        self.labels, self.size, self.seed = [int(label) for label in labels], size, seed

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: Key) -> Sample:
        angle = shift_x = shift_y = 0.0
        zoom = 1.0
        if key.epoch >= 0:
            rng = sample_rng(self.seed, key)
            angle, zoom = rng.uniform(-0.1, 0.1), rng.uniform(0.93, 1.07)
            shift_x, shift_y = rng.uniform(-0.06, 0.06, 2)
        cos, sin = math.cos(angle) * zoom, math.sin(angle) * zoom
        matrix = torch.tensor([[[cos, -sin, shift_x], [sin, cos, shift_y]]], dtype=torch.float32)
        grid = nnF.affine_grid(matrix, [1, 1, self.size, self.size], align_corners=False)
        image = nnF.grid_sample(self.images[key.item][None], grid, align_corners=False)[0]
        return {"image": (image * 255).round().to(torch.uint8).expand(3, -1, -1), "label": self.labels[key.item]}


class Digits(DataModule):
    """Ten handwritten digits.

    Args:
        size: side of the network's input, at least 32. From 33 on the coarsest branch has more than one pixel, and
            short trainings end well above those at 32.
        common: see :class:`ncp.data.base.DataModule`.
    """

    task = "cls"
    builtin = True
    notice = (
        "data: the built-in handwritten digits (scikit-learn's, real, 10 classes); for ImageNet: "
        "setting=cls-50-1000 data.root=<folder with train and val>"
    )
    source = "built-in digits"
    classes = tuple(str(i) for i in range(10))
    mean = (0.3, 0.3, 0.3)
    std = (0.35, 0.35, 0.35)
    eval_share = 1.0

    def __init__(self, *, size: int = 40, eval_batch: int = 90, **common: Any) -> None:
        super().__init__(eval_batch=eval_batch, **common)
        if size < 32:
            raise UserError(f"data.size must be at least 32, given was {size}")
        self.size = self.eval_size = (size, size)

    def prepare(self) -> None:
        """Read the images from scikit-learn's own files."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images, labels = digits.images / 16.0, digits.target
        held_out = np.arange(len(labels)) % VALIDATION_EVERY == 0
        self.train_set = DigitImages(images[~held_out], labels[~held_out], self.size[0], self.seed)
        self.val_set = DigitImages(images[held_out], labels[held_out], self.size[0], self.seed)
