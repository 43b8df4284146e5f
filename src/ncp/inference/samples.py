"""Images for a network that looks at one at a time: those of files, and every so many frames of videos."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ncp.card import NetworkCard
from ncp.data.video import Stream, index_video
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
    inputs: Iterable[Input], card: NetworkCard, prepare: Prepare, every: int
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
        parts = [list(numbers[first : first + CHUNK]) for first in range(0, len(numbers), CHUNK)]
        video = InTurns(Stream(given.path, index), parts)
        for turn in range(len(parts)):
            yield given, partial(_frames, given, video, turn, card, prepare)


def _image(given: Input, card: NetworkCard, prepare: Prepare) -> list[Sample]:
    image = images.read(given.path, card)
    return [Sample(given, None, image, prepare(image))]


class InTurns:
    """Parts of one video, each read by another thread: in their order, so that every frame is decoded once.

    A part waits for those before it; they must have been begun.
    """

    def __init__(self, stream: Stream, parts: Sequence[Sequence[int]]) -> None:
        self.stream, self.parts = stream, parts
        self._turn, self._next = 0, threading.Condition()

    def read(self, turn: int) -> np.ndarray:
        """``(T, H, W, 3)`` uint8: the part of that number. Raises ``CorruptVideo``."""
        with self._next:
            self._next.wait_for(lambda: self._turn == turn)
            try:
                return self.stream.read(self.parts[turn])
            finally:
                self._turn += 1
                self._next.notify_all()
                if self._turn == len(self.parts):
                    self.stream.close()


def _frames(given: Input, video: InTurns, turn: int, card: NetworkCard, prepare: Prepare) -> list[Sample]:
    if card.channels != 3 or card.use.low:
        kind = "numbers of other ranges" if card.channels == 3 else f"{card.channels} channels"
        raise CorruptVideo(f"has 3 channels of 8 bits, the network reads {kind}")
    frames = video.read(turn).transpose(0, 3, 1, 2)
    return [
        Sample(given, number, frame, prepare(frame)) for number, frame in zip(video.parts[turn], frames, strict=True)
    ]


def _raised(error: Exception) -> list[Sample]:
    raise error
