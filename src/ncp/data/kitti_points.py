"""KITTI's point files: four little-endian float32 a point, nothing else; a file of another layout is told from one of these.

Sets of other makers write 3, 5, 6 or 8 numbers a point (with ring, time, normals). Where the file's size is a whole number of
KITTI's points all the same, it would be read as noise. So the beginning of a file is looked at: in the right layout a column
holds numbers of one kind, in a wrong one it mixes all of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ncp import files
from ncp.errors import UserError

WIDTH = 4  # x, y, z, reflectance
POINT_BYTES = 4 * WIDTH
LIMIT = 2**28  # bytes of a file: 16 million points, a hundred times KITTI's
LOOKED_AT = 840 * 2  # numbers at the beginning: whole points of every width below
FARTHEST = 1e4  # metres; no LiDAR sees so far, so such numbers are something else
_OTHER_WIDTHS = (3, 5, 6, 7, 8)
_FEWEST = {8: 32}  # points of a width from which its columns can be judged; 8 looks like 4 where points are few
_MUCH_BETTER = 0.7  # a width that explains the numbers so much better than 4 is the file's


def read_points(path: str | Path) -> tuple[np.ndarray, int]:
    """Points ``(P, 4)`` float32 of a velodyne file, and how many were left out because a number in them is not finite.

    An empty file is an empty scene.

    Raises:
        UserError: for a file that cannot be read, is larger than ``LIMIT``, or does not hold four 4-byte numbers a point.
    """
    try:
        raw = files.read_bytes(path, LIMIT)
    except UserError as error:
        raise UserError(f"cannot read the points: {error}") from None
    wrong = layout_problem(path, _numbers(raw), len(raw))
    if wrong:
        raise UserError(wrong)
    points = np.frombuffer(raw, dtype="<f4").reshape(-1, WIDTH)
    finite = np.isfinite(points).all(1)
    bad = len(points) - int(finite.sum())
    return (points[finite] if bad else points.copy()), bad


def file_problem(path: str | Path, size: int) -> str | None:
    """As :func:`layout_problem`, from the beginning of a file of ``size`` bytes.

    Raises:
        UserError: when it cannot be read.
    """
    if size > LIMIT:
        return f"'{files.printable(path)}' has {size:,} bytes; at most {LIMIT:,} are read"
    if size == 0:
        return None
    with files.open_regular(path, LIMIT) as file:
        return layout_problem(path, _numbers(file.read(4 * LOOKED_AT)), size)


def layout_problem(path: str | Path, values: np.ndarray, size: int) -> str | None:
    """What speaks against four float32 a point, in one line; None where nothing does.

    Args:
        path: of the file, for the message.
        values: numbers at its beginning.
        size: bytes of the whole file.
    """
    shown = files.printable(path)
    other = likely_width(values, size)
    if other is not None:
        read = f"; {size // POINT_BYTES:,} would be read" if size % POINT_BYTES == 0 else ""
        return (
            f"{shown}: {size:,} bytes look like {size // (4 * other):,} points of {other} numbers (4 bytes each); KITTI's have "
            f"{WIDTH} (x, y, z, reflectance{read}): write these alone"
        )
    if size % POINT_BYTES:
        fitting = [w for w in _OTHER_WIDTHS if size % (4 * w) == 0]
        guess = f"has it {' or '.join(map(str, fitting))} numbers a point?" if fitting else "is the file cut off?"
        return f"{shown}: {size} bytes are no whole number of points ({POINT_BYTES} bytes each); {guess}"
    points = values[: len(values) // WIDTH * WIDTH].reshape(-1, WIDTH)
    with np.errstate(invalid="ignore"):
        far = int((np.abs(points[:, :3]) > FARTHEST).any(1).sum())
    if far > 0.1 * len(points):
        return (
            f"{shown}: {far:,} of the first {len(points):,} points are farther than {FARTHEST:,.0f} m; a point is four "
            "little-endian 4-byte floats in metres (not 8-byte ones, not a text or PCD file)"
        )
    return None


def likely_width(values: np.ndarray, size: int) -> int | None:
    """Numbers a point of a file of ``size`` bytes that begins with ``values``, where it is clearly another count than four."""
    whole = [w for w in _OTHER_WIDTHS if size % (4 * w) == 0 and len(values) // w >= _FEWEST.get(w, 12)]
    if not whole:
        return None
    magnitude = np.log(np.abs(np.where(np.isfinite(values), values, 0)).astype(np.float64) + 0.01)
    mixed = _within_columns(magnitude, WIDTH)
    spread = {w: _within_columns(magnitude, w) for w in whole}
    least = min(spread.values())
    if least >= _MUCH_BETTER * mixed:
        return None
    return min(w for w in whole if spread[w] <= 1.1 * least)  # not twice the width


def _within_columns(values: np.ndarray, width: int) -> float:
    """Mean variance of the columns when ``values`` are written in rows of ``width``."""
    table = values[: len(values) // width * width].reshape(-1, width)
    return float(table.var(axis=0, ddof=1).mean()) if len(table) > 1 else 0.0


def _numbers(raw: bytes) -> np.ndarray:
    """The first numbers in some bytes; what is left over at the end is no number."""
    return np.frombuffer(raw[: min(LOOKED_AT, len(raw) // 4) * 4], dtype="<f4")
