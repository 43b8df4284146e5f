"""The backbone, built by the frameworks' registry with what their stock configs pass."""

import builtins
import importlib
import sys

import pytest
import torch
from small_detector import about, detector

from ncp.errors import UserError
from ncp.models import build, detector_file
from ncp.models.backbone import MultiResolutionBackbone
from ncp.models.export import save

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"
WIDER = NARROW.replace("24-16", "32-16")


def test_without_mmengine_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def no_mmengine(name, *args, **kwargs):
        if name.split(".")[0] == "mmengine":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_mmengine)
    for name in [one for one in sys.modules if one.split(".")[:2] == ["ncp", "openmmlab"]]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError, match=r"'mmengine' is not installed.*ncp-nas\[mmseg\]"):
        importlib.import_module("ncp.openmmlab")


@pytest.fixture
def made(mmseg):
    from mmseg.registry import MODELS

    return lambda **options: MODELS.build({"type": "NCPBackbone", "architecture": NARROW, **options})


def test_the_maps_are_the_backbones_own(made):
    wrapped = made(out_indices=(1, 3)).eval()
    bare = MultiResolutionBackbone(wrapped.net.architecture).eval()
    bare.load_state_dict(wrapped.net.state_dict())
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    # in one memory format: convolutions of two round differently
    maps, expected = wrapped(x), bare(x.contiguous(memory_format=torch.channels_last))
    assert isinstance(maps, tuple)
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 8, 12), (24, 2, 3)]
    assert wrapped.out_channels == (16, 24)
    for a, b in zip(maps, (expected[1], expected[3]), strict=True):
        torch.testing.assert_close(a, b)


def test_a_birds_eye_view_map_keeps_half_of_its_size(made):
    assert [m.shape[-1] for m in made(in_channels=64, stem_strides=[2, 1]).eval()(torch.randn(1, 64, 64, 64))] == [
        32,
        16,
        8,
        4,
    ]


def test_norms_stages_and_checkpoints_are_taken(made):
    net = made(norm_cfg={"type": "SyncBN", "requires_grad": True, "momentum": 0.01, "eps": 1e-3})
    norms = [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert {(type(m).__name__, m.momentum, m.eps) for m in norms} == {("SyncBatchNorm", 0.01, 1e-3)}
    net = made(norm_eval=True, frozen_stages=2, with_cp=True).train()
    assert not any(m.training for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))
    net(torch.randn(2, 3, 64, 64))[-1].sum().backward()
    moved = {name.split(".")[2] for name, p in net.named_parameters() if p.grad is not None}
    assert moved == {"2", "3"}  # the blocks of three and of four branches
    assert made(norm_cfg={"type": "GN", "num_groups": 4}).eval()(torch.randn(1, 3, 64, 64))[0].shape == (1, 8, 16, 16)


def test_weights_of_this_project(made, tmp_path):
    torch.manual_seed(3)
    source = build(NARROW, "cls")
    path = save(source, tmp_path / "net.safetensors")
    for options in ({"pretrained": str(path)}, {"init_cfg": {"type": "Pretrained", "checkpoint": str(path)}}):
        net = made(**options)
        net.init_weights()
        for name, value in source.backbone.state_dict().items():
            assert torch.equal(net.net.state_dict()[name], value), name


def test_weights_of_a_training_and_of_its_folder(made, tmp_path):
    """A classifier's checkpoint starts a backbone, named by its file or by its run folder."""
    from composed import compose
    from tiny_runs import COMMON, OPTIONS

    from ncp.tasks import run as tasks

    run = tasks.assemble(compose("task=cls", *COMMON, *OPTIONS["cls"], "callbacks.pictures=false"), tmp_path)
    tasks.fit(run)
    trained = run.task.network.backbone
    for place in (tmp_path / "checkpoints" / "last.ckpt", tmp_path):
        options = {"init_cfg": {"type": "Pretrained", "checkpoint": str(place)}}
        net = made(architecture=trained.architecture, **options)
        net.init_weights()
        for name, value in trained.state_dict().items():
            assert torch.equal(net.net.state_dict()[name], value), name
    with pytest.raises(UserError, match="of another network: "):
        made(pretrained=str(tmp_path)).init_weights()


def test_weights_of_a_whole_detector(made, tmp_path):
    source = detector()
    path = detector_file.save(source, tmp_path / "net.safetensors", about(source).text())
    net = made(architecture=source.network.architecture, in_channels=64, stem_strides=(2, 1), pretrained=str(path))
    net.init_weights()
    assert torch.equal(net.net.stem[0].conv.weight, source.network.backbone.stem[0].conv.weight)


def test_weights_that_fit_in_part_are_counted(made, tmp_path):
    net = made()
    other = {f"backbone.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": other}, tmp_path / "whole.pth")
    made(pretrained=str(tmp_path / "whole.pth")).init_weights()
    name = "backbone.net.stem.0.conv.weight"
    total = len(other)
    torch.save({"state_dict": {k: v for k, v in other.items() if k != name}}, tmp_path / "part.pth")
    with pytest.raises(
        UserError, match=rf"{total - 1} of the backbone's {total} entries .*missing: stem\.0\.conv\.weight"
    ):
        made(pretrained=str(tmp_path / "part.pth")).init_weights()
    torch.save({"state_dict": {**other, name: torch.zeros(8, 1, 3, 3)}}, tmp_path / "shape.pth")
    with pytest.raises(UserError, match=r"stem\.0\.conv\.weight has shape \(8, 1, 3, 3\)"):
        made(pretrained=str(tmp_path / "shape.pth")).init_weights()
    path = save(build(WIDER, "seg"), tmp_path / "wider.safetensors")
    with pytest.raises(UserError, match="of another network: c4_4 is 32, not 24"):
        made(pretrained=str(path)).init_weights()


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_a_checkpoint_runs_no_code(made, tmp_path, capsys):
    torch.save({"state_dict": {}, "meta": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match=r"asks for '\w+\.print', which is not on the list .*; nothing in it was run"):
        made(pretrained=str(tmp_path / "evil.pth")).init_weights()
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"init_cfg": {"type": "Kaiming"}}, r"init_cfg is dict\(type='Pretrained', checkpoint=FILE\)"),
        ({"init_cfg": {"type": "Pretrained"}}, "init_cfg is dict"),
        ({"out_indices": (0, 4)}, "0, 1, 2, 3"),
        ({"frozen_stages": 7}, "frozen_stages"),
        ({"architecture": "resnet"}, "resnet"),
    ],
)
def test_mistakes_are_named(made, options, words):
    with pytest.raises(UserError, match=words):
        made(**options)
