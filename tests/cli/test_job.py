"""One job: its rank, the folder it goes on in, and the exit code that a multirun deserves."""

import json
import pickle
from pathlib import Path

import pytest

from ncp import runs
from ncp.cli import job


def leave(folder: Path, **state):
    folder.mkdir(parents=True)
    (folder / runs.STATE_FILE).write_text(json.dumps(state))


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([{"state": "finished"}], job.OK),
        ([{"state": "finished"}, {"state": "failed", "mistake": "user"}], job.USERS_MISTAKE),
        ([{"state": "failed", "mistake": "user"}, {"state": "failed", "mistake": "ours"}], job.OUR_MISTAKE),
    ],
)
def test_a_multiruns_exit_code_is_its_worst_jobs(tmp_path, states, code, capsys):
    for number, state in enumerate(states):
        leave(tmp_path / str(number), **state)
    assert job.worst_of_sweep(tmp_path) == code
    failed = sum(state["state"] == "failed" for state in states)
    told = capsys.readouterr().err
    assert (f"{failed} of {len(states)} jobs failed" in told) == (failed > 0)


def test_a_job_that_went_on_elsewhere_counts_by_what_came_of_it(tmp_path):
    leave(tmp_path / "old", state="failed", mistake="user")
    leave(tmp_path / "sweep" / "0", state="continued", continued_in=str(tmp_path / "old"))
    assert job.worst_of_sweep(tmp_path / "sweep") == job.USERS_MISTAKE


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_the_first_rank(monkeypatch, name):
    for other in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(other, raising=False)
    assert job.is_first_rank()
    for value, first in (("0", True), ("3", False), ("", True), ("x", True)):
        monkeypatch.setenv(name, value)
        assert job.is_first_rank() == first


def test_a_job_goes_to_another_machine_by_its_name_alone():
    sent = job.Job("train", None, job.Ended(worst=2))
    there = pickle.loads(pickle.dumps(sent))
    assert (there.command, there.ended.worst) == ("train", job.OK)
    assert there.module.__name__ == "ncp.jobs.train"
