"""A build, a training and a search on a real SLURM, and what happens to a build there: one that suffers a SIGKILL, a requeue, a
signal before the time limit and the loss of a node, each in the middle of a training, ends with every planned model exactly
once and with the metrics of an unbroken build.

Trainings are stopped (SIGSTOP) at their first checkpoint, so that each fault meets them in the middle however fast or slow the
machine is.
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
TINY = (
    "data.scenes=12", "data.val_scenes=3", "data.crop=[32,32]", "data.eval_size=[32,64]", "recipe.batch=2",
    "recipe.length=48", "recipe.eval_every=24", "recipe.save_every=4", "recipe.log_every=8", "trainer=cpu",
)  # fmt: skip
BUILD = (
    "setting=seg", f"count={SHARDS}", "bounds.c=[8,16]", "bounds.b=[1,1]", "bounds.n=[1,1]", "bounds.i=[8,8]",
    "bounds.o1=[8,8]", "build.steal=false", "build.beat=1", "build.patience=20", *TINY,
)  # fmt: skip
LAUNCHER = ("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2")
LIMIT = 600  # seconds for each wait: the machine may be busy with other tests

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


def command(name, outputs, *overrides):
    return [sys.executable, "-m", f"src.{name}", f"paths.outputs={outputs}", *overrides]


def environment(cluster=None):
    return {**(cluster.environment if cluster else os.environ), "OMP_NUM_THREADS": "1"}


class Build:
    """A build over four shards, in the background."""

    def __init__(self, cluster, folder, *overrides):
        self.cluster, self.folder = cluster, folder / "build"
        self.log = folder / "launcher.txt"
        line = command("build", folder, *BUILD, f"build.dir={self.folder}", *LAUNCHER, *overrides)
        with open(self.log, "w") as out:
            self.launcher = subprocess.Popen(
                [*line, "hydra.callbacks.shards.check=5", "-m"],
                cwd=ROOT,
                env=environment(cluster),
                stdout=out,
                stderr=out,
            )

    def lease(self, unit, generation=0):
        return json.loads((self.folder / f"units/{unit:06d}/{generation}.lease").read_text())

    def has(self, unit, name):
        return (self.folder / f"units/{unit:06d}" / name).is_file()

    def stop_in_the_middle(self):
        """The leases of all units, each stopped behind its first checkpoint."""
        stopped = {}
        end = time.monotonic() + LIMIT
        while len(stopped) < SHARDS:
            assert time.monotonic() < end, self.said()
            assert self.launcher.poll() is None, self.said()
            for unit in set(range(SHARDS)) - set(stopped):
                if self.has(unit, "0/checkpoints/last.ckpt"):
                    stopped[unit] = self.lease(unit)
                    os.kill(stopped[unit]["pid"], signal.SIGSTOP)
            time.sleep(0.005)
        assert not self.records(), "a training was done before it could be stopped"
        return stopped

    def end(self):
        """The launcher's exit code."""
        try:
            return self.launcher.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the launcher hangs:\n{self.said()}") from None
        finally:
            self.launcher.kill()

    def said(self):
        jobs = "".join(file.read_text()[-1500:] for file in self.folder.parent.glob("build/*/*/.submitit/*/*_log.err"))
        return self.log.read_text()[-3000:] + jobs

    def records(self):
        files = sorted(self.folder.glob("units/*/record.json"))
        return {file.parent.name: json.loads(file.read_text()) for file in files}


def hold_until_killed(pid):
    """A process that hangs: it does not use the seconds that SLURM leaves it to finish."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            os.kill(pid, signal.SIGSTOP)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.002)
    raise AssertionError(f"process {pid} of a requeued job still lives")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The same build in one process, without a cluster."""
    folder = tmp_path_factory.mktemp("unbroken")
    line = command("build", folder, *BUILD, f"build.dir={folder / 'build'}")
    answer = subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-2000:]
    return {file.parent.name: json.loads(file.read_text()) for file in (folder / "build").glob("units/*/record.json")}


def test_a_build_survives_a_kill_a_requeue_a_signal_and_the_loss_of_a_node(cluster, tmp_path, unbroken):
    build = Build(cluster, tmp_path, f"shard=range(0,{SHARDS})")
    leases = build.stop_in_the_middle()
    jobs = {unit: lease["slurm_job"] for unit, lease in leases.items()}
    where = {unit: cluster.node_of(job) for unit, job in jobs.items()}
    [lost] = [
        unit for unit in where if list(where.values()).count(where[unit]) == 1
    ]  # three fit on a node: one is alone
    killed, requeued, told = (unit for unit in where if unit != lost)

    cluster.lose(where[lost], leases[lost]["pid"])
    os.kill(leases[killed]["pid"], signal.SIGKILL)
    cluster.run("scontrol", "requeue", jobs[requeued])
    hold_until_killed(leases[requeued]["pid"])
    cluster.run("scancel", "--signal=USR2", jobs[told])  # as SLURM does before a time limit
    os.kill(leases[told]["pid"], signal.SIGCONT)
    try:
        code = build.end()
    finally:
        cluster.start_node(where[lost])
    assert code == 1, build.said()
    assert set(unbroken) - set(build.records()) == {f"{killed:06d}"}
    assert build.has(told, "0.released.json")  # handed back; the others had no time for that
    shard = jobs[killed].partition("_")[2]  # of an array
    assert f"to repeat: shard={shard} " in build.said()
    for unit in (lost, requeued, told):
        assert build.lease(unit, 1)["slurm_restart"] > 0

    again = Build(cluster, tmp_path, f"shard={shard}", f"shards={SHARDS}")
    assert again.end() == 0, again.said()
    records = again.records()
    assert set(records) == set(unbroken)
    for unit, record in records.items():
        assert record["generation"] > 0
        for key in ("architecture", "seed", "metrics", "evaluations", "steps"):
            assert record[key] == unbroken[unit][key], (unit, key)
    assert len({record["worker"]["slurm_job"] for record in records.values()}) == SHARDS
    assert len(benchmark.load(again.folder / "seg.parquet")) == SHARDS
    logs = sorted(tmp_path.glob("build/*/*/.submitit/*/*_log.out"), key=lambda file: file.stat().st_mtime)
    assert re.search(r"trained\W+4\W+100\.0%", logs[-1].read_text())


def test_a_build_in_rounds_whose_shards_choose_the_second_one_together(cluster, tmp_path):
    words = [word for word in BUILD if not word.startswith(("count=", "build.steal=", "recipe."))]
    line = command(
        "build", tmp_path, *words, "sampler=adaptive", "count=10", "rounds=2", "budget.macs=1e8", "recipe.length=4",
        "recipe.eval_every=4", "recipe.batch=2", f"build.dir={tmp_path / 'build'}", "hydra/launcher=slurm", *LAUNCHER[1:],
        "hydra.launcher.gpus_per_node=0", "hydra.callbacks.shards.check=5", "shard=range(0,2)", "-m",
    )  # fmt: skip
    answer = subprocess.run(line, cwd=ROOT, env=environment(cluster), capture_output=True, text=True, timeout=LIMIT)
    assert answer.returncode == 0, answer.stderr[-2000:]
    records = [json.loads(file.read_text()) for file in (tmp_path / "build").glob("units/*/record.json")]
    assert len({record["architecture"] for record in records}) == len(records) == 10
    assert len({record["worker"]["slurm_job"] for record in records}) == 2
    chosen = json.loads((tmp_path / "build" / "rounds" / "1.json").read_text())
    last = {record["architecture"] for record in records if record["unit"] not in chosen["units"]}
    assert set(chosen["architectures"]) == last
    assert len(benchmark.load(tmp_path / "build" / "seg.parquet")) == 10


def test_a_training_over_two_nodes(cluster, tmp_path):
    wait(lambda: len(cluster.idle()) == 2, LIMIT, "both nodes")
    line = command(
        "train", tmp_path, "task=seg", *TINY[:-1], "arch=narrow", "recipe.length=12", "recipe.eval_every=6", "recipe.batch=4",
        "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2", "callbacks.pictures=false",
        *LAUNCHER, "hydra.launcher.nodes=2", "hydra.launcher.tasks_per_node=1",
        'hydra.launcher.setup=["export MASTER_ADDR=127.0.0.1"]', "seed=1", "-m",
    )  # fmt: skip
    answer = subprocess.run(line, cwd=ROOT, env=environment(cluster), capture_output=True, text=True, timeout=LIMIT)
    logs = "".join(file.read_text() for file in tmp_path.glob("train/*/*/.submitit/*/*_log.*"))
    assert answer.returncode == 0, answer.stderr[-2000:] + logs
    assert "global_rank=1(2)" in logs
    [file] = tmp_path.glob("train/*/*/0/result.json")
    result = json.loads(file.read_text())
    assert result["steps"] == 12  # the total batch of 4 is kept: two samples on each node
    history = (file.parent / "metrics.csv").read_text().splitlines()
    assert len({line.split(",")[0] for line in history if ",val/mIoU," in line}) == 2


def test_a_sweep_of_searches(cluster, tmp_path):
    line = command("search", tmp_path, "objectives=[seg]", "lam=0.1,0.5", *LAUNCHER, "-m")
    answer = subprocess.run(line, cwd=ROOT, env=environment(cluster), capture_output=True, text=True, timeout=LIMIT)
    assert answer.returncode == 0, answer.stderr[-2000:]
    found = [json.loads(file.read_text()) for file in sorted(tmp_path.glob("search/*/*/[01]/result.json"))]
    assert len(found) == 2
    assert found[1]["cost"]["macs"] < found[0]["cost"]["macs"]  # cost weighs more
    [folder] = {file.parents[1] for file in tmp_path.glob("search/*/*/0/result.json")}
    assert list(folder.glob(".submitit/*/*_log.out"))  # they ran as jobs
