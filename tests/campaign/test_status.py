"""How far a build is, and what stands in its way, from hand-made folders."""

import json

import made_records
import pytest
from simulated_builds import Memory

from ncp.campaign.status import blockers, read_units, summarise

PLAN = made_records.plan(8, macs=(10, 10, 20, 20, 10, 10, 10, 10))


def put(store, name, content=None):
    store.create(f"units/{name}", json.dumps(content or {}).encode())


def record(unit, finished, **changes):
    return made_records.record(PLAN, unit, finished=finished, **changes).as_json()


@pytest.fixture
def store():
    """Units 0 and 1 done, 2 failed, 3 stopped, 4 running, 5 silent, 6 handed back, 7 untouched."""
    made = Memory()
    put(made, "000005/0.lease")
    made.now = 1000
    for unit, second in ((0, 0), (1, 30)):
        put(made, f"00000{unit}/0.lease")
        stamp = f"2026-01-01T00:00:{second:02d}+00:00"
        put(made, f"00000{unit}/record.json", record(unit, stamp))
    for attempt in (0, 1):
        put(made, f"000002/{attempt}.lease")
        put(made, f"000002/{attempt}.failed.{attempt}.json", {"kind": "nan"})
    put(made, "000003/record.json", record(3, "2026-01-01T00:01:00+00:00", state="stopped"))
    put(made, "000004/0.lease")
    put(made, "000006/0.lease")
    put(made, "000006/0.released.json")
    return made


def test_every_unit_has_its_state(store):
    states = [unit.state for unit in read_units(PLAN, store)]
    assert states == ["done", "done", "failed", "stopped", "running", "silent", "left", "left"]


def test_counts_speed_and_expected_end(store):
    summary = summarise(PLAN, read_units(PLAN, store), now=1767225600.0 + 60)  # 2026-01-01T00:01:00
    assert sum(summary.counts.values()) == summary.total == 8
    assert summary.share == pytest.approx(60 / 100)
    assert summary.per_hour == pytest.approx(120)  # two in a minute after the first
    assert summary.seconds_left == pytest.approx(40 / (30 / 60))
    assert summary.reasons == {"nan": 2}
    assert summary.hours == pytest.approx(1.5)
    assert not summary.finished


def test_a_build_that_stands_still_slows_down(store):
    units = read_units(PLAN, store)
    assert summarise(PLAN, units, now=1767225600.0 + 3600).per_hour == pytest.approx(2)


def test_nothing_is_known_before_the_first_results():
    summary = summarise(PLAN, read_units(PLAN, Memory()))
    assert (summary.per_hour, summary.seconds_left, summary.share) == (None, None, 0.0)
    assert summary.counts["left"] == 8


def test_what_blocks_is_named(store):
    lines = blockers(read_units(PLAN, store), patience=300)
    assert [line[:12] for line in lines] == ["unit 000005:", "unit 000004:"]  # who is silent first
    assert "an unknown worker; last heard of 1,000 s ago" in lines[0]
    assert "will be taken over" in lines[0]
    assert "free in 300 s of silence" in lines[1]


@pytest.mark.parametrize("content", ["", '{"format": "ncp-record-1", "unit"', "[]"])
def test_a_record_that_cannot_be_used_is_no_result(store, content):
    store.folders["units/000000"]["record.json"][0] = content.encode()
    units = read_units(PLAN, store)
    assert (units[0].state, units[0].record) == ("damaged", None)
    assert "units/000000/record.json" in units[0].problem
    summary = summarise(PLAN, units)
    assert summary.counts["damaged"] == 1
    assert not summary.finished
    assert "will be trained again" in blockers(units, 300)[0]


def test_a_bar_can_count_the_units(store):
    seen = []

    def track(units, total):
        for unit in units:
            seen.append((unit, total))
            yield unit

    assert len(read_units(PLAN, store, track=track)) == 8
    assert seen == [(unit, 8) for unit in range(8)]
