"""Which checkpoints are kept, and one that a signal asks for."""

import os
import signal

import pytest
import pytorch_lightning as pl
from composed import SMALL_SEG, compose

from ncp.data.base import BatchPolicy
from ncp.errors import UserError
from ncp.tasks import run as tasks
from ncp.tasks import saving
from ncp.tasks.position import Plan
from ncp.tasks.saving import Checkpoints


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
    monkeypatch.setattr(saving.subprocess, "run", lambda command, **options: told.append(command))
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
