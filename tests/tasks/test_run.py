"""Trainings as a whole: what ends them, what they take up, what is evaluated again."""

import os
import signal
import threading
from pathlib import Path

import pytest
import pytorch_lightning as pl
from composed import SMALL_SEG, compose

from ncp import signals
from ncp.tasks import ledger
from ncp.tasks import run as tasks
from ncp.tasks.callbacks import read_history

SHORT = (*SMALL_SEG, "recipe.length=3", "recipe.eval_every=2", "recipe.save_every=1", "recipe.log_every=1")
pytestmark = pytest.mark.usefixtures("one_thread")


class Once(pl.Callback):
    """Does something when a step begins."""

    def __init__(self, step, do):
        self.step, self.do = step, do

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.step:
            self.do()


def make(folder: Path, *overrides: str, do=None, step: int = 2) -> tasks.Run:
    folder.mkdir(exist_ok=True)
    run = tasks.assemble(compose(*SHORT, *overrides), folder)
    if do is not None:
        run.trainer.callbacks.append(Once(step, do))
    return run


def kill(number):
    def do():
        os.kill(os.getpid(), number)
        threading.Event().wait(5)

    return do


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_training_as_an_interrupt_and_it_goes_on_from_there(tmp_path, monkeypatch, number, code):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as stop:  # Lightning makes SystemExit(1) of it, or exit code 0
            tasks.fit(make(tmp_path, do=kill(number)))
        assert signals.exit_code(stop.value) == code
        assert signal.getsignal(signal.SIGTERM) == before[0]
    finally:
        for n, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(n, handler)
    seen = []
    run = make(tmp_path, "ckpt_path=auto", do=lambda: seen.append(1))
    tasks.fit(run)
    assert seen == [1]
    assert run.trainer.global_step == 3


def test_a_killed_loader_of_data_is_the_signal_that_follows_it(tmp_path):
    """A signal to the whole group reaches the loaders first; their end is not a failure of the training."""

    def do():
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        raise RuntimeError("DataLoader worker (pid 5) is killed by signal: Terminated. ")

    with pytest.raises(signals.Interrupted):
        tasks.fit(make(tmp_path, do=do))


def test_the_last_evaluation_is_not_made_twice(tmp_path, monkeypatch):
    run = make(tmp_path)
    tasks.fit(run)
    assert [entry.step for entry in run.task.ledger] == [2, 3]
    monkeypatch.setattr(run.trainer, "validate", None)
    assert tasks.evaluate(run) == dict(run.task.ledger.newest.metrics)


def test_a_run_that_begins_anew_drops_what_lay_there(tmp_path):
    tasks.fit(make(tmp_path))
    run = make(tmp_path, "recipe.length=1", "recipe.eval_every=1")
    tasks.fit(run)
    assert [entry.step for entry in ledger.read(tmp_path / ledger.FILE)] == [1]
    assert {step for step, _, _ in read_history(run.history.path)} == {1}


def test_rows_that_were_cut_off_do_not_stop_a_run_that_goes_on(tmp_path):
    tasks.fit(make(tmp_path))
    with open(tmp_path / tasks.HISTORY, "a") as file:
        file.write("3,train/loss,1e")
    with open(tmp_path / ledger.FILE, "a") as file:
        file.write('{"step": 9, "sam')
    run = make(tmp_path, "ckpt_path=auto")
    tasks.fit(run)
    assert [entry.step for entry in ledger.read(tmp_path / ledger.FILE)] == [2, 3]
    assert all(isinstance(value, float) for _, _, value in read_history(run.history.path))
