"""Videos that are written frame by frame: H.264 in MP4, which every browser shows."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from ncp.data.video_index import av_library
from ncp.errors import UserError
from ncp.files import printable

CODECS = ("libx264", "libopenh264", "mpeg4")  # the first that this build of the library has
SLOWEST, LARGEST_TERM = Fraction(1), 60_000  # frames a second that players take; of a rate's numerator and denominator


class Movie:
    """One video, to be used as a context: what was added until an error is a video too.

    Args:
        path: of the file; its ending says nothing.
        rate: frames a second.

    Raises:
        UserError: where it cannot be written.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path, self.rate = path, max(Fraction(rate), SLOWEST).limit_denominator(LARGEST_TERM)
        self.frames = 0
        self._av = av_library()
        try:
            self._container = self._av.open(str(path), "w", format="mp4")
        except (self._av.error.FFmpegError, OSError) as error:
            raise UserError(f"cannot write the video '{printable(path)}' ({error})") from None
        self._stream: object | None = None
        self._size = (0, 0)

    def __enter__(self) -> Movie:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, picture_HW3: np.ndarray) -> None:
        """Add a frame, uint8; one of another size than the first is resized. Raises ``UserError`` where it cannot be written."""
        if self._stream is None:
            self._size = picture_HW3.shape[:2]
            self._stream = self._begun(self._size)
        if picture_HW3.shape[:2] != self._size:
            picture_HW3 = np.asarray(Image.fromarray(picture_HW3).resize(self._size[::-1]))
        odd = [(0, side % 2) for side in self._size]
        picture = np.ascontiguousarray(np.pad(picture_HW3, [*odd, (0, 0)], mode="edge"))
        self._encode(self._av.VideoFrame.from_ndarray(picture, format="rgb24"))
        self.frames += 1

    def _begun(self, size: tuple[int, int]) -> object:
        name = next(name for name in CODECS if self._has(name))
        stream = self._container.add_stream(name, rate=self.rate)
        stream.height, stream.width = (side + side % 2 for side in size)
        stream.pix_fmt = "yuv420p"
        if name == CODECS[0]:
            stream.options = {"crf": "21", "preset": "veryfast"}
        else:
            stream.bit_rate = 4 * stream.height * stream.width
        return stream

    def _has(self, name: str) -> bool:
        try:
            self._av.codec.Codec(name, "w")
        except ValueError:
            return False
        return True

    def _encode(self, frame: object) -> None:
        stream: object = self._stream
        try:
            for packet in stream.encode(frame):  # type: ignore[attr-defined]
                self._container.mux(packet)
        except (self._av.error.FFmpegError, OSError) as error:
            raise UserError(f"cannot write the video '{printable(self.path)}' ({error})") from None

    def close(self) -> None:
        """Write the end."""
        if self._stream is not None:
            self._encode(None)
            self._stream = None
        self._container.close()
