"""The backbone behind OpenMMLab's interface, built by mmengine's own registry where the extra is installed."""

import builtins
import importlib
import sys
import types

import pytest
import torch

from ncp.errors import UserError
from ncp.models.backbone import MultiResolutionBackbone

NAME = "ncp.models.openmmlab"


def test_without_mmengine_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def no_mmengine(name, *args, **kwargs):
        if name.split(".")[0] == "mmengine":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_mmengine)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    with pytest.raises(UserError, match=r"'mmengine' is not installed.*ncp-nas\[openmmlab\]"):
        importlib.import_module(NAME)


class Registry:
    """What of mmengine's registry is used: register_module as a decorator factory, build from a dictionary."""

    def __init__(self):
        self.known = {}

    def register_module(self, force=False):
        return lambda kind: self.known.setdefault(kind.__name__, kind)

    def build(self, config):
        return self.known[config["type"]](**{k: v for k, v in config.items() if k != "type"})


@pytest.fixture
def registry(monkeypatch):
    """mmengine's registry, or one that takes the same two calls where mmengine is not installed."""
    try:
        from mmengine.registry import MODELS
    except ImportError:
        MODELS = Registry()
        package, module = types.ModuleType("mmengine"), types.ModuleType("mmengine.registry")
        module.MODELS = MODELS
        monkeypatch.setitem(sys.modules, "mmengine", package)
        monkeypatch.setitem(sys.modules, "mmengine.registry", module)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    importlib.import_module(NAME)
    yield MODELS
    sys.modules.pop(NAME, None)


def test_the_maps_are_the_backbones_own(registry):
    wrapped = registry.build(
        {"type": "NCPBackbone", "architecture": "ncp_seg", "out_indices": (1, 3), "channels_last": False}
    ).eval()
    bare = MultiResolutionBackbone(wrapped.net.architecture).eval()
    bare.load_state_dict(wrapped.net.state_dict())
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps, expected = wrapped(x), bare(x)
    assert isinstance(maps, tuple)
    assert [tuple(m.shape[1:]) for m in maps] == [(wrapped.out_channels[0], 8, 12), (wrapped.out_channels[1], 2, 3)]
    for a, b in zip(maps, (expected[1], expected[3]), strict=True):
        torch.testing.assert_close(a, b)


def test_a_birds_eye_view_map_keeps_half_of_its_size(registry):
    net = registry.build({"type": "NCPBackbone", "in_channels": 64, "stem_strides": [2, 1]}).eval()
    with torch.no_grad():
        maps = net(torch.randn(1, 64, 64, 64))
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"init_cfg": {"type": "Pretrained"}}, "no published weights"),
        ({"out_indices": (0, 4)}, "0, 1, 2, 3"),
        ({"architecture": "resnet"}, "resnet"),
    ],
)
def test_mistakes_are_named(registry, options, words):
    with pytest.raises(UserError, match=words):
        registry.build({"type": "NCPBackbone", **options})
