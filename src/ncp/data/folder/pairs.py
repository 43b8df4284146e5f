"""Images and masks of a user's own as samples of a segmentation.

Shape suffixes: C channels, H height, W width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ncp.data import transforms as T
from ncp.data.folder import masks, reading
from ncp.data.images import fitted
from ncp.data.paths import PathList
from ncp.data.segmentation import Pairs


class OwnPairs(Pairs):
    """Image and mask files; item ``i`` is ``((C, H, W) uint8, (H, W) uint8)``, with a shorter side of ``short`` where given."""

    def __init__(
        self, images: PathList, labels: PathList, read: reading.Reading, mask_map: masks.MaskMap, short: int | None
    ) -> None:
        self.images, self.labels, self.read, self.mask_map, self.short = images, labels, read, mask_map, short
        self.size = None

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image_path, label_path = Path(self.images[index]), Path(self.labels[index])
        image, label = self.read(image_path), self.mask_map(label_path)
        self.check_size(image, label, image_path, label_path)
        if self.short is not None:
            size = fitted((image.shape[-2], image.shape[-1]), self.short)
            image, label = T.resize_image(image, size), T.resize_label(label, size)
        return image, label

    def sizes(self, indices: Any) -> Any:
        """Numbers of pairs with their images' heights and widths, from the heads of the files."""
        for index in indices:
            size = reading.kind_of(Path(self.images[index])).size
            yield index, size if self.short is None else fitted(size, self.short)
