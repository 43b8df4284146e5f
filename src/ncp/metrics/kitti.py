"""KITTI's average precision (2D, bird's-eye view, 3D) and average orientation similarity, as the official tool counts them.

>>> ap = evaluate("label_2", "results")                        # doctest: +SKIP
>>> ap["car/3d/moderate"]["AP11"], ap["car/3d/moderate"]["AP40"]  # doctest: +SKIP

The rules, from the object development kit's evaluation (the peculiar ones are kept, since they move the numbers):

* An object counts when its image height, occlusion and truncation are within the difficulty's limits; otherwise, and for
  the neighbouring classes (Van for Car, Person_sitting for Pedestrian), it is ignored: it may take a detection, without
  credit. Every other class is no object at all.
* A detection lower than the difficulty's height (its height cut to whole pixels) is ignored *whatever its class*; it may
  take an object away from the recall, without credit.
* Objects choose in the file's order. To find the score thresholds each takes the free detection with the highest score; to
  count at a threshold each takes the free one with the greatest overlap, an ignored one only when there is no other.
* A free detection that lies in a DontCare area (by more than the class's minimum overlap of its own area) is no error.
* Precision is taken at the scores nearest to 41 equally spaced recalls and made falling from the right; where a recall is
  never reached it is 0. AP11 averages the recalls 0, .1, ..., 1 and AP40 the recalls 1/40, ..., 1; both in percent.

Everything is counted for all frames and thresholds at once: only the turn of an object within its frame is a loop.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ncp import files
from ncp.errors import UserError
from ncp.metrics.boxes import intersection_bev
from ncp.metrics.kitti_files import Objects, read

CLASSES = ("car", "pedestrian", "cyclist")
METRICS = ("2d", "bev", "3d", "aos")
DIFFICULTIES = ("easy", "moderate", "hard")
MIN_OVERLAP = {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}
NEIGHBOUR = {"car": "van", "pedestrian": "person_sitting"}
MIN_HEIGHT = (40, 25, 25)  # pixels, by difficulty
MAX_OCCLUSION = (0, 1, 2)
MAX_TRUNCATION = (0.15, 0.3, 0.5)
RECALLS = 41
_UNKNOWN_ANGLE, _UNKNOWN_PLACE = -10.0, -1000.0

OBJECT, IGNORED, ABSENT = 0, 1, -1  # the part that an object or a detection plays


class _Flat(NamedTuple):
    """All frames' objects in one table; ``frame`` says where each belongs (ascending)."""

    frame: np.ndarray
    types: np.ndarray  # lower case
    values: np.ndarray


class _Pairs(NamedTuple):
    """Detections and objects of the same frame that might meet, ordered by object, then by detection."""

    object: np.ndarray
    detection: np.ndarray
    overlap: dict[str, np.ndarray]  # by metric: intersection over union


class _Candidates(NamedTuple):
    """For the k-th choosing object of every frame: the object, its detections (padded) and their overlaps (padded: 0)."""

    objects: np.ndarray  # (n,)
    detections: np.ndarray  # (n, K); the padding points past the last detection
    overlaps: np.ndarray  # (n, K)


def evaluate(
    label_dir: str | Path, result_dir: str | Path, frames: Sequence[str] | None = None
) -> dict[str, dict[str, float]]:
    """Average precision of a folder of result files.

    Args:
        label_dir: folder of label files (``label_2``).
        result_dir: folder of result files, or one that holds them in ``data`` (as the official tool wants it).
        frames: the frames to evaluate, such as the lines of ``ImageSets/val.txt``; each needs a result file, empty when
            nothing was found. Without it every frame that has a result file is evaluated, as in the official tool.

    Returns:
        ``{"car/3d/moderate": {"AP11": ..., "AP40": ...}, ...}`` in percent, for car, pedestrian, cyclist x 2d, bev, 3d,
        aos x easy, moderate, hard. NaN where the official tool does not evaluate: orientation when any detection has
        alpha -10, and what no detection of the class gives (no place in the image, or no location). A class that was
        never detected has 0.

    Raises:
        UserError: for a missing folder, a missing file or a malformed line (file, line and column are named), and where no
            label or no detection of the three classes has a box in the image: difficulties are heights in the image, so
            without boxes everything is ignored and even perfect detections have 0.
    """
    labels, results = read_folders(label_dir, result_dir, frames)
    return evaluate_objects(labels, results)


def evaluate_objects(
    labels: Sequence[Objects], results: Sequence[Objects], min_overlap: Mapping[str, float] = MIN_OVERLAP
) -> dict[str, dict[str, float]]:
    """As :func:`evaluate`, for frames in memory: ``labels[i]`` and ``results[i]`` are of the same frame.

    ``min_overlap`` says by class (in lower case) what counts as found; other values or classes than KITTI's make another metric.
    """
    out = {}
    for name, curve in curves(labels, results, min_overlap).items():
        out[name] = {"AP11": float(curve[::4].mean() * 100), "AP40": float(curve[1:].mean() * 100)}
    return out


def read_folders(
    label_dir: str | Path, result_dir: str | Path, frames: Sequence[str] | None = None
) -> tuple[list[Objects], list[Objects]]:
    """Labels and results of the frames to evaluate; arguments and errors of :func:`evaluate`."""
    label_dir, result_dir = Path(label_dir), Path(result_dir)
    for folder in (label_dir, result_dir):
        if not folder.is_dir():
            raise UserError(f"'{folder}' is not a folder; KITTI evaluation needs one of labels and one of results")
    if (result_dir / "data").is_dir():
        result_dir = result_dir / "data"
    if frames is None:
        frames = sorted(p.stem for p in result_dir.glob("*.txt") if p.stem.isdigit())
        if not frames:
            raise UserError(f"'{result_dir}' holds no result files (000000.txt, ...)")
    frames = [files.safe_name(frame, "name of a frame") for frame in frames]
    for folder, kind in ((result_dir, "result"), (label_dir, "label")):
        missing = [f for f in frames if not (folder / f"{f}.txt").is_file()]
        if missing:
            hint = "; a frame without detections needs an empty file" if kind == "result" else ""
            raise UserError(
                f"{len(missing)} of {len(frames)} frames have no {kind} file in '{folder}', the first is {missing[0]}{hint}"
            )
    labels = [read(label_dir / f"{f}.txt", scores=False) for f in frames]
    results = [read(result_dir / f"{f}.txt", scores=True) for f in frames]
    _check_image_boxes(labels, frames, label_dir, "labelled object")
    _check_image_boxes(results, frames, result_dir, "detection")
    unknown = Counter(name for objects in (*labels, *results) for name in objects.unknown())
    if unknown:
        names = ", ".join(f"{name} ({count})" for name, count in unknown.most_common(5))
        warnings.warn(f"objects of types that KITTI does not have are not evaluated: {names}", stacklevel=3)
    return labels, results


def _check_image_boxes(objects: Sequence[Objects], frames: Sequence[str], folder: Path, what: str) -> None:
    """Warn of objects without a box in the image, which no difficulty counts; refuse where none has one."""
    mine = [o.of(CLASSES) for o in objects]
    lacking = [int((own & ~o.in_image).sum()) for own, o in zip(mine, objects, strict=True)]
    total, without = int(sum(own.sum() for own in mine)), sum(lacking)
    if not without:
        return
    first = frames[next(i for i, count in enumerate(lacking) if count)]
    if without == total:
        raise UserError(
            f"no {what} in '{folder}' has a box in the image (columns 5 to 8; the first without is in {first}.txt): the "
            "difficulties are heights in the image, so all AP would be 0; write the boxes' rectangles in the image"
        )
    # detections at the border of the image often are a line wide, and the official tool ignores them too
    if what != "detection":
        warnings.warn(
            f"{without} of {total} {what}s have no box in the image and are ignored, the first in {first}.txt",
            stacklevel=4,
        )


def curves(
    labels: Sequence[Objects], results: Sequence[Objects], min_overlap: Mapping[str, float] = MIN_OVERLAP
) -> dict[str, np.ndarray]:
    """Precision (orientation similarity for ``aos``) at the 41 recalls: ``{"car/3d/moderate": (41,), ...}`` in 0..1."""
    if len(labels) != len(results):
        raise UserError(f"labels of {len(labels)} frames and results of {len(results)}: every frame needs both")
    objects, detections = _flatten(labels, 14), _flatten(results, 15)
    pairs = _pairs(objects, detections, min_overlap)
    oriented = not (detections.values[:, 2] == _UNKNOWN_ANGLE).any()
    in_dontcare = _dontcare_overlap(objects, detections)
    out: dict[str, np.ndarray] = {}
    classes = tuple(min_overlap)
    for name in classes:
        given = _given(name, detections)
        for metric in ("2d", "bev", "3d"):
            for level, difficulty in enumerate(DIFFICULTIES):
                precision, similarity = _curve(
                    name, metric, level, min_overlap[name], objects, detections, pairs, in_dontcare
                )
                void = np.full(RECALLS, np.nan)
                out[f"{name}/{metric}/{difficulty}"] = precision if given[metric] else void
                if metric == "2d":
                    out[f"{name}/aos/{difficulty}"] = similarity if given[metric] and oriented else void
    order = [f"{c}/{m}/{d}" for c in classes for m in METRICS for d in DIFFICULTIES]
    return {key: out[key] for key in order}


def _flatten(frames: Sequence[Objects], columns: int) -> _Flat:
    counts = [len(objects) for objects in frames]
    types = [t.lower() for objects in frames for t in objects.types.tolist()]
    values = [objects.values[:, :columns] for objects in frames if len(objects)]
    table = np.concatenate(values) if values else np.zeros((0, columns))
    return _Flat(np.repeat(np.arange(len(frames)), counts), np.array(types, dtype="<U32"), table)


def _given(name: str, detections: _Flat) -> dict[str, bool]:
    """Whether the detections of a class have what each metric measures; true for a class without detections."""
    mine = detections.values[detections.types == name]
    if len(mine) == 0:
        return {"2d": True, "bev": True, "3d": True}
    place = mine[:, 10:13] != _UNKNOWN_PLACE
    return {"2d": bool((mine[:, 3] >= 0).any()), "bev": bool(place[:, 0].any()), "3d": bool(place[:, 1].any())}


def _same_frame(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pairs with equal (ascending) frame numbers, ordered by the first, then by the second."""
    start = np.searchsorted(second, first, "left")
    count = np.searchsorted(second, first, "right") - start
    i = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
    return i, np.repeat(start, count) + within


def _image_intersection(a_P4: np.ndarray, b_P4: np.ndarray) -> np.ndarray:
    sides = np.minimum(a_P4[:, 2:], b_P4[:, 2:]) - np.maximum(a_P4[:, :2], b_P4[:, :2])
    return np.where((sides > 0).all(1), sides.prod(1), 0.0)


def _image_area(boxes_P4: np.ndarray) -> np.ndarray:
    out: np.ndarray = (boxes_P4[:, 2] - boxes_P4[:, 0]) * (boxes_P4[:, 3] - boxes_P4[:, 1])
    return out


def _ground(values: np.ndarray) -> np.ndarray:
    """Boxes ``(P, 5)`` in the camera's x-z plane, where a positive rotation_y turns clockwise.

    Sizes of -1 mean "unknown"; they span the same rectangle as 1, here as in the official tool.
    """
    length, width = np.abs(values[:, 9]), np.abs(values[:, 8])
    return np.column_stack([values[:, 10], values[:, 12], length, width, -values[:, 13]])


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    out: np.ndarray = np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below != 0)
    return out


def _ground_intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Common area of ground boxes ``(P, 5)``; worked out only where the circles around them meet."""
    reach = (np.hypot(a[:, 2], a[:, 3]) + np.hypot(b[:, 2], b[:, 3])) / 2
    near = np.hypot(a[:, 0] - b[:, 0], a[:, 1] - b[:, 1]) <= reach
    common = np.zeros(len(a))
    common[near] = intersection_bev(a[near], b[near])
    return common


def _pairs(objects: _Flat, detections: _Flat, min_overlap: Mapping[str, float]) -> _Pairs:
    """Every detection with every object of its frame that some class could count, where they overlap by more than the least."""
    relevant = np.flatnonzero(np.isin(objects.types, (*min_overlap, *NEIGHBOUR.values())))
    least = min(min_overlap.values())
    i, j = _same_frame(objects.frame[relevant], detections.frame)
    i = relevant[i]
    g, d = objects.values[i], detections.values[j]
    image = _image_intersection(d[:, 3:7], g[:, 3:7])
    ground_d, ground_g = _ground(d), _ground(g)
    common = _ground_intersection(ground_d, ground_g)
    area_d, area_g = ground_d[:, 2] * ground_d[:, 3], ground_g[:, 2] * ground_g[:, 3]
    height = np.minimum(d[:, 11], g[:, 11]) - np.maximum(d[:, 11] - d[:, 7], g[:, 11] - g[:, 7])
    volume = common * np.maximum(height, 0.0)
    overlap = {
        "2d": _divide(image, _image_area(d[:, 3:7]) + _image_area(g[:, 3:7]) - image),
        "bev": _divide(common, area_d + area_g - common),
        "3d": _divide(volume, area_d * d[:, 7] + area_g * g[:, 7] - volume),
    }
    touching = np.logical_or.reduce([values > least for values in overlap.values()])
    return _Pairs(i[touching], j[touching], {name: values[touching] for name, values in overlap.items()})


def _dontcare_overlap(objects: _Flat, detections: _Flat) -> dict[str, np.ndarray]:
    """By metric: the greatest part of each detection that one DontCare area covers, ``(D,)``.

    DontCare areas have no place on the ground; in the two other metrics they cover what also lies nowhere, at -1000.
    """
    areas = np.flatnonzero(objects.types == "dontcare")
    i, j = _same_frame(detections.frame, objects.frame[areas])
    d, g = detections.values[i], objects.values[areas[j]]
    image = _divide(_image_intersection(d[:, 3:7], g[:, 3:7]), _image_area(d[:, 3:7]))
    ground_d = _ground(d)
    ground = _divide(_ground_intersection(ground_d, _ground(g)), ground_d[:, 2] * ground_d[:, 3])
    out = {}
    for metric, part in (("2d", image), ("bev", ground), ("3d", np.zeros(len(i)))):
        out[metric] = np.zeros(len(detections.frame))
        np.maximum.at(out[metric], i, part)
    return out


def _object_roles(name: str, level: int, objects: _Flat) -> np.ndarray:
    """``(G,)``: which objects of a class count at a difficulty."""
    values = objects.values
    height = values[:, 6] - values[:, 4]
    beyond = (
        (values[:, 1] > MAX_OCCLUSION[level]) | (values[:, 0] > MAX_TRUNCATION[level]) | (height < MIN_HEIGHT[level])
    )
    own = objects.types == name
    beside = objects.types == NEIGHBOUR.get(name, "")
    return np.where(own & ~beyond, OBJECT, np.where(own | beside, IGNORED, ABSENT))


def _detection_roles(name: str, level: int, detections: _Flat) -> np.ndarray:
    """``(D,)``: which detections count; a low one is ignored whatever its class."""
    height = np.trunc(np.abs(detections.values[:, 4] - detections.values[:, 6]))
    return np.where(height < MIN_HEIGHT[level], IGNORED, np.where(detections.types == name, OBJECT, ABSENT))


def _candidates(
    pairs: _Pairs, chosen: np.ndarray, overlap: np.ndarray, frame: np.ndarray, none: int
) -> list[_Candidates]:
    """Group the chosen pairs by the turn of their object within its frame."""
    g, d, overlap = pairs.object[chosen], pairs.detection[chosen], overlap[chosen]
    objects, start, count = np.unique(g, return_index=True, return_counts=True)
    if len(objects) == 0:
        return []
    turn = np.arange(len(objects)) - np.searchsorted(frame[objects], frame[objects], "left")
    column = np.arange(len(g)) - np.repeat(start, count)
    detections = np.full((len(objects), int(count.max())), none)
    overlaps = np.zeros(detections.shape)
    row = np.repeat(np.arange(len(objects)), count)
    detections[row, column], overlaps[row, column] = d, overlap
    return [
        _Candidates(objects[turn == k], detections[turn == k], overlaps[turn == k]) for k in range(int(turn.max()) + 1)
    ]


def _curve(
    name: str,
    metric: str,
    level: int,
    least: float,
    objects: _Flat,
    detections: _Flat,
    pairs: _Pairs,
    in_dontcare: dict[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and orientation similarity at the 41 recalls for one class, metric and difficulty."""
    object_role, detection_role = _object_roles(name, level, objects), _detection_roles(name, level, detections)
    count = len(detection_role)
    overlap = pairs.overlap[metric]
    chosen = (overlap > least) & (object_role[pairs.object] != ABSENT) & (detection_role[pairs.detection] != ABSENT)
    turns = _candidates(pairs, chosen, overlap, objects.frame, count)
    role = np.append(detection_role, ABSENT)
    score = np.append(detections.values[:, 14], -np.inf)
    found = _scores_of_found(turns, object_role, role, score)
    thresholds = _thresholds(found, int((object_role == OBJECT).sum()))

    alpha_g, alpha_d = objects.values[:, 2], np.append(detections.values[:, 2], 0.0)
    taken, correct, similarity = _count_correct(turns, object_role, role, score, thresholds, alpha_g, alpha_d)
    rest = (role[:-1] == OBJECT) & ~(in_dontcare[metric] > least)
    wrong = ((score[:-1][rest] >= thresholds[:, None]) & ~taken[:, :-1][:, rest]).sum(1)
    precision, orientation = np.zeros(RECALLS), np.zeros(RECALLS)
    precision[: len(thresholds)] = _divide(correct, correct + wrong)
    orientation[: len(thresholds)] = _divide(similarity, correct + wrong)
    return np.maximum.accumulate(precision[::-1])[::-1], np.maximum.accumulate(orientation[::-1])[::-1]


def _scores_of_found(
    turns: list[_Candidates], object_role: np.ndarray, role: np.ndarray, score: np.ndarray
) -> np.ndarray:
    """Scores of the detections that find a counting object when each object takes the highest score."""
    taken = np.zeros(len(role), dtype=bool)
    taken[-1] = True
    out = [np.zeros(0)]
    for objects, candidates, _ in turns:
        free = np.where(taken[candidates], -np.inf, score[candidates])
        best = free.argmax(1)
        rows = np.arange(len(objects))
        some = free[rows, best] > -np.inf
        pick = candidates[rows, best][some]
        taken[pick] = True
        out.append(score[pick[(object_role[objects[some]] == OBJECT) & (role[pick] == OBJECT)]])
    return np.concatenate(out)


def _thresholds(scores: np.ndarray, objects: int) -> np.ndarray:
    """The scores at which recall comes nearest to 0, 1/40, 2/40, ...; at most 41, descending."""
    out: list[float] = []
    recall = 0.0
    ordered = np.sort(scores)[::-1].tolist()
    for i, score in enumerate(ordered):
        last = i == len(ordered) - 1
        left, right = (i + 1) / objects, (i + 2) / objects
        if not last and right - recall < recall - left:
            continue
        out.append(score)
        recall += 1.0 / (RECALLS - 1.0)
    return np.array(out)


def _count_correct(
    turns: list[_Candidates],
    object_role: np.ndarray,
    role: np.ndarray,
    score: np.ndarray,
    thresholds: np.ndarray,
    alpha_g: np.ndarray,
    alpha_d: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At each threshold (T): detections taken ``(T, D + 1)``, correct ones ``(T,)``, their summed similarity ``(T,)``."""
    steps = len(thresholds)
    taken = np.zeros((steps, len(role)), dtype=bool)
    taken[:, -1] = True
    correct, similarity = np.zeros(steps, dtype=np.int64), np.zeros(steps)
    every = np.arange(steps)[:, None]
    for objects, candidates, overlaps in turns:
        free = ~taken[:, candidates] & (score[candidates] >= thresholds[:, None, None])  # (T, n, K)
        counting = free & (role[candidates] == OBJECT)
        best = np.where(counting, overlaps, 0.0).argmax(2)
        some = counting.any(2)
        best = np.where(some, best, free.argmax(2))  # else the first of those that are ignored
        pick = np.take_along_axis(candidates[None], best[..., None], 2)[..., 0] if steps else best
        pick = np.where(free.any(2), pick, len(role) - 1)
        taken[every, pick] = True
        hit = some & (object_role[objects] == OBJECT)
        correct += hit.sum(1)
        agreement = (1 + np.cos(alpha_g[objects] - alpha_d[pick])) / 2
        similarity += np.where(hit, agreement, 0.0).sum(1)
    return taken, correct, similarity
