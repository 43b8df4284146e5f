"""A discovery's time: a trial that is made once, and a clock."""

import json

import pytest

from ncp.jobs import hours
from ncp.tasks import trial
from ncp.tasks.trial import Trial

WORDS = ("setting=seg", "arch=default")


@pytest.fixture
def made(monkeypatch):
    """The trials that were really made, none of which trains."""
    out = []

    def run(options, folder):
        out.append(options.setting)
        return Trial(steps=100 + len(out), evaluations=2, step=0.5, evaluation=3.0, checkpoint_mb=7.0)

    monkeypatch.setattr(trial, "run", run)
    return out


def test_a_trial_is_made_once(made, tmp_path):
    first = hours.tried(WORDS, tmp_path / "place")
    assert hours.tried(WORDS, tmp_path / "place") == first == Trial(101, 2, 0.5, 3.0, 7.0)
    assert made == ["seg"]


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("another machine", lambda content: {**content, "machine": "elsewhere"}),
        ("negative", lambda content: {**content, "step": -1.0}),
        ("another shape", lambda content: [content]),
        ("a text", lambda content: {**content, "steps": "many"}),
        ("no number", lambda content: {**content, "evaluation": 1e300}),
    ],
)
def test_of_what_is_not_this_trial_another_is_made(made, tmp_path, why, change):
    hours.tried(WORDS, tmp_path)
    file = tmp_path / hours.FILE
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    assert hours.tried(WORDS, tmp_path).steps == 102, why
    assert len(made) == 2


def test_other_words_are_another_trial(made, tmp_path):
    hours.tried(WORDS, tmp_path)
    assert hours.tried((*WORDS, "recipe.length=7"), tmp_path).steps == 102


def test_the_clock_keeps_time_for_the_comparison(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(hours.time, "monotonic", lambda: now[0])
    clock = hours.Clock(2.0, reserve=1800.0, _began=1000.0)
    assert clock.words() == ["build.hours=1.500000"]
    now[0] += 1.75 * 3600
    assert clock.left() == pytest.approx(0.25)
    assert clock.words() == ["build.hours=0.000000"]
    now[0] += 3600
    assert clock.left() == 0
    assert hours.Clock(None).left() is None
    assert hours.Clock(None).words() == []
