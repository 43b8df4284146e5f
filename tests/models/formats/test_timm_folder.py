"""A folder for timm: loaded by timm with nothing but the registration, described for people."""

import json

import altered
import pytest
import timm
import torch
import yaml
from timm.data import create_transform, resolve_model_data_config

from ncp import card
from ncp.errors import UserError
from ncp.models import build, build_timm
from ncp.models.formats import timm_folder

TEXT = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"
TOLD = card.make(
    where="'a'", task="cls", architecture=TEXT, classes=["cat", "dog|wolf", "owl"], channels=3, size=(96, 96),
    mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), use=card.Use(share=0.9),
)  # fmt: skip


def test_timm_reads_it(tmp_path):
    torch.manual_seed(0)
    net = build(TEXT, "cls", classes=3)
    net(torch.randn(2, 3, 64, 64))
    facts = {**TOLD.text(), "trained": "yes", "step": "100", "metrics.top1": "71.5000", "data": "ImageNet small"}
    folder = timm_folder.write(net, TOLD, facts, tmp_path / "mine")
    again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    x = torch.randn(1, 3, 96, 96)
    torch.testing.assert_close(again(x), net.eval()(x))
    data = resolve_model_data_config(again)
    assert data["input_size"] == (3, 96, 96)
    assert (list(data["mean"]), list(data["std"]), data["crop_pct"]) == ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7], 0.9)
    assert create_transform(**data)
    assert json.loads((folder / "config.json").read_text())["label_names"] == ["cat", "dog|wolf", "owl"]
    text = (folder / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["library_name"] == "timm"
    assert "| top1, validation | 71.5000 |" in text
    assert "| data | ImageNet small |" in text
    assert f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M" in text


def test_the_licence_that_is_given_is_told(tmp_path):
    net = build(TEXT, "cls", classes=3)
    for facts, told in (({}, "other"), ({"licence": "cc-by-nc-4.0"}, "cc-by-nc-4.0")):
        folder = timm_folder.write(net, TOLD, facts, tmp_path / told)
        text = (folder / "README.md").read_text()
        assert yaml.safe_load(text.split("---")[1])["license"] == told
        assert ("say which above" in text) == (told == "other")
        config = json.loads((folder / "config.json").read_text())
        assert config["pretrained_cfg"].get("license", "other") == (told if facts else "mit")


def test_others_are_refused():
    with pytest.raises(UserError, match=r"task=cls\), this is of task=seg"):
        timm_folder.write(build(TEXT, "seg"), None, {}, None)
    with pytest.raises(UserError, match="networks of the space"):
        timm_folder.write(build_timm("resnet18", "cls"), None, {}, None)


@pytest.fixture
def received(tmp_path):
    """A folder, and a way to load it with other values in its config.json."""
    net = build(TEXT, "cls", classes=3)
    folder = timm_folder.write(net, TOLD, {}, tmp_path / "mine")
    config = json.loads((folder / "config.json").read_text())

    def load(changed):
        (folder / "config.json").write_text(json.dumps(changed))
        return timm.create_model(f"local-dir:{folder}", pretrained=True)

    return config, load


def test_a_received_folder_opens_no_file_of_this_machine(received, tmp_path):
    config, load = received
    (tmp_path / "mine.yaml").write_text(f"text: {TEXT}\n")
    assert timm.create_model("ncp_multires", code=str(tmp_path / "mine.yaml"))  # whoever calls may
    config["model_args"]["code"] = str(tmp_path / "mine.yaml")
    with pytest.raises(UserError, match="is not a whole number"):
        load(config)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("code", [64] * 26, "a code has 27 numbers"),
        ("code", {"a": 1}, "code"),
        ("code", 3, "an architecture is 27 numbers"),
        ("num_classes", 10**12, "at most 100,000"),
        ("num_classes", "many", "a whole number of at least 0"),
        ("num_classes", -1, "a whole number of at least 0"),
        ("in_chans", 10**12, "at most 10,000"),
        ("in_chans", [3], "at least 1"),
        ("drop_path_rate", 7, "a share from 0"),
    ],
)
def test_altered_arguments_take_no_memory(received, key, value, message):
    config, load = received
    config["model_args"][key] = value
    with altered.bounded(200), pytest.raises(UserError, match=message) as error:
        load(config)
    assert "\n" not in str(error.value)
