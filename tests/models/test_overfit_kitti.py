"""Learning three real frames by heart: every labelled car, pedestrian and cyclist is found, exactly, first, and alone.

Anchors that overlap an object neither well nor badly belong to no loss: what they write is the network's guess, usually the same
object again, somewhat shifted. Whether the publication's suppression (from an overlap of .5 on) takes such a copy away is luck,
decided by the last bits of a processor's sums. So copies are suppressed as in the open implementations (.01: no two objects stand
in one place), and what the losses do demand, low scores of all background, is checked on the anchors themselves.
"""

from pathlib import Path

import kitti_by_heart
import msgspec
import numpy as np
import pytest
import torch

from ncp import card
from ncp.inference.detection import Finder, Scene
from ncp.inference.torch_network import TorchNetwork
from ncp.metrics.boxes import iou_3d
from ncp.models import detector_file
from ncp.models.anchors import BACKGROUND, lay_out, match
from ncp.models.detector import Detector

LEAST = (0.7, 0.5, 0.5)  # overlap of car, pedestrian, cyclist
FALSE = 0.3  # highest score of a box that is no object
COPY = 0.01  # overlap from which the lower of two boxes is a copy of the higher


def highest_of_background(detector: Detector, logits_BAN: torch.Tensor, batch: kitti_by_heart.Batch) -> float:
    """The highest score of any class at an anchor that overlaps no object enough to be undecided."""
    layout = lay_out(detector.anchors, detector.anchor_class, len(detector.kinds))
    matched = match(layout, batch["boxes"], batch["labels"], detector.kinds).owner
    return float(torch.sigmoid(logits_BAN[matched == BACKGROUND]).max())


@pytest.fixture(scope="module")
def by_heart(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Detector, kitti_by_heart.Batch]:
    return kitti_by_heart.learned(shared / "kitti_sample", tmp_path_factory.mktemp("cache"))


@pytest.mark.slow
def test_every_object_is_found_and_nothing_else(by_heart: tuple[Detector, kitti_by_heart.Batch]) -> None:
    detector, batch = by_heart
    with torch.no_grad():
        raw = detector(batch["points"], batch["counts"])
        scenes = detector.detect(raw, overlap=COPY)
    background = highest_of_background(detector, raw.classes.float(), batch)
    assert background <= FALSE
    counted = []
    for found, boxes, labels in zip(scenes, batch["boxes"], batch["labels"], strict=True):
        true, wanted = boxes[labels >= 0].double().numpy(), labels[labels >= 0].tolist()
        overlap = iou_3d(true, found.boxes.double().numpy())
        first = len(true)  # as many as there are objects: the best scores
        for k, label in enumerate(wanted):
            same = (found.labels[:first] == label).numpy()
            assert len(np.flatnonzero(same & (overlap[k, :first] >= LEAST[label]))) == 1, (label, found.scores[:5])
        assert (found.scores[:first] > FALSE).all()
        assert (found.scores[first:] <= FALSE).all(), found.scores[:5]
        counted += wanted
    assert sorted(counted) == [0, 0, 1, 2]


@pytest.mark.slow
def test_onnxruntime_finds_the_same_boxes(by_heart: tuple[Detector, kitti_by_heart.Batch], tmp_path: Path) -> None:
    """From the frames' points to boxes, without torch."""
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'ncp-nas[export]'")
    from ncp.inference.onnx_network import OnnxNetwork

    detector, batch = by_heart
    space = msgspec.convert(detector_file.space_of(detector, {"score": 0.05}), card.SeenSpace)
    told = card.make(
        where="'a'", task="det3d", architecture=kitti_by_heart.SMALL, classes=["Car", "Pedestrian", "Cyclist"], channels=64,
        size=kitti_by_heart.SIZE, mean=None, std=None, use=card.Use(space=space),
    )  # fmt: skip
    path = detector_file.export_onnx(detector, tmp_path / "a.onnx", told.text())
    find, want = Finder(OnnxNetwork(path, "cpu")), Finder(TorchNetwork(detector, told, "cpu"))
    number = 0
    for points in torch.split(batch["points"], batch["counts"].tolist()):
        scene = Scene(points.numpy(), None, (1, 1))
        found, wanted = find(scene).found, want(scene).found
        np.testing.assert_array_equal(found.labels, wanted.labels)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5, rtol=0)
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-4, rtol=0)
        number += len(found.boxes)
    assert number >= 4
