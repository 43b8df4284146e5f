"""Norms of training steps by Triton's kernels, against torch in double precision; Triton's interpreter stands in for a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ncp.models import build
from ncp.models.finish import finish
from ncp.models.runtime import by_kernels, kernels_refused
from ncp.spaces.multires import SPACE

ROOT = Path(__file__).resolve().parents[2]
EXACT = {
    "torch.float32": 1e-5,
    "torch.float16": 1e-3,
    "torch.bfloat16": 6e-3,
}  # of what is written in the map's own numbers
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


def test_a_network_trains_as_with_torch(told):
    torchs, own = told["losses"]
    assert own == pytest.approx(torchs, rel=1e-3)
    assert len(set(own)) == 3


def test_what_does_not_suit_is_left_to_torch(told):
    assert len(told["refused"]) == 9
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


def test_every_unit_asks(monkeypatch):
    asked = []
    monkeypatch.setattr("ncp.models.finish.kernels", lambda norm, y, shortcut: asked.append(norm))
    net = build(SPACE.default(), "cls", 3).train()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    by_kernels(net)(torch.randn(2, 3, 32, 32))
    assert set(asked) == set(norms)


def test_without_a_gpu_there_are_none():
    assert kernels_refused(torch.device("cpu")) == "there is no GPU"


def test_a_gpu_that_cannot_is_told(monkeypatch):
    kernels_refused.cache_clear()

    def broken(device):
        raise RuntimeError("Failed to find C compiler. Please specify via CC\nand more")

    pytest.importorskip("triton", reason="Triton comes with torch on Linux alone")
    monkeypatch.setattr("ncp.models.triton_norm.check", broken)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: torch.autocast("cpu", enabled=False))
    assert kernels_refused(torch.device("cuda", 7)) == "Failed to find C compiler. Please specify via CC"
    kernels_refused.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu():
    assert kernels_refused(torch.device("cuda", 0)) is None
