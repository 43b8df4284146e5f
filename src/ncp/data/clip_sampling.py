"""Which frames of a video make a clip.

A video is a list of frames; a clip is ``frames`` of them. ``dense`` takes them ``stride`` apart from one window of the video,
``segments`` divides the video into as many equal parts and takes one of each. Training draws the window (or the frame of each
part) at random; an evaluation takes ``clips`` of them spread evenly, and the task averages what the network says about each.

The paper leaves the sampling open. It leaves out training videos of fewer than 64 frames, so the default is 8 frames, 8 apart.

Shape suffixes: K clips of a video, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncp.errors import UserError

KINDS = ("dense", "segments")


@dataclass(frozen=True)
class Sampling:
    """Which frames make a clip.

    Attributes:
        kind: ``dense`` or ``segments``.
        frames: T, of a clip.
        stride: between the frames of a dense clip.
        clips: K, of a video in an evaluation.
        shuffle: forget the order: the frames of every clip are permuted at random. Only for comparisons.
    """

    kind: str = "dense"
    frames: int = 8
    stride: int = 8
    clips: int = 1
    shuffle: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"data.sampling must be one of {', '.join(KINDS)}, given was '{self.kind}'")
        for name in ("frames", "stride", "clips"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"data.{name} must be a whole number of at least 1, given was {value!r}")

    def train(self, total: int, rng: np.random.Generator) -> np.ndarray:
        """Frame numbers ``(1, T)`` of one random clip of a video of ``total`` frames, ascending."""
        if self.kind == "segments":
            edges = np.linspace(0, total, self.frames + 1)
            return _whole(edges[:-1] + rng.random(self.frames) * np.diff(edges), total)[None]
        span = (self.frames - 1) * self.stride + 1
        if total < span:
            return _spread(total, self.frames)[None]
        return (rng.integers(0, total - span + 1) + self.stride * np.arange(self.frames))[None]

    def evaluation(self, total: int) -> np.ndarray:
        """Frame numbers ``(K, T)``: clips spread evenly over the video, its middle for a single one."""
        shares = (np.arange(self.clips) + 0.5) / self.clips
        if self.kind == "segments":
            edges = np.linspace(0, total, self.frames + 1)
            return _whole(edges[:-1] + shares[:, None] * np.diff(edges), total)
        span = (self.frames - 1) * self.stride + 1
        if total < span:
            return np.repeat(_spread(total, self.frames)[None], self.clips, axis=0)
        starts = np.linspace(0, total - span, self.clips) if self.clips > 1 else np.array([(total - span) / 2])
        return np.floor(starts).astype(int)[:, None] + self.stride * np.arange(self.frames)


def _whole(positions: np.ndarray, total: int) -> np.ndarray:
    return np.minimum(np.floor(positions).astype(int), total - 1)


def _spread(total: int, frames: int) -> np.ndarray:
    """All of a video that is too short for the stride: evenly, with repetitions where it must be."""
    return np.round(np.linspace(0, total - 1, frames)).astype(int)
