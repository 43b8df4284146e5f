"""A discovery's time: a trial that is made once, and a clock."""

import json

import made_records
import pytest

from ncp import jobs
from ncp.campaign.options import After
from ncp.campaign.store import Folder
from ncp.jobs import hours
from ncp.spaces.multires import SPACE
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
    clock = hours.Clock(2.0, tried=[(1e9, 60.0)], times=3.0, began=1000.0)
    hours_word, after = clock.words([1e9, 5e8], first=1)
    assert hours_word == "build.hours=2.000000"
    composed = jobs.options("build", "setting=seg", hours_word, after).build
    assert composed.hours == 2.0
    assert composed.after == After(macs=[1e9, 5e8], tried=[(1e9, 60.0)], times=3.0, first=1)
    now[0] += 1.75 * 3600
    assert clock.left() == pytest.approx(0.25)
    now[0] += 3600
    assert clock.left() == 0
    assert clock.words([1e9], first=1)[0] == "build.hours=0.000000"
    assert hours.Clock(None).left() is None
    assert hours.Clock(None).words([1e9], 1) == []
    assert not hours.Clock(None).too_short([1e18])


def test_compared_trainings_are_measured_too(monkeypatch):
    """An hour is left; a network of a billion takes a minute by the trial, three in full, and what was measured later counts."""
    clock = hours.Clock(1.0, tried=[(1e9, 60.0)], times=3.0)
    monkeypatch.setattr(clock, "left", lambda: 1.0)
    assert clock.seconds([1e9, 2e9]) == pytest.approx(180)
    assert not clock.too_short([1e9] * 19)
    assert clock.too_short([1e9] * 20)
    clock.learnt_from = [(1e9, 120.1), (2e9, 240.2), (4e9, 480.4)]  # a little more than twice as slow as the trial
    assert clock.too_short([1e9] * 10)
    assert not clock.too_short([1e9] * 9)
    clock.at_a_time = 2
    assert not clock.too_short([1e9] * 19)
    clock.compared = [(1e9, 1200.0), (1e9, 1200.0)]
    assert clock.too_short([1e9] * 6)
    assert not clock.too_short([1e9] * 5)
    monkeypatch.setattr(clock, "left", lambda: 0.0)
    assert clock.too_short([1.0])
    assert not clock.too_short([])  # what an earlier start has trained


def test_what_earlier_starts_took_is_read(tmp_path):
    assert hours.trained_for(tmp_path) == 0
    (tmp_path / "result.json").write_text('{"seconds": {"training": 12.5}, "metrics": {"mIoU": 3}}')
    assert hours.trained_for(tmp_path) == 12.5
    assert hours.measured(tmp_path) == []
    plan, store = made_records.plan(3), Folder(tmp_path)
    store.create("plan.json", plan.content)
    made_records.put(plan, store, 1, seconds=30.0)
    macs = int(SPACE.cost([SPACE.parse(plan.architectures[1]).code]).macs[0])
    assert hours.measured(tmp_path) == [(macs, 30.0)]
