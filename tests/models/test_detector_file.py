"""Whole detectors come back from their files: the same numbers out of the same points."""

import json

import msgspec
import numpy as np
import pytest
import torch
from small_detector import GRID, about, cloud, detector

from ncp.errors import UserError
from ncp.inference.onnx_network import OnnxNetwork
from ncp.models import detector_file
from ncp.models import export as networks
from ncp.models.detector import PointPillarsNet

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("z_offset", [False, True])
def test_weights_alone_make_the_detector(tmp_path, z_offset):
    made = detector(z_offset)
    path = detector_file.save(made, tmp_path / "a.safetensors", about(made).text())
    again, told = detector_file.load(path)
    assert told == about(made)
    assert again.kinds == made.kinds
    points, counts = cloud(300), torch.tensor([300])
    with torch.no_grad():
        for mine, wanted in zip(again.eval()(points, counts), made(points, counts), strict=True):
            assert torch.equal(mine, wanted)
    with pytest.raises(UserError, match="holds no network of this project"):
        networks.read(path)


@pytest.mark.parametrize("kind", ["published", "offset"])
@pytest.mark.slow
def test_onnx_writes_what_torch_writes(tmp_path, kind):
    made = detector(kind == "offset", PointPillarsNet() if kind == "published" else None)
    path = detector_file.export_onnx(made, tmp_path / "a.onnx", about(made).text())
    network = OnnxNetwork(path, "cpu")
    assert network.card == about(made)
    for count in (400, 2, 0):
        points = cloud(max(count, 1))[:count]
        with torch.no_grad():
            wanted = made(points, torch.tensor([count]))
        for mine, one in zip(network.scene(points.numpy()), wanted, strict=True):
            assert mine == pytest.approx(one[0].numpy(), abs=1e-4 * float(one.abs().max()))


def test_a_baseline_has_no_architecture_to_put_inside(tmp_path):
    made = detector(network=PointPillarsNet())
    with pytest.raises(UserError, match=r"only a network made by ncp.models.build can be saved"):
        detector_file.save(made, tmp_path / "a.safetensors", about(made).text())


@pytest.mark.parametrize(
    "change",
    [{"stride": 4}, {"pillar": 0.17}, {"z_offset": True}, {"limits": (0, -5.12, -3, 10.24, 5.12, 1), "pillar": 1e-4}],
)
def test_a_file_holds_what_its_card_says(tmp_path, change):
    made = detector()
    told = about(made).text()
    space = {**msgspec.to_builtins(about(made).use.space), **change}
    use = json.dumps({"space": space})
    with pytest.raises(UserError):
        detector_file.save(made, tmp_path / "a.safetensors", {**told, "use": use})
    assert not (tmp_path / "a.safetensors").exists()


def test_random_points_are_within_the_grid():
    points, cells = detector_file._example(GRID, 200)
    low, high = np.array(GRID.limits[:3]), np.array(GRID.limits[3:])
    assert ((points[:, :3].numpy() >= low - 1e-6) & (points[:, :3].numpy() <= high + 1e-6)).all()
    assert (cells.diff() >= 0).all()
    assert len(cells.unique()) < 80
