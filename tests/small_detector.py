"""A whole detector of the narrowest architecture over 5 metres, its card, and points that it sees."""

import msgspec
import torch

from ncp import card
from ncp.models import build, detector_file
from ncp.models.detector import Detector
from ncp.models.pillars import Grid

NARROW = "8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8"
GRID = Grid((0.0, -2.56, -3.0, 5.12, 2.56, 1.0), 0.16, (32, 32))


def detector(z_offset=False, network=None):
    """With weights and statistics that are not those of the start."""
    torch.manual_seed(0)
    made = Detector(network or build(NARROW, "det3d"), GRID, max_pillars=(30, 60), max_points=5, z_offset=z_offset)
    with torch.no_grad():
        for layer in (made.head.classes, made.head.boxes, made.head.directions):
            layer.weight.normal_(std=0.5)
    for _ in range(3):
        made.train()(cloud(200), torch.tensor([120, 80]))
    return made.eval()


def cloud(count, seed=1):
    random = torch.Generator().manual_seed(seed)
    xyz = torch.rand(count, 3, generator=random) * torch.tensor([5.2, 5.2, 4.2]) + torch.tensor([0.0, -2.6, -3.1])
    points = torch.cat([xyz, torch.rand(count, 1, generator=random)], 1)
    points[::3] = points[0] + 0.01 * torch.rand(len(points[::3]), 4, generator=random)  # many in one pillar
    return points


def about(made, **changes):
    space = msgspec.convert({**detector_file.space_of(made, {"score": 0.1}), **changes}, card.SeenSpace)
    return card.make(
        where="'a'", task="det3d", architecture=NARROW, classes=["Car", "Pedestrian", "Cyclist"], channels=64, size=(32, 32),
        mean=None, std=None, use=card.Use(space=space),
    )  # fmt: skip
