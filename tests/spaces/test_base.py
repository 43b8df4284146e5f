"""What holds of every space, and that spaces need numpy alone."""

import subprocess
import sys

import numpy as np
import pytest

from ncp import spaces
from ncp.errors import UserError

HEAVY = (
    "torch", "lightning", "pytorch_lightning", "timm", "pandas", "pyarrow", "matplotlib", "sklearn", "hydra", "omegaconf",
    "rich",
)  # fmt: skip


@pytest.mark.parametrize("name", spaces.names())
def test_every_space_keeps_the_contract(name):
    space = spaces.get(name)
    rng = np.random.default_rng(0)
    architectures = space.sample(50, rng)
    codes = space.encode(architectures)
    assert space.name == name
    assert codes.shape == (50, space.dim)
    assert codes.dtype == np.float64
    assert len(set(space.labels)) == space.dim
    for constant in (space.lower, space.upper, space.step, space.center, space.scale):
        assert constant.shape == (space.dim,)
        assert constant.dtype == np.float64
    assert (codes >= space.lower).all()
    assert (codes <= space.upper).all()
    assert space.decode(codes) == architectures
    assert np.array_equal(space.round(codes), codes)
    for architecture in architectures[:5]:
        assert space.parse(architecture) is architecture
        assert space.parse(architecture.text) == space.parse(list(architecture.code)) == architecture
        assert architecture not in space.neighbours(architecture)
    cost = space.cost(codes.astype(np.int64))
    assert cost.macs.shape == cost.params.shape == (50,)
    assert cost.macs.dtype == cost.params.dtype == np.int64
    assert (cost.params > 0).all()
    standard = (space.encode(space.sample(4000, rng)) - space.center) / space.scale
    assert np.abs(standard.mean(0)).max() < 0.1
    spread = standard.std(0)
    assert np.abs(spread[spread > 0] - 1).max() < 0.1
    assert (space.scale > 0).all()
    assert sorted(i for group in space.groups.values() for i in group) == list(range(space.dim))
    assert isinstance(space.default(), spaces.AnyArchitecture)


@pytest.mark.parametrize("name", spaces.names())
def test_an_architecture_of_another_space_is_refused_by_that_name(name):
    """Micro's and macro's texts look alike to a newcomer; of a code of 27 numbers nobody needs to hear then."""
    space = spaces.get(name)
    for other in {"transnas-micro", "transnas-macro"} - {name}:
        for written in (spaces.get(other).default(), spaces.get(other).default().text):
            with pytest.raises(
                UserError, match=f"written as an architecture of {other}; here it must be one of {name}$"
            ):
                spaces.parsed(space, written)
    assert spaces.parsed(space, space.default().text) == space.default()
    with pytest.raises(UserError, match="nonsense"):  # of no space: as the space says it
        spaces.parsed(space, "nonsense")


def test_unknown_space():
    with pytest.raises(UserError, match="unknown space 'darts'; known spaces: multires, nasbench201"):
        spaces.get("darts")


def test_spaces_import_numpy_alone():
    code = (
        "import sys, ncp.spaces.cost, ncp.spaces.multires, ncp.spaces.nasbench201, ncp.benchmark, ncp.benchmark.settings\n"
        "from ncp import spaces\n"
        "a = spaces.get('multires').parse('64_64-2_1_2_64-2_2_2_2_64_64-2_3_2_2_2_64_64_64-2_4_2_2_2_2_64_64_64_64-64')\n"
        "ncp.spaces.cost.count(a)\n"
        "own = {'numpy', 'ncp'} | set(sys.stdlib_module_names)\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules if not m.startswith('_')} - own))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert out[0] == "[]"
    others = [m for m in eval(out[1]) if not m.startswith(("sitecustomize", "usercustomize"))]
    installed_hooks = [
        m for m in others if "editable" in m or "distutils" in m
    ]  # what installers put into site-packages
    assert [m for m in others if m not in installed_hooks] == []


def test_settings_need_no_numpy():
    code = "import sys, ncp.benchmark.settings as s; print(s.get('cls').name, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["cls-50-1000", "False"]
