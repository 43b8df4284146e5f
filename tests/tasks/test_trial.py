"""A trial: a few steps that tell what the whole training takes."""

import pytest

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
    assert found.budget is None


@pytest.mark.parametrize(("macs", "cut"), [(1e13, False), (3e9, True)])
def test_a_large_network_of_a_built_in_set_takes_fewer_steps(tmp_path, macs, cut):
    """As the training itself says; one that costs four times as much takes a quarter of the steps, so no longer."""
    words = ("setting=video", "trainer=cpu", "data.tiny=true", "recipe.length=300", "arch=narrow")
    options = jobs.options("train", *words, f"data.training_macs={macs}")
    found = trial.run(options, tmp_path)
    assert int(found.taken()) == trainings.assemble(options, tmp_path / "whole").task.plan.steps
    assert found.steps == 300
    assert (found.taken() < 300) == cut
    if cut:
        assert found.taken(4) == pytest.approx(max(24, found.taken() / 4))
        assert found.seconds(2) < 1.3 * found.seconds() + 24 * found.step * 2
