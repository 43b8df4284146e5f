"""A backbone takes weights from any file that holds all of them, under any of the names in use; and nothing else."""

import pytest
import torch

from ncp.errors import UserError
from ncp.models import build
from ncp.models.backbone import MultiResolutionBackbone
from ncp.models.export import save
from ncp.spaces.multires import Architecture

TEXT = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"


@pytest.fixture
def weights():
    pytest.importorskip("mmengine", reason="needs mmengine: pip install 'ncp-nas[mmseg]'")
    from ncp.openmmlab import weights

    return weights


def backbone(text=TEXT):
    return MultiResolutionBackbone(Architecture.parse(text))


def same(net, state):
    return all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "backbone.", "network.backbone.", "backbone.net.", "net."])
def test_entries_are_found_under_every_prefix(weights, tmp_path, prefix):
    state = {name: torch.randn_like(value) if value.is_floating_point() else value
             for name, value in backbone().state_dict().items()}  # fmt: skip
    others = {"head.classifier.weight": torch.zeros(3, 16), "decode_head.bias": torch.zeros(2)}
    torch.save(
        {"state_dict": {**{prefix + name: value for name, value in state.items()}, **others}}, tmp_path / "net.pth"
    )
    net = backbone()
    weights.load_backbone(net, str(tmp_path / "net.pth"))
    assert same(net, state)


def test_a_file_of_this_project_says_its_architecture(weights, tmp_path):
    """The head's width (the last number) is no part of a backbone; everything else must be the same."""
    net = build(TEXT, "seg", classes=3)
    save(net, tmp_path / "seg.safetensors", {})
    wider = backbone(TEXT.removesuffix("16") + "32")
    weights.load_backbone(wider, str(tmp_path / "seg.safetensors"))
    assert same(wider, net.backbone.state_dict())
    with pytest.raises(UserError, match="of another network: i1 is 8, not 16"):
        weights.load_backbone(backbone("16" + TEXT[1:]), str(tmp_path / "seg.safetensors"))


def test_a_part_is_not_enough(weights, tmp_path):
    state = backbone().state_dict()
    lost = next(iter(state))
    torch.save({name: value for name, value in state.items() if name != lost}, tmp_path / "part.pth")
    net = backbone()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(
        UserError, match=rf"{len(state) - 1} of the backbone's {len(state)} entries fit .* \(missing: {lost}"
    ):
        weights.load_backbone(net, str(tmp_path / "part.pth"))
    assert same(net, before)
