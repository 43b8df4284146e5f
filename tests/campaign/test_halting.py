"""When a worker begins no further training: little time, or results that all say the same. Checked on figures worked by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_records import plan as made_plan
from made_records import put

from ncp.campaign import halting
from ncp.campaign.halting import Deadline, Halting, Pace
from ncp.campaign.options import After, BuildOptions, Work
from ncp.campaign.store import Folder
from ncp.errors import UserError
from ncp.spaces.multires import SPACE

COUNT = 12
OPTIONS = BuildOptions()


@pytest.mark.parametrize(
    ("measured", "start", "rate"),
    [
        ([(1e8, 30.0), (2e8, 50.0), (5e8, 110.0)], 10.0, 2e-7),  # a line
        ([(4e8, 80.0)], 0.0, 2e-7),  # one alone: in proportion
        ([(4e8, 70.0), (4e8, 90.0)], 0.0, 2e-7),  # two of a size: their mean
        ([(1e8, 60.0), (2e8, 60.0), (3e8, 60.0)], 60.0, 0.0),
        ([(1e8, 10.0), (2e8, 40.0)], 0.0, 1e-7 * 50 / 30),  # no start below nothing; both together take 50 s
        ([(1e8, 40.0), (2e8, 20.0)], 30.0, 0.0),  # nor are larger ones faster
    ],
)
def test_the_pace_is_a_start_and_a_rate_neither_of_them_negative(measured, start, rate):
    pace = Pace.of(measured)
    assert (pace.start, pace.rate) == (pytest.approx(start, abs=1e-6), pytest.approx(rate, abs=1e-13))
    assert sum(pace.seconds(macs) for macs, _ in measured) == pytest.approx(sum(seconds for _, seconds in measured))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A plan of twelve, and a store; each training takes 100 s, whatever its size. It is always 1000 s after 1970."""
    monkeypatch.setattr(halting, "time", SimpleNamespace(time=lambda: 1000.0))
    return made_plan(COUNT), Folder(tmp_path)


def late(folder, seconds, done, **more):
    plan, store = folder
    for unit in done:
        if not store.path(f"units/{plan.units[unit]}/record.json").is_file():
            put(plan, store, unit, seconds=100.0)
    after = After(macs=[1e9, 2e9, 3e9, 4e9], tried=[(1e9, 500.0)], times=2.0, first=1)
    given = {"at": 1000.0 + seconds, "after": after, **more}
    return Halting(OPTIONS, Deadline(**given)).late(plan, store)


def test_time_is_kept_for_what_comes_after_by_what_trainings_took(folder):
    """100 s for the next one, and twice as much for each of the four others."""
    assert late(folder, 899, range(9))
    assert not late(folder, 901, range(9))
    assert late(folder, 499, range(9), at_a_time=2)  # which two at a time pass in half of the time
    assert not late(folder, 501, range(9), at_a_time=2)
    assert late(folder, -1, range(9))


def test_before_a_predictor_has_enough_only_the_first_of_the_others_count(folder):
    assert late(folder, 299, range(7))
    assert not late(folder, 301, range(7))
    assert late(folder, 301, range(8))


def test_before_anything_is_done_the_trial_counts(folder):
    """Half a microsecond an operation: the dearest of the plan, and twice for the first of the others, of a billion."""
    plan, _ = folder
    dearest = max(SPACE.cost([SPACE.parse(text).code for text in plan.architectures]).macs)
    need = 5e-7 * dearest + 2 * 500.0
    assert late(folder, need - 1, [])
    assert not late(folder, need + 1, [])


def test_what_failed_for_good_is_not_waited_for_and_the_end_is_never_late(folder):
    plan, store = folder
    cost = SPACE.cost([SPACE.parse(text).code for text in plan.architectures]).macs
    failed = int(np.argmax(cost))
    for attempt in range(2):
        store.create(f"units/{plan.units[failed]}/{attempt}.lease", b"{}")
        store.create(f"units/{plan.units[failed]}/{attempt}.failed.{attempt}.json", b"{}")
    assert late(folder, -1, [unit for unit in range(COUNT) if unit not in (failed, 3)])
    assert not late(folder, -1, [3])  # nothing is left to begin
    plan_, store_ = folder
    assert Halting(OPTIONS, Deadline(999.0)).late(plan_, store_)  # a time alone
    assert not Halting(OPTIONS, Deadline(1001.0)).late(plan_, store_)
    assert not Halting(OPTIONS, None).late(plan_, store_)


def alike(folder, values, least=8):
    plan, store = folder
    for unit, value in enumerate(values):
        if not store.path(f"units/{plan.units[unit]}/record.json").is_file():
            put(plan, store, unit, metrics={"mIoU": value, "mAcc": 1.0, "aAcc": 2.0})
    Halting(replace(OPTIONS, build=Work(alike=least)), None).check_alike(plan, store)


def test_trainings_that_all_say_the_same_stop_the_others(folder):
    alike(folder, [0.0] * 7)
    with pytest.raises(UserError, match=r"^all 8 trainings so far ended with mIoU 0.00, .* the other 4 are trained"):
        alike(folder, [0.0] * 8)
    alike(folder, [0.0] * 8, None)
    alike(folder, [0.0] * 8, 9)
    with pytest.raises(UserError, match="all 9 trainings"):
        alike(folder, [0.0] * 9)
    alike(folder, [0.0] * 9 + [0.01])  # one that differs is enough


def test_what_is_too_easy_is_not_trained_longer(folder):
    with pytest.raises(UserError, match=r"mIoU 100.00, .* train shorter \(recipe.length\), or smaller"):
        alike(folder, [100.0] * 8)


def test_of_a_whole_build_nothing_is_stopped(folder):
    alike(folder, [0.0] * COUNT)
