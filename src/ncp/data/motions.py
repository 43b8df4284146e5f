"""The built-in video set: short clips whose class is a motion, drawn from a seed, no files.

On a cloth without borders, with soft upright stripes, lies a round spot. Either the cloth is pulled left or right, what leaves on
one side coming back on the other, or the spot grows or shrinks, and starts anew from the other end of its range. Where the
stripes are and how large the spot is is uniform at every moment, whatever the class, and so are the colours: a single frame says
nothing about the class, and frames whose order is lost say at most which of the two changes (one class of two).

Shape suffixes: T frames, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp.data.clips import VideoData
from ncp.errors import UserError

# class: what moves a frame, as signs: the cloth to the right, the spot's size
MOTIONS = {"left": (-1, 0), "right": (1, 0), "grow": (0, 1), "shrink": (0, -1)}
NAMES = tuple(MOTIONS)
PULL = (0.21, 0.29)  # cycles a frame; a quarter tells the two directions apart best
GROWTH = (0.13, 0.2)  # of its range a frame
RADIUS = (0.05, 0.55)  # of the spot, as shares of the side
NOISE = 0.03


def draw_video(rng: np.random.Generator, motion: str, length: int, side: int) -> np.ndarray:
    """One video: ``(T, 3, side, side)`` uint8."""
    pull, growth = MOTIONS[motion]
    moments_T = np.arange(length)
    phase_T = rng.random() + pull * rng.uniform(*PULL) * moments_T
    size_T = (rng.random() + growth * rng.uniform(*GROWTH) * moments_T) % 1.0
    stripes_3 = np.array([rng.uniform(0.2, 0.35), 0.0, 0.0])  # red, so that the spot hides nothing of them
    spot_3 = np.array([0.0, *rng.uniform(0.2, 0.45, 2)])
    ground_3 = rng.uniform(0.35, 0.5, 3)

    at = (np.arange(side) + 0.5) / side
    across_TW = np.cos(2 * np.pi * (at[None] - phase_T[:, None]))
    middle = rng.uniform(0.42, 0.58, 2)
    distance_HW = np.hypot(at[:, None] - middle[0], at[None] - middle[1])
    radius_T = RADIUS[0] + (RADIUS[1] - RADIUS[0]) * size_T
    inside_THW = np.clip((radius_T[:, None, None] - distance_HW) * side + 0.5, 0, 1)  # soft over a pixel
    x_T3HW = ground_3[:, None, None] + across_TW[:, None, None, :] * stripes_3[:, None, None]
    x_T3HW = x_T3HW + inside_THW[:, None] * spot_3[:, None, None]
    x_T3HW = x_T3HW + rng.normal(0, NOISE, x_T3HW.shape)
    return (np.clip(x_T3HW, 0, 1) * 255).round().astype(np.uint8)


class MotionVideos:
    """Videos ``0 .. count-1`` of a seed as a :class:`ncp.data.clips.Source`; the classes take turns."""

    def __init__(self, count: int, seed: int, length: int, side: int) -> None:
        self.labels = [i % len(NAMES) for i in range(count)]
        drawn = [
            draw_video(np.random.default_rng((seed, i)), NAMES[k], length, side) for i, k in enumerate(self.labels)
        ]
        self.videos_NTCHW = np.stack(drawn) if drawn else np.empty((0, length, 3, side, side), np.uint8)

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, item: int) -> str:
        """Its number and class."""
        return f"motion {item} ({NAMES[self.labels[item]]})"

    def length(self, item: int) -> int:
        """The same for all."""
        return int(self.videos_NTCHW.shape[1])

    def read(self, item: int, numbers: Sequence[int]) -> Tensor:
        """Frames by number."""
        return torch.from_numpy(self.videos_NTCHW[item, list(numbers)])


class Motions(VideoData):
    """The videos as a data set.

    Args:
        videos, val_videos: how many for training and for validation.
        length: frames of a video.
        video_seed: of the videos, apart from the run's seed.
        training_macs: a training ends after so many multiply-adds; None for the recipe's length whatever the network.
        common: see :class:`ncp.data.clips.VideoData`.
    """

    builtin = True
    notice = (
        "data: the built-in motions (procedural, 4 classes, clips of 16x16); for HMDB51: "
        "setting=video data.root=<folder with videos and splits>"
    )
    source = "built-in motions"
    classes = NAMES
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)

    def __init__(
        self,
        *,
        videos: int = 960,
        val_videos: int = 192,
        length: int = 9,
        video_seed: int = 2022,
        training_macs: float | None = None,
        size: int = 16,
        frames: int = 6,
        stride: int = 1,
        eval_batch: int = 32,
        **common: Any,
    ) -> None:
        super().__init__(size=size, frames=frames, stride=stride, eval_batch=eval_batch, **common)
        if self.tiny:
            videos, val_videos = 6, 6
        if length < 1:
            raise UserError(f"data.length must be at least 1, given was {length}")
        self.training_macs = training_macs
        self.videos, self.val_videos, self.length, self.video_seed = videos, val_videos, length, video_seed

    def prepare(self) -> None:
        """Draw both splits (about 0.2 ms a video)."""
        for train, count in ((True, self.videos), (False, self.val_videos)):
            source = MotionVideos(count, self.video_seed + (not train), self.length, self.size[0])
            self.use(source, source.labels, train)
