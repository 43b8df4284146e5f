"""Of each video that is looked at the same video with what was found drawn over it: ``OUT/movies/NAME.mp4``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from ncp import files
from ncp.data.video import Stream, index_video
from ncp.data.video_index import frame_rate
from ncp.inference.inputs import Input
from ncp.inference.movies import Movie
from ncp.inference.outputs import Results
from ncp.inference.video import CHUNK

FOLDER = "movies"


class Reels:
    """One movie at a time, in the order of the inputs; a context, at whose end the last one is written, also after an error.

    Args:
        results: where they go.
        every: so many frames of the input are one of a movie; it takes as long as the input.
    """

    def __init__(self, results: Results, every: int = 1) -> None:
        self.results, self.every = results, every
        self._open = contextlib.ExitStack()
        self._given: Input | None = None
        self._movie: Movie | None = None
        self._path = Path()

    def __enter__(self) -> Reels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def add(self, given: Input, picture_HW3: np.ndarray) -> str:
        """Add a frame to an input's movie; the movie's path below the folder of results.

        Raises:
            UserError: where it cannot be written.
        """
        if given != self._given or self._movie is None:
            self._open.close()
            self._given, self._path = given, self.results.place(FOLDER, given.name, "mp4")
            scratch = self._open.enter_context(files.writing(self._path, "give another out=FOLDER"))
            self._movie = self._open.enter_context(Movie(scratch, frame_rate(given.path) / self.every))
        self._movie.add(picture_HW3)
        return self._path.relative_to(self.results.out).as_posix()

    def of_windows(
        self, given: Input, numbers_KT: np.ndarray, scores_KN: np.ndarray, chosen: Sequence[int], names: Sequence[str]
    ) -> str:
        """The movie of a video with the scores of its windows, decoded once more; its path.

        Args:
            given: the video.
            numbers_KT: the frames of its windows.
            scores_KN: their probabilities.
            chosen: classes that are shown.
            names: of all classes.

        Raises:
            CorruptVideo: where a frame cannot be decoded.
        """
        from ncp.report import movies

        index = index_video(given.path)
        shown, path = [names[k] for k in chosen], ""
        with contextlib.closing(Stream(given.path, index)) as stream:
            for first in range(0, index.frames, CHUNK):
                some = list(range(first, min(first + CHUNK, index.frames)))
                for number, frame in zip(some, stream.read(some), strict=True):
                    covering = windows_at(numbers_KT, number)
                    scores = scores_KN[covering].mean(0)[list(chosen)]
                    note = f"frame {number}, {in_words(covering, len(numbers_KT))}"
                    path = self.add(given, movies.guesses(frame.transpose(2, 0, 1), shown, scores.tolist(), note))
        return path


def windows_at(numbers_KT: np.ndarray, frame: int) -> np.ndarray:
    """The numbers of the windows that a frame lies in; where it lies in none, of the nearest.

    >>> windows_at(np.array([[0, 4], [2, 6], [10, 12]]), 3), windows_at(np.array([[0, 4], [10, 12]]), 8)
    (array([0, 1]), array([1]))
    """
    low, high = numbers_KT.min(1), numbers_KT.max(1)
    away = np.maximum(np.maximum(low - frame, frame - high), 0)
    return np.flatnonzero(away == away.min())


def in_words(windows: np.ndarray, count: int) -> str:
    """``window 2 of 3``, ``windows 1 and 2 of 3``, ``windows 1 to 4 of 4``."""
    numbers = windows + 1
    if len(numbers) == 1:
        return f"window {numbers[0]} of {count}"
    joined = "and" if len(numbers) == 2 else "to"
    return f"windows {numbers[0]} {joined} {numbers[-1]} of {count}"
