"""Commands that are told to end, and trainings on two devices as commands: exit codes, records, nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from composed import CONF
from watching import lives

from ncp import runs
from ncp.tasks.checkpoint import read_checkpoint

ROOT = CONF.parent
SMALL = (
    "task=cls", "arch=narrow", "recipe.batch=4", "recipe.eval_every=9999", "recipe.log_every=1", "data.workers=0",
    "callbacks.pictures=false",
)  # fmt: skip
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
# as in a shell: a process that pytest starts in the background may ignore Ctrl-C
START = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "os.execv(sys.executable, [sys.executable, '-m', 'src.train', *sys.argv[1:]])"
)
LEFT = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def start(outputs: Path, *arguments: str, **more: str) -> subprocess.Popen:
    clean = {key: value for key, value in os.environ.items() if key not in LEFT and not key.startswith("SLURM")}
    environment = {**clean, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", **more}
    return subprocess.Popen(
        [sys.executable, "-c", START, *arguments, f"paths.outputs={outputs}"], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="only Linux tells in /proc which processes a process has"
)
@pytest.mark.parametrize(
    ("number", "code", "devices"), [(signal.SIGTERM, 143, ()), (signal.SIGINT, 130, ()), (signal.SIGTERM, 143, TWO)]
)
def test_an_interrupted_training_says_so_and_leaves_nothing_behind(tmp_path, number, code, devices):
    process = start(tmp_path, *SMALL, *devices, "recipe.length=2000", "recipe.save_every=1000")
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if "step 3 of" in line:
            break
    others = children(process.pid)
    assert len(others) >= len(devices[2:])
    process.send_signal(number)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == code, "".join(seen) + rest
    folder = next(tmp_path.glob("train/*/*"))
    assert [line for line in rest.splitlines() if line.startswith("interrupted")] == [
        f"interrupted; what was computed until then is in {folder}"
    ]
    assert "Traceback" not in rest
    assert json.loads((folder / "run.json").read_text())["state"] == "interrupted"
    deadline = time.monotonic() + 10
    while any(map(lives, others)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(lives, others))


def listens(pid: int) -> bool:
    """Whether a process has a handler for SIGUSR1."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGUSR1 - 1) & 1)


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="only Linux tells in /proc which processes a process has"
)
def test_a_signal_to_any_process_of_a_slurm_job_writes_a_checkpoint_that_auto_reads(tmp_path):
    """As ``sbatch --signal=USR1@60`` sends it: before the time limit, here to the second process alone."""
    told = tmp_path / "told"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/scontrol").write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    (tmp_path / "bin/scontrol").chmod(0o755)
    slurm = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "2", "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    rare = ("recipe.length=2000", "recipe.save_every=1000", "recipe.log_every=1000", "trainer.precision=32-true")
    words = (*SMALL, *TWO, *rare, "ckpt_path=auto")
    process = start(tmp_path / "out", *words, **slurm)
    seen: list[str] = []
    second = None
    while second is None and process.poll() is None:
        time.sleep(0.1)
        second = next(filter(listens, children(process.pid)), None)
    os.kill(second, signal.SIGUSR1)
    for line in process.stdout:
        seen.append(line)
        if line.startswith("SLURM runs job 77 again"):
            break
    process.terminate()
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 143, "".join(seen) + rest
    assert told.read_text() == "requeue 77\n"  # once
    (told_step,) = [line.split()[-1] for line in seen if line.startswith("a signal asked for a checkpoint")]
    (folder,) = (tmp_path / "out").glob("train/*/*")
    state = json.loads((folder / "run.json").read_text())
    assert runs.find_unfinished(tmp_path / "out", "train", state["hash"]) == folder  # what ckpt_path=auto looks for
    assert read_checkpoint(folder / "checkpoints/last.ckpt")["ncp"]["step"] == int(told_step) < 1000


@pytest.mark.slow
def test_jobs_of_a_multirun_on_two_devices_go_on_each_in_its_own_folder(tmp_path):
    options = (*SMALL, *TWO, "--multirun", "seed=1,2", "recipe.length=4", "recipe.keep=[2]")
    first = start(tmp_path, *options)
    output, _ = first.communicate(timeout=300)
    assert first.returncode == 0, output
    (sweep,) = tmp_path.glob("train/*/*")  # no stray folder beside it
    jobs = [sweep / "0", sweep / "1"]
    assert sorted(path.name for path in sweep.iterdir() if path.is_dir()) == ["0", "1"]
    ends = [json.loads((job / "result.json").read_text())["metrics"] for job in jobs]
    for job in jobs:  # as if each had been killed after its second step
        state = json.loads((job / "run.json").read_text())
        (job / "run.json").write_text(json.dumps({**state, "state": "interrupted"}))
        (job / "result.json").unlink()
        shutil.move(job / "checkpoints/step-000002.ckpt", job / "checkpoints/last.ckpt")
    second = start(tmp_path, *options, "ckpt_path=auto")
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 0, output
    for job, end in zip(jobs, ends, strict=True):
        assert output.count(f"continuing at step 2 of 4 from {job}/checkpoints/last.ckpt") == 2  # both processes
        assert json.loads((job / "run.json").read_text())["state"] == "finished"
        assert json.loads((job / "result.json").read_text())["metrics"] == pytest.approx(end, abs=5)
    assert len(list(tmp_path.glob("train/*/*"))) == 2
