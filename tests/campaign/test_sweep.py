"""How many shards a sweep has, and what becomes of jobs that end without a result."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from ncp import runs
from ncp.campaign.scheduler import sweep


@pytest.mark.parametrize(
    ("overrides", "number"),
    [
        (["shard=range(0,250)"], 250),
        (["count=5", "shard=0,1,2"], 3),
        (["shard=3,7"], 8),
        (["shard=3,7", "shards=250"], None),
        (["shard=2"], None),
        (["seed=1,2"], None),
    ],
)
def test_the_sweep_says_how_many_shards_there_are(overrides, number):
    assert sweep.number_of_shards(overrides) == number


def test_every_job_is_told():
    config = OmegaConf.create(
        {"hydra": {"overrides": {"task": ["shard=range(0,4)"]}, "launcher": {"_target_": "basic"}}}
    )
    OmegaConf.set_struct(config, True)
    sweep.Shards().on_multirun_start(config)
    assert list(config.hydra.overrides.task) == ["shard=range(0,4)", "shards=4"]


def test_a_job_without_a_result_is_named_and_the_others_are_waited_for(tmp_path, capsys, monkeypatch):
    class Job:
        state = "FAILED"
        job_id = "no such job"
        paths = SimpleNamespace(result_pickle=tmp_path / "none")

        def __init__(self, error):
            self.error = error

        def results(self):
            if self.error:
                raise self.error
            return ["result"]

    monkeypatch.setattr(sweep._Jobs, "folder", tmp_path)
    monkeypatch.setattr(sweep._Jobs, "unfinished", [])
    jobs = [
        sweep._Job(Job(RuntimeError("killed\nmore") if i == 1 else None), [f"shard={i}", "shards=3"], i)
        for i in range(3)
    ]
    answers = [job.results()[0] for job in jobs]
    assert answers[0] == answers[2] == "result"
    assert answers[1].return_value is None
    state = runs.state(tmp_path / "1")
    assert (state["state"], state["mistake"]) == ("failed", "ours")
    sweep.Shards().on_multirun_end(OmegaConf.create({}))
    said = capsys.readouterr().err
    assert "job 1 (shard=1 shards=3)" in said
    assert "SLURM says FAILED; killed" in said
    assert "to repeat: shard=1 " in said


def test_a_job_that_the_cluster_queues_again_is_waited_for(tmp_path, monkeypatch):
    """A lost node's job has ended for a moment; what the launcher remembers of that must go."""
    states = iter(["PENDING", "RUNNING", ""])
    answers, cleared = iter([RuntimeError("NODE_FAIL"), RuntimeError("NODE_FAIL"), ["result"]]), []

    def results():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    job = SimpleNamespace(
        results=results,
        job_id="12_3",
        paths=SimpleNamespace(result_pickle=tmp_path / "none"),
        watcher=SimpleNamespace(clear=lambda: cleared.append(1)),
    )
    asked = []

    def squeue(command, **options):
        asked.append(command)
        return SimpleNamespace(stdout=next(states) + "\n")

    monkeypatch.setattr(sweep.subprocess, "run", squeue)
    monkeypatch.setattr(sweep.time, "sleep", lambda seconds: None)
    assert sweep._Job(job, ["shard=3"], 3).results() == ["result"]
    assert len(cleared) == len(asked) == 2
    assert "12_3" in asked[0]
    (tmp_path / "none").write_text("")
    assert not sweep._queued(job)  # it left a result: an error of its own
