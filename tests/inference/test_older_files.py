"""Files of earlier versions, which say less, and files that were altered."""

import json

import numpy as np
import pytest
import torch
from composed import compose
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_runs import lines_of

from ncp import jobs
from ncp.errors import UserError


def predict(out, *words):
    options = compose(f"out={out}", "pictures=false", *words, name="predict")
    return jobs.predict.run(options, out.parent / f"{out.name}-run")


def without(one, path, *keys):
    content = torch.load(one.folder / "checkpoints" / "last.ckpt", weights_only=True)
    for key in keys:
        del content["ncp"][key]
    torch.save(content, path)
    return path


@pytest.mark.parametrize("task", ["det3d", "video"])
def test_what_the_configuration_says_is_taken_from_there(trained, tmp_path, caplog, task):
    one = trained(task)
    old = without(one, tmp_path / "old.ckpt", "use")
    predict(tmp_path / "new", f"ckpt={one.folder}", f"input={one.inputs}")
    predict(tmp_path / "old", f"ckpt={old}", f"input={one.inputs}")
    assert lines_of(tmp_path / "new") == lines_of(tmp_path / "old")
    assert "does not say" not in caplog.text


def test_what_is_missing_is_said_in_one_line(trained, tmp_path, caplog):
    one = trained("seg")
    old = without(one, tmp_path / "old.ckpt", "use", "input")
    predict(tmp_path / "old", f"ckpt={old}", f"input={one.inputs}")
    (line,) = [record.getMessage() for record in caplog.records if "does not say" in record.getMessage()]
    for part in ("mean and deviation of its images (ImageNet's are taken)", "colours"):
        assert part in line
    assert len(lines_of(tmp_path / "old")) == 2


def test_weights_of_an_earlier_version(trained, tmp_path, caplog):
    one = trained("seg")
    path = one.export("safetensors")
    with safe_open(path, "np") as file:
        metadata = {key: value for key, value in file.metadata().items() if key not in ("use", "size")}
    save_file(load_file(path), tmp_path / "old.safetensors", metadata)
    predict(tmp_path / "old", f"ckpt={tmp_path / 'old.safetensors'}", f"input={one.inputs}")
    predict(tmp_path / "new", f"ckpt={path}", f"input={one.inputs}")
    assert "its classes' colours" in caplog.text
    for name in ("0.png", "1.png"):
        old, new = (np.asarray(Image.open(tmp_path / which / "labels" / name)) for which in ("old", "new"))
        assert np.array_equal(old, new)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": "a\nb"}, "has 10 classes, but names of 2"),
        ({"class_names": "\n".join(["x" * 50] * 100_001)}, "has 10 classes, but names of 100001"),
        ({"use": json.dumps({"short": 10**6})}, "cannot be used"),
        ({"mean": "1e9,0,0"}, "which are no numbers"),
        ({"task": "cls"}, "do not fit"),
        ({"size": "99999,3"}, "a side has 1 to 16,384"),
    ],
)
def test_metadata_that_was_altered(trained, tmp_path, changes, message):
    one = trained("seg")
    path = one.export("safetensors")
    with safe_open(path, "np") as file:
        save_file(load_file(path), tmp_path / "a.safetensors", {**file.metadata(), **changes})
    with pytest.raises(UserError, match=message):
        predict(tmp_path / "out", f"ckpt={tmp_path / 'a.safetensors'}", f"input={one.inputs}")


@pytest.mark.parametrize("content", [b"", b"\x08\x0a" + bytes(100), b"no model"])
def test_what_is_no_onnx_file(trained, tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.onnx' (cannot be read as ONNX|says of no task)"):
        predict(tmp_path / "out", f"ckpt={tmp_path / 'a.onnx'}", f"input={tmp_path}")


def test_an_onnx_file_reads_no_other_files(tmp_path):
    """Numbers that lie outside of it, which the format allows, are not fetched."""
    onnx = pytest.importorskip("onnx")
    (tmp_path / "secret").write_bytes(np.ones(48, np.float32).tobytes())
    shape = [1, 3, 4, 4]
    weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=shape, data_location=1)
    for key, value in (("location", str(tmp_path / "secret")), ("offset", "0"), ("length", "192")):
        weight.external_data.add(key=key, value=value)
    values = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n in ("images", "output")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["images", "w"], ["output"])], "g", values[:1], values[1:], [weight]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    onnx.helper.set_model_props(model, {"task": "seg", "classes": "3"})
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="holds numbers that lie in another file"):
        predict(tmp_path / "out", f"ckpt={tmp_path / 'a.onnx'}", f"input={tmp_path}")
