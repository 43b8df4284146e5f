"""What detection's figures are called: in the paper's tables, in KITTI's terms, and in words with their overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def overlap_of(name: str, min_overlap: Mapping[str, float]) -> float | None:
    """The overlap (IoU) from which a box counts as found in a figure, without which it means nothing.

    Args:
        name: of the paper's tables, or one of KITTI's, such as ``car/3d/moderate``; None is told of others.
        min_overlap: by class.
    """
    parts = SHORT.get(name, name).split("/")
    return min_overlap.get(parts[0]) if len(parts) > 2 and parts[1] in _WORDS else None


def labelled(name: str, min_overlap: Mapping[str, float]) -> str:
    """A figure's short name with its overlap, for tables. Arguments of :func:`overlap_of`.

    >>> labelled("moderate", {"car": 0.7}), labelled("mIoU", {})
    ('moderate (IoU 0.7)', 'mIoU')
    """
    overlap = overlap_of(name, min_overlap)
    return name if overlap is None else f"{name} (IoU {overlap:g})"


def labelled_objective(name: str, overlaps: Iterable[Mapping[str, Mapping[str, float]]]) -> str:
    """``setting.metric`` with the overlap (or overlaps) from which boxes count in its figures.

    Args:
        name: of the objective.
        overlaps: setting -> class -> overlap, of each source of figures.

    >>> labelled_objective("3ddet.moderate", [{"3ddet": {"car": 0.7}}, {"3ddet": {"car": 0.5}}])
    '3ddet.moderate (IoU 0.7) or moderate (IoU 0.5)'
    """
    setting, _, metric = name.rpartition(".")
    told = dict.fromkeys(labelled(metric, overlap.get(setting, {})) for overlap in overlaps)
    return f"{setting}.{' or '.join(told) or metric}"


def in_words(name: str, min_overlap: Mapping[str, float]) -> str:
    """What a figure is, with its overlap; other names are given back as they are. Arguments of :func:`overlap_of`.

    >>> in_words("moderate", {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5})
    'car 3D AP at IoU 0.7, moderate'
    """
    overlap = overlap_of(name, min_overlap)
    if overlap is None:
        return name
    kind, metric, *rest = SHORT.get(name, name).split("/")
    return ", ".join([f"{kind} {_WORDS[metric]} at IoU {overlap:g}", *rest])
