"""How far a build is, from hand-made folders; and parts of a build that are off."""

import json

import numpy as np
import pytest
from simulated_builds import Memory

from ncp.campaign import checks
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import TrainingRecord
from ncp.campaign.status import read_units, summarise
from ncp.errors import UserError
from ncp.spaces.multires import SPACE

PLAN = BuildPlan("seg", tuple("abcdefgh"), (10, 10, 20, 20, 10, 10, 10, 10), {}, 0)


def put(store, name, content=None):
    store.create(f"units/{name}", json.dumps(content or {}).encode())


@pytest.fixture
def store():
    """Units 0 and 1 done, 2 failed, 3 stopped, 4 running, 5 silent, 6 handed back, 7 untouched."""
    made = Memory()
    put(made, "000005/0.lease")
    made.now = 1000
    for unit, second in ((0, 0), (1, 30)):
        put(made, f"00000{unit}/0.lease")
        stamp = f"2026-01-01T00:00:{second:02d}+00:00"
        put(made, f"00000{unit}/record.json", {"state": "done", "finished": stamp, "seconds": 1800})
    for attempt in (0, 1):
        put(made, f"000002/{attempt}.lease")
        put(made, f"000002/{attempt}.failed.{attempt}.json", {"kind": "nan"})
    put(made, "000003/record.json", {"state": "stopped", "finished": "2026-01-01T00:01:00+00:00", "seconds": 1800})
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


def rows(shift=0.0, n=160):
    """Random architectures with a smooth metric; those of ``node3`` lie ``shift`` points off."""
    rng = np.random.default_rng(1)
    codes = SPACE.sample_codes(n, rng)
    metric = 60 + 2 * (np.log2(codes) @ rng.normal(size=SPACE.dim)) / 5 + rng.normal(0, 0.7, n)
    of = [{"machine": f"node{i % 8}", "day": f"{i // 40}"} for i in range(n)]
    metric[[i for i in range(n) if i % 8 == 3]] += shift
    return codes, metric, of


def test_a_machine_whose_results_are_off_is_found():
    [anomaly] = checks.anomalies(SPACE, *rows(shift=-8.0))
    assert (anomaly.what, anomaly.value) == ("machine", "node3")
    assert anomaly.rows.sum() == 20
    assert -10 < anomaly.shift < -4
    assert "machine node3" in anomaly.rule


@pytest.mark.parametrize("seed", range(5))
def test_good_results_are_left_alone(seed):
    codes, metric, of = rows()
    order = np.random.default_rng(seed).permutation(len(of))
    assert checks.anomalies(SPACE, codes, metric, [of[i] for i in order]) == []
    assert checks.anomalies(SPACE, codes[:20], metric[:20], of[:20]) == []


def test_records_survive_json_and_others_are_refused():
    record = TrainingRecord("000001", "seg", "x", [1, 2], 3, {"mIoU": 1.5, "bad": float("nan")})
    content = json.loads(json.dumps(record.as_json()))
    assert content["metrics"] == {"mIoU": 1.5}  # strict JSON has no NaN
    assert TrainingRecord.from_json(content).metrics == {"mIoU": 1.5}
    with pytest.raises(UserError, match="unit 000001"):
        TrainingRecord.from_json({**content, "format": "other"})
