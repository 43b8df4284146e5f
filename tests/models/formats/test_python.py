"""``model.py`` runs where nothing of this project is, and gives the same numbers."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_detector import about, cloud, detector

from ncp import card
from ncp.errors import UserError
from ncp.metrics.anchors import find
from ncp.models import build, build_timm, detector_file
from ncp.models.detector import PointPillarsNet
from ncp.models.export import load, save
from ncp.models.formats import python

TEXT = "8_16-1_1_1_8-1_2_1_2_16_8-2_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"
SHAPES = {"cls": (2, 3, 64, 64), "seg": (2, 3, 71, 96), "video": (2, 3, 3, 64, 64)}
ALONE = """
import json, sys
import torch
torch.set_num_threads(1)
import model
assert not [name for name in sys.modules if name.split(".")[0] in ("ncp", "timm", "torchvision")]
out = model.load()(torch.load("in.pt"))
torch.save(out, "out.pt")
print(json.dumps([model.CLASSES[0], list(model.MEAN) if hasattr(model, "MEAN") else None]))
"""


def run_alone(folder, x):
    """What the files make of an input, in a process that has not this project on its path."""
    torch.save(x, folder / "in.pt")
    env = {"PATH": "", "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-c", f"import sys; sys.path.insert(0, '.')\n{ALONE}"]
    done = subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "out.pt"), json.loads(done.stdout)


def trained(task):
    torch.manual_seed(1)
    net = build(TEXT, task, classes=3)
    net(torch.randn(SHAPES[task]))
    return net.eval()


def card_of(task):
    use = card.Use(clips=card.Clips("dense", 3, 1)) if task == "video" else card.Use()
    return card.make(
        where="'a'", task=task, architecture=TEXT, classes=["sky \"blue\"", "road", "it's"], channels=3, size=(64, 64),
        mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), use=use,
    )  # fmt: skip


@pytest.mark.parametrize("task", list(SHAPES))
def test_the_same_numbers(task, tmp_path):
    net, told = trained(task), card_of(task)
    path = python.write(net, told, tmp_path)
    save(net, tmp_path / python.WEIGHTS, told.text())
    x = torch.randn(SHAPES[task])
    found, (name, mean) = run_alone(tmp_path, x)
    wanted = net(x).detach()
    torch.testing.assert_close(found.detach(), wanted, rtol=0, atol=1e-6 * float(wanted.abs().max()))
    assert (name, mean) == ('sky "blue"', [0.1, 0.2, 0.3])
    assert torch.equal(load(tmp_path / python.WEIGHTS).eval()(x), net(x))  # and this project reads the weights
    lines = path.read_text().splitlines()
    assert len(lines) < 180
    assert "import ncp" not in path.read_text()


def test_points_to_boxes(tmp_path):
    made = detector(True)
    told = about(made, nms={"score": 1e-4})
    python.write(made, told, tmp_path)
    detector_file.save(made, tmp_path / python.WEIGHTS, told.text())
    points = cloud(400)
    (boxes, kinds, scores), _ = run_alone(tmp_path, points)
    with torch.no_grad():
        written = [part[0].numpy() for part in made(points, torch.tensor([len(points)]))]
    space = told.use.space
    wanted = find(*written, made.anchors.numpy(), score=space.nms.score)
    assert len(wanted.boxes) > 20
    np.testing.assert_allclose(boxes.numpy(), wanted.boxes, atol=1e-5)
    np.testing.assert_allclose(scores.numpy(), wanted.scores, atol=1e-6)
    assert (kinds.numpy() == wanted.labels).all()


def test_others_are_refused():
    with pytest.raises(UserError, match="networks of the space"):
        python.write(build_timm("resnet18", "cls"), None, None)
    with pytest.raises(UserError, match="networks of the space"):
        python.write(detector(network=PointPillarsNet()), None, None)
    made = detector()
    with pytest.raises(UserError, match="use format=onnx"):
        python.write(made, about(made, nms={"rotated": True}), None)
