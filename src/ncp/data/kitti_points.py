"""KITTI's point files: four little-endian float32 a point, nothing else; a file of another layout is told from one of these.

Sets of other makers write 3, 5, 6 or 8 numbers a point (with ring, time, normals). Where the file's size is a whole number of
KITTI's points all the same, it would be read as noise. So the beginning of a file is looked at: in the right layout a column
holds numbers of one kind, and one point is like the next; in a wrong one all is mixed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ncp import files
from ncp.errors import UserError

WIDTH = 4  # x, y, z, reflectance
POINT_BYTES = 4 * WIDTH
LIMIT = 2**28  # bytes of a file: 16 million points, a hundred times KITTI's
LOOKED_AT = 840 * 2  # numbers at the beginning: whole points of every width below
FARTHEST, FINEST = 1e4, 1e-4  # metres; no LiDAR sees so far or so finely, so such numbers are something else
_OTHER_WIDTHS = (3, 5, 6, 7, 8)
_FEWEST = 12  # points of a width from which its columns can be judged


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
    finite = np.isfinite(points)
    if finite.all():  # at once: a reduction of every row takes longer than all the rest
        return points.copy(), 0
    kept = points[finite.all(1)]
    return kept, len(points) - len(kept)


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
        sizes = np.abs(points[:, :3])
        far = int((sizes > FARTHEST).any(1).sum())
        fine = int(((sizes < FINEST).all(1) & (sizes > 0).any(1)).sum())
    if far > 0.1 * len(points) or fine > 0.5 * len(points):
        return (
            f"{shown}: {max(far, fine):,} of the first {len(points):,} points have coordinates above {FARTHEST:,.0f} m or below "
            f"{1e3 * FINEST:g} mm; a point is four little-endian 4-byte floats in metres (no 8-byte ones, no text or PCD file)"
        )
    return None


def likely_width(values: np.ndarray, size: int) -> int | None:
    """Numbers a point of a file of ``size`` bytes that begins with ``values``, where it is clearly another count than four."""
    whole = [w for w in _OTHER_WIDTHS if size % (4 * w) == 0 and len(values) // w >= _FEWEST]
    if not whole:
        return None
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
    magnitude, signed = np.log(np.abs(finite) + 0.01), np.arcsinh(finite)
    if 2 * WIDTH in whole:
        whole.remove(2 * WIDTH)  # a low beam's and a high beam's points in turn look like it, but are about as far away
        table = magnitude[: len(values) // 8 * 8].reshape(-1, 8)
        if len(table) >= 2 * _FEWEST and np.abs(table[:, :2].mean(0) - table[:, 4:6].mean(0)).max() > 2:
            return 2 * WIDTH
    for likeness, much in (
        (_within_columns(magnitude), 0.7),
        (_within_columns(signed), 0.7),
        (_to_the_next(signed), 0.3),
    ):
        spread = {width: likeness(width) for width in (WIDTH, *whole)}
        least = min(spread.values())
        if least < much * spread[WIDTH]:
            return min(width for width in whole if spread[width] <= 1.1 * least)  # not twice the width
    return None


def _within_columns(values: np.ndarray) -> Callable[[int], float]:
    """How much the numbers of a column vary on average when ``values`` are written in rows of a width."""
    return lambda width: float(values[: len(values) // width * width].reshape(-1, width).var(axis=0, ddof=1).mean())


def _to_the_next(values: np.ndarray) -> Callable[[int], float]:
    """How far a number typically is from the one below it when ``values`` are written in rows of a width."""
    return lambda width: float(np.median(np.abs(values[width:] - values[:-width])))


def _numbers(raw: bytes) -> np.ndarray:
    """The first numbers in some bytes; what is left over at the end is no number."""
    return np.frombuffer(raw[: min(LOOKED_AT, len(raw) // 4) * 4], dtype="<f4")
