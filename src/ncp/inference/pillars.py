"""Which points of a scene a detector reads, and in which pillar each stands: :func:`ncp.models.pillars.pillarise` in numpy."""

from __future__ import annotations

import numpy as np

from ncp.card import SeenSpace
from ncp.metrics.anchors import grid_size


def chosen(points_N4: np.ndarray, space: SeenSpace) -> tuple[np.ndarray, np.ndarray]:
    """The points that are kept, and their pillars.

    Args:
        points_N4: x, y, z, reflectance, float32.
        space: limits, and how many points and pillars are kept: of each pillar the first points, and of the pillars those whose
            first point comes earliest.

    Returns:
        ``(M, 4)`` float32 and ``(M,)`` int64, row * W + column, ascending.
    """
    height, width = grid_size(space.limits, space.pillar)
    low, high = (np.array(part, dtype=np.float32) for part in (space.limits[:3], space.limits[3:]))
    points = np.asarray(points_N4, dtype=np.float32)
    points = points[((points[:, :3] >= low) & (points[:, :3] < high)).all(1)]
    place = np.floor((points[:, :2] - low[:2]) / np.float32(space.pillar)).astype(np.int64)
    column, row = np.clip(place[:, 0], 0, width - 1), np.clip(place[:, 1], 0, height - 1)
    cells = row * width + column
    order = np.argsort(cells, kind="stable")
    sorted_cells = cells[order]
    _, start, lengths = np.unique(sorted_cells, return_index=True, return_counts=True)
    early = np.ones(len(start), dtype=bool)
    if len(start) > space.max_pillars:
        early[np.argsort(order[start], kind="stable")[space.max_pillars :]] = False
    nth = np.arange(len(order)) - np.repeat(start, lengths)
    kept = np.repeat(early, lengths) & (nth < space.max_points)
    return points[order[kept]], sorted_cells[kept]
