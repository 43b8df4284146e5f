"""ONNX files that no export wrote are refused before onnxruntime sees them, and cost no memory.

Those that src.export writes are not: tests/models/test_every_format.py.
"""

import re
import subprocess
import sys

import numpy as np
import pytest

from ncp.errors import UserError
from ncp.inference import onnx_check, onnx_wire
from ncp.inference.onnx_network import OnnxNetwork

onnx = pytest.importorskip("onnx", reason="needs the extra: pip install 'ncp-nas[export]'")
helper, Tensor = onnx.helper, onnx.TensorProto

SHAPE = [1, 3, 4, 4]


def array(name, values, dtype=np.int64):
    return onnx.numpy_helper.from_array(np.asarray(values, dtype), name)


def file(nodes, constants=(), shape=SHAPE, **more):
    values = [helper.make_tensor_value_info(n, Tensor.FLOAT, s) for n, s in (("images", shape), ("output", None))]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], **more)
    helper.set_model_props(model, {"task": "seg", "class_names": "a\nb\nc"})
    return model


def branch(name):
    value = helper.make_tensor_value_info(name, Tensor.FLOAT, None)
    return helper.make_graph([helper.make_node("Identity", ["images"], [name])], name, [], [value])


def node(kind, inputs, output="output", **settings):
    return helper.make_node(kind, inputs, [output], **settings)


def of_shape(sides):
    return file(
        [node("ConstantOfShape", ["s"], "big"), node("Add", ["images", "big"])],
        [array("s", sides)],
    )


def hollow(sides, **content):
    return file([node("Add", ["images", "w"])], [Tensor(name="w", data_type=Tensor.FLOAT, dims=sides, **content)])


def function():
    own = helper.make_function("mine", "F", ["x"], ["y"], [node("Identity", ["x"], "y")], [helper.make_opsetid("", 18)])
    return file([node("F", ["images"], domain="mine")], functions=[own])


HOSTILE = {
    "nine hundred million": (lambda: of_shape([900_000_000]), "ConstantOfShape that make 900,000,000 numbers"),
    "several together": (
        lambda: file(
            [node("ConstantOfShape", ["s"], f"x{i}") for i in range(3)] + [node("Identity", ["images"])],
            [array("s", [10_000, 10_000])],
        ),
        "ConstantOfShape that make 200,000,000 numbers",
    ),
    "a worked-out shape": (
        lambda: file(
            [node("Shape", ["images"], "s"), node("Mul", ["s", "k"], "t"), node("ConstantOfShape", ["t"])],
            [array("k", [10_000])],
        ),
        "ConstantOfShape of a shape that is worked out",
    ),
    "a border that is the rest of a large division": (
        lambda: file(
            [node("Shape", ["images"], "s"), node("Mod", ["s", "k"], "r"), node("Concat", ["r", "r"], "p", axis=0),
             node("Pad", ["images", "p"])],
            [array("k", [10**6] * 4)],
        ),
        "Pad that widens a map by 257",
    ),
    "a border that is a rest with the dividend's sign": (
        lambda: file(
            [node("Shape", ["images"], "s"), node("Mod", ["s", "k"], "r", fmod=1), node("Concat", ["r", "r"], "p", axis=0),
             node("Pad", ["images", "p"])],
            [array("k", [32] * 4)],
        ),
        "Pad that widens a map by 257",
    ),
    "a border that is half a rest": (
        lambda: file(
            [node("Shape", ["images"], "s"), node("Mod", ["s", "k"], "r"), node("Mul", ["r", "r"], "t"),
             node("Concat", ["r", "t"], "p", axis=0), node("Pad", ["images", "p"])],
            [array("k", [32] * 4)],
        ),
        "Pad that widens a map by 257",
    ),
    "expanded": (
        lambda: file([node("Expand", ["images", "s"])], [array("s", [30_000, 30_000, 1, 1, 1])]),
        "Expand that make 900,000,000",
    ),
    "a long range": (
        lambda: file(
            [node("Range", ["a", "b", "c"], "r"), node("Identity", ["images"])],
            [array("a", 0), array("b", 10**9), array("c", 1)],
        ),
        "Range that does not go along a side",
    ),
    "a short step": (
        lambda: file(
            [node("Range", ["a", "b", "c"], "r"), node("Identity", ["images"])],
            [array("a", 0, np.float32), array("b", 10, np.float32), array("c", 1e-9, np.float32)],
        ),
        "Range that does not go along a side",
    ),
    "enlarged": (
        lambda: file([node("Resize", ["images", "", "k"])], [array("k", [1, 1, 1000, 1000], np.float32)]),
        "Resize to a size without a bound",
    ),
    "a size of products": (
        lambda: file(
            [node("Shape", ["images"], "s"), node("Mul", ["s", "k"], "t"), node("Resize", ["images", "", "", "t"])],
            [array("k", [1, 1, 10_000, 10_000])],
        ),
        "Resize to a size without a bound",
    ),
    "padded": (
        lambda: file([node("Pad", ["images", "p"])], [array("p", [0, 0, 0, 0, 0, 0, 10**5, 10**5])]),
        "Pad that widens a map by 100,000",
    ),
    "a convolution with borders": (
        lambda: file(
            [node("Conv", ["images", "w"], pads=[0, 0, 10**5, 10**5])], [array("w", np.ones((3, 3, 1, 1)), np.float32)]
        ),
        "Conv that widens a map by 100,000",
    ),
    "tiles": (lambda: file([node("Tile", ["images", "s"])], [array("s", [1, 1, 9, 9])]), "the operator 'Tile'"),
    "a condition": (
        lambda: file(
            [node("If", ["c"], then_branch=branch("then"), else_branch=branch("else"))], [array("c", True, np.bool_)]
        ),
        "a graph within a node",
    ),
    "a loop": (
        lambda: file([node("Loop", ["n", "", "images"], body=branch("body"))], [array("n", 10**9)]),
        "a graph within a node",
    ),
    "a scan": (
        lambda: file([node("Scan", ["images"], body=branch("body"), num_scan_inputs=1)]),
        "a graph within a node",
    ),
    "a loop without a body": (lambda: file([node("Loop", ["", "", "images"])]), "the operator 'Loop'"),
    "another's operator": (
        lambda: file([node("Relu", ["images"], domain="com.mine")]),
        "the operator 'com.mine.Relu'",
    ),
    "a function": (function, "functions of its own"),
    "weights that are not there": (lambda: hollow([30_000, 30_000]), "900,000,000 numbers, and holds 0"),
    "fewer weights": (lambda: hollow([5], raw_data=bytes(16)), "5 numbers, and holds 4"),
    "half a weight": (lambda: hollow([4], raw_data=bytes(17)), "4 numbers, and holds 4"),
    "a side below 0": (lambda: hollow([-1], raw_data=bytes(4)), "a side has at least 0"),
    "a constant of nothing": (
        lambda: file([node("Constant", [], "c", value=Tensor(data_type=1, dims=[10**9])), node("Identity", ["images"])]),
        "1,000,000,000 numbers, and holds 0",
    ),
    "a name twice": (
        lambda: file([node("Relu", ["images"], "s"), node("Expand", ["images", "s"])], [array("s", [1])]),
        "writes 's' twice",
    ),
    "a huge input": (lambda: file([node("Relu", ["images"])], shape=[1, 3, 10**6, 10**6]), "at most 268,435,456"),
    "no operators": (lambda: file([]), "cannot be read as ONNX"),
}  # fmt: skip


@pytest.mark.parametrize("which", HOSTILE)
def test_hostile_files_never_become_a_session(which, tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'ncp-nas[export]'")
    make, message = HOSTILE[which]
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *a, **k: pytest.fail("a session was made"))
    path = tmp_path / "a.onnx"
    path.write_bytes(make().SerializeToString())
    with pytest.raises(UserError) as error:
        OnnxNetwork(path, "cpu")
    assert message in str(error.value)
    assert str(error.value).startswith(f"'{path}'")
    assert "\n" not in str(error.value)


def test_what_is_allowed_is_run(tmp_path):
    """The smallest file of each operator that makes something: the limits do not stand in the way."""
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'ncp-nas[export]'")
    model = file(
        [
            node("ConstantOfShape", ["three"], "zeros"),
            node("Add", ["images", "zeros"], "same"),
            node("Pad", ["same", "pads"], "wide"),
            node("Shape", ["wide"], "sides"),
            node("Slice", ["sides", "two", "four"], "last"),
            node("Add", ["last", "one"], "more"),
            node("Concat", ["whole", "more"], "size", axis=0),
            node("Resize", ["wide", "", "", "size"]),
        ],
        [
            array("three", [1, 3, 1, 1]), array("pads", [0, 0, 0, 0, 0, 0, 2, 0]), array("two", [2]), array("four", [4]),
            array("one", [1]), array("whole", [1, 3]),
        ],
    )  # fmt: skip
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    assert OnnxNetwork(tmp_path / "a.onnx", "cpu").logits(np.ones(SHAPE, np.float32)).shape == (1, 3, 7, 5)


def length(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def within(field, content):
    return length(field << 3 | 2) + length(len(content)) + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (within(7, within(1, b"") * (onnx_wire.FIELDS + 1)), "more than 1,000,000 entries"),
        (within(7, within(5, within(4, bytes(onnx_wire.STRUCTURE)))), "67,108,864 bytes beside its weights"),
        (within(7, b"\x0a\xff\xff\xff\xff\x07"), "it ends within a part of 2,147,483,647 bytes"),
        (b"\x3b" * 1000, "byte 1 begins nothing"),
        (b"\xff" * 100, "a number of more than ten bytes"),
        (b"\x3a", "it ends within a number"),
        (b"\x38\x01", "no message"),
        (within(99, b""), "field 99 of a model"),
    ],
)
def test_a_frame_that_does_not_hold(content, message):
    with pytest.raises(UserError, match=message):
        onnx_wire.check(content, "a")


BOUNDED = """
import resource, sys
import onnx, onnxruntime, numpy
from pathlib import Path
from ncp.errors import UserError
from ncp.inference.onnx_network import OnnxNetwork

def most():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

OnnxNetwork(Path(sys.argv[1]), "cpu")
before = most()
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 2**32, held + 2**32))
for path in sys.argv[2:]:
    try:
        OnnxNetwork(Path(path), "cpu")
    except UserError as error:
        print(error)
    print("KiB:", most() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does")
def test_opening_takes_no_memory(tmp_path):
    """Neither a file that is refused, nor one at the limit, whose array is made when the network runs."""
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'ncp-nas[export]'")
    paths = [tmp_path / f"{sides[0]}.onnx" for sides in ([1], [900_000_000], [onnx_check.MADE])]
    for path in paths:
        path.write_bytes(of_shape([int(path.stem), 1, 1, 1, 1]).SerializeToString())
    command = [sys.executable, "-c", BOUNDED, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    refused, first, second = done.stdout.splitlines()
    assert "900,000,000 numbers; allowed are" in refused
    for line in (first, second):
        assert int(line.removeprefix("KiB: ")) < 100_000  # the array at the limit has 524,288


RUN = """
import sys
import numpy
from pathlib import Path
from ncp.errors import UserError
from ncp.inference import onnx_network

onnx_network.MEMORY = 2**29
try:
    network = onnx_network.OnnxNetwork(Path(sys.argv[1]), "cpu", sys.argv[2])
    print("opened")
    network.logits(numpy.ones((1, 3, 64, 64), numpy.float32))
except UserError as error:
    print(error)
print("KiB:", Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
numpy.ones(2**27).sum()
print("free again")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("kind", ["convolution", "product"])
def test_nothing_takes_memory_without_bound(tmp_path, kind, runtime):
    """A map of 300,000 channels out of weights of 4 MB, a product of two vectors; OpenVINO makes room when it opens the file."""
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'ncp-nas[export]'")
    pytest.importorskip(runtime, reason="needs the extra: pip install 'ncp-nas[openvino]'")
    many = 300_000
    if kind == "convolution":
        constants = [array("wide", np.ones((many, 3, 1, 1)), np.float32)]
        nodes = [node("Conv", ["images", "wide"], "all"), node("ReduceMax", ["all"], keepdims=1)]
    else:
        constants = [array(n, np.ones((1, 1, *s)), np.float32) for n, s in (("c", (many, 1)), ("r", (1, many)))]
        most = node("ReduceMax", ["all"], "most", keepdims=1)
        nodes = [node("MatMul", ["c", "r"], "all"), most, node("Add", ["images", "most"])]
    path = tmp_path / "a.onnx"
    path.write_bytes(file(nodes, constants, shape=(1, 3, 64, 64)).SerializeToString())
    command = [sys.executable, "-c", RUN, str(path), runtime]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    *opened, told, most, after = done.stdout.splitlines()
    assert opened == (["opened"] if runtime == "onnxruntime" else [])
    assert re.search(r"wants more than the \d+ MiB that it may take here", told)
    assert int(most.removeprefix("KiB: ")) < 1_200_000  # the map alone would have 4.9 GB, the product 360
    assert after == "free again"
