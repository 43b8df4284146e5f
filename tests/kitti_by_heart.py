"""A small detector that has learned the objects of three real KITTI frames by heart."""

from pathlib import Path

import torch

from ncp.data.base import Key
from ncp.data.kitti import Kitti, collate
from ncp.models import build
from ncp.models.detector import Detector
from ncp.models.pillars import Grid
from ncp.tasks.schedules import one_cycle

SMALL = "16_16-1_1_1_16-1_2_1_1_16_16-1_3_1_1_1_16_16_16-1_4_1_1_1_1_16_16_16_16-64"
STEPS, RATE = 110, 1e-2
# of each frame the part that holds its objects, for the time that all of KITTI's 496 x 432 pillars would take
CORNERS, SIZE = torch.tensor([[176, 0], [208, 272], [160, 160]]), (160, 112)  # rows and columns of pillars

Batch = dict[str, torch.Tensor]


def learned(root: Path, cache: Path, steps: int = STEPS) -> tuple[Detector, Batch]:
    """The detector over the parts, trained, and the batch of the parts.

    Args:
        root: of the three frames, as KITTI has them.
        cache: where the data set keeps what it derives.
        steps: fewer, where boxes need not be exact.
    """
    data = Kitti(root=root, counts=None, train_split="all", val_split="all", cache=cache)
    data.setup()
    torch.manual_seed(0)
    batch, grid = parts(collate([data.val_set[Key(-1, i)] for i in range(3)]), data)
    detector = Detector(build(SMALL, task="det3d"), grid)
    learn(detector, batch, steps)
    return detector.eval(), batch


def parts(batch: Batch, data: Kitti) -> tuple[Batch, Grid]:
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
    right, left = round(x + SIZE[1] * data.pillar, 6), round(y + SIZE[0] * data.pillar, 6)
    return cut, Grid((x, y, bottom, right, left, top), data.pillar, SIZE)


def learn(detector: Detector, batch: Batch, steps: int) -> None:
    """Train on one batch alone, without any change of it."""
    for module in detector.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.2  # few steps, always the same scenes
    optimizer = torch.optim.AdamW(detector.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.0)
    rate = one_cycle(RATE, RATE / 10, RATE / 100, 0.3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step / steps)
        found = detector(batch["points"], batch["counts"])
        loss = sum(detector.losses(found, batch["boxes"], batch["labels"]).values())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 35.0)
        optimizer.step()
