"""The anchor head's own part: from what the layers write to boxes. mmdetection3d's classes only hold them; here others do."""

import importlib
import math
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch


class Boxes:
    """Their boxes in LiDAR coordinates: the numbers, and where in the box its place is."""

    def __init__(self, tensor, origin):
        self.tensor, self.origin = tensor, origin

    def __len__(self):
        return len(self.tensor)


class Base(torch.nn.Module):
    """Their head as far as it is used."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes


@pytest.fixture
def head(monkeypatch):
    pytest.importorskip("mmengine", reason="needs mmengine: pip install 'ncp-nas[mmseg]'")
    import ncp.openmmlab

    parts = {
        "mmdet3d": {},
        "mmdet3d.models": {},
        "mmdet3d.models.dense_heads": {"Anchor3DHead": Base},
        "mmdet3d.registry": {"MODELS": SimpleNamespace(register_module=lambda force: lambda kind: kind)},
        "mmdet3d.structures": {"LiDARInstance3DBoxes": Boxes},
    }
    for name, content in parts.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "ncp.openmmlab.head", raising=False)
    had = getattr(ncp.openmmlab, "head", None)
    yield importlib.import_module("ncp.openmmlab.head").NCPAnchorHead
    sys.modules.pop("ncp.openmmlab.head", None)
    if had is not None:  # the real one
        sys.modules["ncp.openmmlab.head"] = ncp.openmmlab.head = had


def test_maps_become_the_boxes_that_they_mean(head):
    """Two kinds of anchors on a map of 4 x 6 cells of half a metre; of each scene one or two are sure."""
    kinds, limits = [(4.0, 2.0, 1.5, -2.0), (1.0, 0.5, 1.8, -0.5)], (0.0, -1.0, -3.0, 3.0, 1.0, 1.0)
    nms = {"score": 0.1, "overlap": 0.5, "rotated": False, "before": 50, "most": 10}
    made = head(kinds=kinds, limits=limits, nms=nms, num_classes=2)
    scores, boxes, turns = (torch.zeros(2, width, 4, 6) for width in (4 * 2, 4 * 7, 4 * 2))
    scores -= 9
    # anchors of a cell: kind 0 along x, across y; kind 1 likewise; each has a score for either class
    scores[0, 2 * 2 + 1, 3, 1] = 2.0  # kind 1 along x, as class 1, row 3, column 1
    scores[1, 1 * 2 + 0, 0, 5] = 1.0  # kind 0 across, as class 0, row 0, column 5
    scores[1, 1 * 2 + 0, 0, 4] = 0.9  # the same half a metre beside it, which the first one suppresses
    boxes[0, 2 * 7 + 3, 3, 1] = math.log(1.5)  # half as long again
    first, second = made.predict_by_feat([scores], [boxes], [turns])
    for found, score, label in ((first, 2.0, 1), (second, 1.0, 0)):
        assert found.scores_3d.tolist() == pytest.approx([1 / (1 + math.exp(-score))])
        assert found.labels_3d.tolist() == [label]
        assert found.bboxes_3d.origin == (0.5, 0.5, 0.5)
    assert first.bboxes_3d.tensor[0, :6].tolist() == pytest.approx([0.75, 0.75, -0.5 + 0.9, 1.5, 0.5, 1.8], abs=1e-5)
    assert second.bboxes_3d.tensor[0, :6].tolist() == pytest.approx([2.75, -0.75, -2.0 + 0.75, 4.0, 2.0, 1.5], abs=1e-5)
    along, across = (float(found.bboxes_3d.tensor[0, 6]) for found in (first, second))
    assert math.sin(along) == pytest.approx(0, abs=1e-5)
    assert math.cos(across) == pytest.approx(0, abs=1e-5)
