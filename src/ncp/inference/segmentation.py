"""Segmentation of images of any size: whole, or through a sliding window.

The logits, at a quarter of the input, are brought to the image's size as in an evaluation, and each pixel gets its largest.
Shape suffixes: B batch, K classes, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ncp.data.images import fitted
from ncp.errors import UserError
from ncp.inference.images import Size, normalised, resized
from ncp.inference.network import Network

WHOLE = 2**25
"""Pixels of an image that is looked at as a whole; larger ones need a window."""
MOST = 2**16  # classes that a label picture can hold
SMALLEST = 32  # side of a window


class Labels(NamedTuple):
    """What is seen: ``(H, W)`` class numbers, and how sure the network is on average, 0..1."""

    labels: np.ndarray
    confidence: float


class Window(NamedTuple):
    """A window's size in pixels, and the share of it that neighbours have in common at least."""

    size: Size
    overlap: float


def window_of(given: Sequence[int] | None, overlap: float, fixed: Size | None) -> Window | None:
    """The sliding window that is asked for, or that a network of a fixed input needs.

    Raises:
        UserError: for an impossible one.
    """
    if not 0 <= overlap < 0.95:
        raise UserError(f"overlap is a share of the window from 0 to below 0.95, given was {overlap}")
    if given is None:
        return Window(fixed, overlap) if fixed is not None else None
    if len(given) != 2 or min(given) < SMALLEST or max(given) > 16_384:
        raise UserError(
            f"window is a height and a width of {SMALLEST} to 16384 pixels, such as [512,1024], given was {given}"
        )
    if fixed is not None and tuple(given) != fixed:
        raise UserError(
            f"this ONNX file reads images of {fixed[0]}x{fixed[1]} alone: window must be [{fixed[0]},{fixed[1]}]"
        )
    return Window((given[0], given[1]), overlap)


def prepared(image_CHW: np.ndarray, network: Network, window: Window | None) -> np.ndarray:
    """The image as the network sees it: resized where its training did and, unless it is seen through a window, normalised.

    Raises:
        UserError: for one that is too large to be seen as a whole.
    """
    height, width = image_CHW.shape[-2:]
    if network.card.use.short is not None:
        image_CHW = resized(image_CHW, fitted((height, width), network.card.use.short))
    if window is None and image_CHW.shape[-2] * image_CHW.shape[-1] > WHOLE:
        raise UserError(f"has {height} x {width} pixels, more than {WHOLE:,}; see it through window=[1024,1024]")
    return normalised(image_CHW, network.card) if window is None else image_CHW


def whole(network: Network, x_BCHW: np.ndarray, sizes: Sequence[Size]) -> list[Labels]:
    """Images of one size at once, each with its labels at the size wanted."""
    logits = network.logits(x_BCHW)
    return [Labels(largest(one, size), confidence(one)) for one, size in zip(logits, sizes, strict=True)]


def through_window(network: Network, image_CHW: np.ndarray, size: Size, window: Window, batch: int) -> Labels:
    """One image of numbers 0..255, window by window; where windows overlap their logits are averaged.

    Windows stand in rows; a row's pixels get their class when no further window covers them, so that a large image needs no
    more memory than a row of windows.
    """
    height, width = image_CHW.shape[-2:]
    tall, wide = max(height, window.size[0]), max(width, window.size[1])
    tops, lefts = places(tall, window.size[0], window.overlap), places(wide, window.size[1], window.overlap)
    kinds = len(network.card.classes)
    total = np.zeros((kinds, window.size[0], wide), dtype=np.float32)  # of the rows from `top` on
    count = np.zeros((window.size[0], wide), dtype=np.float32)
    labels = np.zeros((tall, wide), dtype=np.uint16)
    sure: list[float] = []
    for row, top in enumerate(tops):
        for some in _parts(lefts, batch):
            logits = network.logits(np.stack([_cut(network, image_CHW, (top, left), window.size) for left in some]))
            for one, left in zip(logits, some, strict=True):
                sure.append(confidence(one))
                total[:, :, left : left + window.size[1]] += enlarged(one, window.size)
                count[:, left : left + window.size[1]] += 1
        done = (tops[row + 1] if row + 1 < len(tops) else tall) - top
        labels[top : top + done] = (total[:, :done] / count[:done]).argmax(0)
        total[:, : window.size[0] - done] = total[:, done:].copy()
        count[: window.size[0] - done] = count[done:].copy()
        total[:, window.size[0] - done :], count[window.size[0] - done :] = 0, 0
    found = labels[:height, :width]
    if found.shape != tuple(size):  # the image was resized: the nearest pixel's class
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, found.shape, strict=True)
        )
        found = found[rows[:, None], columns[None]]
    return Labels(found, float(np.mean(sure)))


def _cut(network: Network, image_CHW: np.ndarray, place: tuple[int, int], size: Size) -> np.ndarray:
    """A window of an image, normalised; what lies beyond the image is 0, the mean."""
    part = image_CHW[:, place[0] : place[0] + size[0], place[1] : place[1] + size[1]]
    beyond = [(0, whole - inner) for whole, inner in zip(size, part.shape[-2:], strict=True)]
    return np.pad(normalised(part, network.card), [(0, 0), *beyond])


def places(length: int, part: int, overlap: float) -> list[int]:
    """Where windows of ``part`` begin that cover ``length`` evenly, neighbours having at least ``overlap`` in common.

    >>> places(10, 4, 0.25), places(4, 4, 0.5)
    ([0, 3, 6], [0])
    """
    steps = -(-(length - part) // max(1, int(part * (1 - overlap)))) if length > part else 0
    return [round(i * (length - part) / steps) for i in range(steps + 1)] if steps else [0]


def _parts(values: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(values), most):
        yield values[first : first + most]


def confidence(logits_KHW: np.ndarray) -> float:
    """The mean probability of the likeliest class."""
    shifted = logits_KHW - logits_KHW.max(0)
    return float((1 / np.exp(shifted).sum(0)).mean())


def largest(logits_KHW: np.ndarray, size: Size) -> np.ndarray:
    """``(H, W)``: the class with the largest logit once they are brought to ``size`` (bilinear, pixels' centres)."""
    best = enlarged(logits_KHW[:1], size)[0]
    labels = np.zeros(size, dtype=np.uint16)
    for number in range(1, len(logits_KHW)):  # one after the other: all at once would take much memory
        one = enlarged(logits_KHW[number : number + 1], size)[0]
        more = one > best
        np.copyto(best, one, where=more)
        labels[more] = number
    return labels


def enlarged(maps_KHW: np.ndarray, size: Size) -> np.ndarray:
    """Maps at another size, bilinear between the pixels' centres, as torch's ``interpolate(align_corners=False)``."""
    (low_y, high_y, y), (low_x, high_x, x) = (
        _between(new, old) for new, old in zip(size, maps_KHW.shape[-2:], strict=True)
    )
    rows = maps_KHW[:, low_y] * (1 - y)[:, None] + maps_KHW[:, high_y] * y[:, None]
    out: np.ndarray = rows[:, :, low_x] * (1 - x) + rows[:, :, high_x] * x
    return out


def _between(new: int, old: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every new place the old ones around it, and how far it is from the first to the second."""
    at = np.maximum((np.arange(new) + 0.5) * (old / new) - 0.5, 0)
    low = np.minimum(at.astype(int), old - 1)
    return low, np.minimum(low + 1, old - 1), (at - low).astype(np.float32)
