"""Lines about steps: what they say at a given time, and that a long step is told about while it is at work."""

import time

import pytest

from ncp.progress import Steps, part


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.mark.parametrize(("begin", "end"), [((12, 0), "12:08"), ((23, 55), "2026-03-02 00:03")])
def test_the_expected_end_follows_from_the_work_done(monkeypatch, begin, end):
    now = time.mktime((2026, 3, 1, *begin, 0, 0, 0, -1))
    monkeypatch.setattr(time, "time", lambda: now)
    clock, lines = Clock(), []
    steps = Steps({"build": 8, "search": 1, "compare": 3}, lines.append, now=clock)
    with steps.step("build"):
        clock.seconds = 240.0
        # a third of the work took four minutes
        assert steps.line("build", 4) == f"step 1 of 3, build: 4 of 8 done; 4 min so far, end expected at {end}"
        clock.seconds = 480.0
    with steps.step("search"):
        clock.seconds = 540.0
    assert lines[0] == "step 1 of 3, build"
    assert lines[1].startswith("step 2 of 3, search; 8 min so far, end expected at ")
    assert steps.line("compare", 3).startswith("step 3 of 3, compare: 3 of 3 done; 9 min so far")


@pytest.fixture
def _noon(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1)))


@pytest.mark.usefixtures("_noon")
def test_what_an_earlier_start_did_does_not_make_this_one_fast():
    """Six of eight were done before; the seventh took a minute, so the eighth, and a step of three as long ones, take four."""
    clock, lines = Clock(), []
    steps = Steps({"build": 8, "compare": 1}, lines.append, now=clock)
    steps.weights["compare"] = 3.0
    with steps.step("build", lambda: 6):
        assert lines == ["step 1 of 2, build: 6 of 8 done"]
        clock.seconds = 30.0
        assert steps.line("build", 6) == "step 1 of 2, build: 6 of 8 done; 30 s so far"
        clock.seconds = 60.0
        assert steps.line("build", 7) == "step 1 of 2, build: 7 of 8 done; 60 s so far, end expected at 12:04"


@pytest.mark.usefixtures("_noon")
def test_steps_ahead_that_an_earlier_start_did_take_no_time():
    """A minute each: after eight there are four left, whichever of the two steps between, both done before, is at work."""
    clock, lines = Clock(), []
    steps = Steps({"build": 8, "compare": 4, "page": 1, "again": 4}, lines.append, now=clock)
    steps.there = {"compare": 4.0, "page": 1.0}
    with steps.step("build", lambda: 0):
        clock.seconds = 480.0
        assert steps.line("build", 8).endswith("; 8 min so far, end expected at 12:04")
    for name, done in (("compare", lambda: 4), ("page", None)):
        with steps.step(name, done):
            assert steps.line(name, None if done is None else 4).endswith("; 8 min so far, end expected at 12:04")
    with steps.step("again", lambda: 0):
        clock.seconds = 600.0
        assert steps.line("again", 2).endswith("; 10 min so far, end expected at 12:02")
    with steps.step("more"):  # one that nobody knew of
        pass


@pytest.mark.usefixtures("_noon")
def test_an_expectation_counts_beside_what_is_measured():
    """Ten of a minute each are expected; one took four minutes, so it is two on average with two that were expected."""
    clock, lines = Clock(), []
    steps = Steps({"build": 10}, lines.append, now=clock)
    steps.expected = (2.0, 120.0)
    with steps.step("build", lambda: 0):
        assert lines == ["step 1 of 1, build: 0 of 10 done; end expected at 12:10"]
        clock.seconds = 240.0
        assert steps.line("build", 1) == "step 1 of 1, build: 1 of 10 done; 4 min so far, end expected at 12:18"


def test_a_long_step_is_told_about_while_it_works_and_not_afterwards():
    lines = []
    steps = Steps({"build": 32}, lines.append, every=0.01)
    with steps.step("build", lambda: 5):
        deadline = time.monotonic() + 10
        while len(lines) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)
    told = len(lines)
    assert told >= 3
    assert lines[1].startswith("step 1 of 1, build: 5 of 32 done")
    time.sleep(0.05)
    assert len(lines) == told


def test_a_failing_look_and_a_failing_step_stop_nothing_else():
    lines = []
    steps = Steps({"a": 1, "b": 1}, lines.append, every=0.01)

    def broken():
        raise OSError("gone")

    def fail():
        with steps.step("a", broken):
            time.sleep(0.05)
            raise ValueError("the step's own")

    with pytest.raises(ValueError, match="the step's own"):
        fail()
    assert len(lines) >= 2
    assert steps.line("b").startswith("step 1 of 2, b")  # the failed one is not done


def test_parts_of_a_work_tell_their_place_in_the_whole():
    told = []
    first, last = (part(lambda done, text: told.append((done, text)), k, 4, name) for k, name in ((0, "seg"), (3, "")))
    first(0.5, "3 rows")
    last(1.0, "end")
    assert told == [(0.125, "seg, 3 rows"), (1.0, "end")]
    assert part(None, 0, 4) is None
