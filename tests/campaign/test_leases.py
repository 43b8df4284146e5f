"""What a lease says is believed within bounds: who holds a unit, until when, and how that is told."""

import json
import math
import os

import pytest
from simulated_builds import Memory

from ncp.campaign import leases
from ncp.campaign.leases import LIVING, Holder
from ncp.campaign.scheduler import liveness
from ncp.campaign.store import Folder
from ncp.errors import UserError


def put(store, content, generation=0):
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    store.create(f"units/000003/{generation}.lease", raw)


@pytest.mark.parametrize(
    "content",
    [
        {"pid": "abc"},
        {"pid": 0},
        {"pid": int("9" * 100)},
        {"born": -1},
        {"slurm_restart": "many"},
        {"claimed": -1},
        {"progress": [1]},
        {"machine": {"a": {"b": 1}}},
        {"host": "a\x1b[31m"},
        b"",
        b'{"pid": 1',
        b"[]",
        b'{"claimed": NaN}',
        b'{"claimed": 1e999}',
        b"[" * 100_000,
    ],
)
def test_a_strange_lease_is_named_and_its_heartbeat_decides(content):
    store = Memory()
    put(store, content)
    with pytest.raises(UserError, match=r"units/000003/0\.lease"):
        leases.read(store, "000003", 0)
    store.now = 200.0
    holder = leases.holder(store, "000003", 0, alive=lambda other: pytest.fail("of a strange lease nothing is asked"))
    assert (holder.lives, holder.silent) == (None, 200.0)
    assert holder.gone(199.0)
    assert not holder.gone(201.0)
    assert "0.lease" in holder.words(300.0)
    assert "\x1b" not in holder.words(300.0)
    assert leases.seconds_held(store, "000003", 0, now=1e9) == 0.0


def test_a_lease_as_workers_write_it_is_read():
    store, me = Memory(), {**liveness.identity(), "slurm_job": "12_3", "slurm_restart": 2}
    put(store, {**me, "claimed": 100.0, "progress": 10**18, "of a later version": "x"})
    assert leases.read(store, "000003", 0)["pid"] == os.getpid()
    assert leases.read(store, "000003", 1) == {}
    store.now = 20.0
    assert leases.seconds_held(store, "000003", 0, now=1020.0) == 900.0  # claimed at 100, last heard of at 1000
    words = leases.holder(store, "000003", 0, alive=lambda other: True).words(300.0)
    assert f"process {os.getpid()} SLURM job 12_3; last heard of 20 s ago; the process lives; free in 1,180 s" in words


def test_the_first_process_of_a_machine_does_not_hold_a_unit_for_ever():
    """Its number and birth are known to everyone, and in a container it may be a real worker."""
    me = liveness.identity()
    store = Memory()
    put(store, {"machine": me["machine"], "pid": 1, "born": liveness._born(1)})
    store.now = 100.0 * LIVING + 1
    holder = leases.holder(store, "000003", 0, lambda other: liveness.alive(other, me))
    assert holder.lives is (True if me["machine"] else None)
    assert holder.gone(100.0)


@pytest.mark.parametrize(("ahead", "silent"), [(60, 0.0), (3600, math.inf), (1e9, math.inf)])
def test_a_heartbeat_from_the_future_is_none(tmp_path, ahead, silent):
    store = Folder(tmp_path)
    put(store, {"claimed": 5.0})
    path = tmp_path / "units/000003/0.lease"
    os.utime(path, (path.stat().st_mtime + ahead,) * 2)
    for folder in (store, Folder(tmp_path, reading=True)):
        holder = leases.holder(folder, "000003", 0, alive=lambda other: None)
        assert holder.silent == silent
        assert holder.gone(300.0) is (silent > 0)
    if silent:
        assert "from the future" in holder.words(300.0)
        assert leases.holder(store, "000003", 0, alive=lambda other: True).gone(300.0)
        assert leases.seconds_held(store, "000003", 0, now=1e9) == 0.0


@pytest.mark.parametrize(
    ("lives", "silent", "gone"),
    [(False, 0.0, True), (None, 99.0, False), (None, 101.0, True), (True, 101.0, False), (True, 100.0 * LIVING + 1, True),
     (None, None, False)],
)  # fmt: skip
def test_when_others_may_take_over(lives, silent, gone):
    assert Holder("000000", 0, "x", lives, silent).gone(100.0) is gone
