"""Rotated overlap against shapely (another implementation, in float64) and hand-worked cases; numpy and torch alike."""

import numpy as np
import pytest
import shapely
import torch

from ncp.metrics import boxes

PAIRS = 5000


def _random(
    rng: np.random.Generator, n: int, spread: float = 2.0, size: tuple[float, float] = (0.1, 5.0)
) -> np.ndarray:
    return np.concatenate(
        [rng.uniform(-spread, spread, (n, 2)), rng.uniform(*size, (n, 2)), rng.uniform(-7, 7, (n, 1))], axis=1
    )


def _polygons(boxes_N5: np.ndarray) -> np.ndarray:
    """Corners by complex rotation, not by the code under test."""
    x, y, length, width, yaw = boxes_N5.T
    turn = np.exp(1j * yaw)
    centre = x + 1j * y
    corners = [centre + turn * (s * length / 2 + 1j * t * width / 2) for s, t in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
    points = np.stack([np.stack([c.real, c.imag], -1) for c in corners], 1)
    return shapely.polygons(points)


def _common_area(pa: np.ndarray, pb: np.ndarray) -> np.ndarray:
    """Shapely's area of the intersection, by way of the union where its intersection fails.

    GEOS answers an empty intersection for about one in 5,000 pairs that differ by a quarter turn but for rounding.
    """
    direct = shapely.area(shapely.intersection(pa, pb))
    by_union = shapely.area(pa) + shapely.area(pb) - shapely.area(shapely.union(pa, pb))
    return np.where((direct == 0) & (by_union > 1e-3), by_union, direct)


def _cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(7)
    a, b = _random(rng, PAIRS), _random(rng, PAIRS)
    turned = a.copy()
    turned[:, 4] += rng.integers(-4, 5, PAIRS) * np.pi / 2
    parallel = b.copy()
    parallel[:, 4] = a[:, 4] + rng.choice([0, np.pi / 2, np.pi], PAIRS)
    touching = a.copy()  # the neighbour in front, sharing a whole edge
    touching[:, 0] += a[:, 2] * np.cos(a[:, 4])
    touching[:, 1] += a[:, 2] * np.sin(a[:, 4])
    nested = a.copy()
    nested[:, 2:4] *= rng.uniform(0.01, 1, (PAIRS, 2))
    flat = b.copy()
    flat[:, 2] = 0
    nearly = a + rng.normal(0, 1e-9, a.shape)
    tiny_a, tiny_b = _random(rng, PAIRS, 1e-4, (1e-6, 1e-3)), _random(rng, PAIRS, 1e-4, (1e-6, 1e-3))
    offset = np.array([4e5, -5.8e6, 0, 0, 0])  # UTM-like coordinates
    axis_a, axis_b = np.round(a), np.round(b)
    axis_a[:, 4], axis_b[:, 4] = 0, np.pi / 2
    long = b * [1, 1, 40, 0.01, 1]
    return {
        "random": (a, b),
        "identical": (a, a.copy()),
        "turned by quarters": (a, turned),
        "parallel": (a, parallel),
        "touching": (a, touching),
        "nested": (a, nested),
        "one without length": (a, flat),
        "both without area": (flat, flat),
        "nearly identical": (a, nearly),
        "tiny": (tiny_a, tiny_b),
        "large coordinates": (a + offset, b + offset),
        "whole numbers": (axis_a, axis_b),
        "long and thin": (a, long),
        "far apart": (a, b + np.array([50, 0, 0, 0, 0])),
    }


CASES = _cases()


@pytest.mark.parametrize("name", CASES)
def test_intersection_and_iou_equal_shapely(name: str) -> None:
    a, b = CASES[name]
    pa, pb = _polygons(a), _polygons(b)
    expected = _common_area(pa, pb)
    found = boxes.intersection_bev(a, b)
    scale = 1 if name != "tiny" else 1e-6
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * scale)
    union = a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - expected
    iou = np.where(union > 0, expected / np.where(union > 0, union, 1), 0)
    paired = boxes.iou_bev(a[:300], b[:300]).diagonal()
    np.testing.assert_allclose(paired, iou[:300], rtol=0, atol=1e-6)
    tensors = boxes.intersection_bev(torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(tensors.numpy(), found, rtol=0, atol=1e-9)


def test_the_cases_are_what_they_say() -> None:
    """Guards against cases that would pass emptily."""
    share = {name: float((boxes.intersection_bev(a, b) > 1e-12).mean()) for name, (a, b) in CASES.items()}
    assert share["random"] > 0.5
    assert share["nested"] == share["identical"] == 1
    assert share["tiny"] > 0.5
    assert share["far apart"] == share["both without area"] == share["one without length"] == 0


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_iou_3d_against_shapely_times_height(kind) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    bev_a, bev_b = _random(rng, 60, 1.0), _random(rng, 70, 1.0)
    z_a, h_a = rng.uniform(-1, 1, 60), rng.uniform(0, 3, 60)
    z_b, h_b = rng.uniform(-1, 1, 70), rng.uniform(0, 3, 70)
    a = np.column_stack([bev_a[:, :2], z_a, bev_a[:, 2:4], h_a, bev_a[:, 4]])
    b = np.column_stack([bev_b[:, :2], z_b, bev_b[:, 2:4], h_b, bev_b[:, 4]])
    area = shapely.area(shapely.intersection(_polygons(bev_a)[:, None], _polygons(bev_b)[None]))
    height = np.minimum((z_a + h_a / 2)[:, None], z_b + h_b / 2) - np.maximum((z_a - h_a / 2)[:, None], z_b - h_b / 2)
    common = area * np.clip(height, 0, None)
    expected = common / (a[:, 3:6].prod(1)[:, None] + b[:, 3:6].prod(1) - common)
    assert (expected > 0.1).sum() > 100
    np.testing.assert_allclose(np.asarray(boxes.iou_3d(kind(a), kind(b))), expected, rtol=0, atol=1e-6)


def test_hand_worked() -> None:
    square = np.array([[0.0, 0, 2, 2, 0]])
    diamond = np.array([[0.0, 0, 2, 2, np.pi / 4]])
    octagon = 8 * (np.sqrt(2) - 1)  # two squares of side 2, turned by 45 degrees
    assert boxes.intersection_bev(square, diamond)[0] == pytest.approx(octagon, abs=1e-12)
    half = np.array([[1.0, 0, 2, 2, 0]])
    assert boxes.iou_bev(square, half)[0, 0] == pytest.approx(1 / 3, abs=1e-15)
    assert boxes.iou_bev(square, square)[0, 0] == pytest.approx(1, abs=1e-15)
    assert boxes.iou_bev(np.zeros((1, 5)), np.zeros((1, 5)))[0, 0] == 0
    assert boxes.iou_bev(np.zeros((0, 5)), square).shape == (0, 1)


def test_gradient_is_that_of_the_area() -> None:
    moving = torch.tensor([1.0, 0, 2, 2, 0.3], dtype=torch.float64, requires_grad=True)
    fixed = torch.tensor([0.0, 0.2, 3, 2, 0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda b: boxes.intersection_bev(fixed, b), (moving,))


def test_rectangles_around_and_beside() -> None:
    box = np.array([[1.0, 2, 4, 2, np.pi / 6], [0, 0, 4, 2, np.pi / 2 - 0.1]])
    x, y = boxes.corners_bev(box)
    around = np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], 1)
    np.testing.assert_allclose(boxes.standing_bev(box), around, atol=1e-12)
    np.testing.assert_allclose(boxes.nearest_bev(box), [[-1, 1, 3, 3], [-1, -2, 1, 2]], atol=1e-12)


def test_aligned_iou_equals_rotated_iou_without_rotation() -> None:
    rng = np.random.default_rng(3)
    a, b = _random(rng, 50), _random(rng, 40)
    a[:, 4] = b[:, 4] = 0
    aligned = boxes.iou_aligned(boxes.standing_bev(a), boxes.standing_bev(b))
    np.testing.assert_allclose(aligned, boxes.iou_bev(a, b), atol=1e-12)


def _slow_nms(overlap: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(overlap[i, k] <= threshold for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("number", [1, 120, 300])  # of fewer boxes than are measured at once, and of more
def test_suppression_against_a_plain_loop(rotated: bool, number: int) -> None:
    rng = np.random.default_rng(4)
    b, scores = _random(rng, number, 4.0), rng.uniform(size=number)
    polygons = _polygons(b)
    if not rotated:
        polygons = shapely.envelope(polygons)
    area = shapely.area(polygons)
    common = shapely.area(shapely.intersection(polygons[:, None], polygons[None]))
    expected = _slow_nms(common / (area[:, None] + area - common), scores, 0.5)
    assert number == 1 or 10 < len(expected) < number - 5
    assert boxes.suppress(b, scores, 0.5, rotated).tolist() == expected
    tensors = torch.from_numpy(b), torch.from_numpy(scores)
    assert boxes.suppress(*tensors, 0.5, rotated).tolist() == expected


def test_suppression_differs_where_rotation_matters() -> None:
    """Two long parallel diagonal boxes, side by side: their enclosing squares coincide, they themselves do not."""
    pair = np.array([[0.0, 0, 10, 1, np.pi / 4], [1.1, -1.1, 10, 1, np.pi / 4]])
    scores = np.array([0.5, 0.9])
    assert boxes.suppress(pair, scores, 0.5).tolist() == [1]
    assert boxes.suppress(pair, scores, 0.5, rotated=True).tolist() == [1, 0]
    assert boxes.suppress(np.zeros((0, 5)), np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("rotated", [False, True])
def test_most_boxes_are_the_first_of_all_that_are_kept(rotated: bool) -> None:
    rng = np.random.default_rng(3)
    given = np.column_stack([rng.uniform(0, 60, (400, 2)), rng.uniform(1, 5, (400, 2)), rng.uniform(-3, 3, 400)])
    scores = np.round(rng.uniform(0, 1, 400), 1)  # many are equal
    whole = boxes.suppress(given, scores, 0.3, rotated)
    assert len(whole) > 150
    for most in (1, 63, 64, 65, 100, len(whole), 1000):
        np.testing.assert_array_equal(boxes.suppress(given, scores, 0.3, rotated, most), whole[:most])
