"""Eight bits by hand: a 1x1 convolution of weight 1 and samples from 0 to 255/100 has steps of a hundredth."""

import numpy as np
import pytest


@pytest.fixture
def one_convolution(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs the extra export")
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2, 4, 4]) for name in ("images", "output")]
    weight = helper.make_tensor("weight", TensorProto.FLOAT, (2, 2, 1, 1), [1.0, 0.0, 0.0, 1.0])
    node = helper.make_node("Conv", ["images", "weight"], ["output"])
    graph = helper.make_graph([node], "one", [values[0]], [values[1]], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"task": "seg"})
    onnx.save(model, tmp_path / "one.onnx")
    return tmp_path / "one.onnx"


def test_numbers_of_a_convolution_fall_on_255_steps(one_convolution):
    import onnx

    from ncp.models.quantised import quantise
    from ncp.models.runners import onnxruntime_runner

    samples = [np.full((1, 2, 4, 4), value, dtype=np.float32) for value in (0.0, 1.3, 2.55)]
    low = quantise(one_convolution, one_convolution.with_name("low.onnx"), samples)
    x = np.random.default_rng(0).uniform(0, 2.55, (3, 2, 4, 4)).astype(np.float32)
    found = onnxruntime_runner(low, 1)(x)
    assert np.abs(found - x).max() <= 0.0051 + 1e-5  # half a step, and as much when the result is rounded again
    assert np.abs(found / 0.01 - np.round(found / 0.01)).max() < 1e-3
    above = onnxruntime_runner(low, 1)(np.full((1, 2, 4, 4), 9.0, dtype=np.float32))
    assert np.allclose(above, 2.55, atol=1e-4)  # nothing is larger than the samples were
    metadata = {one.key: one.value for one in onnx.load(low).metadata_props}
    assert metadata["task"] == "seg"
    assert metadata["precision"] == "int8"
