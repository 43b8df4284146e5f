"""The whole detector: shapes, order of the head's output, baselines, the published backbone."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ncp.errors import UserError
from ncp.metrics.anchors import decode
from ncp.models import build, pillars
from ncp.models.anchors import Prediction
from ncp.models.detector import AnchorHead, Detector, PointPillarsNet, pointpillars
from ncp.models.pillars import Grid

GRID = Grid((0.0, -5.12, -3.0, 10.24, 5.12, 1.0), 0.16, (64, 64))
NARROW = [8, 8, 1, 1, 8, 1, 1, 1, 8, 8, 1, *[1] * 3, *[8] * 3, 1, *[1] * 4, *[8] * 4, 8]


def _points() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(600, 4, generator=generator) * torch.tensor([10.0, 10, 3, 1]) - torch.tensor([0.0, 5, 2.5, 0])
    return points, torch.tensor([400, 200])


def test_head_writes_in_the_anchors_order() -> None:
    head = AnchorHead(4, 6, 3)
    with torch.no_grad():
        head.classes.weight.zero_()
        head.classes.bias.copy_(torch.arange(18.0))  # type: ignore[union-attr]
    x = torch.randn(2, 4, 5, 7)
    found = head(x)
    assert [v.shape for v in found] == [(2, 5 * 7 * 6, 3), (2, 210, 7), (2, 210, 2)]
    torch.testing.assert_close(found.classes[1, 12:18], torch.arange(18.0).view(6, 3))
    at = (3 * 7 + 2) * 6 + 4  # row 3, column 2, fifth kind
    expected = torch.einsum("oc,c->o", head.boxes.weight[:, :, 0, 0], x[0, :, 3, 2])[28:35]
    torch.testing.assert_close(found.boxes[0, at], expected)


def test_detector_of_a_searched_network() -> None:
    torch.manual_seed(0)
    detector = Detector(build(NARROW, task="det3d"), GRID)
    assert detector.anchors.shape == (32 * 32 * 6, 7)
    found = detector(*_points())
    assert found.classes.shape == (2, 32 * 32 * 6, 3)
    assert torch.sigmoid(found.classes).mean().item() == pytest.approx(0.01, rel=0.2)
    losses = detector.losses(found, torch.tensor([[[5.0, 0, -1, 4, 1.6, 1.5, 0]]] * 2), torch.tensor([[0], [-1]]))
    sum(losses.values()).backward()  # type: ignore[union-attr]
    missing = [name for name, p in detector.named_parameters() if p.grad is None]
    assert not missing
    assert len(detector.eval().detect(detector(*_points()), score=0.0, most=7)[1].boxes) == 7
    assert not any(key.startswith("anchor") for key in detector.state_dict())


def test_a_network_in_half_precision_matches_as_any_other() -> None:
    """Its anchors are rounded to a quarter of a metre where they are far away; whom they match is found before."""
    boxes, labels = (
        torch.tensor([[[9.0, 3, -1, 3.9, 1.6, 1.56, 0.1], [4.0, -2, -1, 0.8, 0.6, 1.7, 0]]]),
        torch.tensor([[0, 1]]),
    )
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        detector = Detector(build(NARROW, task="det3d"), GRID).to(dtype)
        found = Prediction(*(torch.zeros(1, 32 * 32 * 6, n, dtype=dtype, requires_grad=True) for n in (3, 7, 2)))
        sum(detector.losses(found, boxes, labels).values()).backward()  # type: ignore[union-attr]
        gradients.append(found.directions.grad)
    assert gradients[1].dtype == torch.bfloat16
    assert torch.equal(gradients[0] != 0, gradients[1] != 0)
    assert gradients[0].count_nonzero() > 20


@pytest.mark.parametrize("rows", [600, 601, 900])
def test_a_scene_filled_up_with_nan_is_the_scene(rows: int) -> None:
    """Each class's best anchors against those that the maps of the scene itself say, sorted and decoded by numpy."""
    torch.manual_seed(0)
    detector = Detector(build(NARROW, task="det3d"), GRID).eval()
    torch.nn.init.normal_(detector.head.classes.weight, std=0.1)
    torch.nn.init.normal_(detector.head.boxes.weight, std=0.1)
    points, _ = _points()
    given = torch.full((rows, 4), torch.nan)
    given[: len(points)] = points
    found = detector.ranked(given, 20).numpy()
    assert found.shape == (3, 20, 8)
    with torch.no_grad():
        classes, codes, directions = (part[0].numpy() for part in detector(points, torch.tensor([len(points)])))
    for number, ours in enumerate(found):
        best = np.argsort(-classes[:, number], kind="stable")[:20]
        np.testing.assert_allclose(ours[:, 7], 1 / (1 + np.exp(-classes[best, number])), atol=1e-5)
        boxes = decode(codes[best], detector.anchors.numpy()[best], directions[best].argmax(1))
        np.testing.assert_allclose(ours[:, :7], boxes, atol=1e-3)


def test_a_scene_becomes_boxes_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors without content, as if on a GPU: whatever asks for a number fails."""
    monkeypatch.setattr(pillars, "_limits", pillars._limits.__wrapped__)  # what is made here has no content either
    detector = Detector(build(NARROW, task="det3d"), GRID).eval()
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        for module in detector.modules():  # as .to("cuda") would move them
            for kept in (module._parameters, module._buffers):
                kept.update({k: fake.from_tensor(v).to("cuda") for k, v in kept.items() if v is not None})
        boxes = detector.ranked(torch.empty(600, 4, device="cuda"), 20)
    assert (boxes.shape, boxes.device.type) == ((3, 20, 8), "cuda")


def test_published_backbone_has_its_published_size() -> None:
    """4.8 M parameters in all, as the open implementations count PointPillars for three classes on KITTI."""
    net = PointPillarsNet().eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 64, 62, 54)).shape == (1, 384, 31, 27)
    convolutions = sum(m.weight.numel() for m in net.modules() if isinstance(m, torch.nn.Conv2d))
    by_hand = 9 * (64 * 64 * 4 + 64 * 128 + 128 * 128 * 5 + 128 * 256 + 256 * 256 * 5)
    assert convolutions == by_hand
    detector = Detector(net, GRID)
    count = sum(p.numel() for p in detector.parameters())
    assert 4.80e6 < count < 4.85e6


@pytest.mark.parametrize(("name", "width"), [("pointpillars-32", 32), ("pointpillars-16", 16)])
def test_its_thinner_kin_keep_its_proportions(name: str, width: int) -> None:
    """Blocks of w, 2w and 4w channels, each brought to 2w at half the view's size."""
    net = pointpillars(name).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 64, 62, 54)).shape == (1, 6 * width, 31, 27)
    w = width
    by_hand = 9 * (64 * w + w * w * 3 + w * 2 * w + 4 * w * w * 5 + 2 * w * 4 * w + 16 * w * w * 5)
    assert sum(m.weight.numel() for m in net.modules() if type(m) is torch.nn.Conv2d) == by_hand


def test_a_network_of_another_task_is_refused() -> None:
    with pytest.raises(UserError, match="build it with task=det3d"):
        Detector(build(NARROW, task="cls", in_channels=64), GRID)
