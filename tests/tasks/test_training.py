"""Whole trainings in miniature: resuming, accumulation, checkpoints, what stops a run."""

import csv
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from composed import SMALL_SEG, compose

from ncp.errors import UserError
from ncp.models.blocks import Fusion, ResidualUnit
from ncp.tasks import run as tasks
from ncp.tasks.callbacks import read_history

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    torch.use_deterministic_algorithms(False)


def make(folder: Path, *overrides: str, callback: pl.Callback | None = None):
    folder.mkdir(parents=True, exist_ok=True)
    run = tasks.assemble(compose(*SMALL_SEG, *overrides), folder)
    if callback:
        run.trainer.callbacks.append(callback)
    return run


def train(folder: Path, *overrides: str):
    run = make(folder, *overrides)
    tasks.fit(run)
    return run, tasks.evaluate(run)


def weights(run):
    return {key: value.clone() for key, value in run.task.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Killed(Exception):
    pass


class KillAt(pl.Callback):
    """Ends the run as abruptly as one can from inside: before a batch, or within an evaluation."""

    def __init__(self, batch: int, evaluating: bool = False) -> None:
        self.batch, self.evaluating, self.seen = batch, evaluating, 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if not self.evaluating and batch_idx == self.batch:
            raise Killed

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if self.evaluating and trainer.state.fn == "fit" and trainer.global_step == self.batch:
            raise Killed


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    run, metrics = train(tmp_path_factory.mktemp("unbroken"), "trainer.deterministic=true")
    torch.use_deterministic_algorithms(False)
    return weights(run), metrics, read_history(run.history.path)


# steps 3, 6 (saved), 4 and 8 (evaluated), 8 (both and the end)
@pytest.mark.parametrize(
    "kill", [KillAt(2), KillAt(3), KillAt(5), KillAt(6), KillAt(7), KillAt(4, True), KillAt(8, True)]
)
def test_a_broken_run_ends_bit_equal_to_an_unbroken_one(tmp_path, unbroken, kill):
    with pytest.raises(Killed):
        tasks.fit(make(tmp_path, "trainer.deterministic=true", callback=kill))
    run, metrics = train(tmp_path, "trainer.deterministic=true", "ckpt_path=auto")
    assert same(weights(run), unbroken[0])
    assert metrics == unbroken[1]
    assert read_history(run.history.path) == unbroken[2]


def test_a_run_broken_twice_with_accumulation(tmp_path):
    options = ("trainer.deterministic=true", "recipe.per_device=1", "data.crop=[64,64]")
    whole, metrics = train(tmp_path / "a", *options)
    assert whole.task.plan.policy.accumulate == 2
    for batch in (9, 14):  # within a step, so that half a gradient is lost
        with pytest.raises(Killed):
            tasks.fit(make(tmp_path / "b", *options, "ckpt_path=auto", callback=KillAt(batch)))
    run, again = train(tmp_path / "b", *options, "ckpt_path=auto")
    assert same(weights(run), weights(whole))
    assert again == metrics


def test_the_same_command_gives_the_same_network_and_another_seed_another(tmp_path, unbroken):
    run, metrics = train(tmp_path / "a", "trainer.deterministic=true")
    assert same(weights(run), unbroken[0])
    assert metrics == unbroken[1]
    other, _ = train(tmp_path / "b", "trainer.deterministic=true", "seed=2")
    assert not same(weights(other), unbroken[0])


def test_a_finished_run_is_not_trained_again(tmp_path):
    run, metrics = train(tmp_path)
    before = weights(run)
    again, same_metrics = train(tmp_path, "ckpt_path=auto")
    assert same(weights(again), before)
    assert same_metrics == metrics


@pytest.mark.parametrize("per_device", [1, 2, 4])
def test_accumulation_gives_the_gradient_of_the_whole_batch(tmp_path, per_device):
    options = (
        "data.crop=[64,64]",
        "recipe.batch=4",
        "recipe.length=3",
        "recipe.freeze_norms=true",
        "trainer.precision=64-true",
    )
    whole, _ = train(tmp_path / "whole", *options)
    parts, _ = train(tmp_path / f"parts{per_device}", *options, f"recipe.per_device={per_device}")
    assert parts.task.plan.policy.accumulate == 4 // per_device
    assert parts.trainer.global_step == whole.trainer.global_step == 3
    for key, value in weights(whole).items():
        if value.is_floating_point():
            assert torch.allclose(weights(parts)[key], value, rtol=0, atol=1e-10), key


def test_frozen_norms_keep_their_statistics(tmp_path):
    run, _ = train(tmp_path, "recipe.freeze_norms=true", "recipe.length=3")
    means = [value for key, value in weights(run).items() if key.endswith("running_mean")]
    assert len(means) > 10
    assert all(float(mean.abs().max()) == 0 for mean in means)


@pytest.mark.parametrize(
    ("keep", "files"),
    [
        ("paper", {"last.ckpt", "step-000003.ckpt", "step-000008.ckpt"}),
        ("last", {"last.ckpt"}),
        ("none", set()),
    ],
)
def test_which_checkpoints_stay(tmp_path, keep, files):
    run, _ = train(tmp_path, f"keep={keep}", "recipe.keep=[3,8]")
    folder = tmp_path / "checkpoints"
    assert {p.name for p in folder.iterdir()} == files if files else not folder.exists()
    for name in files:
        content = tasks.read_checkpoint(folder / name)
        assert content["optimizer_states"][0]["state"]  # with the optimiser's momenta
    if files:
        content = tasks.read_checkpoint(folder / "last.ckpt")
        assert content["ncp"]["step"] == 8
        assert content["ncp"]["architecture"] == str(run.architecture)
        assert content["ncp"]["latest"] == run.task.latest


def test_rates_follow_the_recipe(tmp_path):
    seen = []

    class Watch(pl.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))

    options = (
        "+recipe.optimizer={name:sgd,lr:0.1,momentum:0.9}",
        "recipe.schedule={shape:poly,power:0.9,minimum:0.01,warmup:0}",
        "recipe.momentum_schedule=poly",
    )
    run = make(tmp_path, *options, "recipe.per_device=1", "data.crop=[64,64]", callback=Watch())
    tasks.fit(run)
    assert len(seen) == 8
    for step, (rate, momentum) in enumerate(seen):
        assert rate == pytest.approx(0.01 + (run.task.recipe.optimizer["lr"] - 0.01) * (1 - step / 8) ** 0.9)
        assert momentum == pytest.approx(0.9 * (1 - step / 8) ** 0.9)


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path):
    class Poison(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 5:
                with torch.no_grad():
                    next(pl_module.network.parameters()).fill_(float("nan"))

    run = make(tmp_path, callback=Poison())
    with pytest.raises(UserError) as error:
        tasks.fit(run)
    text = str(error.value)
    rate = run.task.rate_at(5)
    assert 0 < rate < run.task.recipe.optimizer["lr"]
    assert f"the loss became NaN or infinite at step 6 of 8, learning rate {rate:.3g};" in text
    assert f"last good checkpoint: {tmp_path / 'checkpoints/last.ckpt'}" in text
    assert tasks.read_checkpoint(tmp_path / "checkpoints/last.ckpt")["ncp"]["step"] == 3


@pytest.mark.parametrize(("precision", "hint"), [("32-true", False), ("bf16-mixed", True)])
def test_no_learning_rate_is_blamed_before_anything_was_learnt(tmp_path, precision, hint):
    run = make(tmp_path, f"trainer.precision={precision}")
    with torch.no_grad():
        next(run.task.network.parameters()).fill_(float("nan"))
    with pytest.raises(
        UserError, match=r"the loss is NaN or infinite at step 1 of 8, before anything was learnt"
    ) as error:
        tasks.fit(run)
    text = str(error.value)
    assert "data" in text
    assert "recipe.optimizer.lr" not in text
    assert ("precision bf16-mixed (try trainer.precision=32-true)" in text) is hint


def test_weights_that_are_not_finite_are_never_written(tmp_path):
    class After(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 3:
                with torch.no_grad():
                    next(pl_module.network.parameters()).fill_(float("inf"))

    run = make(tmp_path)
    run.trainer.callbacks.insert(0, After())
    with pytest.raises(UserError, match=r"a weight became NaN or infinite at step 3 of 8"):
        tasks.fit(run)
    assert not (tmp_path / "checkpoints/last.ckpt").exists()


def test_another_architectures_checkpoint_is_refused(tmp_path):
    train(tmp_path, "recipe.length=3")
    path = tmp_path / "checkpoints/last.ckpt"
    other = make(
        tmp_path / "b",
        "arch.kind=code",
        "+arch.code=8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-16",
        f"ckpt_path={path}",
    )
    with pytest.raises(UserError, match=r"is of architecture 8_8-.*-8, this run is of 8_8-.*-16"):
        tasks.fit(other)
    with pytest.raises(UserError, match=r"there is no checkpoint"):
        tasks.fit(make(tmp_path / "c", "ckpt_path=nowhere.ckpt"))
    (tmp_path / "bad.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"cannot be read as a checkpoint"):
        tasks.fit(make(tmp_path / "d", f"ckpt_path={tmp_path / 'bad.ckpt'}"))


def test_pretrained_weights_start_another_task(tmp_path):
    source, _ = train(tmp_path / "seg", "recipe.length=3")
    path = tmp_path / "seg/checkpoints/last.ckpt"
    config = compose("task=cls", "arch=narrow", f"pretrained={path}")
    run = tasks.assemble(config, tmp_path)
    given, taken = weights(source), weights(run)
    backbone = [key for key in given if key.startswith("backbone.")]
    assert len(backbone) > 100
    assert all(torch.equal(given[key], taken[key]) for key in backbone)
    wrong = compose("task=cls", "arch=default", f"pretrained={path}")
    with pytest.raises(UserError, match=r"is of another architecture"):
        tasks.assemble(wrong, tmp_path)


def test_evaluation_from_a_checkpoint_alone(tmp_path):
    _, metrics = train(tmp_path)
    config = compose(f"ckpt_path={tmp_path / 'checkpoints/last.ckpt'}", "data.eval_batch=2", name="evaluate")
    run = tasks.restore(config, tmp_path)
    again = tasks.evaluate(run)
    assert again == pytest.approx(metrics, abs=1e-4)
    result = tasks.summarise(run, again)
    assert result["architecture"]["text"] == str(run.architecture)
    assert result["eval_images_per_second"] > 0


def test_the_history_holds_every_figure_at_its_step(tmp_path):
    run, metrics = train(tmp_path)
    rows = read_history(run.history.path)
    assert [step for step, name, _ in rows if name == "train/loss"] == [2, 4, 6, 8]
    assert [step for step, name, _ in rows if name == "val/mIoU"] == [4, 8]
    assert {name for _, name, _ in rows} == {
        "train/loss", "train/lr", "train/mAcc", "train/aAcc", "val/mIoU", "val/mAcc", "val/aAcc",
    }  # fmt: skip
    assert [value for _, name, value in rows if name == "val/mIoU"][-1] == metrics["mIoU"]
    with open(run.history.path) as file:
        assert next(csv.reader(file)) == ["step", "metric", "value"]


def test_the_result_has_the_documented_keys(tmp_path):
    run, metrics = train(tmp_path)
    result = tasks.summarise(run, metrics)
    assert result["metrics"] == metrics
    assert result["images_per_second"] > 0
    assert 0 <= result["data_wait_share"] < 1
    assert result["peak_memory_mb"] > 50
    assert result["architecture"]["code"] == list(run.architecture.code)
    assert result["cost"]["params"] == sum(p.numel() for p in run.task.network.parameters())
    assert result["checkpoint"].endswith("last.ckpt")
    # counted by torch on the network, the same as from the code
    from ncp.tasks.base import Task

    assert Task.macs(run.task, run.architecture, run.data) == result["cost"]["macs_at_size"]


def test_fast_dev_run_leaves_nothing_behind(tmp_path):
    run, metrics = train(tmp_path, "+trainer.fast_dev_run=true")
    assert run.trainer.global_step == 1
    assert set(metrics) == {"mIoU", "mAcc", "aAcc"}
    assert not (tmp_path / "checkpoints").exists()


def test_overfitting_finds_the_samples(tmp_path):
    run = tasks.assemble(compose("task=cls", "arch=narrow", "debug=overfit", "callbacks.progress=false"), tmp_path)
    tasks.fit(run)
    assert len(run.data.train_set) == 8
    assert tasks.evaluate(run)["top1"] == 100
    assert run.history.newest["train/loss"] < 0.1


@pytest.mark.slow
def test_a_compiled_training_is_the_plain_one(tmp_path, monkeypatch):
    """The whole training through torch's tracer, without code generation, which takes minutes for a whole network."""
    modes, original = [], torch.compile
    sgd = "+recipe.optimizer={name:sgd,lr:0.01,momentum:0.9}"
    options = ("recipe.length=2", "recipe.eval_every=2", "trainer.precision=64-true", sgd)
    plain, metrics = train(tmp_path / "plain", *options)

    def traced(network, mode):
        modes.append(mode)
        return original(network, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", traced)
    run, again = train(tmp_path / "compiled", *options, "compile=true")
    torch._dynamo.reset()
    assert modes == ["default"]
    assert weights(run).keys() == weights(plain).keys()  # checkpoints do not depend on compilation
    for key, value in weights(plain).items():
        assert torch.allclose(weights(run)[key], value, rtol=0, atol=1e-7), key
    assert again == pytest.approx(metrics, abs=1e-6)


def test_only_the_recipes_that_say_so_begin_with_small_residual_branches(tmp_path):
    for options, scale in ((("task=cls",), 0.2), (("task=cls", "recipe.residual_scale=1"), 1.0)):
        run = tasks.assemble(compose(*options, "arch=default", "callbacks.progress=false"), tmp_path)
        units = [m for m in run.task.network.modules() if isinstance(m, ResidualUnit)]
        assert len(units) > 20
        assert all((m.norm2.weight == scale).all() and (m.norm1.weight == 1).all() for m in units)
    for experiment in ("seg", "3ddet", "video", "cls-50-1000"):  # the paper's recipes leave the usual start
        assert not {"residual_scale", "fusion_scale"} & set(
            compose(f"setting={experiment}", "data.root=/somewhere").recipe
        )


def test_the_detection_recipe_straightens_fusions(tmp_path):
    for options, straight in (((), True), (("recipe.fusion_scale=null",), False)):
        run = tasks.assemble(compose("task=det3d", "arch=narrow", "callbacks.progress=false", *options), tmp_path)
        fusions = [m for m in run.task.network.modules() if isinstance(m, Fusion)]
        assert len(fusions) == 4  # one a block of the narrowest code
        assert all(bool((unit.norm.bias == 1).all()) == straight for m in fusions for unit in m.same)
    with pytest.raises(UserError, match=r"fusion_scale must not be negative, given was -0\.1"):
        tasks.assemble(compose("task=det3d", "arch=narrow", "recipe.fusion_scale=-0.1"), tmp_path)
