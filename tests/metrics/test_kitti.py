"""KITTI AP against the official tool's recorded output, and against a plain loop over the rules on random scenes."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import shapely

from ncp.errors import UserError
from ncp.metrics import kitti
from ncp.metrics.kitti_files import Objects

OFFICIAL_NAMES = {"2d": "detection", "aos": "orientation", "bev": "detection_ground", "3d": "detection_3d"}


def test_equal_to_the_official_tool(shared: Path) -> None:
    """All 41 points of all 36 curves to the digits printed, and the printed AP11."""
    oracle = shared / "kitti_ap_oracle"
    start = time.process_time()
    found = kitti.evaluate(oracle / "label_2", oracle / "results")
    assert time.process_time() - start < 10
    printed = re.findall(r"^(\w+) AP: (\S+) (\S+) (\S+)$", (oracle / "official_cpp_stdout.txt").read_text(), re.M)
    assert len(printed) == 12
    official = {name: [float(v) for v in values] for name, *values in printed}
    curves = kitti.curves(*kitti.read_folders(oracle / "label_2", oracle / "results"))
    for name in kitti.CLASSES:
        for metric, suffix in OFFICIAL_NAMES.items():
            recorded = np.loadtxt(oracle / "results" / "plot" / f"{name}_{suffix}.txt")
            for level, difficulty in enumerate(kitti.DIFFICULTIES):
                key = f"{name}/{metric}/{difficulty}"
                np.testing.assert_allclose(curves[key], recorded[:, level + 1], atol=6e-7, err_msg=key)
                assert found[key]["AP11"] == pytest.approx(official[f"{name}_{suffix}"][level], abs=1e-4), key
                assert found[key]["AP40"] == pytest.approx(recorded[1:, level + 1].mean() * 100, abs=1e-4), key
    assert list(found) == list(curves)
    assert len(found) == 36


# --- a plain loop over the rules, one frame, object and detection at a time, with shapely's areas ---------------------


def _overlap(metric: str, d: np.ndarray, g: np.ndarray, of_detection: bool) -> float:
    def polygon(v: np.ndarray) -> shapely.Polygon:
        turn = np.exp(-1j * v[13])
        corners = [turn * (s * v[9] + 1j * t * v[8]) / 2 for s, t in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
        return shapely.Polygon([(v[10] + c.real, v[12] + c.imag) for c in corners])

    if metric == "2d":
        a, b = shapely.box(*d[3:7]), shapely.box(*g[3:7])
    else:
        a, b = polygon(d), polygon(g)
    common, size_a, size_b = a.intersection(b).area, a.area, b.area
    if metric == "3d":
        common *= max(0.0, min(d[11], g[11]) - max(d[11] - d[7], g[11] - g[7]))
        size_a, size_b = size_a * d[7], size_b * g[7]
    return common / (size_a if of_detection else size_a + size_b - common)


def _frame(name, metric, labels, results, roles, threshold):  # type: ignore[no-untyped-def]
    """Scores of hits (threshold None), or (hits, errors, similarity) at a threshold."""
    least = kitti.MIN_OVERLAP[name]
    object_role, detection_role = roles
    used = [False] * len(results)
    hits: list[tuple[int, int]] = []
    skip = [threshold is not None and s < threshold for s in results.score]
    for g in range(len(labels)):
        if object_role[g] == -1:
            continue
        pick, best, picked_ignored = -1, -1.0, False
        for d in range(len(results)):
            if detection_role[d] == -1 or used[d] or skip[d]:
                continue
            overlap = _overlap(metric, results.values[d], labels.values[g], False)
            if overlap <= least:
                continue
            if threshold is None:
                if pick < 0 or results.score[d] > best:
                    pick, best = d, results.score[d]
            elif detection_role[d] == 0 and (pick < 0 or picked_ignored or overlap > best):
                pick, best, picked_ignored = d, overlap, False
            elif detection_role[d] == 1 and pick < 0:
                pick, picked_ignored = d, True
        if pick >= 0:
            used[pick] = True
            if object_role[g] == 0 and detection_role[pick] == 0:
                hits.append((g, pick))
    if threshold is None:
        return [results.score[d] for _, d in hits]
    errors = 0
    areas = [v for t, v in zip(labels.types, labels.values, strict=True) if t == "DontCare"]
    for d in range(len(results)):
        if not used[d] and not skip[d] and detection_role[d] == 0:
            errors += not any(_overlap(metric, results.values[d], area, True) > least for area in areas)
    similarity = sum((1 + np.cos(labels.alpha[g] - results.alpha[d])) / 2 for g, d in hits)
    return len(hits), errors, similarity


def _roles(name: str, level: int, labels: Objects, results: Objects) -> tuple[list[int], list[int]]:
    near = {"car": "Van", "pedestrian": "Person_sitting"}.get(name)
    objects, detections = [], []
    for kind, v in zip(labels.types, labels.values, strict=True):
        beyond = v[1] > (0, 1, 2)[level] or v[0] > (0.15, 0.3, 0.5)[level] or v[6] - v[4] < (40, 25, 25)[level]
        objects.append((1 if beyond else 0) if kind.lower() == name else 1 if kind == near else -1)
    for kind, v in zip(results.types, results.values, strict=True):
        low = int(abs(v[4] - v[6])) < (40, 25, 25)[level]
        detections.append(1 if low else 0 if kind.lower() == name else -1)
    return objects, detections


def _plain_curves(name: str, metric: str, level: int, frames: list) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    roles = [_roles(name, level, *frame) for frame in frames]
    scores = sorted(
        (s for f, r in zip(frames, roles, strict=True) for s in _frame(name, metric, f[0], f[1], r, None)), reverse=True
    )
    total = sum(r[0].count(0) for r in roles)
    thresholds, recall = [], 0.0
    for i, score in enumerate(scores):
        if i + 1 < len(scores) and (i + 2) / total - recall < recall - (i + 1) / total:
            continue
        thresholds.append(score)
        recall += 1 / 40
    precision, similarity = np.zeros(41), np.zeros(41)
    for k, threshold in enumerate(thresholds):
        counted = np.sum(
            [_frame(name, metric, f[0], f[1], r, threshold) for f, r in zip(frames, roles, strict=True)], axis=0
        )
        if counted[0] + counted[1]:
            precision[k] = counted[0] / (counted[0] + counted[1])
            similarity[k] = counted[2] / (counted[0] + counted[1])
    return tuple(np.array([v[k:].max() for k in range(41)]) for v in (precision, similarity))  # type: ignore[return-value]


def _scene(rng: np.random.Generator) -> tuple[Objects, Objects]:
    """Objects of many kinds crowded together, and detections around them: many are nobody's, low, or of another class."""
    n = int(rng.integers(0, 7))
    kinds = np.array(["Car", "Van", "car", "Pedestrian", "Person_sitting", "Cyclist", "DontCare", "Truck"])
    types = rng.choice(kinds, n, p=[0.25, 0.1, 0.1, 0.2, 0.1, 0.15, 0.07, 0.03])
    values = np.zeros((n, 14))
    values[:, 0] = rng.choice([0, 0.2, 0.4, 0.6], n, p=[0.6, 0.2, 0.1, 0.1])
    values[:, 1] = rng.choice([0, 1, 2, 3], n, p=[0.5, 0.2, 0.2, 0.1])
    values[:, 2] = rng.uniform(-3, 3, n)
    corner = rng.uniform(0, 60, (n, 2))
    values[:, 3:5], values[:, 5:7] = corner, corner + rng.uniform([30, 22], [80, 60], (n, 2))
    values[:, 7:10] = rng.uniform(1.4, 2.0, (n, 3)) * [1, 1, 2]
    values[:, 10:13] = rng.uniform([-3, 1, 5], [3, 1.5, 11], (n, 3))
    values[:, 13] = rng.uniform(-3, 3, n)
    values[types == "DontCare", 7:14] = [-1, -1, -1, -1000, -1000, -1000, -10]
    source = rng.integers(0, max(n, 1), 2 * n)
    found = values[source] + rng.normal(0, 1, (2 * n, 14)) * ([0] * 2 + [0.3] + [2.0] * 4 + [0.06] * 6 + [0.05])
    again = types[source].copy()
    wrong = rng.uniform(size=2 * n) < 0.2
    again[wrong] = rng.choice(["Car", "Pedestrian", "Cyclist"], int(wrong.sum()))
    again[again == "DontCare"] = "Car"
    score = np.round(rng.uniform(size=(2 * n, 1)), 1)  # equal scores happen
    return Objects(types, values), Objects(again, np.hstack([found, score]))


def test_random_scenes_against_the_plain_loop() -> None:
    rng = np.random.default_rng(11)
    frames = [_scene(rng) for _ in range(40)]
    found = kitti.curves([f[0] for f in frames], [f[1] for f in frames])
    informative = 0
    for name in kitti.CLASSES:
        for level, difficulty in enumerate(kitti.DIFFICULTIES):
            for metric in ("2d", "bev", "3d"):
                precision, similarity = _plain_curves(name, metric, level, frames)
                key = f"{name}/{metric}/{difficulty}"
                np.testing.assert_allclose(found[key], precision, atol=1e-9, err_msg=key)
                informative += bool(0 < precision.mean() < 1)
                if metric == "2d":
                    np.testing.assert_allclose(found[f"{name}/aos/{difficulty}"], similarity, atol=1e-9)
    assert informative >= 20


# --- hand-worked ------------------------------------------------------------------------------------------------------


def _row(x: float, height: float = 50.0, score: float | None = None, alpha: float = 0.0) -> list[float]:
    row = [0, 0, alpha, 100 * x, 0, 100 * x + 90, height, 1.5, 1.6, 3.9, 10 * x, 1.6, 20, 0]
    return row if score is None else [*row, score]


def _objects(*rows: list[float], types: str = "Car") -> Objects:
    return Objects(np.array([types] * len(rows)), np.array(rows, dtype=float))


def test_perfect_detections_and_one_error() -> None:
    labels = [_objects(*[_row(x) for x in range(10)]) for _ in range(10)]
    perfect = [_objects(*[_row(x, score=0.9 - x / 100) for x in range(10)]) for _ in range(10)]
    ap = kitti.evaluate_objects(labels, perfect)
    assert ap["car/3d/easy"] == {"AP11": 100.0, "AP40": 100.0}
    assert ap["car/aos/hard"] == {"AP11": 100.0, "AP40": 100.0}
    assert ap["cyclist/3d/easy"] == {"AP11": 0.0, "AP40": 0.0}
    worst_first = [*perfect[:9], _objects(*[_row(x, score=0.9 - x / 100) for x in range(10)], _row(50, score=1.0))]
    ap = kitti.evaluate_objects(labels, worst_first)
    assert ap["car/3d/easy"]["AP11"] == pytest.approx(100 * 100 / 101)
    backwards = [_objects(*[_row(x, score=0.9 - x / 100, alpha=np.pi) for x in range(10)]) for _ in range(10)]
    ap = kitti.evaluate_objects(labels, backwards)
    assert ap["car/2d/easy"]["AP40"] == 100.0
    assert ap["car/aos/easy"]["AP40"] == pytest.approx(0, abs=1e-9)


def test_low_detections_of_another_class_take_objects() -> None:
    """The official tool's peculiarity: a low box of any class hides an object from the recall."""
    labels = [_objects(*[_row(x, height=41.0) for x in range(10)]) for _ in range(10)]
    good = [_row(x, height=41.0, score=0.5) for x in range(10)]
    low = _row(0, height=39.9, score=0.9)
    mixed = Objects(np.array(["Car"] * 10 + ["Pedestrian"]), np.array([*good, low]))
    ap = kitti.evaluate_objects(labels, [mixed] * 10)
    assert ap["car/2d/easy"]["AP40"] == pytest.approx(100 * 36 / 40)  # recall stops at 90 of 100: thresholds up to .9
    assert ap["car/2d/moderate"]["AP40"] == 100.0  # there it is of another class and high enough


def test_what_is_not_evaluated_is_nan() -> None:
    labels, found = [_objects(_row(0))], _objects(_row(0, score=1.0))
    flat = Objects(found.types, found.values.copy())
    flat.values[:, 2] = -10
    flat.values[:, 10:13] = -1000
    ap = kitti.evaluate_objects(labels, [flat])
    assert np.isnan([ap["car/aos/easy"]["AP11"], ap["car/bev/easy"]["AP11"], ap["car/3d/easy"]["AP40"]]).all()
    assert ap["car/2d/easy"]["AP11"] == pytest.approx(100 / 11)
    nothing = kitti.evaluate_objects(labels, [Objects(values=np.zeros((0, 15)))])
    assert {v for ap in nothing.values() for v in ap.values()} == {0.0}
    assert kitti.evaluate_objects([], [])["car/3d/easy"]["AP11"] == 0


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    labels, results = tmp_path / "label_2", tmp_path / "results"
    labels.mkdir()
    results.mkdir()
    line = "Car 0.00 0 1.85 387.63 181.54 423.81 233.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57"
    for frame in ("000000", "000001", "000002"):
        (labels / f"{frame}.txt").write_text(line + "\n")
        if frame != "000002":
            (results / f"{frame}.txt").write_text(line + " 0.9\n")
    return labels, results


def test_frames_are_those_with_results_or_those_asked_for(folders: tuple[Path, Path]) -> None:
    labels, results = folders
    ap = kitti.evaluate(labels, results)
    assert ap["car/3d/easy"]["AP11"] == pytest.approx(100 / 11)  # two of two found: only the recalls 0 and 1/40 are set
    assert ap["car/3d/easy"]["AP40"] == pytest.approx(100 / 40)
    assert len(kitti.read_folders(labels, results, ["000001"])[0]) == 1
    with pytest.raises(UserError, match=r"the name of a frame '\.\./000001' cannot be part of a path"):
        kitti.read_folders(labels, results, ["../000001"])
    with pytest.raises(UserError, match=r"1 of 2 frames have no result file .* first is 000002; .* empty file"):
        kitti.evaluate(labels, results, ["000001", "000002"])
    (results / "stats_car.txt").write_text("1.0\n")
    assert len(kitti.read_folders(labels, results)[0]) == 2
    (results / "data").mkdir()
    with pytest.raises(UserError, match="holds no result files"):
        kitti.evaluate(labels, results)


def test_bad_folders_and_lines(folders: tuple[Path, Path]) -> None:
    labels, results = folders
    with pytest.raises(UserError, match="is not a folder"):
        kitti.evaluate(labels, results / "none")
    (results / "000009.txt").write_text("")
    with pytest.raises(UserError, match="no label file"):
        kitti.evaluate(labels, results)
    (labels / "000009.txt").write_text("Dragon" + " 0" * 14)
    with pytest.warns(UserWarning, match=r"Dragon \(1\)"):
        kitti.evaluate(labels, results)
    (results / "000001.txt").write_text("Car 1 2 3\n")
    with pytest.raises(UserError, match=r"000001.txt, line 1: 4 columns"):
        kitti.evaluate(labels, results)
    with pytest.raises(UserError, match="every frame needs both"):
        kitti.curves([Objects()], [])


def test_labels_and_results_without_boxes_in_the_image_are_refused(folders: tuple[Path, Path]) -> None:
    """All would be ignored at every difficulty, and perfect detections had 0: the rule is told instead."""
    labels, results = folders
    flat = "Car 0.00 0 1.85 0 0 0 0 1.67 1.87 3.69 -16.53 2.39 58.49 1.57"
    whole = (labels / "000000.txt").read_text()
    for frame in ("000000", "000001"):
        (labels / f"{frame}.txt").write_text(flat + "\n")
    with pytest.raises(
        UserError, match=r"no labelled object in '.*label_2' has a box in the image .*000000\.txt.*all AP would be 0"
    ):
        kitti.evaluate(labels, results)
    (labels / "000000.txt").write_text(whole)
    with pytest.warns(
        UserWarning, match=r"1 of 2 labelled objects have no box in the image and are ignored, .* 000001\.txt"
    ):
        kitti.evaluate(labels, results)
    (labels / "000001.txt").write_text("")  # a frame without objects is none without boxes
    kitti.evaluate(labels, results)
    for frame in ("000000", "000001"):
        (results / f"{frame}.txt").write_text(flat + " 0.5\n")
    with pytest.raises(UserError, match=r"no detection in '.*results' has a box in the image"):
        kitti.evaluate(labels, results)


def test_needs_numpy_alone() -> None:
    code = "import sys, ncp.metrics.kitti; print(sorted({'torch', 'scipy', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
