"""Learning three real frames by heart: every labelled car, pedestrian and cyclist is found, exactly, first, and alone.

Anchors that overlap an object neither well nor badly belong to no loss: what they write is the network's guess, usually the same
object again, somewhat shifted. Whether the publication's suppression (from an overlap of .5 on) takes such a copy away is luck,
decided by the last bits of a processor's sums. So copies are suppressed as in the open implementations (.01: no two objects stand
in one place), and what the losses do demand, low scores of all background, is checked on the anchors themselves.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from ncp.data.base import Key
from ncp.data.kitti import Kitti, collate
from ncp.metrics.boxes import iou_3d
from ncp.models import build
from ncp.models.anchors import BACKGROUND, match
from ncp.models.detector import Detector
from ncp.models.pillars import Grid
from ncp.tasks.schedules import one_cycle

SMALL = "16_16-1_1_1_16-1_2_1_1_16_16-1_3_1_1_1_16_16_16-1_4_1_1_1_1_16_16_16_16-64"
STEPS, RATE = 110, 1e-2
# of each frame the part that holds its objects, for the time that all of KITTI's 496 x 432 pillars would take
CORNERS, SIZE = torch.tensor([[176, 0], [208, 272], [160, 160]]), (160, 112)  # rows and columns of pillars
LEAST = (0.7, 0.5, 0.5)  # overlap of car, pedestrian, cyclist
FALSE = 0.3  # highest score of a box that is no object
COPY = 0.01  # overlap from which the lower of two boxes is a copy of the higher


def parts(batch: dict[str, torch.Tensor], data: Kitti) -> tuple[dict[str, torch.Tensor], Grid]:
    """The parts of the frames, each moved to where the map begins, and the small map."""
    x, y, bottom, *_, top = data.limits
    low, sides = torch.tensor([x, y]), torch.tensor([SIZE[1], SIZE[0]]) * data.pillar
    shift_B2 = CORNERS.flip(1) * data.pillar  # x follows the columns, y the rows
    points, counts = batch["points"].clone(), batch["counts"]
    scene_N = torch.repeat_interleave(torch.arange(len(counts)), counts)
    points[:, :2] -= shift_B2[scene_N]
    inside_N = ((points[:, :2] >= low) & (points[:, :2] < low + sides)).all(1)
    boxes = batch["boxes"].clone()
    boxes[..., :2] -= shift_B2[:, None]
    outside = ((boxes[..., :2] < low) | (boxes[..., :2] >= low + sides)).any(-1)
    cut = {
        "points": points[inside_N],
        "counts": torch.bincount(scene_N[inside_N], minlength=len(counts)),
        "boxes": boxes,
    }
    cut["labels"] = torch.where(outside, -1, batch["labels"])
    return cut, Grid((x, y, bottom, x + float(sides[0]), y + float(sides[1]), top), data.pillar, SIZE)


def learn(detector: Detector, batch: dict[str, torch.Tensor]) -> None:
    """Train on one batch alone, without any change of it."""
    for module in detector.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.2  # few steps, always the same scenes
    optimizer = torch.optim.AdamW(detector.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.0)
    rate = one_cycle(RATE, RATE / 10, RATE / 100, 0.3)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(step / STEPS)
        found = detector(batch["points"], batch["counts"])
        loss = sum(detector.losses(found, batch["boxes"], batch["labels"]).values())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 35.0)
        optimizer.step()


def highest_of_background(detector: Detector, logits_BAN: torch.Tensor, batch: dict[str, torch.Tensor]) -> float:
    """The highest score of any class at an anchor that overlaps no object enough to be undecided."""
    pairs = zip(batch["boxes"], batch["labels"], strict=True)
    matched = [match(detector.anchors, detector.anchor_class, b, k, detector.kinds) for b, k in pairs]
    return float(torch.sigmoid(logits_BAN[torch.stack(matched) == BACKGROUND]).max())


@pytest.mark.slow
def test_every_object_is_found_and_nothing_else(shared: Path, tmp_path: Path) -> None:
    data = Kitti(root=shared / "kitti_sample", counts=None, train_split="all", val_split="all", cache=tmp_path)
    data.setup()
    torch.manual_seed(0)
    batch, grid = parts(collate([data.val_set[Key(-1, i)] for i in range(3)]), data)
    detector = Detector(build(SMALL, task="det3d"), grid)
    learn(detector, batch)
    detector.eval()
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
