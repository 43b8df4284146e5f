"""Triton's kernels against torch in double precision, by Triton's interpreter in the place of a GPU; and who asks for them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ncp.models import build, kernels
from ncp.models.finish import finish
from ncp.models.heads import join
from ncp.spaces.multires import SPACE

ROOT = Path(__file__).resolve().parents[3]
EXACT = {
    "torch.float32": 1e-5,
    "torch.float16": 1e-3,
    "torch.bfloat16": 6e-3,
}  # of what is written in the map's own numbers
SMALLEST = SPACE.decode(SPACE.round(SPACE.lower[None].astype(float)))[0]
MAPS = ("out", "slope", "shortcut")


@pytest.fixture(scope="module")
def told():
    """What the interpreter's process says."""
    pytest.importorskip("triton", reason="Triton comes with torch on Linux alone")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    line = [sys.executable, "-m", "tests.triton_interpreted"]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_as_torch_in_double_precision(told):
    assert len(told["apart"]) == 12
    for name, found in told["apart"].items():
        kind = found.pop("kind")
        assert kind == "torch." + name.rsplit(", ", 1)[1]
        assert ("shortcut" in found) == ("added" in name)
        for what, distance in found.items():
            assert distance <= (EXACT[kind] if what in MAPS else 1e-5), (name, what, distance)


def test_maps_as_in_double_precision(told):
    assert len(told["maps"]) == 5
    for name, found in told["maps"].items():
        for what, distance in found.items():
            assert distance <= EXACT["torch." + name.rsplit(", ", 1)[1]], (name, what, distance)


def test_a_network_trains_as_with_torch(told):
    torchs, own = told["losses"]
    assert own == pytest.approx(torchs, rel=1e-3)
    assert len(set(own)) == 2


def test_blocks_that_run_again_for_the_backward_pass(told):
    assert told["checkpointed"] == 0  # the same numbers, and statistics moved once


def test_the_slope_of_a_slope_is_refused(told):
    assert set(told["slopes of slopes"]) == {"norm", "sum", "join"}
    for name, said in told["slopes of slopes"].items():
        assert "once_differentiable" in said, (name, said)


def test_what_does_not_suit_is_left_to_torch(told):
    assert len(told["refused"]) == 16
    assert all(told["refused"].values()), told["refused"]


def test_what_is_no_number_stays_none(told):
    assert told["bad"]


def test_the_way_is_asked_in_training_alone():
    asked = []

    def never(norm, y, shortcut):
        asked.append(norm)

    norm, y = nn.BatchNorm2d(4), torch.randn(2, 4, 3, 3)
    wanted = torch.relu(nn.BatchNorm2d(4)(y))
    assert torch.equal(finish(norm, y.clone(), None, never), wanted)  # it couldn't, so torch did
    assert asked == [norm]
    finish(norm.eval(), y.clone(), None, never)
    assert asked == [norm]


@pytest.mark.parametrize("task", ["cls", "seg"])
def test_units_fusions_and_joins_ask_in_training(monkeypatch, task):
    asked = {"finish": [], "merge": [], "join": []}
    for name, seen in asked.items():
        monkeypatch.setattr(kernels, name, lambda *given, seen=seen: seen.append(given))
    net = build(SMALLEST, task, 3).train()
    norms = {module for module in net.modules() if isinstance(module, nn.BatchNorm2d)}
    torch.manual_seed(0)
    x = torch.randn(2, 3, 64, 64)
    wanted = net(x)
    own = kernels.use(net)(x)  # none of them can, so that everything is torch's
    torch.testing.assert_close(own, wanted)
    assert {given[0] for given in asked["finish"]} == norms
    ups = sum(len(module.up) for module in net.modules() if hasattr(module, "up"))
    assert len(asked["merge"]) == ups
    assert len(asked["join"]) == (task == "seg")
    for seen in asked.values():
        seen.clear()
    net.eval()(x)
    assert not any(asked.values())


def test_what_they_answer_is_taken(monkeypatch):
    monkeypatch.setattr(kernels, "merge", lambda same, down, up: torch.full_like(same, 7))
    monkeypatch.setattr(kernels, "join", lambda branches, size: 0 * join(branches, size) + 5)
    seen = {}
    net = kernels.use(build(SMALLEST, "seg", 3)).train()
    head, fusion = net.head, next(module for module in net.modules() if hasattr(module, "up") and len(module.up))
    head.join.conv.register_forward_pre_hook(lambda module, given: seen.update(join=given[0]))
    fusion.register_forward_hook(lambda module, given, out: seen.update(fusion=out[0]))
    net(torch.randn(2, 3, 64, 64))
    assert (seen["join"] == 5).all()
    assert (seen["fusion"] == 7).all()


def test_without_a_gpu_there_are_none():
    assert kernels.refused(torch.device("cpu")) == "there is no GPU"


def test_a_gpu_that_cannot_is_told(monkeypatch):
    pytest.importorskip("triton", reason="Triton comes with torch on Linux alone")
    kernels.refused.cache_clear()

    def broken(device):
        raise RuntimeError("Failed to find C compiler. Please specify via CC\nand more")

    monkeypatch.setattr("ncp.models.kernels.check.check", broken)
    assert kernels.refused(torch.device("cuda", 7)) == "Failed to find C compiler. Please specify via CC"
    kernels.refused.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu():
    assert kernels.refused(torch.device("cuda", 0)) is None
