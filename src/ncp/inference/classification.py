"""Classification: the centred window of each image, as in an evaluation, to probabilities."""

from __future__ import annotations

import numpy as np

from ncp.inference.images import centred, normalised
from ncp.inference.network import Network


def prepared(image_CHW: np.ndarray, network: Network) -> np.ndarray:
    """The image as the network sees it."""
    card = network.card
    return normalised(centred(image_CHW, network.fixed or card.size, card.use.share), card)


def probabilities(network: Network, x_BCHW: np.ndarray) -> np.ndarray:
    """``(B, classes)``."""
    return softmax(network.logits(x_BCHW))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    out: np.ndarray = shifted / shifted.sum(-1, keepdims=True)
    return out


def top(probabilities_K: np.ndarray, most: int) -> list[tuple[int, float]]:
    """The likeliest classes with their probabilities, best first."""
    order = np.argsort(-probabilities_K, kind="stable")[:most]
    return [(int(k), float(probabilities_K[k])) for k in order]
