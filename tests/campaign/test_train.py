"""A detection build: every figure of every evaluation is recorded, a take-over loses none, and Figure 5 c can be drawn."""

import json
from types import SimpleNamespace

import pytest
import torch
from composed import compose

from ncp.campaign import analysis, merge, train, work
from ncp.campaign.options import StopRule
from ncp.campaign.status import read_units
from ncp.campaign.store import Folder
from ncp.campaign.units import Claim
from ncp.tasks import ledger
from ncp.tasks import run as tasks

OPTIONS = (
    "setting=3ddet", "count=3", "data.scenes=2", "data.val_scenes=1", "data.limits=[2.56,-1.28,-3,7.68,1.28,1]",
    "data.workers=0", "task.nms.score=0.005", "task.pick=mean", "recipe.batch=1", "recipe.length=4",
    "recipe.eval_every=4", "recipe.save_every=9", "recipe.log_every=2", "recipe.keep=[2,3,4]", "keep=none", "bounds.c=[8,16]",
    "bounds.b=[1,1]", "bounds.n=[1,1]", "bounds.i=[8,8]", "bounds.o1=[8,8]", "trainer=cpu", "build.beat=1",
    "build.patience=10",
)  # fmt: skip
CLASSES, VIEWS, LEVELS = ("car", "pedestrian", "cyclist"), ("2d", "bev", "3d", "aos"), ("easy", "moderate", "hard")


class Died(BaseException):
    """As if the process were killed."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        torch.set_num_threads(1)
        yield build(tmp_path_factory.mktemp("whole"))


def build(folder):
    config = compose(*OPTIONS, f"build.dir={folder}", name="build")
    plan, store = work.open_build(config)
    work.work(config, plan, store)
    return plan, store


def records(store):
    return [json.loads(path.read_text()) for path in sorted(store.root.glob("units/*/record.json"))]


def test_a_record_holds_all_figures_of_all_evaluations(whole):
    names = {f"{c}/{v}/{level}/AP{r}" for c in CLASSES for v in VIEWS for level in LEVELS for r in (11, 40)}
    for record in records(whole[1]):
        assert [(e["step"], e["epoch"]) for e in record["evaluations"]] == [(2, 1.0), (3, 1.5), (4, 2.0)]
        for metrics in (record["metrics"], *(e["metrics"] for e in record["evaluations"])):
            assert names <= set(metrics)
            assert metrics["moderate"] == metrics["car/3d/moderate/AP11"]
        for name in ("car/2d/hard/AP40", "moderate"):  # task.pick=mean
            mean = sum(e["metrics"][name] for e in record["evaluations"]) / 3
            assert record["metrics"][name] == pytest.approx(mean)


def test_figure_5c_is_drawn_from_what_a_build_writes(whole):
    plan, store = whole
    merge.write_table(plan, store, merge.merge(plan, read_units(plan, store)))
    table = analysis.load(store.root, plan.setting)
    found = analysis.figure5(table)["5c"]
    assert not isinstance(found, str), found
    assert found.ranks.shape == (3, 4)
    assert found.correlation.labels == tuple(f"{c}/{v}/moderate/AP11" for c in CLASSES[:2] for v in ("3d", "bev"))
    for row, record in enumerate(records(store)):
        assert (
            table.column("pedestrian/bev/easy/AP40@2")[row]
            == record["evaluations"][-1]["metrics"]["pedestrian/bev/easy/AP40"]
        )


def test_a_take_over_loses_no_evaluation(whole, tmp_path, monkeypatch, tmp_path_factory):
    """Killed within the second kept epoch's evaluation: the mean is over all three, as of an unbroken build."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    killed = []

    def die(self, trainer, *args):
        if trainer.global_step == 3 and not killed:
            killed.append(self)
            raise Died

    monkeypatch.setattr(train.Watch, "on_validation_batch_start", die, raising=False)
    config = compose(*OPTIONS, f"build.dir={tmp_path}", name="build")
    plan, store = work.open_build(config)
    with pytest.raises(Died):
        work.work(config, plan, store)
    monkeypatch.setattr(work.liveness, "alive", lambda other, me: False)
    work.work(config, plan, store)
    assert sorted(r["generation"] for r in records(store)) == [0, 0, 1]
    for record, unbroken in zip(records(store), records(whole[1]), strict=True):
        assert [e["step"] for e in record["evaluations"]] == [2, 3, 4]
        for one, other in zip(record["evaluations"], unbroken["evaluations"], strict=True):
            assert one["metrics"] == pytest.approx(other["metrics"], abs=1e-3)


def test_figures_come_with_the_checkpoint(tmp_path):
    store = Folder(tmp_path)
    old = tmp_path / "units/000007/0"
    (old / "checkpoints").mkdir(parents=True)
    for name in (tasks.HISTORY, ledger.FILE, "checkpoints/last.ckpt"):
        (old / name).write_text(name)
    place = tmp_path / "units/000007/1"
    train.take_up(store, Claim(7, "000007", 1, resume=(0,)), place)
    for name in (tasks.HISTORY, ledger.FILE, "checkpoints/last.ckpt"):
        assert (place / name).read_text() == name


@pytest.mark.parametrize(("sign", "mine", "words"), [(1.0, 20.0, "lowest"), (-1.0, 80.0, "highest"), (-1.0, 20.0, "")])
def test_a_training_without_hope_is_told_by_what_is_better(sign, mine, words):
    watch = train.Watch(
        SimpleNamespace(lost=False), StopRule(least=4), lambda step: [30.0, 40.0, 50.0, 60.0, 70.0], sign
    )
    trainer = SimpleNamespace(global_step=50, state=SimpleNamespace(fn="fit"), should_stop=False)
    module = SimpleNamespace(plan=SimpleNamespace(steps=100), main_metric="loss", latest={"loss": mine})
    watch.on_validation_end(trainer, module)
    assert trainer.should_stop is bool(words)
    assert words in watch.reason
