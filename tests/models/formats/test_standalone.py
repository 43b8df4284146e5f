"""The plain functions of exported detectors, against loops and another library's rectangles."""

import math

import numpy as np
import pytest
import torch
from shapely.geometry import box as rectangle

from ncp.models.formats import standalone as S


@pytest.fixture
def small(monkeypatch):
    """A space of 4 x 6 pillars of half a metre, in cells of 2 x 2, with two kinds of anchors."""
    for name, value in {
        "LIMITS": (0.0, -1.0, -2.0, 3.0, 1.0, 1.0), "PILLAR": 0.5, "GRID": (4, 6), "STRIDE": 2, "MAX_PILLARS": 5,
        "MAX_POINTS": 3, "ANCHORS": [(4.0, 2.0, 1.5, -2.0), (1.0, 0.5, 1.8, -0.5)], "OVERLAP": 0.3,
    }.items():  # fmt: skip
        monkeypatch.setattr(S, name, value)


def test_pillars_keep_the_first_points_of_the_first_pillars(small):
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.uniform([-0.5, -1.5, -3, 0], [3.5, 1.5, 2, 1], (200, 4))).float()
    by_pillar: dict[int, list[int]] = {}
    for i, (x, y, z, _) in enumerate(points.tolist()):
        if 0 <= x < 3 and -1 <= y < 1 and -2 <= z < 1:
            by_pillar.setdefault(math.floor((y + 1) / 0.5) * 6 + math.floor(x / 0.5), []).append(i)
    first = list(by_pillar)[:5]  # in the order in which their first points come
    wanted = [(i, cell) for cell in sorted(first) for i in by_pillar[cell][:3]]
    assert any(len(by_pillar[cell]) > 3 for cell in first)
    assert len(by_pillar) > 5
    kept, cells = S.pillars(points)
    assert cells.tolist() == [cell for _, cell in wanted]
    assert torch.equal(kept, points[[i for i, _ in wanted]])


def test_anchors_stand_at_the_centres_of_cells(small):
    anchors = S.make_anchors()
    assert anchors.shape == (2 * 3 * 4, 7)
    assert anchors[0].tolist() == pytest.approx([0.5, -0.5, -1.25, 4.0, 2.0, 1.5, 0.0])
    assert anchors[-1].tolist() == pytest.approx([2.5, 0.5, 0.4, 1.0, 0.5, 1.8, math.pi / 2])


def test_decoding_undoes_the_published_encoding():
    """Lang et al. 2019, section 2.3: offsets by the anchor's diagonal and height, logarithms of sides, difference of turns."""
    rng = np.random.default_rng(1)
    anchors = np.column_stack(
        [rng.uniform(-2, 2, (20, 3)), rng.uniform(0.5, 4, (20, 3)), rng.choice([0, math.pi / 2], 20)]
    )
    boxes = np.column_stack([rng.uniform(-3, 3, (20, 3)), rng.uniform(0.5, 4, (20, 3)), rng.uniform(-3.1, 3.1, 20)])
    diagonal = np.hypot(anchors[:, 3], anchors[:, 4])[:, None]
    codes = np.column_stack([
        (boxes[:, :2] - anchors[:, :2]) / diagonal, (boxes[:, 2] - anchors[:, 2]) / anchors[:, 5],
        np.log(boxes[:, 3:6] / anchors[:, 3:6]), boxes[:, 6] - anchors[:, 6],
    ])  # fmt: skip
    for direction in (0, 1):
        found = S.decode(*map(torch.from_numpy, (codes, anchors)), torch.full((20,), direction)).numpy()
        np.testing.assert_allclose(found[:, :6], boxes[:, :6], atol=1e-9)
        np.testing.assert_allclose(np.sin(found[:, 6] - boxes[:, 6]), 0, atol=1e-6)  # up to half a turn
        front = np.remainder(found[:, 6] - math.pi / 4, 2 * math.pi) < math.pi
        assert (front == (direction == 0)).all()


def test_suppression_is_that_of_enclosing_rectangles(small):
    rng = np.random.default_rng(2)
    boxes = np.column_stack(
        [rng.uniform(0, 4, (40, 2)), np.zeros(40), rng.uniform(0.5, 2, (40, 3)), rng.uniform(-3, 3, 40)]
    )
    shapes = []
    for x, y, _, long, wide, _, yaw in boxes:
        corners = (
            np.array([[long, wide], [long, -wide]])
            / 2
            @ [[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]]
        )
        reach = np.abs(corners).max(0)
        shapes.append(rectangle(x - reach[0], y - reach[1], x + reach[0], y + reach[1]))
    kept: list[int] = []
    for i, shape in enumerate(shapes):
        if all(shape.intersection(shapes[j]).area / shape.union(shapes[j]).area <= 0.3 for j in kept):
            kept.append(i)
    assert 5 < len(kept) < 35
    assert S.suppress(torch.from_numpy(boxes)).tolist() == kept
