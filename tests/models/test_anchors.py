"""Anchors, matching, box codes, losses and decoding against hand-worked cases and plain loops."""

import math

import numpy as np
import pytest
import torch
from taped import TapedGraphs
from torch.nn import functional as F
from torch.utils._python_dispatch import _disable_current_modes

from ncp.metrics.boxes import iou_aligned
from ncp.models import anchors as an

LIMITS = (0.0, -10.24, -3.0, 20.48, 10.24, 1.0)
CLASSES = an.KITTI_ANCHORS


def match(anchors, which, boxes, labels, classes, *more, **further):
    """Of one scene."""
    layout = an.lay_out(anchors, which, len(classes))
    return an.match(layout, boxes[None], labels[None], classes, *more, **further).owner[0]


def _made(size: tuple[int, int] = (64, 64)) -> tuple[torch.Tensor, torch.Tensor]:
    return an.make_anchors(CLASSES, LIMITS, size)


def test_anchors_stand_in_the_cells() -> None:
    anchors, which = an.make_anchors(CLASSES, (0.0, -39.68, -3.0, 69.12, 39.68, 1.0), (248, 216))
    assert anchors.shape == (248 * 216 * 6, 7)
    car = torch.tensor([0.16, -39.52, -1.0, 3.9, 1.6, 1.56, 0.0])  # bottom at -1.78
    torch.testing.assert_close(anchors[0], car)
    torch.testing.assert_close(anchors[1, 6], torch.tensor(math.pi / 2))
    torch.testing.assert_close(anchors[2], torch.tensor([0.16, -39.52, 0.265, 0.8, 0.6, 1.73, 0.0]))
    torch.testing.assert_close(anchors[4, 3:6], torch.tensor([1.76, 0.6, 1.73]))
    torch.testing.assert_close(anchors[6, :2], torch.tensor([0.48, -39.52]))  # the next column
    torch.testing.assert_close(anchors[216 * 6, :2], torch.tensor([0.16, -39.20]))  # the next row
    assert which[:7].tolist() == [0, 0, 1, 1, 2, 2, 0]


def _random_boxes(n: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    boxes = rng.uniform([2, -8, -1.5, 0.5, 0.5, 1.2, -3.1], [18, 8, 0.5, 5, 2, 2, 3.1], (n, 7))
    return torch.from_numpy(boxes).float()


def test_codes_decode_to_the_boxes() -> None:
    anchors, _ = _made()
    boxes = _random_boxes(500)
    mine = anchors[torch.randint(0, len(anchors), (500,), generator=torch.Generator().manual_seed(0))]
    codes = an.encode(boxes, mine)
    decoded = an.decode(codes, mine, an.direction_class(boxes[:, 6]))
    torch.testing.assert_close(decoded, boxes, rtol=1e-4, atol=1e-4)
    by_hand = an.encode(torch.tensor([1.0, 2, 3, 8, 4, 3, 0.5]), torch.tensor([0.0, 0, 0, 4, 3, 2, 0.1]))
    expected = torch.tensor([0.2, 0.4, 1.5, math.log(2), math.log(4 / 3), math.log(1.5), 0.4])
    torch.testing.assert_close(by_hand, expected)
    turned = an.decode(codes + torch.tensor([0.0] * 6 + [math.pi]), mine, an.direction_class(boxes[:, 6]))
    torch.testing.assert_close(turned, boxes, rtol=1e-4, atol=1e-3)  # half a turn is the direction class's business


def test_matching_against_a_plain_loop() -> None:
    anchors, which = _made((16, 16))
    boxes = torch.tensor(
        [
            [5.0, 1, -1, 3.8, 1.7, 1.5, 0.2],
            [12, -4, -1, 4.2, 1.6, 1.5, 1.5],
            [6.1, 5, 0, 0.8, 0.6, 1.7, 0],
            [0, 0, 0, 1, 1, 1, 0],
            [15, 6.3, 0, 1.7, 0.6, 1.7, -1.6],
        ]
    )
    labels = torch.tensor([0, 0, 1, -1, 2])
    found = match(anchors, which, boxes, labels, CLASSES)
    overlaps = {}
    for a in range(len(anchors)):
        for k in range(5):
            if labels[k] != which[a]:
                continue
            sides = []
            for x, length in ((0, 3), (1, 4)):
                spans = []
                for box in (anchors[a], boxes[k]):
                    along = length if abs(math.cos(box[6])) >= abs(math.sin(box[6])) else 7 - length
                    spans.append((float(box[x] - box[along] / 2), float(box[x] + box[along] / 2)))
                sides.append(max(0.0, min(s[1] for s in spans) - max(s[0] for s in spans)))
            common = sides[0] * sides[1]
            area = float(anchors[a, 3] * anchors[a, 4] + boxes[k, 3] * boxes[k, 4])
            overlaps[a, k] = common / (area - common)
    best_of = {k: max(overlaps.get((a, k), 0) for a in range(len(anchors))) for k in range(5)}
    for a in range(len(anchors)):
        mine = {k: overlaps.get((a, k), 0.0) for k in range(5) if labels[k] == which[a]}
        kind = CLASSES[int(which[a])]
        k = max(mine, key=lambda k: mine[k]) if mine else -1
        expected = -1
        if mine and mine[k] >= kind.negative:
            expected = k if mine[k] >= kind.positive else -2
        for k, overlap in mine.items():
            if overlap > 0 and overlap > best_of[k] - 1e-6:
                expected = k
        assert int(found[a]) == expected, a
    assert {0, 1, 2, 4, -1, -2} == set(found.tolist())


def test_every_object_has_an_anchor() -> None:
    anchors, which = _made()
    boxes = _random_boxes(12)
    labels = torch.arange(12) % 3
    found = match(anchors, which, boxes, labels, CLASSES)
    near = iou_aligned(an.nearest_bev(anchors[:, [0, 1, 3, 4, 6]]), an.nearest_bev(boxes[:, [0, 1, 3, 4, 6]]))
    met = [(near[which == labels[k], k] > 0).any() for k in range(12)]
    lost = [k for k in range(12) if met[k] and k not in found]
    assert not lost


def _prediction(anchors: torch.Tensor, fill: float = -6.0) -> an.Prediction:
    n = len(anchors)
    return an.Prediction(torch.full((1, n, 3), fill), torch.zeros(1, n, 7), torch.zeros(1, n, 2))


def test_losses_by_hand() -> None:
    anchors, which = _made((16, 16))
    box = anchors[which == 0][40].clone()
    box[6] = 0.3
    boxes, labels = box[None, None], torch.tensor([[0]])
    owner = match(anchors, which, boxes[0], labels[0], CLASSES)
    positive = owner >= 0
    count = int(positive.sum())
    assert count >= 1
    found = _prediction(anchors)
    got = an.losses(found, anchors, which, boxes, labels, CLASSES)
    p = 1 / (1 + math.exp(6))
    negatives = int((owner == -1).sum()) * 3 + count * 2
    focal = 0.25 * (1 - p) ** 2 * -math.log(p) * count + 0.75 * p**2 * -math.log(1 - p) * negatives
    assert float(got["class"]) == pytest.approx(focal / count, rel=1e-4)
    assert float(got["direction"]) == pytest.approx(0.2 * math.log(2), rel=1e-5)
    code = an.encode(box.expand(count, 7), anchors[positive])
    error = torch.cat([code[:, :6], torch.sin(code[:, 6:])], 1).abs()
    smooth = torch.where(error < 1 / 9, 4.5 * error**2, error - 1 / 18)
    assert float(got["box"]) == pytest.approx(2 * float(smooth.sum()) / count, rel=1e-4)
    # a box turned by half a turn costs the same, and the direction class alone knows
    turned = boxes.clone()
    turned[..., 6] += math.pi
    again = an.losses(found, anchors, which, turned, labels, CLASSES)
    assert float(again["box"]) == pytest.approx(float(got["box"]), rel=1e-3)


def test_loss_of_a_batch_is_the_mean_of_its_scenes() -> None:
    """So that accumulated and distributed batches have the gradient of the whole."""
    anchors, which = _made((16, 16))
    generator = torch.Generator().manual_seed(1)
    n = len(anchors)
    found = an.Prediction(*(torch.randn(2, n, k, generator=generator) for k in (3, 7, 2)))
    boxes, labels = _random_boxes(6).view(2, 3, 7), torch.tensor([[0, 1, 2], [0, -1, -1]])
    whole = an.losses(found, anchors, which, boxes, labels, CLASSES)
    parts = [
        an.losses(
            an.Prediction(*(v[i : i + 1] for v in found)), anchors, which, boxes[i : i + 1], labels[i : i + 1], CLASSES
        )
        for i in range(2)
    ]
    for name, value in whole.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name]) / 2)


def test_scenes_weigh_alike_whatever_they_hold() -> None:
    """Three scenes of 6, 1 and no objects, anchor by anchor in plain Python: divided by each scene's own positives, averaged.

    Divided by the batch's positives (mmdetection3d's way) the same output costs something else.
    """
    anchors, which = _made((16, 16))
    generator = torch.Generator().manual_seed(3)
    found = an.Prediction(*(torch.randn(3, len(anchors), k, generator=generator) for k in (3, 7, 2)))
    boxes = _random_boxes(18).view(3, 6, 7)
    labels = torch.tensor([[0, 1, 2, 0, 1, 0], [2, -1, -1, -1, -1, -1], [-1] * 6])
    sums, positives = np.zeros((3, 3)), np.zeros(3)
    for b in range(3):
        owner = match(anchors, which, boxes[b], labels[b], CLASSES).tolist()
        for a in range(len(anchors)):
            if owner[a] != -2:
                for n in range(3):
                    right = owner[a] >= 0 and n == int(which[a])
                    p = 1 / (1 + math.exp(-float(found.classes[b, a, n])))
                    p, alpha = (p, 0.25) if right else (1 - p, 0.75)
                    sums[b, 1] -= alpha * (1 - p) ** 2 * math.log(p)
            if owner[a] >= 0:
                positives[b] += 1
                box, anchor = boxes[b, owner[a]].tolist(), anchors[a].tolist()
                diagonal = math.hypot(anchor[3], anchor[4])
                code = [
                    (box[0] - anchor[0]) / diagonal,
                    (box[1] - anchor[1]) / diagonal,
                    (box[2] - anchor[2]) / anchor[5],
                ]
                code += [math.log(box[i] / anchor[i]) for i in (3, 4, 5)] + [box[6] - anchor[6]]
                errors = [float(found.boxes[b, a, i]) - code[i] for i in range(7)]
                errors[6] = math.sin(errors[6])
                sums[b, 0] += 2 * sum(4.5 * e * e if abs(e) < 1 / 9 else abs(e) - 1 / 18 for e in errors)
                back = (box[6] - math.pi / 4) % (2 * math.pi) >= math.pi
                logits = found.directions[b, a].tolist()
                sums[b, 2] += 0.2 * (math.log(sum(map(math.exp, logits))) - logits[back])
    assert positives[0] > positives[1] > positives[2] == 0
    got = an.losses(found, anchors, which, boxes, labels, CLASSES)
    by_scene = (sums / np.maximum(positives, 1)[:, None]).mean(0)
    by_batch = sums.sum(0) / positives.sum()
    for k, name in enumerate(("box", "class", "direction")):
        assert float(got[name]) == pytest.approx(by_scene[k], rel=1e-4), name
        assert abs(by_batch[k] - by_scene[k]) > 0.1 * by_scene[k]


def test_perfect_output_costs_nothing_and_is_found() -> None:
    anchors, which = _made()
    boxes = torch.tensor(
        [[[6.0, 2, -1, 4, 1.7, 1.5, 2.9], [12, -4, 0.2, 0.8, 0.6, 1.7, -1.2], [16, 5, 0.2, 1.8, 0.6, 1.7, 0.4]]]
    )
    labels = torch.tensor([[0, 1, 2]])
    owner = match(anchors, which, boxes[0], labels[0], CLASSES)
    found = _prediction(anchors, -20.0)
    for a in torch.nonzero(owner >= 0)[:, 0].tolist():
        box = boxes[0, owner[a]]
        found.classes[0, a, which[a]] = 20.0
        found.boxes[0, a] = an.encode(box, anchors[a])
        found.directions[0, a, an.direction_class(box[6])] = 20.0
    assert sum(float(v) for v in an.losses(found, anchors, which, boxes, labels, CLASSES).values()) < 1e-5
    for rotated in (False, True):
        (detections,) = an.detect(found, anchors, rotated=rotated)
        assert sorted(detections.labels.tolist()) == [0, 1, 2]
        order = torch.argsort(detections.labels)
        torch.testing.assert_close(detections.boxes[order], boxes[0], rtol=1e-4, atol=1e-4)


def test_detections_are_limited_and_sorted() -> None:
    anchors, _ = _made((16, 16))
    generator = torch.Generator().manual_seed(0)
    found = an.Prediction(
        torch.randn(2, len(anchors), 3, generator=generator),
        torch.zeros(2, len(anchors), 7),
        torch.zeros(2, len(anchors), 2),
    )
    first, second = an.detect(found, anchors, score=0.3, most=20)
    assert len(first.boxes) == len(second.boxes) == 20
    assert (first.scores.diff() <= 0).all()
    assert not torch.equal(first.boxes, second.boxes)
    (nothing, _) = an.detect(found, anchors, score=0.9999)
    assert nothing.boxes.shape == (0, 7)
    many = an.detect(found, anchors, score=0.0, most=10**6)[0]
    assert set(many.labels.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("before", [1, 7, 10**6])
def test_the_best_anchors_of_each_class_are_ranked(before: int) -> None:
    """Of two scenes, one anchor at a time; of fewer anchors than asked for all."""
    anchors, _ = _made((2, 2))
    generator = torch.Generator().manual_seed(3)
    shapes = (3, 7, 2)
    found = an.Prediction(*(torch.randn(2, len(anchors), size, generator=generator) for size in shapes))
    ranked = an.rank(found, anchors, before)
    assert (ranked.shape, ranked.dtype) == ((2, 3, min(before, len(anchors)), 8), torch.float32)
    for scene in range(2):
        for number in range(3):
            logits = found.classes[scene, :, number].tolist()
            best = sorted(range(len(anchors)), key=lambda anchor: -logits[anchor])[:before]
            for row, anchor in zip(ranked[scene, number], best, strict=True):
                direction = int(found.directions[scene, anchor, 1] > found.directions[scene, anchor, 0])
                box = an.decode(found.boxes[scene, anchor], anchors[anchor], direction)
                torch.testing.assert_close(row[:7], box)
                assert float(row[7]) == pytest.approx(1 / (1 + math.exp(-logits[anchor])), rel=1e-5)


def test_scenes_without_objects_have_a_class_loss_only() -> None:
    anchors, which = _made((16, 16))
    found = an.Prediction(*(v.requires_grad_() for v in _prediction(anchors)))
    for boxes, labels in (
        (torch.zeros(1, 0, 7), torch.zeros(1, 0, dtype=torch.int64)),
        (torch.zeros(1, 2, 7), torch.full((1, 2), -1)),
    ):
        got = an.losses(found, anchors, which, boxes, labels, CLASSES)
        assert got["class"].item() > 0
        assert got["box"].item() == got["direction"].item() == 0
        sum(got.values()).backward()  # type: ignore[union-attr]
        assert found.boxes.grad is not None
        assert torch.isfinite(found.boxes.grad).all()


def test_objects_that_no_anchor_fits_have_none_where_so_asked() -> None:
    """Of twice the anchors' size: all that overlap it most are its own, or, as in mmdetection3d, none."""
    anchors, which = _made((16, 16))
    boxes, labels = torch.tensor([[8.0, 0, -1, 7.8, 3.2, 3.0, 0.0]]), torch.tensor([0])
    mine = match(anchors, which, boxes, labels, CLASSES)
    theirs = match(anchors, which, boxes, labels, CLASSES, min_pos_iou=0.45)
    assert (mine == 0).any()
    assert not (theirs == 0).any()
    fitting = torch.tensor([[8.0, 0, -1, 3.9, 1.6, 1.56, 0.0]])
    assert (match(anchors, which, fitting, labels, CLASSES, 0.1) == 0).any()


def test_scenes_are_matched_as_each_is_alone(monkeypatch):
    """Padded to the same number of objects, in parts of any size."""
    rng = np.random.default_rng(11)
    anchors, which = an.make_anchors(CLASSES, (0.0, -8.0, -3.0, 16.0, 8.0, 1.0), (16, 16))
    boxes, labels = torch.zeros(5, 6, 7), torch.full((5, 6), -1)
    for scene, number in enumerate((3, 0, 6, 1, 4)):
        kinds = rng.integers(0, len(CLASSES), number)
        labels[scene, :number] = torch.from_numpy(kinds)
        for i, kind in enumerate(kinds):
            size = anchors[which == int(kind)][0, 3:6]
            place = torch.tensor([rng.uniform(0, 16), rng.uniform(-8, 8), -1.0])
            boxes[scene, i] = torch.cat([place, size, torch.tensor([rng.uniform(-3, 3)])])
    alone = torch.stack([
        match(anchors, which, box[label >= 0], label[label >= 0], CLASSES) for box, label in zip(boxes, labels, strict=True)
    ])  # fmt: skip
    assert (alone >= 0).any(1).tolist() == [True, False, True, True, True]
    layout = an.lay_out(anchors, which, len(CLASSES))
    around = []
    for pairs in (2**24, 200, 1):
        monkeypatch.setattr(an, "MOST_PAIRS", pairs)
        found = an.match(layout, boxes, labels, CLASSES)
        assert torch.equal(found.owner, alone)
        around.append(set(zip(found.anchor.tolist(), found.slot.tolist(), strict=True)))
    assert around[0] == around[1] == around[2]
    assert len(around[0]) == len(found.anchor) > 200


def plain_match(anchors, which, boxes, labels, classes, min_pos_iou=0.0):
    """Of one scene, every anchor with every object: :func:`ncp.models.anchors.match` as it is told."""
    bev = [0, 1, 3, 4, 6]
    overlap = iou_aligned(an.nearest_bev(anchors[:, bev]), an.nearest_bev(boxes[:, bev]))
    out = torch.full((len(anchors),), -1)
    for number, kind in enumerate(classes):
        mine, wanted = which == number, torch.nonzero(labels == number)[:, 0]
        if len(wanted) == 0:
            continue
        own = overlap[mine][:, wanted]
        best, first = own.max(1)
        found = torch.where(best >= kind.negative, -2, -1)
        found = torch.where(best >= kind.positive, wanted[first], found)
        top = own.amax(0)
        forced = (own == top) & (top > 0) & (top >= min_pos_iou)
        out[mine] = torch.where(forced.any(1), wanted[forced.int().argmax(1)], found)
    return out


def plain_losses(found, anchors, which, boxes, labels, classes, min_pos_iou=0.0):
    """Scene by scene, of the matched anchors alone."""
    sums = {"box": 0.0, "class": 0.0, "direction": 0.0}
    for b in range(len(labels)):
        owner = plain_match(anchors, which, boxes[b], labels[b], classes, min_pos_iou)
        mine = owner >= 0
        share = 1 / (max(1, int(mine.sum())) * len(labels))
        logits, wanted = found.classes[b].double(), F.one_hot(which, len(classes)) * mine[:, None]
        p = torch.where(wanted == 1, logits, -logits).sigmoid()
        focal = -torch.where(wanted == 1, 0.25, 0.75) * (1 - p) ** 2 * p.log()
        sums["class"] = sums["class"] + share * focal[owner != -2].sum()
        box = boxes[b][owner[mine]].double() if mine.any() else boxes.new_zeros(0, 7).double()
        code = found.boxes[b][mine].double() - an.encode(box, anchors[mine].double())
        error = torch.cat([code[:, :6], code[:, 6:].sin()], 1).abs()
        sums["box"] = sums["box"] + 2 * share * torch.where(error < 1 / 9, 4.5 * error**2, error - 1 / 18).sum()
        back = (box[:, 6] - math.pi / 4).remainder(2 * math.pi) >= math.pi
        turned = F.cross_entropy(found.directions[b][mine].double(), back.long(), reduction="sum")
        sums["direction"] = sums["direction"] + 0.2 * share * turned
    return sums


def drawn(seed, scenes, most, huge):
    """Objects of all classes in and around the space, some on the same place, some far larger than any anchor."""
    rng = np.random.default_rng(seed)
    boxes = rng.uniform([-4, -12, -1.5, 0.3, 0.3, 1.2, -3.2], [24, 12, 0.5, 6, 3, 2, 3.2], (scenes, most, 7))
    labels = rng.integers(-1, 3, (scenes, most))
    for scene in range(scenes):
        for k in range(most):
            if rng.random() < huge:
                boxes[scene, k, 3:5] = rng.uniform(5, 40, 2)
            elif k and rng.random() < 0.3:
                boxes[scene, k] = boxes[scene, k - 1]
            if rng.random() < 0.2:
                boxes[scene, k, 6] = rng.choice([0, math.pi / 4, math.pi / 2])
    if scenes > 1:
        labels[rng.integers(scenes)] = -1
    return torch.from_numpy(boxes).float(), torch.from_numpy(labels)


CASES = {
    "none": (0, 2, 0, 0.0),
    "one scene": (1, 1, 5, 0.0),
    "several": (2, 4, 9, 0.0),
    "many": (3, 3, 40, 0.0),
    "huge": (4, 3, 8, 0.5),
    "all huge": (5, 3, 6, 1.0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("least", [0.0, 0.3])
def test_only_anchors_around_an_object_are_looked_at_and_it_changes_nothing(case, least):
    anchors, which = _made((32, 48))
    layout = an.lay_out(anchors, which, 3)
    boxes, labels = drawn(*CASES[case])
    found = an.match(layout, boxes, labels, CLASSES, least)
    wanted = torch.stack(
        [plain_match(anchors, which, b, one, CLASSES, least) for b, one in zip(boxes, labels, strict=True)]
    )
    assert torch.equal(found.owner, wanted)
    mine = torch.nonzero(wanted.flatten() >= 0)[:, 0]
    pairs = set(zip(found.anchor.tolist(), found.slot.tolist(), strict=True))
    assert len(pairs) == len(found.anchor)
    assert pairs >= set(zip(mine.tolist(), wanted.flatten()[mine].tolist(), strict=True))
    if case == "one scene":
        assert 0 < len(pairs) < len(anchors) / 3
    if case == "all huge" and least == 0:
        assert len(mine) > 500


@pytest.mark.parametrize("case", ["many", "huge", "all huge"])
@pytest.mark.parametrize("least", [0.0, 0.3])
def test_objects_of_one_scene_are_looked_at_a_few_at_a_time(monkeypatch, case, least):
    """Memory has a bound however many and huge they are; who owns an anchor is the same."""
    seed, _, most, huge = CASES[case]
    anchors, which = _made((32, 48))
    layout = an.lay_out(anchors, which, 3)
    boxes, labels = drawn(seed, 1, 8 * most, huge)
    window = len(anchors) // 3
    monkeypatch.setattr(an, "MOST_PAIRS", window)
    seen, real = [], an.iou_aligned_pairs
    monkeypatch.setattr(an, "iou_aligned_pairs", lambda a, b: seen.append(len(a)) or real(a, b))
    found = an.match(layout, boxes, labels, CLASSES, least)
    assert torch.equal(found.owner[0], plain_match(anchors, which, boxes[0], labels[0], CLASSES, least))
    assert len(seen) > 1
    assert max(seen) <= 2 * window
    assert len(found.anchor) <= len(anchors)
    if huge:
        assert sum(seen) > len(anchors)
        assert found.anchor.tolist() == torch.nonzero(found.owner[0] >= 0)[:, 0].tolist()
        assert torch.equal(found.owner[0, found.anchor], found.slot)


def test_a_class_whose_anchors_are_never_background():
    anchors, which = _made((32, 32))
    boxes, labels = drawn(6, 2, 4, 0.0)
    classes = tuple(kind._replace(negative=0.0) for kind in CLASSES)
    wanted = torch.stack([plain_match(anchors, which, b, one, classes) for b, one in zip(boxes, labels, strict=True)])
    assert torch.equal(an.match(an.lay_out(anchors, which, 3), boxes, labels, classes).owner, wanted)
    assert (wanted == an.IGNORED).sum() > len(anchors) / 4


@pytest.mark.parametrize("place", [math.nan, math.inf, 500.0])
def test_a_box_that_is_nowhere_matches_nothing(place):
    anchors, which = _made((16, 16))
    boxes, labels = torch.tensor([[[8.0, 0, -1, 3.9, 1.6, 1.56, 0.0]] * 2]), torch.tensor([[0, 0]])
    boxes[0, 1, 0] = place
    found = an.match(an.lay_out(anchors, which, 3), boxes, labels, CLASSES).owner
    assert torch.equal(found[0], match(anchors, which, boxes[0, :1], labels[0, :1], CLASSES))
    assert (found == 0).any()
    alone = an.match(an.lay_out(anchors, which, 3), boxes[:, 1:], labels[:, 1:], CLASSES)
    assert (alone.owner == an.BACKGROUND).all()
    assert len(alone.anchor) == 0


def _written(anchors, scenes, dtype):
    draw = torch.Generator().manual_seed(8)
    made = (torch.randn(scenes, len(anchors), k, generator=draw).to(dtype).requires_grad_() for k in (3, 7, 2))
    return an.Prediction(*made)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_and_gradients_are_those_of_the_matched_anchors(case, counted, dtype):
    anchors, which = _made((32, 48))
    boxes, labels = drawn(*CASES[case])
    found, other = (_written(anchors, len(labels), dtype) for _ in range(2))
    got = an.losses(found, anchors, which, boxes, labels, CLASSES, counted=counted)
    wanted = plain_losses(other, anchors, which, boxes, labels, CLASSES)
    for name, value in got.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(float(torch.as_tensor(wanted[name]).detach()), rel=1e-5), name
    sum(got.values()).backward()
    sum(wanted.values()).backward()
    for one, two in zip(found, other, strict=True):
        assert one.grad.dtype == dtype
        near, zero = {torch.float32: (1e-5, 1e-8), torch.bfloat16: (1e-2, 1e-7)}[dtype]  # rounded once
        torch.testing.assert_close(one.grad, two.grad, rtol=near, atol=zero)


def test_what_nobody_is_to_find_may_be_anything():
    """Neither loss nor gradient of a matched anchor knows what is written for the others around it."""
    anchors, which = _made((32, 32))
    boxes, labels = drawn(2, 2, 6, 0.0)
    found, other = (_written(anchors, 2, torch.float32) for _ in range(2))
    free = plain_match_all(anchors, which, boxes, labels) < 0
    with torch.no_grad():
        other.boxes[free] = math.nan
        other.directions[free] = math.inf
    one, two = (an.losses(f, anchors, which, boxes, labels, CLASSES, counted=False) for f in (found, other))
    for name, value in one.items():
        assert torch.equal(value, two[name])
    sum(one.values()).backward()
    sum(two.values()).backward()
    for a, b in zip(found, other, strict=True):
        assert torch.equal(a.grad, b.grad)
    assert found.boxes.grad[free].count_nonzero() == 0


def plain_match_all(anchors, which, boxes, labels):
    return torch.stack([plain_match(anchors, which, b, one, CLASSES) for b, one in zip(boxes, labels, strict=True)])


def test_half_precision_objects_are_read():
    anchors, which = _made((32, 32))
    boxes, labels = drawn(2, 2, 6, 0.0)
    layout, low = an.lay_out(anchors, which, 3), boxes.bfloat16()
    one, other = (an.match(layout, given, labels, CLASSES).owner for given in (low, low.float()))
    assert torch.equal(one, other)
    assert (one >= 0).any()


def test_strict_determinism_is_kept_and_asked_for_again(monkeypatch):
    """Torch refuses reductions that do not depend on the order on GPUs; here one that looks is enough."""
    seen = []
    real = torch.Tensor.scatter_reduce_
    monkeypatch.setattr(
        torch.Tensor,
        "scatter_reduce_",
        lambda *given: (seen.append(torch.are_deterministic_algorithms_enabled()), real(*given))[1],
    )
    anchors, which = _made((16, 16))
    boxes, labels = drawn(2, 2, 6, 0.0)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        an.match(an.lay_out(anchors, which, 3), boxes, labels, CLASSES)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert seen == [False, False]


def test_a_loss_with_its_gradients_waits_for_nothing(monkeypatch):
    """It is recorded as a GPU's graph would be; boxes and labels are the host's, and what the head writes is not.

    What is sent from the host lies in pinned memory, of which the tape knows nothing.
    """
    real = an.sent

    def sent(*given):
        with _disable_current_modes():
            return real(*given)

    monkeypatch.setattr(an, "sent", sent)
    anchors, which = _made((32, 32))
    layout = an.lay_out(anchors, which, 3)
    boxes, labels = drawn(2, 2, 6, 0.0)
    found = _written(anchors, 2, torch.float32)
    later = tuple(torch.randn_like(one) for one in found)

    def step():
        parts = an.losses(found, anchors, which, boxes, labels, CLASSES, layout=layout, counted=False)
        return (*parts.values(), *torch.autograd.grad(sum(parts.values()), found))

    replay, out = TapedGraphs().record(step)
    with torch.no_grad():
        for one, two in zip(found, later, strict=True):
            one.copy_(two)
    replay()
    for one, two in zip(out, step(), strict=True):
        torch.testing.assert_close(one, two)
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing: nonzero"):
        TapedGraphs().record(
            lambda: an.losses(found, anchors, which, boxes, labels, CLASSES, layout=layout, counted=True)
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same_and_is_not_waited_for():
    anchors, which = _made((32, 48))
    boxes, labels = drawn(3, 3, 20, 0.0)
    boxes[..., 6] += 0.1  # none between two axes, where the last bit of a sine says which is nearer
    found = _written(anchors, 3, torch.float32)
    other = an.Prediction(*(one.detach().cuda().requires_grad_() for one in found))
    wanted = an.losses(found, anchors, which, boxes, labels, CLASSES)
    sum(wanted.values()).backward()
    there, kinds, layout = anchors.cuda(), which.cuda(), an.lay_out(anchors, which, 3, "cuda")
    given = boxes.pin_memory(), labels.pin_memory()

    def step():
        got = an.losses(other, there, kinds, *given, CLASSES, layout=layout)
        sum(got.values()).backward()
        return got

    step()
    for one in other:
        one.grad = None
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for name, value in got.items():
        assert value.item() == pytest.approx(wanted[name].item(), rel=1e-5)
    for one, two in zip(found, other, strict=True):
        torch.testing.assert_close(two.grad.cpu(), one.grad, rtol=1e-4, atol=1e-8)
