"""Exporting what was trained: the files give what the checkpoint's network gives."""

import json
import re

import pytest
import torch
from composed import SMALL_SEG, compose

from ncp.errors import UserError
from ncp.models.export import load
from ncp.tasks import export
from ncp.tasks import run as tasks

NARROW = "8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8"


def options(*overrides):
    return compose(*overrides, name="export")


def both(config, out):
    return export.write(export.network_of(config), config.format, out, config.size, config.dynamic)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    run = tasks.assemble(compose(*SMALL_SEG, "recipe.length=2", "recipe.eval_every=2"), folder)
    tasks.fit(run)
    return run, folder / "checkpoints" / "last.ckpt"


def test_weights_of_a_training(training, tmp_path):
    from safetensors import safe_open

    run, path = training
    found = export.network_of(options(f"ckpt_path={path}"))
    files = export.write(found, "safetensors", tmp_path / "deep" / "mine.safetensors", None)
    assert files == {"safetensors": str(tmp_path / "deep" / "mine.safetensors")}
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(load(files["safetensors"]).eval()(x), run.task.network.eval()(x))
    with safe_open(files["safetensors"], framework="np") as file:
        about = file.metadata()
    assert (about["architecture"], about["task"], about["classes"], about["step"]) == (NARROW, "seg", "10", "2")
    assert about["class_names"].split("\n")[0] == "road"
    assert about["mean"] == ",".join(map(str, run.data.mean))
    assert about["size"] == "32,64"
    assert json.loads(about["use"])["palette"] == [list(colour) for colour in run.data.palette]
    assert float(about["metrics.mIoU"]) == pytest.approx(run.task.latest["mIoU"], abs=1e-3)
    result = export.summarise(found, files, None)
    assert result["size"] == [32, 64]  # of the evaluation
    assert result["architecture"]["text"] == NARROW
    assert json.dumps(result)


def test_a_licence_is_an_identifier(tmp_path):
    from safetensors import safe_open

    from ncp import jobs

    words = ("task=cls", "arch=narrow", f"out={tmp_path / 'net'}")
    files = jobs.export.run(options(*words, "licence=CC-BY-4.0"), tmp_path / "run")
    with safe_open(files["safetensors"], framework="np") as file:
        assert file.metadata()["licence"] == "cc-by-4.0"
    with pytest.raises(
        UserError, match=r"licence is an identifier such as cc-by-4\.0, apache-2\.0 or other, given was 'a: b'"
    ):
        jobs.export.run(options(*words, "licence='a: b'"), tmp_path / "again")


@pytest.mark.slow
def test_onnx_of_a_training(training, tmp_path):
    import onnx
    import onnxruntime

    run, path = training
    files = export.write(export.network_of(options(f"ckpt_path={path}")), ["onnx"], tmp_path / "net", [64, 96])
    x = torch.randn(3, 3, 64, 96)
    (given,) = onnxruntime.InferenceSession(files["onnx"]).run(None, {"images": x.numpy()})
    wanted = run.task.network.eval()(x).detach()
    torch.testing.assert_close(torch.from_numpy(given), wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    about = {p.key: p.value for p in onnx.load(files["onnx"]).metadata_props}
    assert about["architecture"] == NARROW
    assert about["class_names"].split("\n")[0] == "road"


@pytest.mark.parametrize("task", ["cls", "seg", "video"])
def test_an_architecture_without_training(task, tmp_path):
    found = export.network_of(options(f"task={task}", "arch=narrow", "classes=5"))
    files = export.write(found, "safetensors", tmp_path / task, None)
    assert load(files["safetensors"]).signature == found.net.signature
    assert found.net.signature.classes == 5
    assert found.about == {"trained": "no"}
    again = export.network_of(options(f"task={task}", "arch=narrow", "classes=5"))
    assert all(torch.equal(a, b) for a, b in zip(found.net.parameters(), again.net.parameters(), strict=True))


def test_a_detector_of_no_space_is_refused(tmp_path):
    about = {"config": {"arch": {"kind": "code"}}, "task": "det3d", "architecture": NARROW, "latest": {"car/3d": 80.0}}
    content = {"ncp": {**about, "classes": ["car"], "step": 1}, "state_dict": {"network.a": torch.zeros(1)}}
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="does not say what space its detector sees"):
        export.network_of(options(f"ckpt_path={tmp_path / 'last.ckpt'}"))


def test_a_baseline_has_no_code_to_put_inside(tmp_path):
    found = export.network_of(options("task=seg", "arch=timm", "arch.name=hrnet_w18_small"))
    assert found.net.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 19, 16, 16)
    with pytest.raises(
        UserError, match=r"hrnet_w18_small is written as format=onnx or format=openvino or format=torchexport"
    ):
        export.write(found, ["onnx", "safetensors"], tmp_path / "net", None)
    assert list(tmp_path.iterdir()) == []


def test_a_format_of_another_task_is_refused_before_any_file_is_written(tmp_path):
    found = export.network_of(options("task=seg", "arch=narrow"))
    with pytest.raises(UserError, match="format=timm writes networks of task=cls, this is of task=seg"):
        export.write(found, ["safetensors", "timm"], tmp_path / "net", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((), "give either ckpt_path=<a training's checkpoint> or arch=<an architecture, untrained>"),
        (("ckpt_path=x.ckpt", "arch=narrow"), "give either ckpt_path="),
        (("ckpt_path=nowhere.ckpt",), "there is no checkpoint 'nowhere.ckpt'"),
        (("task=det3d", "arch=narrow"), "task=det3d needs a training, which knows the space that the detector sees"),
        (
            ("arch=narrow", "format=pickle"),
            "format must be one or more of safetensors, onnx, openvino, torchexport, python, ",
        ),
        (("arch=narrow", "format=onnx", "size=[8,8]"), "size is a height and a width of at least 32 pixels"),
        (
            ("task=seg", "arch=code", "arch.code=64-41414-3_31_332"),
            "task=seg has networks for multires; '64-41414-3_31_332' is of transnas-micro",
        ),
        (
            ("arch=narrow", "size=[64,64]"),
            "size and dynamic are for images and clips as onnx, openvino, torchexport, not for",
        ),
        (("arch=narrow", "format=python", "dynamic=true"), "not for python; leave them out"),
        (("arch=narrow", "format=onnx", "size=[64]"), "size is a height and a width of at least 32 pixels"),
    ],
)
def test_mistakes_are_named(overrides, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        both(options(*overrides), tmp_path / "net")


def test_folders_of_other_programs(tmp_path):
    found = export.network_of(options("task=cls", "arch=narrow", "classes=5"))
    files = export.write(found, ["python", "timm", "mmdet"], tmp_path / "net", None)
    assert {kind: sorted(p.name for p in (tmp_path / f"net-{kind}").iterdir()) for kind in files} == {
        "python": ["model.py", "model.safetensors"],
        "timm": ["README.md", "config.json", "model.safetensors"],
        "mmdet": ["config.py", "model.pth"],
    }
    assert export.write(found, "python", tmp_path / "mine", None) == {"python": str(tmp_path / "mine")}
    text = (tmp_path / "net-mmdet" / "config.py").read_text()
    assert f"architecture = '{NARROW}'" in text
    assert f"checkpoint = '{tmp_path / 'net-mmdet' / 'model.pth'}'" in text
    modes = {p.stat().st_mode & 0o777 for p in tmp_path.rglob("*") if p.is_file()}
    assert modes == {0o666 & ~files_umask()}


def files_umask():
    import os

    mask = os.umask(0o022)
    os.umask(mask)
    return mask
