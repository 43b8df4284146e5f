"""Several trainings at a time on one device."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import made_records
import pytest
import sleeping_slots
from composed import ROOT
from small_builds import options
from watching import lives, wait

from ncp.campaign import packing, work
from ncp.campaign.options import BuildOptions
from ncp.campaign.plan import BuildPlan
from ncp.campaign.states import RECORD
from ncp.campaign.status import read_units
from ncp.campaign.store import Folder
from ncp.errors import UserError
from ncp.process import free_memory_mb, own_cores


@pytest.mark.parametrize(
    ("free", "peak", "cores", "number"),
    [
        (80_000, 6_000, 16, 8),
        (80_000, 30_000, 16, 2),
        (80_000, 79_000, 16, 1),
        (100, 5_000, 16, 1),
        (80_000, 100, 2, 2),
    ],
)
def test_as_many_as_fit(free, peak, cores, number):
    assert packing.fitting(free, peak, cores) == number


def test_this_machine_has_memory():
    assert free_memory_mb() > 100


def test_before_anything_is_recorded_one_at_a_time(tmp_path):
    plan, store = work.open_build(options(tmp_path))
    assert packing.how_many(plan, store, [0]) == 1


def test_the_largest_peak_of_this_device_decides(tmp_path, monkeypatch):
    plan, store = work.open_build(options(tmp_path))
    for unit, (device, peak) in enumerate([("cpu", 1000), ("cpu", 3000), ("another", 90_000)]):
        made_records.put(plan, store, unit, device={"name": device}, peak_memory_mb=float(peak))
    monkeypatch.setattr(packing, "free_memory_mb", lambda: 10_000.0)
    monkeypatch.setattr(packing, "own_cores", lambda: range(16))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert packing.how_many(plan, store, [0]) == 3
    monkeypatch.setattr(packing, "ENOUGH", 1)
    assert packing.how_many(plan, store, [0]) == 8
    assert packing.how_many(plan, store, [1]) == 3


@pytest.mark.parametrize(("fit", "expected"), [(3, ["one", "side by side: 3"]), (1, ["one", "all"])])
def test_auto_trains_one_and_then_as_many_as_fit(tmp_path, monkeypatch, fit, expected):
    config, done = options(tmp_path, "build.per_device=auto"), []
    plan, store = work.open_build(config)
    monkeypatch.setattr(packing, "work", lambda *a, most=None: done.append("one" if most == 1 else "all"))
    monkeypatch.setattr(packing, "side_by_side", lambda c, p, s, number, _: done.append(f"side by side: {number}"))
    monkeypatch.setattr(packing, "how_many", lambda *a: fit)
    packing.run(config, plan, store)
    assert done == expected


@pytest.mark.parametrize(("at_a_time", "number"), [("auto", 3), ("2", 2), ("null", 1)])
def test_where_all_is_done_nothing_is_started(tmp_path, monkeypatch, at_a_time, number):
    config, started = options(tmp_path, f"build.per_device={at_a_time}"), []
    plan, store = work.open_build(config)
    monkeypatch.setattr(packing, "work", lambda *a, **more: started.append("work"))
    monkeypatch.setattr(packing, "side_by_side", lambda *a: started.append("side by side"))
    monkeypatch.setattr(packing, "how_many", lambda *a: 3)
    for unit in range(len(plan)):
        packing.run(config, plan, store)
        assert started
        started.clear()
        made_records.put(plan, store, unit)
    assert packing.run(config, plan, store) == number
    assert not started


@pytest.mark.parametrize("number", [1, 2])
def test_hours_are_counted_from_the_command_in_all_its_processes(tmp_path, monkeypatch, number):
    config = options(tmp_path, f"build.per_device={number}", "build.hours=2")
    plan, store = work.open_build(config)
    ends = []
    monkeypatch.setattr(packing, "work", lambda *a, deadline=None: ends.append(deadline.at))
    monkeypatch.setattr(packing, "side_by_side", lambda c, p, s, count, each: [each(c, p, s) for _ in range(count)])
    packing.run(config, plan, store)
    assert ends == [pytest.approx(time.time() + 7200, abs=60)] * number
    assert len(set(ends)) == 1


@pytest.mark.slow
def test_two_processes_share_the_work(tmp_path, monkeypatch):
    started, wait = [], packing._wait
    monkeypatch.setattr(packing, "_wait", lambda processes, *rest: (started.extend(processes), wait(processes, *rest)))
    config = options(tmp_path, "build.per_device=2")
    plan, store = work.open_build(config)
    packing.run(config, plan, store)
    units = read_units(plan, store)
    assert [unit.state for unit in units] == ["done"] * 3
    assert started == [0, 1]
    assert os.getpid() not in {unit.record.worker["pid"] for unit in units}
    assert sorted(store.path(f"units/{unit.name}/{RECORD}").is_file() for unit in units) == [True] * 3


@pytest.mark.slow
def test_a_mistake_in_a_process_is_told_once(tmp_path):
    config = options(tmp_path, "build.per_device=2", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    plan, store = work.open_build(config)
    with pytest.raises(UserError, match="one device"):
        packing.run(config, plan, store)


def test_loaders_of_processes_side_by_side_start_as_those_of_one_alone_and_share_the_cores(tmp_path, capfd):
    """A process that is started anew would start its loaders so too: each of them imports all for every training."""
    packing.side_by_side(
        BuildOptions(), BuildPlan("seg", ("a", "b"), (1, 1), {}, 0), Folder(tmp_path), 2, sleeping_slots.tell
    )
    cores = len(own_cores())
    said = f"{multiprocessing.get_start_method()} {max(1, min(16, cores // 2 - 1))} of {cores}"
    assert [file.read_text() for file in sorted(tmp_path.glob("*.told"))] == [said] * 2
    told = "".join(capfd.readouterr())
    assert ("process 0 tells of the data" in told, "process 1 tells of the data" in told) == (
        True,
        False,
    )  # once is enough


@pytest.fixture
def _as_in_a_terminal():
    """A shell lets what it starts in the background ignore Ctrl-C, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_as_in_a_terminal")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_processes_of_a_worker_end_with_it(tmp_path, number, code):
    """However it ends: also when nothing of it gets to see that."""
    parent = subprocess.Popen([sys.executable, "-m", "sleeping_slots", str(tmp_path)], cwd=ROOT / "tests")
    try:
        wait(lambda: len(list(tmp_path.glob("*.started"))) == 2, 90)
        children = [int(file.stem) for file in tmp_path.glob("*.started")]
        parent.send_signal(number)
        assert parent.wait(90) == code
        wait(lambda: not any(map(lives, children)), 90)
        assert sorted(int(file.stem) for file in tmp_path.glob("*.left")) == sorted(children)  # and had time to tidy up
    finally:
        parent.kill()
