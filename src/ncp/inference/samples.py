"""Images for a network that looks at one at a time: those of files, and every so many frames of videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from ncp.card import Card
from ncp.data.video import Index, index_video, read_arrays
from ncp.data.video_index import CorruptVideo
from ncp.inference import images
from ncp.inference.inputs import Input
from ncp.inference.loading import Work
from ncp.inference.video import CHUNK

Prepare = Callable[[np.ndarray], np.ndarray]


class Sample(NamedTuple):
    """An image, and what the network is to see of it.

    Attributes:
        input: the file.
        frame: its number in a video, else None.
        image: ``(C, H, W)``, numbers 0..255.
        x: ``(C, h, w)`` float32.
    """

    input: Input
    frame: int | None
    image: np.ndarray
    x: np.ndarray


def samples(
    inputs: Iterable[Input], card: Card, prepare: Prepare, every: int
) -> Iterator[tuple[Input, Work[list[Sample]]]]:
    """What is to be done for each input, several times for a long video: reading and preparing some of its frames.

    Args:
        inputs: images and videos.
        card: of the network.
        prepare: from an image to what the network is to see.
        every: of a video, every so many frames.
    """
    for given in inputs:
        if not given.is_video:
            yield given, partial(_image, given, card, prepare)
            continue
        try:
            index = index_video(given.path)
        except CorruptVideo as error:
            yield given, partial(_raised, error)
            continue
        numbers = range(0, index.frames, every)
        for first in range(0, len(numbers), CHUNK):
            yield given, partial(_frames, given, index, list(numbers[first : first + CHUNK]), card, prepare)


def _image(given: Input, card: Card, prepare: Prepare) -> list[Sample]:
    image = images.read(given.path, card)
    return [Sample(given, None, image, prepare(image))]


def _frames(given: Input, index: Index, numbers: list[int], card: Card, prepare: Prepare) -> list[Sample]:
    if card.channels != 3 or card.use.low:
        kind = "numbers of other ranges" if card.channels == 3 else f"{card.channels} channels"
        raise CorruptVideo(f"has 3 channels of 8 bits, the network reads {kind}")
    frames = read_arrays(given.path, numbers, index).transpose(0, 3, 1, 2)
    return [Sample(given, number, frame, prepare(frame)) for number, frame in zip(numbers, frames, strict=True)]


def _raised(error: Exception) -> list[Sample]:
    raise error
