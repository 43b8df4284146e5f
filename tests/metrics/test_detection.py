"""KITTI's AP as a metric of a training: collected frame by frame, on several devices, equal to the evaluation of files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ncp.metrics import kitti
from ncp.metrics.detection import KittiScores
from ncp.metrics.kitti_files import Objects, results, write_objects
from ncp.metrics.kitti_names import SHORT, short

CLASSES = ("Car", "Pedestrian", "Cyclist")


class Plain:
    """Frames whose LiDAR is the camera: boxes (x, y, z, l, w, h, yaw) are written down as they are, 60 pixels high."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self.objects = []
        for _ in range(count):
            values = np.zeros((6, 14))
            values[:, 3:7] = 100 * np.arange(6)[:, None] + np.array([0, 10, 90, 70])
            values[:, 7:10] = rng.uniform(1.4, 2, (6, 3))
            values[:, 10:13] = np.column_stack([8 * np.arange(6), np.full(6, 1.7), rng.uniform(10, 30, 6)])
            self.objects.append(Objects(np.array(CLASSES * 2), values))

    def truth(self, index: int) -> Objects:
        return self.objects[index]

    def results(self, index: int, boxes_K7: np.ndarray, labels_K: np.ndarray, scores_K: np.ndarray) -> Objects:
        count = len(boxes_K7)
        names = [CLASSES[i] for i in labels_K]
        left = 100 * np.round(boxes_K7[:, 0] / 8)
        image = np.column_stack([left, np.full(count, 10.0), left + 90, np.full(count, 70.0)])
        return results(names, np.zeros(count), image, boxes_K7[:, [5, 4, 3]], boxes_K7[:, :3], boxes_K7[:, 6], scores_K)


def _found(frames: Plain, index: int, rng: np.random.Generator, noise: float) -> tuple[torch.Tensor, ...]:
    values = frames.objects[index].values
    boxes = np.column_stack([values[:, 10:13], values[:, [9, 8, 7]], values[:, 13]])
    boxes[:, 1:3] += rng.normal(0, noise, (6, 2))
    keep = rng.uniform(size=6) < 0.8
    scores = rng.uniform(size=6)
    labels = np.array([0, 1, 2] * 2)
    return tuple(torch.from_numpy(v[keep]) for v in (boxes, labels, scores))


def test_equal_to_the_evaluation_of_written_files(tmp_path: Path) -> None:
    frames, rng = Plain(8), np.random.default_rng(1)
    metric = KittiScores(frames)
    (tmp_path / "labels").mkdir()
    (tmp_path / "results").mkdir()
    for index in (5, 0, 3, 7, 1, 2, 4, 6):  # in any order
        boxes, labels, scores = _found(frames, index, rng, 0.15)
        metric.update(index, boxes, labels, scores)
        found = frames.results(index, boxes.numpy(), labels.numpy(), scores.numpy())
        write_objects(tmp_path / "labels" / f"{index:06d}.txt", frames.truth(index))
        write_objects(tmp_path / "results" / f"{index:06d}.txt", found)
    values = metric.compute()
    on_disk = kitti.evaluate(tmp_path / "labels", tmp_path / "results")
    assert {name: pytest.approx(on_disk[key]["AP11"], abs=1e-3) for name, key in SHORT.items()} == values
    assert 5 < values["moderate"] < 95
    assert values == short(metric.full, kitti.CLASSES)
    assert sorted(metric.results) == list(range(8))
    metric.reset()
    assert len(metric.indices) == 0


def test_the_overlap_asked_for_is_used() -> None:
    frames = Plain(25)
    scores = {}
    for name, overlap in (("strict", 0.9), ("loose", 0.2)):
        metric, rng = KittiScores(frames, dict.fromkeys(kitti.CLASSES, overlap)), np.random.default_rng(2)
        for index in range(25):
            metric.update(index, *_found(frames, index, rng, 0.2))
        scores[name] = metric.compute()["moderate"]
    assert scores["strict"] < 20 < 60 < scores["loose"]


def test_frames_without_detections_and_none_at_all() -> None:
    metric = KittiScores(Plain(2))
    for index in range(2):
        metric.update(index, torch.zeros(0, 7), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    assert set(metric.compute().values()) == {0.0}
    assert sorted(metric.results) == [0, 1]
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert set(KittiScores(Plain(1)).compute().values()) == {0.0}
