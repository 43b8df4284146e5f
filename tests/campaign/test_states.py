"""What the names in a unit's folder say of it."""

import pytest

from ncp.campaign.states import RECORD, UnitState


def test_the_state_of_a_folder():
    names = ["0.lease", "0", "1.lease", "0.released.json", "2.lease", "2.failed.0.json", "3.lease", ".x.lease"]
    state = UnitState.of(names)
    assert (state.recorded, state.generation, state.closed, state.failed, state.lost) == (False, 3, False, 2, (1,))
    assert state.failures == ("2.failed.0.json",)
    assert list(state.open) == [3]
    empty = UnitState.of([])
    assert (empty.recorded, empty.generation, empty.closed, empty.failures, list(empty.open)) == (
        False,
        -1,
        False,
        (),
        [],
    )
    assert UnitState.of([RECORD, "0.lease"]).recorded


def test_two_workers_that_fail_of_the_same_attempt_count_once():
    state = UnitState.of(["0.lease", "1.lease", "0.failed.0.json", "1.failed.0.json"])
    assert state.failures == ("0.failed.0.json",)
    assert len(UnitState.of(["0.lease", "1.lease", "0.failed.0.json", "1.failed.1.json"]).failures) == 2


@pytest.mark.parametrize(
    "name", ["5.lease", f"{'9' * 100}.lease", "3.lease.json.bak", "1.lease\n", "x.lease", "\u0663.lease"]
)
def test_other_names_say_nothing(name):
    assert UnitState.of(["0.lease", name]) == UnitState.of(["0.lease"])


def test_a_record_that_was_set_aside_ends_the_generation_that_left_it():
    state = UnitState.of(["0.lease", "1.lease", "1.damaged.json", "2.lease"])
    assert (state.recorded, state.generation, state.closed, state.lost) == (False, 2, False, (1,))
    assert not UnitState.of(["0.lease", "1.lease", "1.damaged.json"]).lost


def test_many_files_are_read_at_once():
    names = [f"{i}.lease" for i in range(20_000)]
    assert UnitState.of(names).generation == 19_999
