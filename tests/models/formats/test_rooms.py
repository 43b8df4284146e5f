"""Networks for rooms as ``model.py`` and as safetensors: the same numbers without this project, and nothing else is read."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from ncp import card
from ncp.errors import UserError
from ncp.models import build_scene
from ncp.models.formats import python, rooms
from ncp.models.transnas import saved

MULTIRES = "8_16-1_1_1_8-1_2_1_2_16_8-2_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"
LIGHT = {"base": 8, "stem_stride": 2}
CASES = {
    "cell": ("64-41414-3_31_120", "class_scene", 5, {"base": 8}),
    "no way": ("64-41414-3_00_200", "class_object", 4, LIGHT),  # edges that lead nowhere, or come from nothing
    "nothing": ("64-41414-0_03_002", "room_layout", 9, {"base": 8, "stem_stride": 1}),
    "tiles": ("64-41414-0_13_012", "jigsaw", 6, LIGHT),
    "blocks": ("64-4231-basic", "segmentsemantic", 7, {**LIGHT, "decoder_width": 0.05, "short_decoder": True}),
    "normals": ("64-41414-1_20_310", "normal", 3, {**LIGHT, "decoder_width": 0.02, "short_decoder": True}),
    "long": ("64-2131-basic", "autoencoder", 3, {"base": 8, "decoder_width": 0.02}),
    "multires": (MULTIRES, "normal", 3, {"decoder_width": 0.02}),
    "multires tiles": (MULTIRES, "jigsaw", 6, {}),
}
ALONE = """
import importlib.util, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
for folder in sorted(Path().iterdir()):
    if folder.is_dir():
        spec = importlib.util.spec_from_file_location("model", folder / "model.py")
        model = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(model)
        torch.save(model.load()(model.normalise(torch.load(folder / "in.pt"))), folder / "out.pt")
assert not [name for name in sys.modules if name.split(".")[0] in ("ncp", "timm", "torchvision")]
"""


def made(name):
    """A network whose norms have statistics of their own, and its card."""
    text, task, outputs, light = CASES[name]
    net = build_scene(text, task, outputs, **light)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    about = card.make(
        where="'a'", task=task, architecture=text, classes=[f"it's {i}" for i in range(outputs)], channels=3, size=(64, 64),
        mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), use=card.Use(),
    )  # fmt: skip
    return net.eval(), about


def test_the_same_numbers_without_this_project(tmp_path):
    wanted = {}
    for name in CASES:
        net, about = made(name)
        folder = tmp_path / name
        path = rooms.write(net, about, folder)
        saved.save(net, folder / python.WEIGHTS, about.text())
        shape = (2, 9, 3, 48, 48) if about.task == "jigsaw" else (2, 3, 50, 64)
        x = torch.rand(shape).mul(255)
        torch.save(x, folder / "in.pt")
        mean, std = (torch.tensor(values)[:, None, None] for values in (about.mean, about.std))
        with torch.no_grad():
            wanted[name] = net((x / 255 - mean) / std)
        assert len(path.read_text().splitlines()) < 260
        assert torch.equal(saved.load(folder / python.WEIGHTS).eval()((x / 255 - mean) / std), wanted[name])
    call = [sys.executable, "-c", ALONE]
    env = {"PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, value in wanted.items():
        found = torch.load(tmp_path / name / "out.pt")
        torch.testing.assert_close(found, value, rtol=0, atol=1e-5 * float(value.abs().max()), msg=name)


def test_numbers_in_units_stand_in_the_file():
    net, about = made("normals")
    scaled = card.Use(scale=[127.5] * 3, shift=[127.5] * 3)
    text = rooms.source_of(net, card.NetworkCard(**{**vars(about), "use": scaled}))
    space = {"__file__": "model.py", "__name__": "model"}
    exec(compile(text, "model.py", "exec"), space)
    y = torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1)
    assert space["in_units"](y).flatten().tolist() == [0.0, 127.5, 255.0]
    assert "in_units" not in rooms.source_of(net, about)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "64-41414-3_31_122"}, "do not fit the network of its metadata"),
        ({"architecture": "64-41414-3_31_129"}, "digit 6 of a cell must be one of"),
        ({"architecture": "net.yaml"}, "cannot be used"),
        ({"task": "seg"}, "unknown task 'seg'"),
        ({"outputs": "100000000000"}, "outputs"),
        ({"outputs": "7"}, "classifier"),
        ({"base": "7"}, "model.base must be an even number"),
        ({"decoder_width": "nan"}, "decoder_width"),
        ({"format": "ncp-network-1"}, "holds no network for rooms"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_one_line(tmp_path, changes, words):
    net, about = made("cell")
    path = saved.save(net, tmp_path / "a.safetensors", about.text())
    texts = {"format": saved.FORMAT, **about.text(), "outputs": "5", "base": "8", "stem_stride": "4", **changes}
    save_file(load_file(path), path, texts)
    with pytest.raises(UserError, match=words) as error:
        saved.load(path)
    assert "\n" not in str(error.value)


def test_a_network_that_was_changed_is_not_written(tmp_path):
    net, _ = made("cell")
    net.head.classifier = torch.nn.Linear(64, 9)
    with pytest.raises(UserError, match="was changed after it was built"):
        saved.save(net, tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()
