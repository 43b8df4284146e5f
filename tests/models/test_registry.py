"""The networks behind timm's interface: one set of checks over every registered name."""

import re
import subprocess
import sys

import pytest
import timm
import torch

from ncp.errors import UserError
from ncp.models import build, registry, timm_script
from ncp.models.export import save
from ncp.spaces import cost, found
from ncp.spaces.multires import SPACE

NARROW = "8_16-2_1_1_8-2_2_1_2_16_8-1_3_1_1_2_8_16_24-2_4_1_1_1_2_8_16_8_24-16"
MODELS = [*((name, {}) for name in registry.NAMES), ("ncp_multires", {"code": NARROW})]


def architecture(name: str, kwargs: dict):
    return SPACE.parse(kwargs["code"]) if kwargs else found.get("default" if name == "ncp_multires" else name)


def test_timm_lists_them():
    assert set(timm.list_models("ncp_*")) == set(registry.NAMES)
    assert not timm.list_pretrained("ncp_*")


@pytest.mark.parametrize(("name", "kwargs"), MODELS)
def test_classifier(name, kwargs):
    net = timm.create_model(name, num_classes=11, **kwargs).eval()
    wanted = cost.count(architecture(name, kwargs), head="classification", classes=11)
    assert sum(p.numel() for p in net.parameters()) == int(wanted.params)
    x = torch.randn(2, 3, 64, 64)
    logits = net(x)
    assert logits.shape == (2, 11)
    assert torch.equal(net.forward_head(net.forward_features(x)), logits)
    assert torch.equal(net.get_classifier()(net.forward_head(net.forward_features(x), pre_logits=True)), logits)
    net.reset_classifier(4)
    assert (net.num_classes, net(x).shape) == (4, (2, 4))
    net.reset_classifier(0)
    assert net(x).shape == (2, net.num_features)


@pytest.mark.parametrize(("name", "kwargs"), MODELS)
def test_features_only(name, kwargs):
    net = timm.create_model(name, features_only=True, **kwargs).eval()
    maps = net(torch.randn(2, 3, 64, 96))
    assert net.feature_info.reduction() == [4, 8, 16, 32]
    assert net.feature_info.channels() == list(architecture(name, kwargs).code[22:26])
    for m, c, r in zip(maps, net.feature_info.channels(), net.feature_info.reduction(), strict=True):
        assert m.shape == (2, c, 64 // r, 96 // r)
    assert not any("head" in n for n, _ in net.named_parameters())  # nothing that gets no gradient


def test_features_only_of_some_maps_and_one_channel():
    net = timm.create_model("ncp_multires", code=NARROW, features_only=True, out_indices=(1, -1), in_chans=1).eval()
    assert [tuple(m.shape) for m in net(torch.randn(1, 1, 64, 64))] == [(1, 16, 8, 8), (1, 24, 2, 2)]


@pytest.mark.parametrize(("name", "kwargs"), MODELS)
def test_default_configs(name, kwargs):
    net = timm.create_model(name, **kwargs)
    cfg = net.pretrained_cfg
    assert (cfg["input_size"], cfg["num_classes"], net.num_classes) == ((3, 224, 224), 1000, 1000)
    assert timm.data.resolve_data_config({}, model=net)["mean"] == timm.data.IMAGENET_DEFAULT_MEAN
    assert net.get_submodule(cfg["first_conv"]).in_channels == 3
    assert net.get_submodule(cfg["classifier"]).out_features == 1000
    if kwargs:  # the narrow one stands for all: the sizes of maps do not depend on the code
        assert net.eval().forward_features(torch.randn(1, 3, 224, 224)).shape[2:] == cfg["pool_size"]


def test_intermediates_come_with_the_joined_map():
    net = timm.create_model("ncp_multires", code=NARROW).eval()
    x = torch.randn(1, 3, 64, 64)
    final, maps = net.forward_intermediates(x, indices=2)
    assert torch.equal(final, net.forward_features(x))
    assert [m.shape[1] for m in maps] == [8, 24]


def test_training_through_timm():
    torch.manual_seed(0)
    net = timm.create_model("ncp_multires", code=NARROW, num_classes=3, drop_rate=0.5)
    net.set_grad_checkpointing()
    net(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"pretrained": True}, "no weights are published for ncp_multires"),
        ({"code": "ncp_nothing"}, "unknown architecture 'ncp_nothing'"),
        ({"code": [64] * 26}, "a code has 27 numbers"),
        ({"output_stride": 8}, "output_stride=8: these networks always have maps at 1/4"),
        ({"drop_path_rate": 1.5}, "drop_path_rate is a share from 0 to below 1"),
        ({"features_only": True, "feature_cls": "list"}, "feature_cls is one of getter, hook, fx"),
        ({"global_pool": "max"}, "global_pool must be 'avg' or ''"),
        ({"global_pool": ""}, "a classifier needs global_pool='avg'"),
    ],
)
def test_refusals(kwargs, message):
    with pytest.raises(UserError, match=re.escape(message)):
        timm.create_model("ncp_multires", **kwargs)


@pytest.mark.parametrize("line", ["import timm, ncp.models", "import ncp.models.registry, timm"])
def test_how_timm_comes_to_know_them(line):
    done = subprocess.run(
        [sys.executable, "-c", f"{line}; print(timm.is_model('ncp_seg'))"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"


def test_timm_loads_our_weight_files(tmp_path):
    torch.manual_seed(0)
    net = build(NARROW, "cls", classes=7).eval()
    path = save(net, tmp_path / "net.safetensors")
    again = timm.create_model("ncp_multires", code=NARROW, num_classes=7, checkpoint_path=str(path)).eval()
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(net(x), again(x))


@pytest.mark.parametrize("kind", ["hook", "fx"])
def test_other_ways_to_the_same_maps(kind):
    torch.manual_seed(0)
    wanted = timm.create_model("ncp_multires", code=NARROW, features_only=True).eval()
    net = timm.create_model("ncp_multires", code=NARROW, features_only=True, feature_cls=kind).eval()
    state = {
        name.rpartition("backbone.")[2]: value for name, value in wanted.state_dict().items() if "backbone" in name
    }
    mine = {name: state[name.rpartition("backbone.")[2]] for name in net.state_dict() if "backbone" in name}
    net.load_state_dict(mine, strict=False)
    x = torch.randn(1, 3, 64, 96)
    for mine, one in zip(net(x), wanted(x), strict=True):
        torch.testing.assert_close(mine, one)


def test_stochastic_depth_leaves_units_out_in_training_alone():
    torch.manual_seed(0)
    net = timm.create_model("ncp_multires", code=NARROW, drop_path_rate=0.9)
    plain = timm.create_model("ncp_multires", code=NARROW)
    plain.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(net.eval()(x), plain.eval()(x))
    assert not torch.equal(net.train()(x), plain.train()(x))


def test_maps_are_channels_last_and_weights_as_timm_wants_them():
    from timm.utils import ModelEmaV3

    net = timm.create_model("ncp_multires", code=NARROW).eval()
    assert net.forward_features(torch.randn(1, 3, 64, 64)).is_contiguous(memory_format=torch.channels_last)
    assert all(value.is_contiguous() for value in net.state_dict().values())
    average = ModelEmaV3(net, decay=0.0)
    net.head.classifier.bias.data.fill_(7)
    average.update(net)  # in place, through the state_dict
    assert average.module.head.classifier.bias[0].item() == 7


def test_a_folder_comes_back(tmp_path):
    from timm.models import save_for_hf

    net = timm.create_model("ncp_multires", code=NARROW, num_classes=5).eval()
    save_for_hf(net, tmp_path / "mine", safe_serialization=True)
    x = torch.randn(1, 3, 64, 64)
    again = timm.create_model(f"local-dir:{tmp_path / 'mine'}", pretrained=True).eval()
    assert torch.equal(again(x), net(x))
    file = {"file": str(tmp_path / "mine" / "model.safetensors"), "num_classes": 5}
    again = timm.create_model("ncp_multires", code=NARROW, num_classes=5, pretrained=True, pretrained_cfg_overlay=file)
    assert torch.equal(again.eval()(x), net(x))
    tuned = timm.create_model(f"local-dir:{tmp_path / 'mine'}", pretrained=True, num_classes=2)
    assert torch.equal(tuned.backbone.stem[0].conv.weight, net.backbone.stem[0].conv.weight)


def test_scripts_of_others_know_the_networks(tmp_path):
    script = tmp_path / "validate.py"
    script.write_text("import sys, timm\nfrom near import NAME\nprint(__name__, sys.argv[1:], timm.is_model(NAME))\n")
    (tmp_path / "near.py").write_text("NAME = 'ncp_seg'\n")
    run = [sys.executable, "-m", "ncp.models.timm_script"]
    done = subprocess.run([*run, str(script), "--model", "x"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "__main__ ['--model', 'x'] True"
    with pytest.raises(SystemExit, match="2"):
        timm_script.main(["none.py"])
