"""KITTI's label and result files: one object a line, read with validation and written.

The columns (KITTI object development kit): type, truncation 0..1, occlusion 0..3, observation angle alpha, image box
x1 y1 x2 y2 (pixels), height width length (metres), location x y z of the bottom's centre (camera frame, metres), rotation
about the camera's y axis; a result has a score as well. Unknown values are -1, -10 (angles) and -1000 (locations).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ncp.errors import UserError

TYPES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")
_COLUMNS = (
    *("truncated", "occluded", "alpha", "x1", "y1", "x2", "y2"),
    *("height", "width", "length", "x", "y", "z", "rotation_y", "score"),
)
LABEL_COLUMNS = 14
_KNOWN = {name.lower() for name in TYPES}


@dataclass(frozen=True)
class Objects:
    """The objects of one frame, in the order of the file.

    Attributes:
        types: ``(K,)`` strings as written.
        values: ``(K, 14)`` float64 (labels) or ``(K, 15)`` (results, with the score last), in the columns' order.
    """

    types: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype="<U16"))
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, LABEL_COLUMNS)))

    def __len__(self) -> int:
        return len(self.types)

    def __getitem__(self, rows: np.ndarray) -> Objects:
        """The objects of a boolean mask or of indices."""
        return Objects(self.types[rows], self.values[rows])

    @property
    def truncation(self) -> np.ndarray:
        """``(K,)``, 0 (inside the image) to 1; -1 unknown."""
        return self.values[:, 0]

    @property
    def occlusion(self) -> np.ndarray:
        """``(K,)``: 0 visible, 1 partly, 2 largely occluded, 3 unknown."""
        return self.values[:, 1]

    @property
    def alpha(self) -> np.ndarray:
        """``(K,)`` observation angles, radians; -10 unknown."""
        return self.values[:, 2]

    @property
    def image_boxes(self) -> np.ndarray:
        """``(K, 4)``: x1, y1, x2, y2 in pixels."""
        return self.values[:, 3:7]

    @property
    def size(self) -> np.ndarray:
        """``(K, 3)``: height, width, length in metres."""
        return self.values[:, 7:10]

    @property
    def location(self) -> np.ndarray:
        """``(K, 3)``: centre of the bottom in the camera frame, metres."""
        return self.values[:, 10:13]

    @property
    def rotation_y(self) -> np.ndarray:
        """``(K,)``: rotation about the camera's y axis, radians."""
        return self.values[:, 13]

    @property
    def score(self) -> np.ndarray:
        """``(K,)``; results only."""
        return self.values[:, 14]

    def unknown(self) -> list[str]:
        """The types, in any spelling of case, that KITTI does not have."""
        return [t for t in self.types.tolist() if t.lower() not in _KNOWN]


def read(path: str | Path, scores: bool) -> Objects:
    """Read a label file (``scores=False``) or a result file (``scores=True``); an empty file has no objects.

    Raises:
        UserError: for a file that cannot be read, or a line that does not have the right number of columns, or holds
            something that is not a finite number; with the file, the line's number and the column.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError:
        raise UserError(f"'{path}' is not a text file") from None
    types: list[str] = []
    rows: list[list[float]] = []
    expected = LABEL_COLUMNS + 1 + scores
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != expected:
            kind = "result (15 columns and a score)" if scores else "label (15 columns, no score)"
            raise UserError(f"{path}, line {number}: {len(words)} columns, a {kind} has {expected}")
        types.append(words[0])
        rows.append(_numbers(path, number, words))
    if not rows:
        return Objects(values=np.zeros((0, expected - 1)))
    return Objects(np.array(types), np.array(rows))


def _numbers(path: str | Path, number: int, words: list[str]) -> list[float]:
    """The columns after the type as finite numbers; occlusion must be whole."""
    try:
        values = [float(w) for w in words[1:]]
        if all(map(math.isfinite, values)) and values[1].is_integer():
            return values
    except ValueError:
        pass
    for name, word in zip(_COLUMNS, words[1:], strict=False):
        try:
            value = float(word)
        except ValueError:
            raise UserError(f"{path}, line {number}: '{word}' for {name} is not a number") from None
        if not math.isfinite(value):
            raise UserError(f"{path}, line {number}: {name} is {word}, it must be finite")
        if name == "occluded" and not value.is_integer():
            raise UserError(f"{path}, line {number}: occluded is {word}, it must be a whole number (-1 to 3)")
    raise AssertionError("a line was refused for no reason")


def write(path: str | Path, objects: Objects) -> None:
    """Write a label or result file that KITTI's own tools read: four decimals, six for the score."""
    lines = []
    for name, row in zip(objects.types.tolist(), objects.values.tolist(), strict=True):
        words = [name, f"{row[0]:.2f}", f"{round(row[1])}", *(f"{v:.4f}" for v in row[2:LABEL_COLUMNS])]
        lines.append(" ".join([*words, *(f"{v:.6f}" for v in row[LABEL_COLUMNS:])]))
    Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def results(
    types: Sequence[str],
    alpha: np.ndarray,
    image_boxes: np.ndarray,
    size: np.ndarray,
    location: np.ndarray,
    rotation_y: np.ndarray,
    score: np.ndarray,
) -> Objects:
    """Detections as the objects of a result file; arrays as in :class:`Objects`, truncation and occlusion unknown (-1)."""
    count = len(types)
    unknown = np.full((count, 2), -1.0)
    columns = [unknown, alpha[:, None], image_boxes, size, location, rotation_y[:, None], score[:, None]]
    return Objects(np.array(types, dtype="<U16"), np.concatenate(columns, axis=1).astype(np.float64))
