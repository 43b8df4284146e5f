"""Whether another worker lives, as far as one can tell."""

import os
import subprocess
import sys

import pytest

from ncp.campaign.scheduler import liveness


def test_a_process_of_this_machine_can_be_looked_up():
    me = liveness.identity()
    assert me["pid"] == os.getpid()
    assert liveness.alive(me, me) is True
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = {**me, "pid": child.pid, "born": liveness._born(child.pid)}
    assert liveness.alive(other, me) is True
    assert liveness.alive({**other, "born": other["born"] - 1}, me) is False  # another process has its number now
    child.kill()
    while liveness._born(child.pid) is not None:
        pass  # dead, not yet collected by us: a zombie counts as dead
    assert liveness.alive(other, me) is False
    child.wait()
    assert liveness.alive(other, me) is False


def test_of_another_machine_nothing_is_known():
    me = liveness.identity()
    assert liveness.alive({**me, "machine": "elsewhere"}, me) is None
    assert liveness.alive({**me, "machine": None}, {**me, "machine": None}) is None
    assert liveness.alive({}, me) is None


@pytest.mark.parametrize(("restart", "verdict"), [(0, False), (1, None)])
def test_a_requeued_job_knows_that_its_former_life_is_over(monkeypatch, restart, verdict):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    me = liveness.identity()
    assert me["slurm_job"] == "12_3"
    other = {"slurm_job": "12_3", "slurm_restart": restart, "machine": "elsewhere"}
    assert liveness.alive(other, me) is verdict
    assert liveness.alive({**other, "slurm_job": "12_4"}, me) is None


@pytest.mark.parametrize("pid", [None, "7", "abc", 0, -1, 1.0, True, int("9" * 100), [1], {"a": 1}])
def test_of_a_strange_process_nothing_is_known(pid):
    me = liveness.identity()
    assert liveness.alive({**me, "pid": pid}, me) is None
    assert liveness.alive({"machine": me["machine"]}, me) is None


@pytest.mark.parametrize("restart", [None, "0", "many", -1.5, [0]])
def test_a_strange_count_of_restarts_says_nothing(restart):
    me = {"slurm_job": "12_3", "slurm_restart": 1, "machine": "here"}
    assert liveness.alive({"slurm_job": "12_3", "slurm_restart": restart}, me) is None
