"""Where the processes of a training come from, what they run, and what becomes of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from ncp import signals
from ncp.errors import UserError
from ncp.tasks import processes
from ncp.tasks.processes import OnePerMachine, Siblings, Srun, environment

SLURM = ("SLURM_NTASKS", "SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE", "LOCAL_RANK")


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    for name in (*SLURM, "TORCHELASTIC_RUN_ID", processes.PARENT):
        monkeypatch.delenv(name, raising=False)


def test_one_process_needs_nothing():
    assert environment(1, 1) is None
    assert isinstance(environment(2, 1), OnePerMachine)
    assert environment(2, 1).creates_processes_externally  # Lightning starts none


@pytest.mark.parametrize("devices", [1, 2])
def test_slurms_tasks_without_srun_are_no_processes_of_the_training(monkeypatch, devices):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert isinstance(environment(devices, 1), OnePerMachine)


def test_sruns_tasks_are(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    assert isinstance(environment(2, 2), Srun)
    with pytest.raises(UserError, match=r"srun started 4 tasks, this training has 1 devices in all"):
        environment(1, 1)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")  # srun --ntasks=1 within a job of four
    assert isinstance(environment(4, 1), OnePerMachine)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert environment(4, 1) is None


def test_a_job_of_a_multirun_starts_processes_of_its_own_job_in_its_own_folder(monkeypatch, tmp_path):
    folder = tmp_path / "it's 1"
    config = {
        "overrides": {"task": ["seed=2", "task=cls"]},
        "runtime": {"output_dir": str(folder), "cwd": str(tmp_path)},
        "job": {"name": "train"},
    }
    monkeypatch.setattr(HydraConfig, "initialized", staticmethod(lambda: True))
    monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda: OmegaConf.create(config)))
    monkeypatch.setattr(sys, "argv", ["train.py", "--config-dir", "mine", "--multirun", "seed=1,2", "task=cls", "~x"])
    arguments, where = processes.command()
    assert where == str(tmp_path)
    assert arguments[-7:] == [
        "--config-dir", "mine", "seed=2", "task=cls",
        f"hydra.run.dir='{tmp_path}/it\\'s 1'", "hydra.job.name=train_process", "hydra.output_subdir=null",
    ]  # fmt: skip


def test_a_script_is_run_again_as_it_is(monkeypatch):
    monkeypatch.setattr(HydraConfig, "initialized", staticmethod(lambda: False))
    monkeypatch.setattr(sys, "argv", ["mine.py", "a=1"])
    assert processes.command()[0][-1] == "a=1"


class Started(Siblings):
    """Siblings that are plain processes of the given Python code."""

    def __init__(self, code: str) -> None:
        place = OnePerMachine()
        trainer = SimpleNamespace(strategy=SimpleNamespace(cluster_environment=place), num_devices=3, num_nodes=1)
        super().__init__(trainer, Path())
        self.code = code


@pytest.fixture
def start(monkeypatch):
    monkeypatch.setattr(processes, "_commanded", lambda: True)

    def make(code):
        monkeypatch.setattr(processes, "command", lambda: ([sys.executable, "-c", code], os.getcwd()))
        return Started(code)

    return make


def gone(found: list[subprocess.Popen]) -> bool:
    return all(process.poll() is not None for process in found)


def test_they_end_with_an_exception_of_the_first(start):
    siblings = start("import time; time.sleep(60)")

    def fail():
        with siblings:
            fail.started = list(siblings.started)
            raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        fail()
    assert len(fail.started) == 2
    assert gone(fail.started)


@pytest.mark.parametrize(
    ("code", "words"),
    [("exit(2)", "ended with exit code 2"), ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9")],
)
def test_the_failure_of_one_is_said_instead_of_what_follows_from_it(start, code, words):
    def fail():
        with start(f"import os\nif os.environ['LOCAL_RANK'] == '2':\n    {code}\nimport time; time.sleep(60)"):
            raise RuntimeError("Connection closed by peer")

    with pytest.raises(UserError, match=f"process 2 of this training's 3 {words}"):
        fail()


def test_a_process_that_waits_for_one_that_failed_is_told(start, monkeypatch):
    def fail():
        with signals.handled(), start("exit(3)"):
            signal.sigtimedwait([], 30)

    with pytest.raises(UserError, match="ended with exit code 3"):
        fail()


def test_an_interrupt_of_all_is_no_failure(start):
    def fail():
        with start("import os; os.kill(os.getpid(), 15)"):
            raise RuntimeError("Connection closed by peer")

    with pytest.raises(signals.Interrupted) as stop:
        fail()
    assert signals.exit_code(stop.value) == 143


def test_after_the_training_they_are_waited_for_and_the_environment_is_as_before(start, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "12345")
    siblings = start("import time; time.sleep(0.2)")
    with siblings:
        os.environ["MASTER_PORT"] = os.environ["MASTER_ADDR"] = "changed"
        started = list(siblings.started)
    siblings.wait()
    assert [process.returncode for process in started] == [0, 0]
    assert os.environ["MASTER_PORT"] == "12345"
    assert "MASTER_ADDR" not in os.environ
