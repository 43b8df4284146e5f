"""Plans, records, leases and notes that were altered, cut off or made by others: refused by name or put up with, never a
traceback, never without end."""

import copy
import json
import os
import random
import time

import made_records
import pytest

from ncp.campaign import leases, merge, reading
from ncp.campaign import plan as plans
from ncp.campaign.records import TrainingRecord
from ncp.campaign.scheduler import liveness
from ncp.campaign.status import STATES, blockers, read_units, summarise
from ncp.campaign.store import Folder
from ncp.campaign.units import Worker
from ncp.errors import UserError

HUGE = int("9" * 100)
ODD = [
    None, True, -1, 0, 1.5, HUGE, -HUGE, 10**19, 1e308, "", "x", "../../etc/passwd", "/etc/passwd", "a\x1b[31m\0b", "x" * 5000,
    [], {}, [[[[]]]], {"a": {"b": {"c": {}}}}, [None], ["x"] * 300, "2026-13-45T99:00:00", "ncp-record-2",
]  # fmt: skip
RAW = [
    b"", b" ", b"{", b"[" * 100_000, b"\xff\xfe", b"NaN", b"null", b"[]", b'"x"', b"{}", b'{"a":1e999}', b"\0" * 1000,
    b'{"format": "ncp-record-1"}', b'{"format": "ncp-plan-1"}', b'{"pid":' + b"9" * 5000 + b"}",
]  # fmt: skip


def mutations(content, rng, number):
    """So many altered JSON texts: a value of any level replaced, removed, renamed, or the text cut off."""
    yield from RAW
    for _ in range(number):
        altered = copy.deepcopy(content)
        at = altered
        while True:
            key = rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
            if isinstance(at[key], (dict, list)) and at[key] and rng.random() < 0.6:
                at = at[key]
                continue
            break
        kind = rng.random()
        if kind < 0.7:
            at[key] = rng.choice(ODD)
        elif kind < 0.85 and isinstance(at, dict):
            del at[key]
        elif isinstance(at, dict):
            at[f"{key}\x1b]0;"] = at.pop(key)
        text = json.dumps(altered).encode()
        yield text if rng.random() < 0.9 else text[: rng.randrange(len(text))]
    yield json.dumps(content).replace("1800.0", "NaN").encode()
    yield json.dumps(content).replace("1800.0", "Infinity").encode()


@pytest.fixture
def build(tmp_path):
    """Three units, recorded; the plan is published."""
    plan, store = made_records.plan(3), Folder(tmp_path / "build")
    plans.publish(plan, store)
    for unit in range(3):
        made_records.put(plan, store, unit)
    return plan, store


def tried(function, *arguments):
    """The answer, or what was said about a mistake; anything else is ours."""
    try:
        return function(*arguments)
    except UserError as error:
        return str(error)


def look(plan, store):
    """What a status and a merge do; the units."""
    units = read_units(plan, store)
    assert {unit.state for unit in units} <= set(STATES)
    summarise(plan, units)
    assert not any("\x1b" in line or "\n" in line for line in blockers(units, 300.0))
    if not any(unit.state == "done" for unit in units):
        return units
    merged = merge.merge(plan, units)
    assert len(merged.table) + len(merged.table.provenance.refused) == len(plan)
    assert not any("\x1b" in refusal.reason for refusal in merged.table.provenance.refused)
    return units


def worker(plan, store, **options):
    """A real one."""
    me = liveness.identity()
    options = {"alive": lambda other: liveness.alive(other, me), "patience": 100.0, **options}
    order = range(len(plan))
    return Worker(store, plan.units, order, me, damage=lambda unit: reading.damage(plan, store, unit), **options)


def test_altered_records_are_refused_by_name_and_trained_again_or_are_rows(build):
    plan, store = build
    good = json.loads((store.root / "units/000001/record.json").read_text())
    started, refused = time.monotonic(), 0
    for text in mutations(good, random.Random(0), 400):
        (store.root / "units/000001/record.json").write_bytes(text)
        [_, unit, _] = look(plan, store)
        record = tried(reading.read, plan, store, 1)
        if isinstance(record, str):
            refused += 1
            assert "units/000001/record.json" in record
            assert "\n" not in record
            assert (unit.state, unit.record) == ("damaged", None)
        else:
            assert (record.unit, record.architecture) == ("000001", plan.architectures[1])
            assert 0 <= record.metrics["mIoU"] <= 100
            assert unit.state == record.state
    assert refused > 100
    assert time.monotonic() - started < 60


def test_altered_leases_and_notes_neither_stop_nor_hang_a_worker(build):
    plan, store = build
    place = store.root / "units/000001"
    (place / "record.json").unlink()
    lease = {**liveness.identity(), "claimed": time.time(), "progress": 0, "slurm_job": "12_3", "slurm_restart": 0}
    note = {"kind": "crash", "reason": "why", "where": "a.py:3", "seed": 1, "seconds": 1800.0, "worker": {"host": "x"}}
    for content, name in ((lease, "0.lease"), (note, "0.failed.0.json"), (note, "0.released.json")):
        for text in mutations(content, random.Random(1), 80):
            (place / name).write_bytes(text)
            os.utime(place / "0.lease", (1e9, 1e9))
            look(plan, store)
            claim = worker(plan, store).next()
            if claim is not None:  # else its process lives, as far as the lease tells: this one
                assert leases.seconds_held(store, "000001", 0, time.time()) < 1e10
                assert all(isinstance(failure, dict) for failure in claim.failures)
                (place / f"{claim.generation}.lease").unlink()
                assert claim.generation == 1
        (place / name).write_text(json.dumps(content))


def test_altered_plans_are_refused_by_name(build):
    plan, store = build
    refused = 0
    for text in mutations(json.loads(plan.content), random.Random(2), 200):
        (store.root / plans.FILE).write_bytes(text)
        other = tried(plans.read, store)
        if isinstance(other, str):
            refused += 1
            assert plans.FILE in other
            assert len(other) < 1000
            assert "\x1b" not in other
        else:
            look(other, store)
        answer = tried(plans.publish, plan, store)
        assert answer is None or plans.FILE in answer or "another plan" in answer
    assert refused > 100


@pytest.mark.parametrize(
    "name", ["plan.json", "units/000001/record.json", "units/000001/0.lease", "units/000001/0.failed.0.json"]
)
@pytest.mark.parametrize("kind", ["pipe", "folder", "link to nothing", "too large"])
def test_what_is_no_file_is_not_waited_for(build, name, kind):
    plan, store = build
    path = store.root / name
    if "record" not in name:
        (store.root / "units/000001/record.json").unlink()
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to nothing":
        path.symlink_to("nowhere")
    else:
        with open(path, "wb") as file:
            file.truncate(2**30)
    if name == "plan.json":
        with pytest.raises(UserError, match=r"plan\.json|no build"):
            plans.read(store)
        return
    unit = look(plan, store)[1]
    assert unit.state in {"record.json": ["damaged"], "0.lease": ["silent", "running"]}.get(path.name, ["left"])
    claim = worker(plan, store, attempts=3).next()
    if not (path.name == "0.lease" and unit.state == "running"):  # a large one still has a time
        assert (claim.name, claim.generation) == ("000001", int(os.path.lexists(store.root / "units/000001/0.lease")))


def test_a_record_is_not_believed_for_another_architecture(build):
    plan, store = build
    content = json.loads((store.root / "units/000001/record.json").read_text())
    other = json.loads((store.root / "units/000002/record.json").read_text())
    for change in (
        {"architecture": other["architecture"]},
        {"code": other["code"]},
        {"unit": "000002"},
        {"setting": "seg-4x"},
    ):
        (store.root / "units/000001/record.json").write_text(json.dumps({**content, **change}))
        assert look(plan, store)[1].state == "damaged"


@pytest.mark.parametrize("checkpoint", ["../../x/last.ckpt", "/etc/passwd", "a/../../b", "a\0b"])
def test_a_checkpoint_lies_inside_the_build(build, checkpoint):
    plan, store = build
    content = json.loads((store.root / "units/000001/record.json").read_text())
    (store.root / "units/000001/record.json").write_text(json.dumps({**content, "checkpoint": checkpoint}))
    with pytest.raises(reading.Damaged, match="outside"):
        reading.read(plan, store, 1)


def test_a_record_of_another_version_is_left_alone(build):
    plan, store = build
    path = store.root / "units/000001/record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": "ncp-record-2"}))
    assert "ncp-record-2" in look(plan, store)[1].problem
    assert worker(plan, store).next() is None
    assert path.exists()


def test_a_record_without_finite_metrics_stops_no_merge(build):
    """As an earlier version wrote it after a training that ended in NaN: what is not finite was left out."""
    plan, store = build
    content = json.loads((store.root / "units/000001/record.json").read_text())
    (store.root / "units/000001/record.json").write_text(json.dumps({**content, "metrics": {}}))
    units = look(plan, store)
    table = merge.merge(plan, units).table
    assert len(table) == 2
    assert "needs mIoU" in table.provenance.refused[0].reason
    # and if one gets through to the table after all, it is told there
    object.__setattr__(units[0].record, "metrics", {"mIoU": float("nan"), "mAcc": 1.0, "aAcc": 1.0})
    table = merge.merge(plan, units).table
    assert [refusal.row for refusal in table.provenance.refused] == [0, 1]


def test_records_survive_json():
    plan = made_records.plan(2)
    record = made_records.record(plan, 1)
    raw = json.dumps(record.as_json()).encode()
    assert reading.parse(raw, "it") == record
    assert isinstance(reading.parse(raw, "it"), TrainingRecord)
    assert (
        "bad" not in made_records.record(plan, 1, metrics={"bad": float("nan")}).as_json()["metrics"]
    )  # JSON has no NaN


def test_of_units_that_nobody_began_nothing_is_asked(tmp_path, monkeypatch):
    plan, store = made_records.plan(50), Folder(tmp_path)
    assert list(reading.usable(plan, store, range(50))) == []
    for unit in (30, 7):
        made_records.put(plan, store, unit)
    (tmp_path / "units/000007/record.json").write_text("")
    (tmp_path / "units/000009").mkdir()
    asked, read = [], Folder.read
    monkeypatch.setattr(Folder, "read", lambda self, name: asked.append(name) or read(self, name))
    found = dict(reading.usable(plan, store, range(49, -1, -1)))
    assert found == {30: reading.read(plan, store, 30)}
    assert asked[:3] == [f"units/{unit:06d}/record.json" for unit in (30, 9, 7)]
    assert list(reading.usable(plan, store, [7, 8])) == []
