"""Builds and trainings on a real SLURM, and what happens to them there: every planned model ends up there exactly once, with
the metrics of an unbroken build.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from slurm_cluster import wait

from ncp import benchmark

ROOT = Path(__file__).resolve().parents[2]
SHARDS = 4
# long enough to be interrupted in the middle, small enough to be done soon
TRAINING = (
    "task=seg", "data.scenes=12", "data.val_scenes=3", "data.crop=[32,32]", "data.eval_size=[32,64]", "recipe.batch=2",
    "recipe.length=60", "recipe.eval_every=20", "recipe.save_every=5", "recipe.log_every=20", "trainer=cpu",
)  # fmt: skip
BUILD = (
    "setting=seg", f"count={SHARDS}", "bounds.c=[8,16]", "bounds.b=[1,1]", "bounds.n=[1,1]", "bounds.i=[8,8]",
    "bounds.o1=[8,8]", "build.steal=false", "build.beat=1", "build.patience=20",
)  # fmt: skip
LAUNCHER = ("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2")

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


def command(name, outputs, *overrides):
    return [sys.executable, "-m", f"src.{name}", f"paths.outputs={outputs}", *overrides]


def environment(cluster):
    return {**cluster.environment, "OMP_NUM_THREADS": "1"}


class Build:
    """A build over four shards, in the background."""

    def __init__(self, cluster, folder, *overrides):
        self.cluster, self.folder = cluster, folder / "build"
        self.log = folder / "launcher.txt"
        line = command("build", folder, *BUILD, *TRAINING[1:], f"build.dir={self.folder}", *LAUNCHER, *overrides, "-m")
        with open(self.log, "w") as out:
            self.launcher = subprocess.Popen(line, cwd=ROOT, env=environment(cluster), stdout=out, stderr=out)

    def lease(self, unit, generation=0):
        try:
            return json.loads((self.folder / f"units/{unit:06d}/{generation}.lease").read_text())
        except (OSError, ValueError):
            return None

    def trains(self, unit, generation=0):
        """It has a checkpoint and is not done: the middle of its training."""
        place = self.folder / f"units/{unit:06d}"
        return (place / f"{generation}/checkpoints/last.ckpt").is_file() and not (place / "record.json").is_file()

    def end(self, seconds=900):
        try:
            return self.launcher.wait(seconds)
        except subprocess.TimeoutExpired:
            self.launcher.kill()
            raise AssertionError(f"the launcher hangs:\n{self.log.read_text()[-3000:]}") from None

    def records(self):
        files = sorted(self.folder.glob("units/*/record.json"))
        return {file.parent.name: json.loads(file.read_text()) for file in files}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The same build, in one process, without a cluster."""
    folder = tmp_path_factory.mktemp("unbroken")
    line = command("build", folder, *BUILD, *TRAINING[1:], f"build.dir={folder / 'build'}")
    answer = subprocess.run(line, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-2000:]
    build = Build.__new__(Build)
    build.folder = folder / "build"
    return build.records()


def same(records, unbroken):
    """Every planned model exactly once, with the metrics of the unbroken build, after every evaluation."""
    assert set(records) == set(unbroken)
    for unit, record in records.items():
        for key in ("architecture", "seed", "metrics", "evaluations", "steps"):
            assert record[key] == unbroken[unit][key], (unit, key)


def test_a_build_survives_a_kill_a_requeue_and_a_signal(cluster, tmp_path, unbroken):
    build = Build(cluster, tmp_path, f"shard=range(0,{SHARDS})", "hydra.launcher.max_num_timeout=3")
    events = {"SIGKILL": None, "requeue": None, "USR2": None}
    spoilt = {}
    end = time.monotonic() + 600
    while len(spoilt) < len(events) and build.launcher.poll() is None and time.monotonic() < end:
        for unit in range(SHARDS):
            lease = build.lease(unit)
            if unit in spoilt.values() or not lease or not build.trains(unit):
                continue
            event = next(name for name in events if name not in spoilt)
            spoilt[event] = unit
            if event == "SIGKILL":
                os.kill(lease["pid"], signal.SIGKILL)
                killed = lease
            elif event == "requeue":
                cluster.run("scontrol", "requeue", lease["slurm_job"])
            else:
                cluster.run("scancel", "--signal=USR2", "--batch", lease["slurm_job"], check=False)
                cluster.run("scancel", "--signal=USR2", lease["slurm_job"], check=False)
            if len(spoilt) == len(events):
                break
        time.sleep(0.05)
    assert len(spoilt) == len(events), f"not all events happened: {spoilt}\n{build.log.read_text()[-2000:]}"
    code, said = build.end(), build.log.read_text()
    assert code == 1, said[-3000:]
    missing = f"{spoilt['SIGKILL']:06d}"
    assert set(unbroken) - set(build.records()) == {missing}
    shard = killed["slurm_job"].partition("_")[2]  # of an array
    assert f"to repeat: shard={shard} " in said
    for event in ("requeue", "USR2"):
        assert build.records()[f"{spoilt[event]:06d}"]["generation"] == 1, event
    again = Build(cluster, tmp_path, f"shard={shard}", f"shards={SHARDS}")
    assert again.end() == 0, again.log.read_text()[-3000:]
    records = again.records()
    assert records[missing]["generation"] == 1
    same(records, unbroken)
    assert {record["worker"]["slurm_job"] for record in records.values()}
    table = benchmark.load(again.folder / "seg.parquet")
    assert len(table) == SHARDS
    assert re.search(r"trained\W+4\W+100\.0%", again_log(again))


def again_log(build):
    """What the last job of a sweep printed."""
    logs = sorted(build.folder.parent.glob("build/*/*/.submitit/*/*_log.out"), key=lambda f: f.stat().st_mtime)
    return logs[-1].read_text()


def test_a_build_survives_the_loss_of_a_node(cluster, tmp_path, unbroken):
    build = Build(cluster, tmp_path, "shard=0,1", "shards=2", "hydra.launcher.cpus_per_task=3")
    wait(lambda: any(build.trains(unit) for unit in range(SHARDS)), 600, "a training to be on its way")
    unit = next(unit for unit in range(SHARDS) if build.trains(unit))
    lease = build.lease(unit)
    node = cluster.node_of(lease["slurm_job"])
    cluster.lose(node, lease["pid"])
    try:
        assert build.end() == 0, build.log.read_text()[-3000:]
    finally:
        cluster.start_node(node)
    records = build.records()
    assert records[f"{unit:06d}"]["generation"] == 1
    same(records, unbroken)


def test_a_training_over_two_nodes(cluster, tmp_path):
    wait(lambda: len(cluster.idle()) == 2, 60, "both nodes")
    line = command(
        "train", tmp_path, *TRAINING[:-1], "arch=narrow", "recipe.length=12", "recipe.eval_every=6", "recipe.batch=4",
        "trainer=ddp",
        "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2", "callbacks.pictures=false", *LAUNCHER,
        "hydra.launcher.nodes=2", "hydra.launcher.tasks_per_node=1", 'hydra.launcher.setup=["export MASTER_ADDR=127.0.0.1"]',
        "seed=1", "-m",
    )  # fmt: skip
    answer = subprocess.run(line, cwd=ROOT, env=environment(cluster), capture_output=True, text=True, timeout=900)
    logs = "".join(file.read_text() for file in tmp_path.glob("train/*/*/.submitit/*/*_log.*"))
    assert answer.returncode == 0, answer.stderr[-2000:] + logs
    assert "global_rank=1(2)" in logs
    [file] = tmp_path.glob("train/*/*/0/result.json")
    result = json.loads(file.read_text())
    assert result["steps"] == 12  # the total batch of 4 is kept: two samples on each node
    history = (file.parent / "metrics.csv").read_text().splitlines()
    assert len({line.split(",")[0] for line in history if ",val/mIoU," in line}) == 2
