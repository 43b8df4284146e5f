"""A trial: a few steps that tell what the whole training takes."""

from ncp import jobs
from ncp.tasks import run as trainings
from ncp.tasks import trial


def test_the_whole_trainings_plan_is_told_and_data_is_read_once(tmp_path, monkeypatch):
    options = jobs.options("train", "setting=seg", "arch=narrow", "trainer=cpu", "data.tiny=true", "recipe.length=37")
    whole = trainings.assemble(options, tmp_path / "whole").task.plan
    made, read = [], trainings.make_data
    monkeypatch.setattr(trainings, "make_data", lambda options: made.append(read(options)) or made[-1])
    found = trial.run(options, tmp_path)
    assert (found.steps, found.evaluations) == (whole.steps, len(whole.evaluate))
    assert found.step > 0
    assert found.checkpoint_mb > 0
    assert len(made) == 1
