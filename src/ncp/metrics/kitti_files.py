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

from ncp import files
from ncp.errors import UserError

TYPES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")
_COLUMNS = (
    *("truncated", "occluded", "alpha", "x1", "y1", "x2", "y2"),
    *("height", "width", "length", "x", "y", "z", "rotation_y", "score"),
)
LABEL_COLUMNS = 14
LIMIT = 2**24  # bytes of a file: about a hundred thousand objects
LONGEST_TYPE = 32  # characters
LARGEST = 1e6  # any number of a line: far above pixels, metres and radians, far below what overflows
LONGEST = 100.0  # metres that a side of an object may have
UNKNOWN_PLACE = -1000.0  # metres
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

    @property
    def in_image(self) -> np.ndarray:
        """``(K,)`` bool: which have a box in the image, one of some width and height."""
        boxes = self.image_boxes
        return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])

    def of(self, types: Sequence[str]) -> np.ndarray:
        """``(K,)`` bool: which are of these types, in any spelling of case."""
        wanted = {name.lower() for name in types}
        return np.array([name.lower() in wanted for name in self.types.tolist()], dtype=bool)

    def unknown(self) -> list[str]:
        """The types, in any spelling of case, that KITTI does not have."""
        return [t for t in self.types.tolist() if t.lower() not in _KNOWN]


def read(path: str | Path, scores: bool, solid: Sequence[str] = ()) -> Objects:
    """Read a label file (``scores=False``) or a result file (``scores=True``); an empty file has no objects.

    Args:
        path: of the file.
        scores: whether the lines end with one.
        solid: types, in any spelling of case, whose boxes must have a place and an extent in space (see ``LONGEST``).

    Raises:
        UserError: for a file that cannot be read, or a line that does not have the right number of columns, holds something
            that is not a finite number, or no box where there must be one; with the file, the line's number and the column,
            and how many more lines are wrong.
    """
    try:
        text = files.read_text(path, LIMIT)
    except UserError as error:
        raise UserError(f"cannot read the {'results' if scores else 'labels'}: {error}") from None
    types: list[str] = []
    rows: list[list[float]] = []
    wrong: list[str] = []
    expected = LABEL_COLUMNS + 1 + scores
    solid_types = {name.lower() for name in solid}
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        problem = None
        if len(words) != expected:
            kind = "result (15 columns and a score)" if scores else "label (15 columns, no score)"
            problem = f"{len(words)} columns, a {kind} has {expected}"
        elif len(words[0]) > LONGEST_TYPE:
            problem = f"a type of {len(words[0]):,} characters; at most {LONGEST_TYPE} are read"
        elif (values := _numbers(words)) is None:
            problem = _not_a_number(words)
        elif words[0].lower() in solid_types and not _is_solid(values):
            problem = _not_solid(words[0], values)
        else:
            types.append(words[0])
            rows.append(values)
        if problem is not None:
            wrong.append(f"line {number}: {problem}")
    if wrong:
        more = f" (and {len(wrong) - 1} more lines of this file)" if len(wrong) > 1 else ""
        raise UserError(files.printable(f"{path}, {wrong[0]}{more}"))
    if not rows:
        return Objects(values=np.zeros((0, expected - 1)))
    return Objects(np.array(types), np.array(rows))


def _numbers(words: list[str]) -> list[float] | None:
    """The columns after the type as numbers of a bounded size with a whole occlusion, or None."""
    try:
        values = [float(w) for w in words[1:]]
    except ValueError:
        return None
    return values if all(abs(v) <= LARGEST for v in values) and values[1].is_integer() else None


def _not_a_number(words: list[str]) -> str:
    """What is wrong with a line that :func:`_numbers` refused."""
    for name, word in zip(_COLUMNS, words[1:], strict=False):
        try:
            value = float(word)
        except ValueError:
            return f"'{word[:40]}' for {name} is not a number"
        if not math.isfinite(value):
            return f"{name} is {word}, it must be finite"
        if abs(value) > LARGEST:
            return f"{name} is {word[:40]}, it must be within {LARGEST:,.0f} of 0"
        if name == "occluded" and not value.is_integer():
            return f"occluded is {word}, it must be a whole number (-1 to 3)"
    raise AssertionError("a line was refused for no reason")


def _is_solid(values: Sequence[float]) -> bool:
    size, place, turn = values[7:10], values[10:13], values[13]
    return min(size) > 0 and max(size) <= LONGEST and max(map(abs, place)) < -UNKNOWN_PLACE and abs(turn) <= 2 * math.pi


def _not_solid(name: str, values: Sequence[float]) -> str:
    """What is wrong with a box that :func:`_is_solid` refused."""
    advice = "correct it, or call the object DontCare"
    for column in range(7, 10):
        if not 0 < values[column] <= LONGEST:
            return f"{_COLUMNS[column]} of a {name} is {values[column]:g} m, it must be above 0 and at most {LONGEST:g}; {advice}"
    for column in range(10, 13):
        if abs(values[column]) >= -UNKNOWN_PLACE:
            return f"{_COLUMNS[column]} of a {name} is {values[column]:g} m, it must be nearer than 1,000 m; {advice}"
    return f"rotation_y of a {name} is {values[13]:g}, it must be an angle in radians, -2 pi to 2 pi; {advice}"


def write_objects(path: str | Path, objects: Objects) -> None:
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
    return Objects(np.array(types, dtype=f"<U{LONGEST_TYPE}"), np.concatenate(columns, axis=1).astype(np.float64))
