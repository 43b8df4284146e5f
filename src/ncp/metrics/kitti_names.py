"""What detection's figures are called: in the paper's tables, in KITTI's terms, and in words with their overlap."""

from __future__ import annotations

from collections.abc import Mapping

# the names of the paper's tables: average precision at 11 recalls, moderate
SHORT = {
    "moderate": "car/3d/moderate",
    "car-BEV": "car/bev/moderate",
    "ped-3D": "pedestrian/3d/moderate",
    "ped-BEV": "pedestrian/bev/moderate",
    "cyc-3D": "cyclist/3d/moderate",
    "cyc-BEV": "cyclist/bev/moderate",
    "car-AOS": "car/aos/moderate",
}
_WORDS = {"2d": "2D AP", "bev": "BEV AP", "3d": "3D AP", "aos": "AOS"}


def in_words(name: str, min_overlap: Mapping[str, float]) -> str:
    """What a figure is, with the overlap (IoU) from which a box counts as found, without which it means nothing.

    Args:
        name: of the paper's tables, or one of KITTI's, such as ``car/3d/moderate``; others are given back as they are.
        min_overlap: by class.

    >>> in_words("moderate", {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5})
    'car 3D AP, moderate, IoU 0.7'
    """
    parts = SHORT.get(name, name).split("/")
    if len(parts) < 3 or parts[0] not in min_overlap or parts[1] not in _WORDS:
        return name
    return ", ".join([f"{parts[0]} {_WORDS[parts[1]]}", *parts[2:], f"IoU {min_overlap[parts[0]]:g}"])
