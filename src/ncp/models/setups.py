"""What the network of each task is made for unless told otherwise. Standard library alone, so that counting needs no torch."""

from __future__ import annotations

from typing import NamedTuple


class Setup(NamedTuple):
    """A network's head, as :func:`ncp.spaces.cost.count` calls it, and its input and output.

    Attributes:
        head: ``segmentation`` or ``classification``.
        classes: of the paper's settings; 0 where the head's output is not the network's (a detector brings its own head).
        in_channels, stem_strides: of the stem.
    """

    head: str
    classes: int
    in_channels: int = 3
    stem_strides: tuple[int, int] = (2, 2)


POINTPILLARS = {"pointpillars": 64, "pointpillars-32": 32, "pointpillars-16": 16}
"""Hand-designed networks of detectors -> channels of their first block: the published one, and its thinner kin."""
FRAMES = 8
"""Of a clip, where nothing else is known."""
# 50 classes of ImageNet, the 19 of Cityscapes, the 51 of HMDB51
SETUPS: dict[str, Setup] = {
    "cls": Setup("classification", 50),
    "seg": Setup("segmentation", 19),
    "det3d": Setup("segmentation", 0, 64, (2, 1)),
    "video": Setup("classification", 51),
}
