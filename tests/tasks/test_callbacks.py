"""Beside the steps: throughput, kept checkpoints, a checkpoint that a signal asks for, what is printed."""

import json
import logging
import os
import signal
import types

import pytest
import pytorch_lightning as pl
import torch
from composed import SMALL_SEG, compose

from ncp.data.base import BatchPolicy
from ncp.errors import UserError
from ncp.tasks import callbacks
from ncp.tasks import run as tasks
from ncp.tasks.callbacks import Checkpoints
from ncp.tasks.detection import Detection
from ncp.tasks.position import Plan

DET3D = (
    "task=det3d", "arch=narrow", "data.scenes=2", "data.val_scenes=1", "data.limits=[2.56,-2.56,-3,7.68,2.56,1]",
    "data.window=[16,32]", "recipe.batch=1", "recipe.length=6", "recipe.eval_every=6", "recipe.save_every=9",
    "callbacks.progress=false", "task.nms.score=0.005", "data.workers=0",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _small(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


def test_which_checkpoints_are_kept(tmp_path):
    plan = Plan(9, BatchPolicy.fit(2), 9, 1, 1, (3, 9), (3,))
    assert Checkpoints(tmp_path / "checkpoints").kept_at(plan, 3) == "checkpoints/step-000003.ckpt"
    assert Checkpoints(tmp_path / "checkpoints").kept_at(plan, 4) is None
    assert Checkpoints(tmp_path / "checkpoints", "last").kept_at(plan, 3) is None
    with pytest.raises(UserError, match="keep must be one of paper, last, none"):
        Checkpoints(tmp_path, "all")


class At(pl.Callback):
    """Does something after a step's first pass, then kills the run a few steps on."""

    def __init__(self, step, do, end):
        self.step, self.do, self.end = step, do, end

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.end:
            raise KeyError("killed")
        if trainer.global_step == self.step and batch_idx % 2 == 0:
            self.do()


@pytest.mark.parametrize("requeued", [True, False])
def test_a_signal_asks_for_a_checkpoint_that_auto_reads(tmp_path, monkeypatch, requeued):
    told = []
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr(callbacks.subprocess, "run", lambda command, **options: told.append(command))
    options = (*SMALL_SEG, "recipe.per_device=1", "recipe.save_every=100", "data.crop=[64,64]")
    auto = "ckpt_path=auto" if requeued else "ckpt_path=null"
    run = tasks.assemble(compose(*options, auto), tmp_path)
    run.trainer.callbacks.append(At(2, lambda: os.kill(os.getpid(), signal.SIGUSR1), end=4))
    with pytest.raises(KeyError):
        tasks.fit(run)
    assert (
        tasks.read_checkpoint(tmp_path / "checkpoints/last.ckpt")["ncp"]["step"] == 3
    )  # the whole step, then the file
    assert told == ([["scontrol", "requeue", "77"]] if requeued else [])
    seen = []
    again = tasks.assemble(compose(*options, "ckpt_path=auto"), tmp_path)
    again.trainer.callbacks.append(At(3, lambda: seen.append(again.trainer.global_step), end=99))
    tasks.fit(again)
    assert seen == [3]
    assert again.trainer.global_step == 8


def test_the_end_is_logged_and_no_step_before_it_is_called_0(tmp_path, caplog):
    options = [o for o in SMALL_SEG if o != "callbacks.progress=false"]
    passes = ("recipe.per_device=1", "data.crop=[64,64]")
    with caplog.at_level(logging.INFO, "ncp.tasks.callbacks"):
        tasks.fit(tasks.assemble(compose(*options, "recipe.length=3", "recipe.log_every=50", *passes), tmp_path))
    lines = [message for message in caplog.messages if message.startswith("step ")]
    assert len(lines) == 1
    assert lines[0].startswith("step 3 of 3: loss ")
