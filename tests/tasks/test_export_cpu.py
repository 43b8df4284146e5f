"""Exports for a CPU: what is refused, what is recommended, and files of eight bits with their accuracy, from a small training."""

from pathlib import Path

import numpy as np
import pytest
from composed import SMALL_SEG, compose

from ncp import jobs
from ncp.errors import UserError
from ncp.tasks import run as tasks
from ncp.tasks.export_cpu import Candidate, Here, Judge, Measured, check, may_lose


def here(*networks, allowed=1.0, metric=70.0):
    found = [
        Measured(Candidate(*name.split(), Path("x")), ms, 12 / ms, metric - lost, lost) for name, ms, lost in networks
    ]
    return Here(2, 12.0, metric, "mIoU", found, allowed)


def test_the_fastest_that_keeps_its_accuracy_is_recommended():
    found = here(("openvino int8", 2.0, 3.0), ("onnx int8", 3.0, 0.5), ("onnx fp32", 6.0, 0.0))
    assert found.recommended.candidate.name == "onnx int8"
    assert found.lines() == [
        "openvino int8 on this CPU (2 threads): 2.0 ms an input, 6.0 times as fast as plain torch in fp32, mIoU 70.00 to 67.00",
        "onnx int8 on this CPU (2 threads): 3.0 ms an input, 4.0 times as fast as plain torch in fp32, mIoU 70.00 to 69.50",
        "onnx fp32 on this CPU (2 threads): 6.0 ms an input, 2.0 times as fast as plain torch in fp32, mIoU 70.00 to 70.00",
        "recommended: onnx int8, 4.0x plain torch in fp32, the fastest that loses at most 1 point",
    ]
    assert found.as_dict()["recommended"] == {"format": "onnx", "precision": "int8"}
    worse = here(("onnx int8", 3.0, 1.5))
    assert worse.recommended is None
    assert worse.lines()[-1] == "none is recommended: all lose more than 1 point; give precision=fp32"
    unjudged = here(("onnx fp32", 3.0, 0.0), ("openvino fp32", 4.0, 0.0))._replace(metric=None, advice="more")
    assert unjudged.lines()[-2:] == ["recommended: onnx fp32, 4.0x plain torch in fp32, the fastest", "more"]


def test_a_similarity_is_told_with_four_places():
    fast, slow = ("onnx int8", 3.0, 0.0021), ("onnx fp32", 6.0, 0.0)
    found = here(fast, slow, metric=0.5612, allowed=0.02)._replace(objective="transnas-micro/normal.valid_ssim")
    found = found._replace(kept={"onnx": "int8"})
    assert found.lines()[0].endswith("valid_ssim 0.5612 to 0.5591")
    assert found.lines()[2].endswith("the fastest that loses at most 0.02 of valid_ssim")
    assert found.lines()[3] == "written: onnx in int8"
    assert found.as_dict()["metric"] == "valid_ssim"
    assert found.as_dict()["written"] == {"onnx": "int8"}


@pytest.mark.parametrize(
    ("objective", "before", "allowed"),
    [
        ("seg.mIoU", 70.0, 1.0),  # points
        ("mine.top1", 20.0, 1.0),  # of a setting that is no file
        ("transnas-macro/normal.valid_ssim", 0.6, 0.02),  # of -1 to 1
        ("transnas-micro/room_layout.valid_neg_loss", -0.6, 0.006),  # no range to speak of: of what it has
    ],
)
def test_what_may_be_lost_goes_by_the_metrics_range(objective, before, allowed):
    assert may_lose(1.0, objective, before) == pytest.approx(allowed)
    assert may_lose(0.5, objective, before) == pytest.approx(allowed / 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("int4", ["onnx"], "seg", True), "precision is one of fp32, int8, auto, given was 'int4'"),
        (("int8", ["safetensors"], "seg", True), "precision=int8 is for format=onnx and format=openvino; leave it out"),
        (("int8", ["onnx"], "det3d", True), "precision=int8 is for images and clips"),
        (("auto", ["onnx"], "seg", False), "precision=auto is calibrated on a training's data: give ckpt_path"),
    ],
)
def test_what_a_precision_is_not_for(given, message):
    with pytest.raises(UserError, match=message):
        check(*given)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    run = tasks.assemble(
        compose(*SMALL_SEG, "recipe.length=6", "recipe.eval_every=6", "trainer.precision=32-true"), folder
    )
    tasks.fit(run)
    return run, folder / "checkpoints" / "last.ckpt"


def test_the_judge_counts_what_the_evaluation_counts(training):
    from ncp.models.runners import plain

    run, path = training
    judge = Judge(str(path), {})
    assert judge.accuracy(plain(run.task.network)) == pytest.approx(run.task.latest["mIoU"], abs=1e-3)
    nothing = judge.accuracy(lambda x: np.zeros((len(x), 10, x.shape[2] // 4, x.shape[3] // 4), dtype=np.float32))
    assert nothing < run.task.latest["mIoU"]
    samples = judge.samples(3)
    assert [one.shape for one in samples] == [(1, 3, 32, 64)] * 3
    assert abs(np.mean(samples)) < 1  # normalised


@pytest.mark.slow
def test_a_file_of_eight_bits(training, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    from ncp import files
    from ncp.inference.networks import open_network

    run, path = training
    words = (f"ckpt_path={path}", "format=onnx", "precision=int8", f"out={tmp_path / 'net'}", "loses=100")
    written = jobs.export.run(compose(*words, name="export"), tmp_path / "run")
    network = open_network(written["onnx"], "cpu")  # what may stand in a file may stand in this one
    exact = open_network(path, "cpu")
    x = Judge(str(path), {}).samples(2)[1]
    given, wanted = network.logits(x), exact.logits(x)
    error = np.sqrt(np.mean((given - wanted) ** 2) / np.mean(wanted**2))
    assert 1e-4 < error < 0.2  # eight bits they are, and of this network
    result = files.read_json(tmp_path / "run" / "result.json")["here"]
    assert {(one["format"], one["precision"]) for one in result["networks"]} == {("onnx", "fp32"), ("onnx", "int8")}
    assert result["plain_metric"] == pytest.approx(run.task.latest["mIoU"], abs=1e-3)
    assert all(
        one["ms"] > 0 and one["ratio"] == pytest.approx(result["plain_ms"] / one["ms"]) for one in result["networks"]
    )
    with pytest.raises(UserError, match="which has inputs of 32x64; the file reads 64x64 alone: give dynamic=true"):
        jobs.export.run(compose(*words, "size=[64,64]", name="export"), tmp_path / "again")


@pytest.mark.slow
def test_openvino_runs_our_files_and_its_own(training, tmp_path):
    openvino = pytest.importorskip("openvino", reason="needs the extra openvino")
    from ncp.inference.networks import open_network

    _, path = training
    words = (f"ckpt_path={path}", "format=[onnx,openvino]", "measure=false", f"out={tmp_path / 'net'}")
    written = jobs.export.run(compose(*words, name="export"), tmp_path / "run")
    x = Judge(str(path), {}).samples(2)[1]
    wanted = open_network(path, "cpu").logits(x)
    network = open_network(written["onnx"], "cpu", "openvino")
    assert network.fixed == (32, 64)
    np.testing.assert_allclose(network.logits(x), wanted, atol=1e-3 * np.abs(wanted).max())
    # as a program that knows nothing of this project reads it
    model = openvino.Core().read_model(written["openvino"])
    given = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]
    np.testing.assert_allclose(given, wanted, atol=1e-3 * np.abs(wanted).max())
    assert model.get_rt_info(["ncp", "class_names"]).astype(str).split("\n")[0] == "road"
    with pytest.raises(UserError, match="runtime=openvino runs ONNX files"):
        open_network(path, "cpu", "openvino")
