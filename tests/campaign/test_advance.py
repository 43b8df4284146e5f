"""Builds in rounds under the faults of a cluster: what is published once stays, and nobody waits for ever."""

import json
import threading

import numpy as np
import pytest
from growing_builds import SPACE, Died, advance, options, published, run, toy, without_trainings

from ncp.campaign import growth, rounds, work
from ncp.campaign import plan as plans
from ncp.campaign.halting import Halting
from ncp.campaign.status import read_units, summarise
from ncp.campaign.store import Folder
from ncp.errors import UserError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An unbroken build; its rounds."""
    with pytest.MonkeyPatch.context() as patch:
        trained = without_trainings(patch)
        plan, store, tally = run(options(tmp_path_factory.mktemp("whole")))
    return plan, store, tally, trained


def test_a_build_grows_to_its_count_round_by_round(whole):
    plan, store, tally, trained = whole
    assert tally == {"recorded": 14}
    assert [len(units) for units in plan.rounds] == [8, 2, 2, 2]
    assert sorted(trained[:8]) == list(range(8))
    assert [sorted(trained[i : i + 2]) for i in (8, 10, 12)] == [[8, 9], [10, 11], [12, 13]]
    assert len(set(plan.architectures)) == 14
    codes = np.array([SPACE.parse(text).code for text in plan.architectures])
    cost = SPACE.cost(codes).macs
    assert cost[8:].max() <= 1e9
    assert 1e9 < cost[:8].max() <= 8e9  # of more than those it is to choose among
    contents = [json.loads(content) for content in published(store).values()]
    assert [len(content["units"]) for content in contents] == [8, 10, 12]
    # the predictor knows the truth, so each round holds better ones than all before
    best = [max(70.0 - (40.0 / codes[units]).mean(1)) for units in plan.rounds]
    assert best[1] > best[0]
    assert contents[0]["predicted"] == pytest.approx((70.0 - (40.0 / codes[8:10]).mean(1)).tolist(), abs=1e-3)


def test_the_same_plan_and_results_give_the_same_rounds(whole, tmp_path, monkeypatch):
    without_trainings(monkeypatch)
    _, store, _ = run(options(tmp_path))
    assert published(store) == published(whole[1])


def test_the_finished_build_is_left_as_it_is(whole, monkeypatch):
    assert without_trainings(monkeypatch) == []
    before = published(whole[1])
    assert run(options(whole[1].root))[2] == {}
    assert published(whole[1]) == before


@pytest.mark.parametrize(
    ("moment", "unit"),
    [
        ("before a training", 3),
        ("before a training", 11),
        ("before a round", 3),
        ("in the middle of a round", 8),
        ("after a round", 11),
    ],
)
def test_a_worker_killed_anywhere_leaves_a_build_that_ends_the_same(whole, tmp_path, monkeypatch, moment, unit):
    """Kills at a unit, before a round's file, with only its scratch file written, and right after it."""
    create, number = Folder.create, {3: 1, 8: 2, 11: 3}[unit]

    def killing(self, name, content):
        if name != growth.file(number) or not dying:
            return create(self, name, content)
        if moment == "in the middle of a round":
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.123-dead").write_bytes(content[: len(content) // 2])
        if moment == "after a round":
            create(self, name, content)
        raise Died

    def before(claim):
        if dying and moment == "before a training" and claim.unit == unit:
            raise Died

    dying = [True]
    without_trainings(monkeypatch, before=before)
    monkeypatch.setattr(Folder, "create", killing)
    with pytest.raises(Died):
        run(options(tmp_path))
    dying.clear()
    monkeypatch.setattr(work.liveness, "alive", lambda other, me: False)
    plan, store, _ = run(options(tmp_path))
    assert plan.architectures == whole[0].architectures
    assert published(store) == published(whole[1])
    assert summarise(plan, read_units(plan, store)).finished


def test_of_two_workers_that_choose_at_once_one_is_followed_by_both(tmp_path, monkeypatch):
    """Each would choose other architectures (another version, say); what is published first counts."""
    without_trainings(monkeypatch)
    config = options(tmp_path)
    plan, store = work.open_build(config)
    work._train_all(_bench(config, plan, store), config, None, Halting(config, None))
    together, choose = threading.Barrier(2), advance.choose
    seeds = threading.local()

    def slow(config, plan, store):
        chosen = choose(config, plan, store)
        if seeds.mine:
            chosen.architectures, chosen.macs = chosen.architectures[::-1], chosen.macs[::-1]
        together.wait(timeout=30)
        return chosen

    monkeypatch.setattr(advance, "choose", slow)
    grown = {}

    def worker(mine):
        seeds.mine = mine
        grown[mine] = advance.advance(config, plan, Folder(store.root))

    threads = [threading.Thread(target=worker, args=(mine,)) for mine in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert grown[0].architectures == grown[1].architectures
    assert len(grown[0]) == 10
    assert list(published(store)) == ["1.json"]


def _bench(config, plan, store):
    from ncp.campaign.train import Bench

    return Bench(config, plan, store, work.make_worker(config, plan, store))


def test_workers_of_several_shards_share_all_rounds(whole, tmp_path, monkeypatch):
    """One after the other here; the first does everything, also what belongs to a shard that never starts."""
    trained = without_trainings(monkeypatch)
    plan, _, tally = run(options(tmp_path, "shards=5", "shard=3"))
    assert tally == {"recorded": 14}
    assert sorted(trained) == list(range(14))
    assert set(plan.architectures) == set(whole[0].architectures)
    assert run(options(tmp_path, "shards=5", "shard=0"))[2] == {}


def test_a_round_waits_for_a_unit_that_another_worker_trains(tmp_path, monkeypatch):
    """The other one is alive and slow; this one has nothing left to train, and neither goes on nor ends."""
    without_trainings(monkeypatch)
    config = options(tmp_path)
    plan, store = work.open_build(config)
    other = work.make_worker(options(tmp_path, "shards=2", "shard=1"), plan, store)
    claim = other.next()
    naps = []

    def nap(seconds):
        naps.append(seconds)
        assert not store.path("rounds").exists()
        if len(naps) == 3:  # it comes to its end
            train_it(work_bench, claim)

    from ncp.campaign import train

    train_it, work_bench = train.train, _bench(config, plan, store)
    work_bench.worker = other
    monkeypatch.setattr(work.time, "sleep", nap)
    tally = work.work(config, plan, store)
    assert len(naps) == 3
    assert tally == {"recorded": 13}


def test_units_that_failed_for_good_hold_no_round_up_and_are_not_chosen_again(tmp_path, monkeypatch):
    without_trainings(monkeypatch, fails=lambda claim: "no luck" if claim.unit in (2, 9) else None)
    plan, store, tally = run(options(tmp_path, "count=16"))
    assert tally == {"recorded": 14, "failed": 4}
    contents = [json.loads(content) for content in published(store).values()]
    assert all("000002" not in content["units"] for content in contents)
    assert "000009" not in contents[1]["units"]
    assert len(set(plan.architectures)) == 16
    status = summarise(plan, read_units(plan, store))
    assert (status.counts["done"], status.counts["failed"], status.finished) == (14, 2, True)


def test_with_too_few_results_for_a_predictor_a_round_covers_the_space(tmp_path, monkeypatch):
    without_trainings(monkeypatch, fails=lambda claim: "no luck" if claim.unit == 1 else None)

    def unused(*args, **kwargs):
        raise AssertionError("seven rows are too few")

    monkeypatch.setattr(
        rounds, "fit", lambda space, codes, *a, **k: toy(space, codes, *a, **k) if len(codes) > 7 else unused()
    )
    _, store, _ = run(options(tmp_path))
    contents = [json.loads(content) for content in published(store).values()]
    assert contents[0]["predicted"] == []
    assert "cover the space" in contents[0]["how"]
    assert len(contents[1]["predicted"]) == 2


def test_a_published_round_is_verified_and_not_chosen_again(whole, tmp_path, monkeypatch):
    """By a worker whose predictor would choose others: another version of the program."""
    without_trainings(monkeypatch)
    config = options(tmp_path)
    plan, store = work.open_build(config)
    work._train_all(_bench(config, plan, store), config, None, Halting(config, None))
    advance.advance(config, plan, store)
    before = published(store)

    def other(*given, **named):
        predictor = toy(*given, **named)
        predictor.function = lambda x: 70.0 - x.mean(-1)
        return predictor

    monkeypatch.setattr(rounds, "fit", other)
    final, _, _ = run(config)
    assert published(store)["1.json"] == before["1.json"] == published(whole[1])["1.json"]
    assert final.architectures[:10] == whole[0].architectures[:10]
    assert final.architectures != whole[0].architectures


def test_a_record_that_is_damaged_after_its_round_is_made_again(tmp_path, monkeypatch):
    trained = without_trainings(monkeypatch)
    _, store, _ = run(options(tmp_path))
    before = published(store)
    store.path("units/000004/record.json").write_text("{")
    trained.clear()
    assert run(options(tmp_path))[2] == {"recorded": 1}
    assert trained == [4]
    assert published(store) == before


def test_status_counts_what_is_not_chosen_yet(whole, tmp_path, monkeypatch):
    def before(claim):
        if claim.unit == 10:
            raise Died

    without_trainings(monkeypatch, before=before)
    with pytest.raises(Died):
        run(options(tmp_path))
    plan, store = work.find_build(options(tmp_path))
    status = summarise(plan, read_units(plan, store))
    done = status.counts["done"]
    assert done + status.counts["running"] + status.counts["left"] == 12
    assert done in (10, 11)
    assert (status.counts["unchosen"], status.total, status.finished) == (2, 14, False)
    assert 0.5 < status.share < 0.9


def test_a_build_in_rounds_needs_everyones_help(tmp_path):
    with pytest.raises(UserError, match=r"build\.steal=false is for sampler=random"):
        work.open_build(options(tmp_path, "build.steal=false"))


def test_another_configuration_is_refused_saying_what_differs(whole):
    for words, shown in (
        (("budget.macs=9e8",), "budget"),
        (("rounds=3",), "sizes"),
        (("known=[video]",), "known"),
        (("sampler=random", "rounds=null", "budget.macs=null"), "rounds"),
    ):
        with pytest.raises(UserError, match=f"holds another plan .*{shown}"):
            work.open_build(options(whole[1].root, *words))
    assert plans.read(whole[1]).architectures == whole[0].architectures
