"""The table of tasks and formats: what torch traces and other runtimes run gives what the network gives, at sizes never seen."""

import warnings

import numpy as np
import pytest
import torch
from small_detector import GRID, about, cloud, detector

from ncp.inference import onnx_check
from ncp.inference.pillars import chosen
from ncp.models import build, build_timm, detector_file
from ncp.models.export import export_onnx, export_program

NARROW = "8_16-1_1_1_8-1_2_1_2_16_8-1_3_1_1_2_8_16_24-1_4_1_1_1_2_8_16_8_24-16"
TRACED = {"cls": (2, 3, 64, 64), "seg": (2, 3, 64, 96), "det3d": (2, 64, 64, 96), "video": (2, 3, 3, 64, 64)}
OTHER = {"cls": (3, 3, 70, 101), "seg": (1, 3, 127, 65), "det3d": (1, 64, 66, 75), "video": (1, 5, 3, 77, 80)}


@pytest.fixture(scope="module", params=list(TRACED))
def task(request):
    return request.param


@pytest.fixture(scope="module")
def net(task):
    torch.manual_seed(1)
    made = build(NARROW, task)
    made(torch.randn(TRACED[task]))  # running statistics other than the initial ones
    return made.eval()


def close(found, wanted):
    found, wanted = found.detach(), wanted.detach()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))


def test_fx_traces_one_graph_for_all_sizes(net, task):
    graph = torch.fx.symbolic_trace(net)
    for shape in (TRACED[task], OTHER[task]):
        x = torch.randn(shape)
        assert torch.equal(graph(x), net(x))
    assert not any("ncp" in str(getattr(node.target, "__module__", "")) for node in graph.graph.nodes)  # torch alone


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_jit_traces_without_complaint(net, task):
    with warnings.catch_warnings():
        warnings.simplefilter("error", torch.jit.TracerWarning)
        traced = torch.jit.trace(net, torch.randn(TRACED[task]))  # runs it again and compares graphs and numbers
    x = torch.randn(OTHER[task][0], *TRACED[task][1:])
    assert torch.equal(traced(x), net(x))


@pytest.mark.slow
def test_a_program_of_torch_export(net, task, tmp_path):
    path = export_program(net, tmp_path / "net.pt2", TRACED[task][-2:], 3, {"mIoU": "1"}, dynamic=True)
    extra = {"metadata.json": ""}
    program = torch.export.load(path, extra_files=extra).module()
    assert NARROW in extra["metadata.json"]
    for shape in ((3, *TRACED[task][1:]), OTHER[task]):
        x = torch.randn(shape)
        close(program(x), net(x))


@pytest.mark.slow
def test_onnx_of_any_size(net, task, tmp_path):
    import onnxruntime

    path = export_onnx(net, tmp_path / "net.onnx", TRACED[task][-2:], frames=3, dynamic=True)
    onnx_check.check(path.read_bytes(), path.name)  # what predict would refuse
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for shape in (TRACED[task], OTHER[task], (1, *TRACED[task][1:])):
        x = torch.randn(shape)
        (given,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        wanted = net(x).detach().numpy()
        np.testing.assert_allclose(given, wanted, atol=1e-5 * float(np.abs(wanted).max()), rtol=0)


@pytest.mark.slow
def test_onnx_of_a_baseline_at_any_size(tmp_path):
    """HRNet is padded to sides that divide by 32, and its maps are cut again: the borders depend on the input's size."""
    import onnxruntime

    torch.manual_seed(1)
    net = build_timm("hrnet_w18_small", "seg", classes=3).eval()
    path = export_onnx(net, tmp_path / "net.onnx", TRACED["seg"][-2:], dynamic=True, check=False)
    onnx_check.check(path.read_bytes(), path.name)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for shape in (TRACED["seg"], OTHER["seg"]):
        x = torch.randn(shape)
        (given,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        wanted = net(x).detach().numpy()
        np.testing.assert_allclose(given, wanted, atol=1e-5 * float(np.abs(wanted).max()), rtol=0)


@pytest.mark.slow
def test_a_file_of_openvino(net, task, tmp_path):
    source = export_onnx(net, tmp_path / "net.onnx", TRACED[task][-2:], TRACED[task][1], check=False, dynamic=True)
    x = torch.randn(OTHER[task])
    (found,) = asked_of_openvino(source, tmp_path, x)
    close(found, net(x))


def asked_of_openvino(source, folder, *inputs):
    """What OpenVINO, which knows nothing of this project, makes of inputs, of its own file."""
    openvino = pytest.importorskip("openvino", reason="needs the extra openvino")
    from ncp.models import openvino_file

    path = openvino_file.from_onnx(source, folder / "net.xml", {})
    network = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = network([one.numpy() for one in inputs])
    return [torch.from_numpy(found[i]) for i in range(len(network.outputs))]


class TestWholeDetector:
    """From points and their pillars to what the head writes."""

    @pytest.fixture(scope="class")
    def made(self):
        return detector(False)

    @pytest.fixture(scope="class")
    def scene(self, made):
        """The points that count of a cloud, and their pillars."""
        points, cells = chosen(cloud(300).numpy(), about(made).use.space)
        return torch.from_numpy(points), torch.from_numpy(cells)

    def wanted(self, made, points):
        with torch.no_grad():
            return made(points, torch.tensor([len(points)]))

    @pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
    @pytest.mark.parametrize("way", ["fx", "jit"])
    def test_traced(self, made, scene, way):
        whole = detector_file.SceneNet(made).eval()
        other = detector_file._example(GRID, 40)
        traced = torch.fx.symbolic_trace(whole) if way == "fx" else torch.jit.trace(whole, other)
        for found, one in zip(traced(*scene), self.wanted(made, scene[0]), strict=True):
            close(found, one)

    @pytest.mark.slow
    def test_a_program_of_torch_export(self, made, scene, tmp_path):
        path = detector_file.export_program(made, tmp_path / "net.pt2", about(made).text())
        for found, one in zip(torch.export.load(path).module()(*scene), self.wanted(made, scene[0]), strict=True):
            close(found, one)

    @pytest.mark.slow
    def test_a_file_of_openvino(self, made, scene, tmp_path):
        source = detector_file.export_onnx(made, tmp_path / "net.onnx", about(made).text())
        for found, one in zip(asked_of_openvino(source, tmp_path, *scene), self.wanted(made, scene[0]), strict=True):
            close(found, one)

    def test_training_compiles_around_the_pillars(self, made):
        points = cloud(300)
        compiled = torch.compile(made, backend="eager")
        with torch.no_grad():
            for found, one in zip(compiled(points, torch.tensor([300])), self.wanted(made, points), strict=True):
                assert torch.equal(found, one)
