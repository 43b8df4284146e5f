"""Files of networks that were altered: whatever they say, the answer is a network or one line, and memory stays bounded.

Checkpoints: tests/tasks/test_checkpoint.py; what ONNX files may hold: test_onnx_check.py.
"""

import json
import subprocess
import sys

import altered
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ncp import card
from ncp.inference import onnx_check
from ncp.inference.networks import open_network
from ncp.models import export

FEW = max(altered.SOME // 8, 1)  # where a whole network is built of each


def told(metadata):
    """The metadata of a file with the JSON in it opened."""
    return {**metadata, "use": json.loads(metadata["use"])}


def texts(changed):
    """As a file holds it."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in changed.items()}


def variants(metadata, number, seed=0):
    return (one for one in altered.variants(metadata, number, seed) if isinstance(one, dict) and one)


@pytest.mark.parametrize("task", ["cls", "seg", "det3d", "video"])
def test_metadata_of_weights(trained, tmp_path, task):
    one = trained(task).export("safetensors")
    tensors, path = load_file(one), tmp_path / "a.safetensors"
    with safe_open(one, "np") as file:
        metadata = told(file.metadata())

    def says(changed):
        export.signature_from_text(texts(changed), "'a'")
        card.from_text(texts(changed), "'a'")

    def read(changed):
        save_file(tensors, path, texts(changed))
        assert len(open_network(path, "cpu").card.classes) == len(trained(task).run.data.classes)

    with altered.bounded(300):
        read(metadata)
        altered.survives(says, variants(metadata, 4 * altered.SOME))
        altered.survives(read, variants(metadata, FEW, seed=1), one_line=True)


ASKED = """
import sys
from pathlib import Path
from ncp.errors import UserError
from ncp.inference.networks import open_network

for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        open_network(path, "cpu")
        print("taken")
    except UserError as error:
        print(error)
    print("---")
"""


@pytest.fixture
def files(trained, tmp_path):
    """An ONNX file of a task, and altered ones of it."""
    onnx = pytest.importorskip("onnx", reason="needs the extra: pip install 'ncp-nas[export]'")
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'ncp-nas[export]'")
    whole = trained("seg").export("onnx").read_bytes()
    model = onnx.load_from_string(whole)
    metadata = told({one.key: one.value for one in model.metadata_props})

    def with_metadata(changed):
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, texts(changed))
        return model.SerializeToString()

    return whole, (with_metadata(changed) for changed in variants(metadata, FEW))


def test_bytes_of_onnx(files):
    """Where numbers lie in a file, a byte is as good as another, so half of the altered ones are still such files."""
    whole, _ = files
    with altered.bounded(300):
        contents = altered.damaged(whole, altered.SOME)
        altered.survives(lambda content: onnx_check.check(content, "'a'"), contents, one_line=True)


def test_a_runtime_survives_what_is_taken(files, tmp_path):
    """In a process of its own, whose end would be told."""
    whole, others = files
    for number, content in enumerate([whole, *others, *altered.damaged(whole, FEW)]):
        (tmp_path / f"{number:05d}.onnx").write_bytes(content)
    done = subprocess.run([sys.executable, "-c", ASKED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    first, *lines = done.stdout.split("---\n")[:-1]
    assert first == "taken\n"
    assert len(lines) == len(list(tmp_path.iterdir())) - 1
    refused = [line for line in lines if line != "taken\n"]
    assert refused
    assert all(len(line) < 1500 and line.count("\n") == 1 and "\x1b" not in line for line in refused)


def test_names_that_are_no_utf8(tmp_path):
    """The reader gives these as bytes."""
    onnx = pytest.importorskip("onnx", reason="needs the extra: pip install 'ncp-nas[export]'")
    from ncp.errors import UserError

    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("images", "output")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Rexx", ["images"], ["output"])], "g", values[:1], values[1:])
    content = onnx.helper.make_model(graph).SerializeToString().replace(b"Rexx", b"Re\xff\x1b")
    with pytest.raises(UserError, match="has the operator") as error:
        onnx_check.check(content, "'a'")
    assert "\x1b" not in str(error.value)
