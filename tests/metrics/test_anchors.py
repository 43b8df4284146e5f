"""What is found without torch is what the detector's own search finds."""

import numpy as np
import pytest
import torch

from ncp.metrics.anchors import KITTI_ANCHORS, decode, find, place
from ncp.models.anchors import Prediction, detect, encode

LIMITS = (0.0, -5.12, -3.0, 10.24, 5.12, 1.0)


@pytest.mark.parametrize(
    "options", [{}, {"rotated": True}, {"before": 20, "most": 10}, {"score": 0.9}, {"score": 0.9999}]
)
def test_found_as_in_an_evaluation(options):
    anchors, which = place(KITTI_ANCHORS, LIMITS, (16, 16))
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(1, len(anchors), 3, generator=random) * 2 - 1
    codes = torch.randn(1, len(anchors), 7, generator=random) * 0.3
    directions = torch.randn(1, len(anchors), 2, generator=random)
    (wanted,) = detect(Prediction(logits, codes, directions), torch.from_numpy(anchors), **options)
    found = find(logits[0].numpy(), codes[0].numpy(), directions[0].numpy(), anchors, **options)
    assert found.labels.tolist() == wanted.labels.tolist()
    assert found.scores == pytest.approx(wanted.scores.numpy(), abs=1e-6)
    assert found.boxes == pytest.approx(wanted.boxes.numpy(), abs=1e-4)
    assert len(found.scores) > 5 or options.get("score") == 0.9999
    assert set(which.tolist()) == {0, 1, 2}


def test_boxes_come_back_as_they_were_written():
    anchors, _ = place(KITTI_ANCHORS, LIMITS, (4, 4))
    rng = np.random.default_rng(0)
    boxes = anchors + rng.normal(0, 0.2, anchors.shape).astype(np.float32)
    boxes[:, 3:6] = np.abs(boxes[:, 3:6]) + 0.1
    codes = encode(torch.from_numpy(boxes), torch.from_numpy(anchors)).numpy()
    both = np.stack([decode(codes, anchors, np.full(len(codes), d)) for d in (0, 1)])
    assert both[0, :, :6] == pytest.approx(boxes[:, :6], abs=1e-4)
    turned = np.abs((both[:, :, 6] - boxes[:, 6] + np.pi) % (2 * np.pi) - np.pi)
    assert turned.min(0) == pytest.approx(0, abs=1e-4)
    assert turned.max(0) == pytest.approx(np.pi, abs=1e-4)
