"""Videos: the clips that an evaluation would take, each to probabilities, and their mean for the video.

Shape suffixes: K clips, T frames, C channels, H height, W width.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ncp.card import NetworkCard
from ncp.data.clip_sampling import Sampling
from ncp.data.video import Stream, index_video
from ncp.inference.classification import softmax
from ncp.inference.images import Size, centred, normalised, resized
from ncp.inference.network import Network

SHOWN = 96  # height of the frames that are kept for pictures
CHUNK = 16  # frames that are read at once


class Seen(NamedTuple):
    """A video as the network sees it.

    Attributes:
        total: frames of the video.
        numbers: ``(K, T)``, of the clips' frames.
        clips: ``(K, T, C, H, W)`` uint8.
        thumbs: a small picture ``(h, w, 3)`` of the middle frame of each clip.
    """

    total: int
    numbers: np.ndarray
    clips: np.ndarray
    thumbs: list[np.ndarray]


class Scores(NamedTuple):
    """Probabilities of the video ``(N,)``, the mean of those of its clips ``(K, N)``."""

    video: np.ndarray
    clips: np.ndarray


def sampling_of(card: NetworkCard, clips: int | None) -> Sampling:
    """Which frames make a clip, as in the network's evaluation, with another number of clips where one is given."""
    assert card.use.clips is not None
    mine = card.use.clips
    return Sampling(mine.kind, mine.frames, mine.stride, mine.clips if clips is None else clips)


def seen(path: Path, sampling: Sampling, size: Size, share: float) -> Seen:
    """The clips of a file.

    Args:
        path: of the file.
        sampling: which frames.
        size: of the network's input.
        share: see :attr:`ncp.card.Use.share`; frames that have the size are taken whole.

    Raises:
        CorruptVideo: where it cannot be decoded.
    """
    index = index_video(path)
    numbers_KT = sampling.evaluation(index.frames)
    wanted, where = np.unique(numbers_KT, return_inverse=True)
    frames, thumbs = [], {}
    middles = set(numbers_KT[:, sampling.frames // 2].tolist())
    with contextlib.closing(Stream(path, index)) as stream:
        for first in range(0, len(wanted), CHUNK):
            some = wanted[first : first + CHUNK].tolist()
            for number, frame_HW3 in zip(some, stream.read(some), strict=True):
                frame = frame_HW3.transpose(2, 0, 1)
                if number in middles:
                    thumbs[number] = thumb(frame)
                frames.append(centred(frame, size, 1.0 if frame.shape[-2:] == tuple(size) else share))
    clips = np.stack(frames)[where.reshape(numbers_KT.shape)]
    return Seen(index.frames, numbers_KT, clips, [thumbs[n] for n in numbers_KT[:, sampling.frames // 2].tolist()])


def thumb(image_CHW: np.ndarray) -> np.ndarray:
    """A small picture ``(h, w, 3)`` uint8 of the first channels of an image."""
    height, width = image_CHW.shape[-2:]
    zoom = min(1.0, SHOWN / height)
    planes = image_CHW[:3] if len(image_CHW) >= 3 else np.repeat(image_CHW[:1], 3, axis=0)
    small = resized(planes.clip(0, 255).astype(np.uint8), (max(1, round(height * zoom)), max(1, round(width * zoom))))
    return np.ascontiguousarray(small.transpose(1, 2, 0))


def scores(network: Network, clips: np.ndarray, batch: int) -> Scores:
    """Probabilities of clips ``(K, T, C, H, W)`` uint8."""
    parts = []
    for first in range(0, len(clips), batch):
        some = clips[first : first + batch]
        x = normalised(some.reshape(-1, *some.shape[2:]), network.card).reshape(some.shape)
        parts.append(softmax(network.logits(x)))
    found = np.concatenate(parts)
    return Scores(found.mean(0), found)
