"""Claims, deaths and records: by hand, and over 1,000 random schedules of faults in a simulated build."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_builds import Events, Killed, Memory, content

from ncp.campaign.leases import LIVING
from ncp.campaign.plan import BuildPlan
from ncp.campaign.states import RECORD, UnitState
from ncp.campaign.units import LOST_WITHOUT_PROGRESS, Worker

NAMES = tuple(f"{i:06d}" for i in range(4))


def worker(store, who, mine=(0, 1, 2, 3), **options):
    return Worker(store, NAMES, list(mine), {"who": who}, **{"patience": 100.0, **options})


def test_a_unit_is_claimed_by_one_worker():
    store = Memory()
    a, b = worker(store, "a"), worker(store, "b")
    assert [a.next().unit, b.next().unit, a.next().unit, b.next().unit] == [0, 1, 2, 3]
    assert a.next() is None
    assert a.waiting


def test_a_recorded_unit_is_over_for_everyone_and_is_recorded_once():
    store = Memory()
    a, b = worker(store, "a", [0], steal=False), worker(store, "b", [0], steal=False)
    claim = a.next()
    assert a.record(claim, {"from": "a"})
    assert not a.record(claim, {"from": "a again"})
    assert b.next() is None
    assert not b.waiting
    assert content(store, f"units/000000/{RECORD}") == {"from": "a"}


def test_a_silent_owner_is_replaced_and_finds_out():
    store = Memory()
    a, b = worker(store, "a", [0]), worker(store, "b", [0], steal=False)
    first = a.next()
    store.now = 90
    assert a.beat(first)
    store.now = 150
    assert b.next() is None  # 60 seconds of silence are within its patience
    store.now = 191
    second = b.next()
    assert (second.generation, second.resume, second.failures) == (1, (0,), [])
    assert not a.beat(first)
    assert not a.record(first, {"from": "a"})
    assert b.record(second, {"from": "b"})


def test_a_dead_owner_is_replaced_at_once_and_a_living_silent_one_after_long():
    store = Memory()
    worker(store, "a", [0]).next()
    store.now = 100.0 * LIVING  # its process lives, so that it may be busy; or hang, or be another one with its number
    assert worker(store, "b", [0], steal=False, alive=lambda other: True).next() is None
    store.now += 1
    assert worker(store, "b", [0], steal=False, alive=lambda other: True).next().generation == 1
    store = Memory()
    worker(store, "a", [0]).next()
    claim = worker(store, "b", [0], alive=lambda other: other["who"] != "a").next()
    assert claim.generation == 1


def test_a_failed_attempt_is_told_to_the_next_and_does_not_resume():
    store = Memory()
    a = worker(store, "a", [0], attempts=2, steal=False)
    a.fail(a.next(), {"kind": "nan", "reason": "why"})
    again = a.next()
    assert (again.generation, again.resume, again.failures) == (1, (), [{"kind": "nan", "reason": "why"}])
    a.fail(again, {"kind": "nan", "reason": "still"})
    assert a.next() is None
    assert not a.waiting
    assert worker(store, "b", [0], attempts=3, steal=False).next().generation == 2  # the rule can be widened later


def test_a_unit_that_was_handed_back_is_free():
    store = Memory()
    a = worker(store, "a", [0])
    a.release(a.next())
    claim = worker(store, "b", [0]).next()
    assert (claim.generation, claim.resume, claim.lost) == (1, (0,), 0)


def test_a_unit_that_kills_its_workers_is_given_up():
    store = Memory()
    for attempt in range(LOST_WITHOUT_PROGRESS):
        claim = worker(store, attempt, [0], alive=lambda other: False, attempts=1).next()
        assert claim.generation == attempt
    assert worker(store, "last", [0], alive=lambda other: False, attempts=1, steal=False).next() is None
    failures = [name for name in store.names("units/000000") if ".failed." in name]
    assert len(failures) == 1
    assert content(store, f"units/000000/{failures[0]}")["kind"] == "lost"


def test_deaths_with_progress_are_no_failure():
    store = Memory()
    for attempt in range(5 * LOST_WITHOUT_PROGRESS):
        options = {"alive": lambda other: False, "attempts": 1, "progress": lambda name, generation: 10 * generation}
        assert worker(store, attempt, [0], **options).next() is not None


@pytest.mark.parametrize(
    "name", [f"{'9' * 100}.lease", "999999999.lease", "7.lease", "٣.lease", "00.lease", "-1.lease"]
)
def test_a_lease_whose_number_is_too_high_is_nobodys(name):
    store = Memory()
    store.create(f"units/000000/{name}", b"{}")
    a = worker(store, "a", [0], steal=False)
    claim = a.next()
    assert (claim.generation, claim.resume) == (0, ())
    assert a.record(claim, {"from": "a"})


def empty(store):
    """What a worker asks about a unit's record."""

    def damage(unit):
        return "it is empty" if store.read(f"units/{NAMES[unit]}/{RECORD}") == b"" else None

    return damage


def test_a_damaged_record_is_set_aside_and_its_unit_trained_again():
    store = Memory()
    a = worker(store, "a", [0], steal=False)
    a.record(a.next(), {"from": "a"})
    store.folders["units/000000"][RECORD][0] = b""
    assert worker(store, "b", [0], steal=False).next() is None  # one that does not look believes it
    # although the process that wrote it lives: it was done with this unit
    b = worker(store, "b", [0], steal=False, damage=empty(store), alive=lambda other: True)
    claim = b.next()
    assert (claim.generation, claim.resume, claim.lost) == (1, (0,), 0)
    assert store.read("units/000000/1.damaged.json") == b""
    assert worker(store, "c", [0], steal=False, damage=empty(store), alive=lambda other: True).next() is None
    assert b.record(claim, {"from": "b"})
    assert content(store, f"units/000000/{RECORD}") == {"from": "b"}
    assert UnitState.of(store.names("units/000000")).lost == ()


def test_a_worker_that_dies_before_it_sets_the_record_aside_is_replaced():
    store = Memory()
    a = worker(store, "a", [0], steal=False)
    a.record(a.next(), {"from": "a"})
    store.folders["units/000000"][RECORD][0] = b""
    b = worker(store, "b", [0], steal=False, damage=empty(store))
    b._set_aside = lambda claim: (_ for _ in ()).throw(Killed)
    with pytest.raises(Killed):
        b.next()
    options = {"steal": False, "damage": empty(store)}
    assert worker(store, "c", [0], alive=lambda other: True, **options).next() is None  # it may be about to
    assert worker(store, "c", [0], alive=lambda other: other["who"] != "b", **options).next().generation == 2


def test_a_good_record_that_comes_between_the_look_and_the_claim_is_kept():
    store = Memory()
    a = worker(store, "a", [0], steal=False)
    a.record(a.next(), {"from": "a"})
    answers = iter(["cut off", None])  # another one set the damaged one aside and was quicker
    b = worker(store, "b", [0], steal=False, damage=lambda unit: next(answers))
    assert b.next() is None
    assert content(store, f"units/000000/{RECORD}") == {"from": "a"}


def test_who_leaves_hands_back_what_it_holds_and_nothing_else():
    store = Memory()
    a = worker(store, "a", [0])
    a.leave()
    claim = a.next()
    a.leave()
    assert "0.released.json" in store.names("units/000000")
    assert worker(store, "b", [0]).next().generation == 1
    a.held = replace(claim, generation=1)
    a.leave()  # as if it were ended while it lost the race for that claim: b has it
    assert "1.released.json" not in store.names("units/000000")


def test_what_is_waited_for_is_named():
    store = Memory()
    worker(store, "a", [0]).next()
    b = worker(store, "b", [0], steal=False)
    assert b.next() is None
    assert [(holder.unit, holder.generation, holder.silent) for holder in b.blockers] == [("000000", 0, 0.0)]


# ---- the simulation

PATIENCE, BEAT = 100.0, 10.0


class Job:
    """A worker's process in the simulation: it claims, trains (time passes), beats, records; it may die, sleep, come back."""

    def __init__(self, world, shard):
        self.world, self.shard, self.life = world, shard, -1
        self.start()

    def start(self):
        world = self.world
        world.living.discard(self.life)
        self.life = next(world.lives)
        self.asleep = False
        world.living.add(self.life)
        self.worker = Worker(
            world.store,
            world.plan.units,
            world.shards[self.shard],
            {"who": self.life},
            alive=world.knows,
            patience=PATIENCE,
            attempts=2,
            damage=world.damage,
        )
        world.events.after(1, lambda life=self.life: self.step(life))

    def step(self, life):
        """Claim the next unit and train it, as the real loop does."""
        if life != self.life:
            return
        with self.world.may_die(self):
            claim = self.worker.next()
            if claim is None:
                if self.worker.waiting:
                    self.world.events.after(BEAT, lambda: self.step(life))
                return
            assert (claim.unit, claim.generation) not in self.world.claims, "two workers have the same claim"
            self.world.claims.add((claim.unit, claim.generation))
            self.world.started.append(claim.unit)
            end = self.world.store.now + self.world.durations[claim.unit]
            self.train(life, claim, end)

    def train(self, life, claim, end):
        """One stretch between two heartbeats."""
        if life != self.life:
            return
        if self.asleep:
            self.asleep = False
            self.world.events.after(3 * PATIENCE, lambda: self.train(life, claim, end))
            return
        with self.world.may_die(self):
            if not self.worker.beat(claim):
                self.world.events.after(1, lambda: self.step(life))
                return
            if self.world.store.now < end:
                wait = min(BEAT, end - self.world.store.now)
                self.world.events.after(wait, lambda: self.train(life, claim, end))
                return
            if (claim.unit, len(claim.failures)) in self.world.bad:
                self.worker.fail(claim, {"kind": "nan", "reason": "planned"})
            elif self.worker.record(claim, {"by": life, "unit": claim.unit}):
                self.world.told.append(claim.unit)
            self.world.events.after(1, lambda: self.step(life))


class World:
    """Workers over one store, and what goes wrong: ``faults`` is a list of ((operation, number), kind).

    The operation is ``create`` (where the races are) or ``any``; the number counts those of its sort.
    """

    def __init__(self, durations, shards, bad, faults, omniscient):
        self.store = Memory()
        self.events = Events(self.store)
        self.durations, self.bad = durations, set(bad)
        self.plan = BuildPlan("seg", tuple(map(str, durations)), tuple(int(d) for d in durations), {}, 0)
        self.shards = self.plan.shards(shards)
        self.faults, self.omniscient, self.counts = dict(faults), omniscient, Counter()
        self.lives, self.living = itertools.count(), set()
        self.claims: set[tuple[int, int]] = set()
        self.started, self.told, self.depth, self.current = [], [], 0, None
        self.jobs = [Job(self, shard) for shard in range(shards)]
        self.store.hook = self.hook

    def knows(self, other):
        return other["who"] in self.living if self.omniscient else None

    def hook(self, operation):
        """Before every operation: perhaps the process dies, or others come in between."""
        if self.current is None:
            return
        kind = None
        for sort in ("any", operation):
            self.counts[sort] += 1
            kind = self.faults.pop((sort, self.counts[sort]), None) or kind
        if kind == "kill":
            raise Killed
        if kind == "sleep":
            self.current.asleep = True
        elif kind == "outage":
            self.store.now += 2.5 * PATIENCE
        elif kind == "cut":
            self.cut()
        elif kind in ("others", "overtaken") and self.depth < 3:
            self.in_between(overtaken=kind == "overtaken")

    def damage(self, unit):
        """A record that was cut off holds nothing."""
        entry = self.store.folders[f"units/{self.plan.units[unit]}"].get(RECORD)
        return "it is empty" if entry is not None and not entry[0] else None

    def cut(self):
        """The newest record is cut off: its disk was full, or somebody's was."""
        those = [folder[RECORD] for folder in self.store.folders.values() if folder.get(RECORD, [b""])[0]]
        if those:
            max(those, key=lambda entry: entry[1])[0] = b""

    def in_between(self, overtaken):
        """Others work while this one is in the middle of an operation; when overtaken it sleeps past its patience."""
        self.depth += 1
        mine, self.current = self.current, None
        if overtaken:
            self.store.now += 1.5 * PATIENCE
            self.events.run(until=self.store.now + 5 * PATIENCE)
        else:
            for _ in range(4):
                self.events.one()
        self.current = mine
        self.depth -= 1

    def may_die(self, job):
        return _Mortal(self, job)


class _Mortal:
    def __init__(self, world, job):
        self.world, self.job = world, job

    def __enter__(self):
        self.before, self.world.current = self.world.current, self.job

    def __exit__(self, kind, error, traceback):
        self.world.current = self.before
        if kind is not Killed:
            return False
        self.world.living.discard(self.job.life)
        self.job.life = -1
        self.world.events.after(30, self.job.start)  # the scheduler queues it again
        return True


@settings(max_examples=1000)
@given(
    durations=st.lists(st.integers(5, 400), min_size=1, max_size=12),
    shards=st.integers(1, 5),
    bad=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 1)), max_size=4),
    faults=st.lists(
        st.tuples(
            st.one_of(st.tuples(st.just("any"), st.integers(1, 300)), st.tuples(st.just("create"), st.integers(1, 30))),
            st.sampled_from(["kill", "sleep", "others", "overtaken", "outage"]),
        ),
        max_size=25,
    ),
    omniscient=st.booleans(),
)
def test_nothing_is_lost_or_doubled_whatever_goes_wrong(durations, shards, bad, faults, omniscient):
    world = World(durations, shards, bad, faults, omniscient)
    world.events.run(until=3e4)
    for _ in range(2):  # whoever is missing now was lost to a death at the very end: the same command once more
        world.store.now += 2 * PATIENCE
        for job in world.jobs:
            job.start()
        world.events.run(until=world.store.now + 3e4)
    recorded = []
    for unit, name in enumerate(world.plan.units):
        names = world.store.names(f"units/{name}")
        state = UnitState.of(names)
        failed = len(state.failures) >= 2
        assert state.recorded or failed, f"unit {unit} is lost: {names}"
        if state.recorded:
            recorded.append(unit)
            assert content(world.store, f"units/{name}/{RECORD}")["unit"] == unit
        for generation in range(state.generation + 1):  # every claim that ever was can still be seen
            assert f"{generation}.lease" in names
        # a unit that always fails is given up; one that never does is not, unless deaths (or what looks like them) piled up
        if (unit, 0) in world.bad and (unit, 1) in world.bad:
            assert failed
        elif sum(kind != "others" for _, kind in faults) < LOST_WITHOUT_PROGRESS:
            assert state.recorded
    assert len(world.told) == len(set(world.told))  # at most one worker is told that its result counts
    assert set(world.told) <= set(recorded)


@settings(max_examples=300)
@given(
    durations=st.lists(st.integers(5, 400), min_size=1, max_size=8),
    shards=st.integers(1, 4),
    faults=st.lists(
        st.tuples(
            st.tuples(st.just("any"), st.integers(1, 300)),
            st.sampled_from(["kill", "sleep", "others", "overtaken", "outage", "cut", "cut", "cut"]),
        ),
        max_size=25,
    ),
    omniscient=st.booleans(),
)
def test_records_that_are_cut_off_are_made_again_whatever_else_goes_wrong(durations, shards, faults, omniscient):
    world = World(durations, shards, [], faults, omniscient)
    world.events.run(until=3e4)
    world.faults.clear()
    for _ in range(2):
        world.store.now += 2 * PATIENCE
        for job in world.jobs:
            job.start()
        world.events.run(until=world.store.now + 3e4)
    for unit, name in enumerate(world.plan.units):
        state = UnitState.of(world.store.names(f"units/{name}"))
        assert state.recorded or len(state.failures) >= 2
        if state.recorded:
            assert content(world.store, f"units/{name}/{RECORD}")["unit"] == unit


def test_the_simulation_does_see_faults():
    world = World(
        [50] * 6,
        2,
        [(1, 0)],
        [(("any", 20), "kill"), (("any", 40), "sleep"), (("any", 60), "others"), (("create", 9), "overtaken")],
        True,
    )
    world.events.run(until=1e6)
    assert next(world.lives) > 2  # somebody died and came back
    assert not world.faults  # and everything that was planned to happen did
    assert len(world.started) > 6
    assert sorted(world.told) == list(range(6))


def test_two_claims_at_the_same_moment():
    """Whoever looks first and creates second gets nothing."""
    for operation in range(1, 12):
        store = Memory()
        a, b = worker(store, "a", [0], steal=False), worker(store, "b", [0], steal=False)
        claims = []

        def in_between(kind, store=store, b=b, claims=claims, operation=operation):
            if store.operations == operation:
                store.hook = lambda kind: None
                claims.append(b.next())

        store.hook = in_between
        claims.append(a.next())
        assert len([claim for claim in claims if claim is not None]) == 1


@pytest.mark.parametrize("steal", [True, False])
def test_stealing_is_a_choice(steal):
    store = Memory()
    a = worker(store, "a", [0, 1], steal=steal)
    units = []
    while claim := a.next():
        units.append(claim.unit)
        a.record(claim, {})
    assert sorted(units) == ([0, 1, 2, 3] if steal else [0, 1])
