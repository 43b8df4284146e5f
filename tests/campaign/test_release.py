"""Units that nobody will finish are freed by hand: those whose worker is silent, or those that are named."""

import json

import made_records
import pytest
from simulated_builds import Memory

from ncp.campaign import release
from ncp.campaign.status import read_units
from ncp.campaign.units import Worker
from ncp.errors import UserError

PLAN = made_records.plan(5)


@pytest.fixture
def store():
    """Unit 0 is done, 1 silent, 2 running, 3 handed back, 4 untouched."""
    made = Memory()
    made.create("units/000001/0.lease", b'{"host": "gone"}')
    made.now = 1000.0
    made_records.put(PLAN, made, 0)
    made.create("units/000002/0.lease", b'{"host": "here"}')
    made.create("units/000003/0.lease", b"{}")
    made.create("units/000003/0.released.json", b"{}")
    return made


def freed(store, wanted):
    return release.release(PLAN, store, read_units(PLAN, store), release.chosen(wanted, PLAN))


def test_without_names_the_silent_ones_are_freed(store):
    assert freed(store, None) == ["000001"]
    assert freed(store, None) == []
    assert [unit.state for unit in read_units(PLAN, store)] == ["done", "left", "running", "left", "left"]
    note = json.loads(store.read("units/000001/0.released.json"))
    assert note["reason"] == "action=release"
    assert store.read("units/000001/0.lease") == b'{"host": "gone"}'  # what others wrote stays
    assert Worker(store, PLAN.units, [1], {}, steal=False).next().generation == 1


def test_one_that_seems_to_live_is_freed_when_it_is_named_and_then_its_worker_stops(store):
    former = Worker(store, PLAN.units, [4], {"host": "former"}, steal=False)
    claim = former.next()
    assert freed(store, 4) == ["000004"]
    assert Worker(store, PLAN.units, [4], {"host": "next"}, steal=False).next().generation == 1
    assert not former.beat(claim)


def test_all(store):
    assert freed(store, "all") == ["000001", "000002"]


def test_a_unit_that_nobody_holds_is_a_mistake(store):
    with pytest.raises(UserError, match="unit 000003 is held by nobody, it is left"):
        freed(store, [1, 3])
    assert not [name for name in store.names("units/000001") if "released" in name]


@pytest.mark.parametrize("wanted", [5, -1, "5", "x", 1.5, True, [1, "../x"], {"a": 1}, "9" * 100, "٣"])
def test_units_are_numbers_of_the_plan(wanted):
    with pytest.raises(UserError, match=r"within 0\.\.4"):
        release.chosen(wanted, PLAN)


def test_units_as_people_write_them():
    assert release.chosen(None, PLAN) is None
    assert release.chosen(3, PLAN) == [3]
    assert release.chosen("000003", PLAN) == [3]
    assert release.chosen([0, "2"], PLAN) == [0, 2]
