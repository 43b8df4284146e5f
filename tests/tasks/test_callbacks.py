"""Beside the steps: throughput, what is printed, KITTI's file."""

import json
import logging
import types

import pytest
from composed import SMALL_SEG, compose

from ncp.tasks import callbacks
from ncp.tasks import run as tasks
from ncp.tasks.detection import Detection

DET3D = (
    "task=det3d", "arch=narrow", "data.scenes=2", "data.val_scenes=1", "data.limits=[2.56,-1.28,-3,7.68,1.28,1]",
    "recipe.batch=1", "recipe.length=6", "recipe.eval_every=6", "recipe.save_every=9",
    "callbacks.progress=false", "task.nms.score=0.005", "data.workers=0",
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


@pytest.mark.parametrize("keep", ["none", "paper"])
def test_speed_leaves_evaluations_out_whatever_is_kept(tmp_path, monkeypatch, keep):
    clock = {"now": 0.0}

    def tick() -> float:
        clock["now"] += 0.001
        return clock["now"]

    score = Detection.score

    def slow(self, batch):
        clock["now"] += 1000.0
        score(self, batch)

    monkeypatch.setattr(callbacks, "time", types.SimpleNamespace(perf_counter=tick, monotonic=lambda: 0.0))
    monkeypatch.setattr(Detection, "score", slow)
    run = tasks.assemble(compose(*DET3D, f"keep={keep}", "recipe.keep=[3,4,5]"), tmp_path)
    tasks.fit(run)
    assert [entry.step for entry in run.task.ledger] == [3, 4, 5, 6]
    assert clock["now"] > 4000
    assert 0 < run.throughput.seconds < 1


def test_all_figures_of_detection_are_in_the_ledger_and_kittis_file_follows(tmp_path):
    run = tasks.assemble(compose(*DET3D, "keep=none", "recipe.keep=[3]"), tmp_path)
    tasks.fit(run)
    lines = [json.loads(line) for line in (tmp_path / "evaluations.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    for line in lines:
        assert sum(name.endswith("/AP11") for name in line["metrics"]) == 36
        assert sum(name.endswith("/AP40") for name in line["metrics"]) == 36
    derived = json.loads((tmp_path / "kitti_ap.json").read_text())["evaluations"]
    for line in lines:
        for name, value in line["metrics"].items():
            if "/" in name:
                key, _, recalls = name.rpartition("/")
                assert derived[str(line["step"])][key][recalls] == pytest.approx(value, nan_ok=True)


def test_the_end_is_logged_and_no_step_before_it_is_called_0(tmp_path, caplog):
    options = [o for o in SMALL_SEG if o != "callbacks.progress=false"]
    passes = ("recipe.per_device=1", "data.crop=[64,64]")
    with caplog.at_level(logging.INFO, "ncp.tasks.callbacks"):
        tasks.fit(tasks.assemble(compose(*options, "recipe.length=3", "recipe.log_every=50", *passes), tmp_path))
    lines = [message for message in caplog.messages if message.startswith("step ")]
    assert lines[-1].startswith("step 3 of 3: loss ")
    assert [line.split()[1] for line in lines] == sorted({line.split()[1] for line in lines})  # none twice
    assert all(line.split()[1] in "123" and "loss" in line for line in lines)


def test_an_evaluation_is_told_with_as_many_places_as_tell_networks_apart(caplog):
    task = types.SimpleNamespace(latest={"valid_ssim": 0.56123, "valid_top1": 51.2345}, in_words=str)
    trainer = types.SimpleNamespace(state=types.SimpleNamespace(fn="fit"), is_global_zero=True, sanity_checking=False)
    trainer.global_step = 7
    with caplog.at_level(logging.INFO, "ncp.tasks.callbacks"):
        callbacks.StepsBar(None, None).on_validation_end(trainer, task)
    assert caplog.messages == ["evaluation at step 7: valid_ssim 0.5612, valid_top1 51.23"]
