"""Weight files and ONNX: what is written can be read, by others too, and nothing else is taken."""

import os
import re
import stat

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ncp.errors import UserError
from ncp.models import build, export
from ncp.models.export import export_onnx, load, load_into, onnx_error, save

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"
WIDER = NARROW.replace("24-16", "32-16")
SHAPES = {"cls": (1, 3, 64, 64), "seg": (1, 3, 64, 64), "det3d": (1, 64, 32, 32), "video": (1, 3, 3, 64, 64)}


def trained(task: str, **kwargs):
    """A network whose running statistics are not the initial ones."""
    torch.manual_seed(1)
    net = build(NARROW, task, **kwargs)
    net(torch.randn(2, *SHAPES[task][1:]))
    return net.eval()


@pytest.mark.parametrize("task", list(SHAPES))
def test_round_trip(task, tmp_path):
    net = trained(task)
    path = save(net, tmp_path / "deep" / "net.safetensors", {"mIoU": "77.1"})
    again = load(path).eval()
    x = torch.randn(SHAPES[task])
    assert torch.equal(again(x), net(x))
    assert again.signature == net.signature
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]
    with safe_open(path, framework="np") as file:  # any reader of the format finds the architecture
        assert file.metadata()["architecture"] == NARROW
        assert file.metadata()["mIoU"] == "77.1"
    assert load_file(path).keys() == net.state_dict().keys()


def test_everything_in_the_signature_comes_back(tmp_path):
    net = build(NARROW, "seg", classes=3, in_channels=5, stem_strides=(2, 1), channels_last=False)
    again = load(save(net, tmp_path / "net.safetensors"))
    assert again.signature == (NARROW, "seg", 3, 5, (2, 1))
    assert again.eval()(torch.randn(1, 5, 32, 32)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("task", "text", "kwargs", "message"),
    [
        ("cls", WIDER, {}, "of another network: c4_4 is 24, not 32"),
        ("cls", NARROW, {"classes": 9}, "classes is 50, not 9"),
        ("cls", NARROW, {"in_channels": 1}, "in_channels is 3, not 1"),
        ("seg", NARROW, {}, "task is cls, not seg; classes is 50, not 19"),
    ],
)
def test_loading_says_what_does_not_fit(task, text, kwargs, message, tmp_path):
    path = save(trained("cls"), tmp_path / "net.safetensors")
    other = build(text, task, **kwargs)
    before = {k: v.clone() for k, v in other.state_dict().items()}
    with pytest.raises(UserError, match=re.escape(message)):
        load_into(other, path)
    assert all(torch.equal(v, before[k]) for k, v in other.state_dict().items())


def test_backbone_alone_starts_another_task(tmp_path):
    source = trained("cls")
    path = save(source, tmp_path / "net.safetensors")
    net = build(NARROW, "video")
    head = net.head.conv.weight.clone()
    load_into(net, path, part="backbone")
    x = torch.randn(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(net.eval().backbone(x), source.backbone(x), strict=True))
    assert torch.equal(net.head.conv.weight, head)
    with pytest.raises(UserError, match="c4_4 is 24, not 32"):
        load_into(build(WIDER, "video"), path, part="backbone")
    with pytest.raises(UserError, match="unknown part 'head'; parts: all, backbone"):
        load_into(net, path, part="head")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        load(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(save(trained("cls"), tmp_path / "net.safetensors").read_bytes()[:-100])
    with pytest.raises(UserError, match="is not a complete safetensors file"):
        load(broken)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    with pytest.raises(UserError, match="holds no network of this project"):
        load(foreign)


def test_damaged_contents_are_named(tmp_path):
    path = save(trained("cls"), tmp_path / "net.safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)

    def rewritten(changes: dict, meta: dict | None = None):
        out = tmp_path / "changed.safetensors"
        save_file({k: v for k, v in {**tensors, **changes}.items() if v is not None}, out, meta or metadata)
        return out

    name = "head.classifier.bias"
    for changes, message in [
        ({name: None}, f"missing: {name}"),
        ({"more": torch.zeros(1)}, "unknown: more"),
        ({name: torch.zeros(3)}, f"{name} has shape (3,), not (50,)"),
        ({name: torch.full((50,), torch.nan)}, f"are not finite: {name}"),
    ]:
        with pytest.raises(UserError, match=re.escape(message)):
            load(rewritten(changes))
    with pytest.raises(UserError, match="missing required field `task`"):
        load(rewritten({}, {k: v for k, v in metadata.items() if k != "task"}))
    with pytest.raises(UserError, match=r"cannot be used: o1 must be in 8\.\.128"):
        load(rewritten({}, {**metadata, "architecture": NARROW[:-2] + "15"}))


def test_unwritable_and_unsigned(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        save(trained("cls"), tmp_path / "file" / "net.safetensors")
    net = trained("cls")
    net.signature = None
    with pytest.raises(UserError, match=re.escape("made by ncp.models.build")):
        save(net, tmp_path / "net.safetensors")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A weight file's path, tensors and metadata."""
    path = save(trained("seg"), tmp_path_factory.mktemp("written") / "net.safetensors")
    with safe_open(path, framework="pt") as file:
        return path, load_file(path), file.metadata()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": "1000000000"}, "<= 100000"),
        ({"classes": "99999"}, "the network of its metadata has"),
        ({"in_channels": "1000000000"}, "<= 10000"),
        ({"in_channels": "0"}, ">= 1"),
        ({"classes": "-1"}, ">= 0"),
        ({"classes": "many"}, "classes"),
        ({"classes": "1" * 5000}, "classes"),
        ({"task": "../seg"}, "unknown task"),
        ({"task": "cls"}, "do not fit"),
        ({"stem_strides": "2,7"}, "stem_strides"),
        ({"stem_strides": "2,2,2"}, "stem_strides"),
        ({"architecture": "\x1b[31mx" * 50}, "is not a whole number"),
    ],
)
def test_altered_metadata_is_one_line(written, change, message, tmp_path):
    _, tensors, metadata = written
    save_file(tensors, tmp_path / "net.safetensors", {**metadata, **change})
    with pytest.raises(UserError, match=re.escape(message)) as error:
        load(tmp_path / "net.safetensors")
    assert "\x1b" not in str(error.value)
    assert "\n" not in str(error.value)


def test_an_architecture_in_a_file_is_no_path(written, tmp_path):
    _, tensors, metadata = written
    (tmp_path / "mine.yaml").write_text(f"text: {NARROW}\n")
    save_file(tensors, tmp_path / "net.safetensors", {**metadata, "architecture": str(tmp_path / "mine.yaml")})
    with pytest.raises(UserError, match="is not a whole number"):
        load(tmp_path / "net.safetensors")


def test_weights_that_are_not_finite_are_not_written(written, tmp_path):
    net = trained("seg")
    net.backbone.stem[0].conv.weight.data[0, 0, 0, 0] = torch.nan
    for write, name in ((save, "net.safetensors"), (export_onnx, "net.onnx")):
        (tmp_path / name).write_bytes(b"old")
        with pytest.raises(UserError, match=r"not finite: backbone\.stem\.0\.conv\.weight"):
            write(net, tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_changed_network_is_no_longer_what_its_metadata_says(tmp_path):
    net = trained("cls")
    net.head.classifier = torch.nn.Identity()
    with pytest.raises(UserError, match=r"was changed .*missing: head\.classifier"):
        save(net, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_the_umask_decides_who_may_read(tmp_path):
    old = os.umask(0o022)
    try:
        path = save(trained("cls"), tmp_path / "net.safetensors")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_onnx_file_that_fails_its_check_does_not_stay(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"old")
    monkeypatch.setattr(export, "onnx_error", lambda *given: 0.5)
    with pytest.raises(UserError, match=r"differs from torch by 5.0e-01"):
        export_onnx(trained("cls"), tmp_path / "net.onnx", size=(64, 64))
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_bytes() == b"old"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["seg"])  # of any size: test_every_format
def test_onnx_runs_in_onnxruntime_at_any_batch(task, tmp_path):
    import onnx
    import onnxruntime

    net = trained(task)
    path = export_onnx(net, tmp_path / "net.onnx", size=(50, 64), frames=3)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    shape = (*SHAPES[task][1:-2], 50, 64)
    for batch in (1, 2, 5):
        x = torch.randn(batch, *shape)
        (given,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(given, net(x).detach().numpy(), atol=1e-4 * float(net(x).abs().max()))
    assert {p.key: p.value for p in onnx.load(path).metadata_props}["architecture"] == NARROW
    assert onnx_error(trained(task).train(), path, torch.randn(2, *shape)) > 1e-3  # the check can fail
    assert onnx_error(net, path, torch.full((1, *shape), torch.nan)) == torch.inf  # no number is never the same


def test_exporting_leaves_the_network_alone(tmp_path):
    net = build(NARROW, "cls").train()
    export_onnx(net, tmp_path / "net.onnx", size=(64, 64), fold_norms=False)
    assert net.training
    assert all(p.requires_grad for p in net.parameters())
