"""What detection's figures are called: in the paper's tables, in KITTI's terms, and in words with their overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
MAIN = "moderate"
"""The figure that a detection's training is judged by."""
_WORDS = {"2d": "2D AP", "bev": "BEV AP", "3d": "3D AP", "aos": "AOS"}


def is_kitti(classes: Iterable[str]) -> bool:
    """Whether these are KITTI's three classes."""
    return {name.lower() for name in classes} == {"car", "pedestrian", "cyclist"}


def names_of(classes: Sequence[str]) -> dict[str, str]:
    """The figures that are told of classes -> as KITTI's tools name them. Of KITTI's own classes those of the paper's tables, of
    others 3D and bird's-eye view of each, beside the mean :data:`MAIN`, which has no such name.

    >>> names_of(["forklift"])
    {'forklift-3D': 'forklift/3d/moderate', 'forklift-BEV': 'forklift/bev/moderate'}
    """
    if is_kitti(classes):
        return dict(SHORT)
    return {
        f"{name}-{word}": f"{name}/{kind}/moderate" for name in classes for word, kind in (("3D", "3d"), ("BEV", "bev"))
    }


def short(full: Mapping[str, Mapping[str, float]], classes: Sequence[str]) -> dict[str, float]:
    """The told figures (average precision at 11 recalls) out of all; of classes other than KITTI's :data:`MAIN` is the mean of
    their 3D figures."""
    found = {name: full[key]["AP11"] for name, key in names_of(classes).items()}
    if is_kitti(classes):
        return found
    own = [full[f"{name}/3d/moderate"]["AP11"] for name in classes]
    known = [value for value in own if value == value]
    return {MAIN: sum(known) / len(known) if known else float("nan"), **found}


def _of_kitti(min_overlap: Mapping[str, float]) -> bool:
    """Whether overlaps are of KITTI's classes, or of some of them alone."""
    return {name.lower() for name in min_overlap} <= {"car", "pedestrian", "cyclist"}


def _names(min_overlap: Mapping[str, float]) -> dict[str, str]:
    return dict(SHORT) if _of_kitti(min_overlap) else names_of(list(min_overlap))


def overlap_of(name: str, min_overlap: Mapping[str, float]) -> float | None:
    """The overlap (IoU) from which a box counts as found in a figure, without which it means nothing.

    Args:
        name: of the paper's tables, or one of KITTI's, such as ``car/3d/moderate``; None is told of others.
        min_overlap: by class.
    """
    if name == MAIN and min_overlap and not _of_kitti(min_overlap):
        return None
    parts = _names(min_overlap).get(name, name).split("/")
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
    if name == MAIN and min_overlap and not _of_kitti(min_overlap):
        return "3D AP, moderate, mean of the classes"
    overlap = overlap_of(name, min_overlap)
    if overlap is None:
        return name
    kind, metric, *rest = _names(min_overlap).get(name, name).split("/")
    return ", ".join([f"{kind} {_WORDS[metric]} at IoU {overlap:g}", *rest])
