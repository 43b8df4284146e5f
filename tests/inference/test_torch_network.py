"""Networks run by torch: what the module itself says, of images, clips and scenes; what does not fit is told."""

import numpy as np
import pytest
import torch
from small_detector import NARROW, about, cloud, detector
from taped import TapedGraphs

from ncp import card
from ncp.errors import UserError
from ncp.inference import torch_network
from ncp.inference.detection import Finder, Scene
from ncp.inference.network import Ranked
from ncp.inference.torch_network import TorchNetwork
from ncp.models import build


def network(task, classes=3):
    torch.manual_seed(0)
    net = build(NARROW, task, classes=classes)
    for module in net.modules():  # statistics that are not those of the start
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def card_of(task):
    return card.make(
        where="'a'", task=task, architecture=NARROW, classes=["a", "b", "c"], channels=3, size=(64, 64), mean=None,
        std=None, use=card.Use(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("task", "shape"), [("cls", (2, 3, 64, 64)), ("seg", (1, 3, 64, 96)), ("video", (1, 4, 3, 64, 64))]
)
def test_logits_are_the_modules(task, shape):
    net = network(task)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    made = TorchNetwork(net, card_of(task), "cpu")
    found = made.logits(x)
    assert (found.dtype, made.device, made.fixed) == (np.float32, "cpu", None)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    np.testing.assert_allclose(made.logits(np.asfortranarray(x)), found, atol=1e-6)  # whatever the memory's order


@pytest.mark.parametrize("task", ["seg", "det3d"])
def test_in_bf16_the_same_is_found_but_for_rounding(task):
    net = detector() if task == "det3d" else network(task)
    given = (
        cloud(300).numpy()
        if task == "det3d"
        else np.random.default_rng(0).normal(size=(1, 3, 64, 96)).astype(np.float32)
    )
    exact, low = (
        TorchNetwork(net, about(net) if task == "det3d" else card_of(task), "cpu", dtype=dtype)
        for dtype in ("fp32", "bf16")
    )
    for one, other in zip(*(_written(made, given) for made in (exact, low)), strict=True):
        assert other.dtype == np.float32
        assert 0 < np.abs(one - other).max() < 0.05 * np.abs(one).max()


def _written(made, given):
    return made.scene(given) if given.shape[-1] == 4 else [made.logits(given)]


def test_a_scene_is_the_modules():
    net = detector()
    points = cloud(300).numpy()
    with torch.no_grad():
        expected = [part[0].numpy() for part in net(torch.from_numpy(points), torch.tensor([len(points)]))]
    found = TorchNetwork(net, about(net), "cpu").scene(points)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_networks_are_recorded_where_inputs_come_in_one_shape():
    rng, tape = np.random.default_rng(1), TapedGraphs()
    net = network("seg")
    plain, made = TorchNetwork(net, card_of("seg"), "cpu"), TorchNetwork(net, card_of("seg"), "cpu", tape)
    for x in rng.normal(size=(4, 1, 3, 64, 64)).astype(np.float32):
        np.testing.assert_allclose(made.logits(x), plain.logits(x), atol=1e-5)
    assert (tape.recorded, tape.run) == (1, 2)


def same_boxes(made, plain, scene):
    found, wanted = (Finder(network, score=0.02)(scene).found for network in (made, plain))
    assert len(found.scores) > 3
    assert found.labels.tolist() == wanted.labels.tolist()
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-3)


def test_a_detector_is_recorded_from_points_to_ranked_boxes(monkeypatch):
    """What is found of scenes of any number of points is what is found without: ranked, and decoded, by numpy."""
    monkeypatch.setattr(torch_network, "STEP", 256)
    net, tape = detector(), TapedGraphs()
    plain, made = TorchNetwork(net, about(net), "cpu"), TorchNetwork(net, about(net), "cpu", tape)
    for number in (300, 500, 512, 257, 50, 100, 256, 20, 400):  # of two sizes: 256 and 512 rows
        scene = Scene(cloud(number).numpy(), None, (1, 1))
        written = made.scene(scene.points)
        assert isinstance(written, Ranked)
        assert (written.boxes.shape, written.size) == ((3, 500, 8), (16 * 16 * 6, 3))
        same_boxes(made, plain, scene)
    assert np.isfinite(made.scene(np.zeros((0, 4), np.float32)).boxes).all()
    # each scene was asked for twice, and two of each size are not recorded
    assert (tape.recorded, tape.run) == (2, 2 * 9 + 1 - 2 * 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_a_detector_is_one_graph_that_finds_the_same():
    net = detector()
    plain, made = TorchNetwork(net, about(net), "cpu"), TorchNetwork(net, about(net), "cuda")
    for seed in range(5):
        same_boxes(made, plain, Scene(cloud(300, seed).numpy(), None, (1, 1)))
    assert made.run.refused is None
    assert len(made.run.records) == 1


def test_a_detector_that_cannot_be_recorded_is_run_kernel_by_kernel():
    class Refuses(TapedGraphs):
        def record(self, work):
            raise RuntimeError("operation not permitted when stream is capturing")

    net = detector()
    plain, made = TorchNetwork(net, about(net), "cpu"), TorchNetwork(net, about(net), "cpu", Refuses())
    for seed in range(4):
        scene = Scene(cloud(300, seed).numpy(), None, (1, 1))
        same_boxes(made, plain, scene)
    assert made.run.refused.startswith("operation not permitted")


def test_a_detector_ranks_as_many_boxes_as_its_card_says():
    net = detector()
    made = TorchNetwork(net, about(net, nms={"before": 7}), "cpu", TapedGraphs())
    points = cloud(300).numpy()
    assert made.scene(points).boxes.shape == (3, 7, 8)
    plain = TorchNetwork(net, about(net, nms={"before": 7}), "cpu")
    scene = Scene(points, None, (1, 1))
    same_boxes(made, plain, scene)


@pytest.mark.parametrize("task", ["cls", "det3d"])
def test_exact_convolutions_are_still_those_of_the_library(task, monkeypatch):
    """cuDNN stays on, without the ten bits: torch switches it off unless told."""
    seen = []
    net = detector() if task == "det3d" else network("cls")
    made = TorchNetwork(net, about(net) if task == "det3d" else card_of("cls"), "cpu")
    run = made.run

    def asked(*given):
        seen.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))
        return run(*given)

    monkeypatch.setattr(made, "run", asked)
    if task == "det3d":
        made.scene(cloud(10).numpy())
    else:
        made.logits(np.zeros((1, 3, 64, 64), np.float32))
    assert seen == [(True, False)]


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="device=cuda, but torch sees no GPU here; use device=cpu"):
        TorchNetwork(network("cls"), card_of("cls"), "cuda")


def test_too_little_memory_says_what_to_do(monkeypatch):
    made = TorchNetwork(network("cls"), card_of("cls"), "cpu")

    def full(_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(made, "run", full)
    with pytest.raises(UserError, match=r"an input of 1 x 3 x 64 x 64 does not fit into memory; give a smaller batch"):
        made.logits(np.zeros((1, 3, 64, 64), np.float32))
