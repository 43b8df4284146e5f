"""How alike images are (SSIM, Wang et al. 2004), as TransNAS-Bench-101 records it and as it is meant.

Shape suffixes: B batch, C channels, H, W height and width.
"""

from __future__ import annotations

from torch import Tensor

WINDOW, SIGMA = 11, 1.5


def released(image_BCHW: Tensor, other_BCHW: Tensor) -> Tensor:
    """``(B,)`` SSIM of images computed as if their values had a range of 1, also those in -1..1: what TransNAS-Bench-101 records.

    Its constants are a quarter of those that belong to such images, so figures are lower where images are smooth.
    """
    return _ssim(image_BCHW, other_BCHW, 1.0)


def usual(image_BCHW: Tensor, other_BCHW: Tensor, span: float = 2.0) -> Tensor:
    """``(B,)`` SSIM of images whose values have a range of ``span``: those in -1..1 one of 2."""
    return _ssim(image_BCHW, other_BCHW, span)


def _ssim(image_BCHW: Tensor, other_BCHW: Tensor, span: float) -> Tensor:
    """Gaussian window of 11 pixels where it lies within the image, mean over places and channels."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    found = structural_similarity_index_measure(
        image_BCHW.float(), other_BCHW.float(), sigma=SIGMA, kernel_size=WINDOW, data_range=span, reduction="none",
        return_full_image=True,
    )  # fmt: skip
    edge = WINDOW // 2  # where the library mirrors the image at its border, and the usual definition does not look
    out: Tensor = found[1][..., edge:-edge, edge:-edge].mean((1, 2, 3))
    return out
