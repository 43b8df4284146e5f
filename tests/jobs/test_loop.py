"""The loop is a discovery: what it asks for follows from its options."""

from dataclasses import replace

import pytest

from ncp import spaces
from ncp.errors import UserError
from ncp.jobs import loop

SPACE = spaces.get("multires")


@pytest.fixture
def planned(monkeypatch, tmp_path):
    def planned(options):
        kept = []
        monkeypatch.setattr(loop, "carry_out", lambda plan, folder: kept.append(plan))
        loop.run(options, tmp_path)
        return kept[0]

    return planned


def test_the_limit_is_the_cost_of_the_default_code(planned):
    plan = planned(loop.Options())
    widths = {name: 2 if name[0] in "bn" else 16 for name in SPACE.labels}
    code = [widths[name] for name in SPACE.labels]
    assert list(plan.reference.code) == code
    assert plan.budget == {"macs": float(SPACE.cost([code]).macs[0])}
    assert (plan.names, plan.trainings, plan.repeats, plan.start) == (("cls-50-1000", "seg"), 32, 3, True)


def test_trainings_are_evaluated_twice_and_saved_four_times(planned):
    plan = planned(loop.Options(steps={"cls": 40, "seg": 8}))
    assert plan.words == {
        "cls-50-1000": ["recipe.length=40", "recipe.eval_every=20", "recipe.save_every=10"],
        "seg": ["recipe.length=8", "recipe.eval_every=4", "recipe.save_every=2"],
    }
    assert planned(loop.Options(steps={"cls-50-1000": 8}))  # the name in full is the same setting
    assert planned(loop.Options(steps={"cls": 8})).words["seg"] == []  # a setting without steps has its recipe's


def test_short_ones_are_shorter(planned):
    long = loop.Options(settings=["seg"])
    plan = planned(replace(long, short=True))
    assert plan.names == ("seg",)
    assert plan.trainings < long.count
    assert plan.words["seg"][0] == "recipe.length=20"


def test_an_unknown_setting_is_the_users(planned):
    with pytest.raises(UserError, match="unknown setting 'segg'"):
        planned(loop.Options(settings=["segg"]))


@pytest.mark.parametrize("predictor", ["auto", "default"])
def test_its_predictors_are_the_ones_asked_for(planned, predictor):
    assert planned(loop.Options(predictor=predictor)).family == predictor
    assert planned(loop.Options()).family == "auto"  # as src.fit's
