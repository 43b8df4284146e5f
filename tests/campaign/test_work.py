"""Real trainings, tiny ones: done once, resumed to the same result, failures recorded and retried, merged into a table."""

import json
import os
import signal
import time
import weakref
from types import SimpleNamespace

import pytest
import torch
from small_builds import build, options

from ncp import benchmark, signals
from ncp.campaign import halting, merge, status, train, work
from ncp.campaign.leases import Holder
from ncp.campaign.states import RECORD
from ncp.campaign.status import read_units, summarise
from ncp.campaign.store import Folder
from ncp.errors import UserError
from ncp.spaces import cost
from ncp.spaces.multires import Architecture
from ncp.tasks import run as tasks
from ncp.tasks import saving
from ncp.tasks.base import Task


class Died(BaseException):
    """As if the process were killed: nothing of ours gets to see it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An unbroken build."""
    return build(tmp_path_factory.mktemp("whole"))


def record(store, unit):
    return json.loads(store.path(f"units/{unit:06d}/{RECORD}").read_text())


def test_a_worker_that_waits_for_a_living_one_asks_nobody_to_free_the_unit(monkeypatch):
    """Only one that is not known to live, or has been silent, may be stuck."""
    said, told = [], set()
    monkeypatch.setattr(work.log, "info", lambda text, *of: said.append(text % of))
    for lives, silent in ((True, 3.0), (True, 5.0), (True, 400.0), (True, 401.0), (None, 3.0)):
        holder = Holder("000007", 0, "node process 12", lives, silent)
        work._explain(SimpleNamespace(blockers=[holder], patience=300.0), told)
    assert said[0] == "waiting for unit 000007, which node process 12 trains"
    assert said[1].startswith(
        "waiting for unit 000007: node process 12; last heard of 400 s ago; the process lives; free in"
    )
    assert said[1].endswith("; action=release units=7 frees it")
    assert len(said) == 2
    work._explain(SimpleNamespace(blockers=[Holder("000008", 0, "other", None, 3.0)], patience=300.0), told)
    assert "whether it lives is not known here" in said[2]


def test_every_planned_architecture_is_recorded_once_with_all_that_is_promised(whole):
    plan, store, tally = whole
    assert tally == {"recorded": 3}
    for unit, text in enumerate(plan.architectures):
        content = record(store, unit)
        assert content["architecture"] == text
        assert [e["step"] for e in content["evaluations"]] == [3, 6]
        assert content["evaluations"][-1]["metrics"] == pytest.approx(content["metrics"])
        exact = cost.count(Architecture.parse(text).code)
        assert content["cost"]["macs"] == int(exact.macs)
        assert content["seconds"] > 0
        assert 50 < content["peak_memory_mb"] < 20_000
        assert torch.__version__.startswith(content["versions"]["torch"])
        assert content["worker"]["pid"] == os.getpid()
        assert content["device"]["name"] == "cpu"
        assert content["state"] == "done"
        assert not store.path(f"units/{unit:06d}/0").exists()  # keep=none


def test_the_same_command_again_trains_nothing(whole, monkeypatch):
    _plan, store, _ = whole
    monkeypatch.setattr(tasks, "fit", None)
    assert build(store.root)[2] == {}


def test_after_the_hours_no_training_is_begun_and_the_same_command_goes_on(tmp_path, monkeypatch):
    """The clock of this test goes on by an hour a training; of three trainings two are begun within one hour and a half."""
    now, real = [0.0], train.train
    monkeypatch.setattr(halting, "time", SimpleNamespace(time=lambda: now[0]))

    def hour(bench, claim):
        now[0] += 3600
        return real(bench, claim)

    monkeypatch.setattr(train, "train", hour)
    config = options(tmp_path, "build.hours=1.5")
    plan, store = work.open_build(config)
    said = []
    monkeypatch.setattr(work.log, "info", lambda text, *of: said.append(text % of))
    assert work.work(config, plan, store, deadline=halting.Deadline(3600 * 1.5)) == {"recorded": 2}
    assert said[-1] == "the hours are over: no training is begun any more"  # whatever the command calls them
    assert work.work(config, plan, store, deadline=halting.Deadline(3600 * 1.5)) == {}
    again = options(tmp_path)
    assert work.open_build(again)[0].hash == plan.hash  # how long a command takes is not part of what it builds
    assert work.work(again, plan, store) == {"recorded": 1}


def test_the_table_is_the_benchmarks_own_and_merging_is_idempotent(whole):
    plan, store, _ = whole
    units = read_units(plan, store)
    file = merge.write_table(plan, store, merge.merge(plan, units))
    first = file.read_bytes()
    merge.write_table(plan, store, merge.merge(plan, read_units(plan, store)))
    assert file.read_bytes() == first
    table = benchmark.load(file)
    assert (len(table), table.main, table.epochs) == (3, "mIoU", (1, 2))  # 3.5 steps an epoch
    assert "street scenes" in table.setting.dataset
    for unit, text in enumerate(plan.architectures):
        assert table.query(text).metrics["mIoU"] == record(store, unit)["metrics"]["mIoU"]
        assert table.query(text, epoch=1).metrics["mAcc"] == record(store, unit)["evaluations"][0]["metrics"]["mAcc"]
    flops, _ = cost.release_units(table.codes)
    assert table.columns["flops"].tolist() == flops.tolist()
    assert not table.flagged().any()


@pytest.mark.parametrize("step", [1, 5])
def test_a_training_that_is_killed_goes_on_and_ends_with_the_same_result(whole, tmp_path, monkeypatch, step):
    _, store, _ = whole
    hook = train.Watch.on_train_batch_end

    def die(self, trainer, *args):
        if trainer.global_step == step and os.environ.get("DIE"):
            raise Died
        hook(self, trainer, *args)

    monkeypatch.setattr(train.Watch, "on_train_batch_end", die)
    monkeypatch.setenv("DIE", "1")
    config = options(tmp_path)
    plan, broken = work.open_build(config)
    with pytest.raises(Died):
        work.work(config, plan, broken)
    assert not list(broken.root.glob(f"units/*/{RECORD}"))
    monkeypatch.delenv("DIE")
    monkeypatch.setattr(work.liveness, "alive", lambda other, me: False)
    work.work(config, plan, broken)
    first = plan.shards(1)[0][0]
    assert [record(broken, unit)["generation"] for unit in range(3)] == [int(unit == first) for unit in range(3)]
    for unit in range(3):
        assert record(broken, unit)["metrics"] == record(store, unit)["metrics"]
        assert record(broken, unit)["evaluations"] == record(store, unit)["evaluations"]


@pytest.mark.parametrize(("longest", "saved"), [(0.0, 5), (600.0, None)])
def test_slow_steps_are_saved_by_the_clock(tmp_path, monkeypatch, longest, saved):
    """A kill loses minutes, however many steps the recipe has between two checkpoints."""

    def die(self, trainer, *args):
        if trainer.global_step == 5:
            raise Died

    monkeypatch.setattr(saving, "LONGEST", longest)
    monkeypatch.setattr(train.Watch, "on_train_batch_end", die)
    with pytest.raises(Died):
        build(tmp_path, "count=1", "recipe.save_every=1000", "recipe.eval_every=6")
    file = tmp_path / "units/000000/0/checkpoints" / saving.LAST
    assert (torch.load(file, weights_only=False)["global_step"] if file.exists() else None) == saved


def failing(monkeypatch, *errors):
    """The first trainings fail of these errors."""
    left, seen, original = list(errors), [], tasks.fit

    def fit(run):
        seen.append(run.options)
        if left:
            raise left.pop(0)
        original(run)

    monkeypatch.setattr(tasks, "fit", fit)
    return seen


def test_a_nan_is_recorded_and_tried_again_with_another_seed(tmp_path, monkeypatch):
    seen = failing(monkeypatch, UserError("the loss became NaN or infinite at step 3 of 6, learning rate 0.1"))
    _, store, tally = build(tmp_path, "count=1")
    assert tally == {"recorded": 1, "failed": 1}
    assert [config.seed for config in seen] == [1, 1 + train.NEXT_SEED]
    content = record(store, 0)
    assert [failure["kind"] for failure in content["failures"]] == ["nan"]
    assert "step 3" in content["failures"][0]["reason"]
    assert content["seed"] == seen[1].seed


def test_a_training_that_ends_with_nan_metrics_has_failed(tmp_path, monkeypatch):
    measured, calls = Task.measured, []

    def nan_at_first(task):
        calls.append(task.seed)
        return {name: float("nan") if task.seed == 1 else value for name, value in measured(task).items()}

    monkeypatch.setattr(Task, "measured", nan_at_first)
    plan, store, tally = build(tmp_path, "count=1")
    assert tally == {"recorded": 1, "failed": 1}
    assert list(dict.fromkeys(calls)) == [1, 1 + train.NEXT_SEED]
    [unit] = read_units(plan, store)
    assert [(failure["kind"], failure["reason"]) for failure in unit.failures] == [
        ("nan", "the metric mIoU became NaN or infinite at the end of the training")
    ]
    assert len(merge.merge(plan, [unit]).table) == 1


@pytest.mark.parametrize("keep", ["none", "last"])
def test_a_damaged_record_is_made_again_with_the_same_result(tmp_path, keep):
    plan, store, _ = build(tmp_path, "count=2", f"keep={keep}")
    good = [record(store, unit) for unit in range(2)]
    path = store.path(f"units/000001/{RECORD}")
    path.write_bytes(path.read_bytes()[:200])
    assert build(tmp_path, "count=2", f"keep={keep}")[2] == {"recorded": 1}
    units = read_units(plan, store)
    assert [unit.state for unit in units] == ["done", "done"]
    again = record(store, 1)
    assert (again["generation"], again["metrics"]) == (1, good[1]["metrics"])
    assert again["evaluations"] == good[1]["evaluations"]
    assert record(store, 0) == good[0]
    assert len(store.path("units/000001/1.damaged.json").read_bytes()) == 200
    assert len(merge.merge(plan, units).table) == 2


@pytest.mark.parametrize("leaving", [SystemExit(143), KeyboardInterrupt()])
def test_a_worker_that_is_ended_hands_its_unit_back(tmp_path, monkeypatch, leaving):
    def end(*_):
        raise leaving

    monkeypatch.setattr(train, "train", end)
    with pytest.raises(type(leaving)):
        build(tmp_path, "count=1")
    assert (tmp_path / "units/000000/0.released.json").is_file()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("error", [None, RuntimeError("DataLoader worker (pid 7) exited")])
def test_a_signal_whose_exception_was_lost_ends_the_worker_all_the_same(tmp_path, monkeypatch, error):
    """Python drops what is raised while a dead object's callback runs; that an attempt fails of a signal is no failure."""

    class Thing:
        pass

    def tell(_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)

    evaluate = tasks.evaluate

    def evaluated(run):
        evaluate(run)
        thing = Thing()
        reference = weakref.ref(thing, tell)
        del thing
        assert reference() is None
        if error:
            raise error

    monkeypatch.setattr(tasks, "evaluate", evaluated)
    with pytest.raises(KeyboardInterrupt) as stop:
        build(tmp_path, "count=2")
    assert signals.exit_code(stop.value) == 143
    assert len(list(tmp_path.glob(f"units/*/{RECORD}"))) == (0 if error else 1)
    assert len(list(tmp_path.glob("units/*/0.lease"))) == 1
    assert len(list(tmp_path.glob("units/*/0.released.json"))) == (1 if error else 0)
    assert not list(tmp_path.glob("units/*/*.failed.*"))


def test_a_strange_lease_stops_no_worker(tmp_path):
    lease = tmp_path / "units/000000/0.lease"
    lease.parent.mkdir(parents=True)
    lease.write_text('{"pid": "abc", "born": [], "claimed": ' + "9" * 400 + ', "slurm_restart": "x"}')
    os.utime(lease, (4e9, 4e9))
    assert build(tmp_path, "count=1")[2] == {"recorded": 1}
    assert record(Folder(tmp_path), 0)["seconds"] < 1000


def test_too_little_memory_is_met_with_smaller_parts_of_the_same_batch(tmp_path, monkeypatch):
    seen = failing(monkeypatch, RuntimeError("CUDA out of memory. Tried to allocate"), MemoryError("x"))
    build(tmp_path, "count=1", "build.attempts=3", "recipe.batch=4")
    assert [config.recipe["per_device"] for config in seen] == [None, 2, 1]
    assert {config.recipe["batch"] for config in seen} == {4}
    assert len({config.seed for config in seen}) == 1


def test_a_training_that_fails_for_good_is_no_row_and_not_absent(tmp_path, monkeypatch):
    failing(monkeypatch, ZeroDivisionError("first"), ZeroDivisionError("second"))
    plan, store, tally = build(tmp_path, "count=2")
    assert tally == {"recorded": 1, "failed": 2}
    units = read_units(plan, store)
    assert sorted(unit.state for unit in units) == ["done", "failed"]
    table = merge.merge(plan, units).table
    assert len(table) == 1
    [refusal] = table.provenance.refused
    assert "failed 2 times, last: crash: ZeroDivisionError: second" in refusal.reason
    assert plan.architectures[refusal.row] in refusal.reason
    summary = summarise(plan, units)
    assert summary.finished
    assert summary.reasons == {"crash": 2}


def test_a_fault_that_is_not_the_trainings_stops_the_worker(tmp_path, monkeypatch):
    failing(monkeypatch, *[OSError("no space left")] * 10)
    with pytest.raises(UserError, match=r"2 trainings failed in a row .* no space left"):
        build(tmp_path, "build.give_up=2")


def test_a_unit_that_was_taken_over_is_left_alone(tmp_path, monkeypatch):
    original = tasks.fit

    def fit(run):
        store_root = run.folder.parents[2]
        (store_root / "units" / "000000" / "1.lease").write_text("{}")
        train_heart = next(c for c in run.trainer.callbacks if isinstance(c, train.Watch)).heart
        train_heart.lost = True
        original(run)

    monkeypatch.setattr(tasks, "fit", fit)
    config = options(tmp_path, "count=1", "build.steal=false")
    plan, store = work.open_build(config)
    worker = work.make_worker(config, plan, store)
    bench = train.Bench(config, plan, store, worker)
    assert not train.train(bench, worker.next())
    assert not store.path(f"units/000000/{RECORD}").exists()
    assert not list(tmp_path.glob("units/*/*.failed.*"))


def test_a_hopeless_training_is_stopped_and_recorded_as_such(tmp_path):
    config = options(tmp_path, "count=1", "build.stop={at: 0.5, share: 1.0e-9, least: 2}")
    plan, store = work.open_build(config)
    worker = work.make_worker(config, plan, store)
    bench = train.Bench(config, plan, store, worker, peers=lambda step: [99.0, 99.5])
    assert train.train(bench, worker.next())
    content = record(store, 0)
    assert content["state"] == "stopped"
    assert "is among the lowest" in content["reason"]
    assert content["steps"] == 3
    units = read_units(plan, store)
    with pytest.raises(UserError, match="no training is done yet"):
        merge.merge(plan, units)
    assert summarise(plan, units).counts["stopped"] == 1
    assert "stopped early" in merge.why_not(units[0], plan)


@pytest.mark.parametrize(("keep", "files"), [("last", ["last.ckpt"]), ("paper", ["last.ckpt", "step-000004.ckpt"])])
def test_kept_checkpoints_and_a_second_build_that_starts_from_them(tmp_path, keep, files):
    plan, store, _ = build(tmp_path / "first", "count=1", f"keep={keep}", "recipe.keep=[4]")
    kept = store.path(record(store, 0)["checkpoint"])
    assert kept.is_file()
    assert sorted(file.name for file in kept.parent.iterdir()) == files
    config = options(tmp_path / "second", "count=1", f"pretrained={tmp_path / 'first'}")
    assert train._pretrained(config.pretrained, plan.architectures[0]) == str(kept)
    with pytest.raises(UserError, match="holds no checkpoint of 8_8"):
        train._pretrained(config.pretrained, "8_8-other")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("shard=3",), "within 0..0"),
        (("build.beat=50", "build.patience=60"), "three times"),
        (("build.attempts=0",), "build.attempts"),
        (("build.per_device=many",), "build.per_device must be one of a whole number, auto, null, given was 'many'"),
        (("build.stop={before: 3}",), "unknown key 'build.stop.before'"),
    ],
)
def test_mistakes(tmp_path, overrides, words):
    with pytest.raises(UserError) as error:
        work.open_build(options(tmp_path, *overrides))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("recipe.optimizer.name=sdg", "unknown optimizer 'sdg'"),
        ("trainer.accelerator=foo", "trainer.accelerator must be one of auto, cpu, gpu, cuda"),
        ("task.foo=1", "unknown key 'task.foo' for Segmentation; its keys: none"),
    ],
)
def test_a_mistake_in_a_part_is_no_failed_training(tmp_path, word, message):
    with pytest.raises(UserError, match=message):
        build(tmp_path, word)
    assert not (tmp_path / "units").exists()


def test_a_build_that_is_not_there(tmp_path):
    config = options(tmp_path / "none")
    config.build.dir, config.outputs = None, str(tmp_path)
    with pytest.raises(UserError, match="no build of this configuration yet"):
        work.find_build(config)


def test_status_reads_what_is_there(whole):
    plan, store, _ = whole
    summary = summarise(plan, status.read_units(plan, store))
    assert summary.counts["done"] == 3
    assert summary.share == 1.0
    assert summary.finished
    assert summary.seconds_left in (0.0, None) or summary.seconds_left == 0
    assert json.dumps(status.as_json(summary))


def test_a_place_that_holds_no_folder_costs_its_own_unit_alone(tmp_path, caplog):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "build" / "units").mkdir(parents=True)
    (tmp_path / "build" / "units" / "000000").symlink_to(outside)
    (tmp_path / "build" / "units" / "000001").write_text("no folder")
    plan, store, tally = build(tmp_path / "build", "count=3")
    assert tally == {"recorded": 1}
    assert not list(outside.iterdir())
    told = sorted(message.split(":")[0] for message in caplog.messages if "left out" in message)
    assert told == ["unit 000000 is left out", "unit 000001 is left out"]
    units = read_units(plan, store)
    assert [unit.state for unit in units] == ["blocked", "blocked", "done"]
    assert "is a link" in status.blockers(units, 10)[0]
    table = merge.merge(plan, units).table
    assert len(table) == 1
    assert "not trained: " in table.provenance.refused[0].reason
