"""What a network is to those that ask it: arrays in, arrays out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from ncp.card import NetworkCard


class Written(NamedTuple):
    """What a detector's head writes for the anchors of one scene: ``(A, N)`` logits, ``(A, 7)`` codes, ``(A, 2)`` logits."""

    classes: np.ndarray
    boxes: np.ndarray
    directions: np.ndarray

    @property
    def size(self) -> tuple[int, ...]:
        """Anchors and classes."""
        return self.classes.shape


class Ranked(NamedTuple):
    """What a detector has chosen from that by itself: boxes of one scene and their scores, each class's best ones first.

    Attributes:
        boxes: ``(N, K, 8)`` float32; as many of a class as the card says (``before``), or one for each anchor.
        size: anchors and classes.
    """

    boxes: np.ndarray
    size: tuple[int, ...]


class Network(Protocol):
    """A network and its card.

    Attributes:
        card: what the file says of it.
        fixed: height and width that its input must have; None for any.
        device: where it runs, in words.
    """

    card: NetworkCard
    fixed: tuple[int, int] | None
    device: str

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Images ``(B, C, H, W)`` or clips ``(B, T, C, H, W)``, normalised float32, to what the head writes, float32."""

    def scene(self, points_M4: np.ndarray) -> Written | Ranked:
        """Points (x, y, z, reflectance) of one scene to what the head writes, or to the best boxes of that; of a detector."""
