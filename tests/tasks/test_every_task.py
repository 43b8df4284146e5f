"""What holds for every task alike, on random architectures: a step, gradients everywhere, exact cost, restoring, resuming."""

import copy
import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from composed import compose
from torch.utils.flop_counter import FlopCounterMode

from ncp.models.runtime import cpu_has_bf16
from ncp.report import training as report
from ncp.spaces.multires import Architecture
from ncp.tasks import run as tasks
from ncp.tasks.callbacks import read_history

TASKS = {
    "cls": ("data.size=32",),
    "seg": (),
    "det3d": ("data.limits=[2.56,-1.28,-3,7.68,1.28,1]", "task.nms.score=0.005"),
    "video": (),
}
COMMON = (
    "+data.tiny=true", "+data.overfit=4", "data.workers=0", "recipe.batch=2", "recipe.length=1", "recipe.eval_every=1",
    "recipe.save_every=1", "recipe.log_every=1", "callbacks.progress=false", "callbacks.picture_samples=2",
)  # fmt: skip
TWO_STEPS = ("arch=narrow", "recipe.length=2", "recipe.eval_every=2")
SEEDS = (1, 3, 17)  # of the smaller ones among random architectures, for the time that they take
PRECISIONS = ("32-true", "bf16-mixed") if cpu_has_bf16() else ("32-true",)  # those that this processor computes in
pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    torch.use_deterministic_algorithms(False)


class WithoutGradient(pl.Callback):
    """Names of the parameters that a step left without a gradient (they would stop a distributed training)."""

    def __init__(self) -> None:
        self.names: list[str] | None = None

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.names = [name for name, p in pl_module.network.named_parameters() if p.grad is None]


def make(folder: Path, task: str, *overrides: str) -> tasks.Run:
    folder.mkdir(parents=True, exist_ok=True)
    return tasks.assemble(compose(f"task={task}", *TASKS[task], *COMMON, *overrides), folder)


def measured(run: tasks.Run) -> int:
    """Multiply-adds of one evaluation sample as torch counts them in the network itself, on real data."""
    batch = next(iter(run.data.val_dataloader()))
    network = copy.deepcopy(run.task.network).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if run.task.name == "det3d":
            view = torch.zeros(1, 64, *run.data.eval_size)
            network.head(network.network(view))
        else:
            network(run.task.prepare_batch({"image": batch["image"][:1]}))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("seed", "precision"), [*((seed, PRECISIONS[-1]) for seed in SEEDS), *((SEEDS[0], p) for p in PRECISIONS[:-1])]
)
@pytest.mark.parametrize("task", list(TASKS))
def test_a_random_architecture_from_configuration_to_result(tmp_path, task, seed, precision):
    run = make(tmp_path / "run", task, "arch=random", f"seed={seed}", f"trainer.precision={precision}")
    assert isinstance(run.architecture, Architecture)
    watch = WithoutGradient()
    run.trainer.callbacks.append(watch)
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    assert watch.names == []
    assert run.trainer.global_step == 1
    assert "train/loss" in {name for _, name, _ in read_history(run.history.path)}

    result = tasks.summarise(run, metrics)
    assert json.dumps(result)
    assert result["task"] == task
    assert result["main_metric"] in metrics
    assert result["cost"]["macs_at_size"] == measured(run)
    assert {path.name for path in report.draw(run)} == {"curves.png", f"{task}.png"}

    config = compose(f"ckpt_path={result['checkpoint']}", name="evaluate")
    (tmp_path / "again").mkdir()
    again = tasks.restore(config, tmp_path / "again")
    assert again.architecture == run.architecture
    assert tasks.evaluate(again) == pytest.approx(metrics, abs=1e-6, nan_ok=True)


@pytest.mark.skipif(not cpu_has_bf16(), reason="this processor has no bfloat16 instructions")
@pytest.mark.parametrize("task", list(TASKS))
def test_the_same_command_gives_the_same_result_in_bf16(tmp_path, task):
    """Two trainings in memory that holds other things each time."""
    weights = []
    for name in ("one", "two"):
        run = make(tmp_path / name, task, *TWO_STEPS, "trainer.precision=bf16-mixed", "seed=3")
        rubbish = [torch.full((1 << power,), float("nan") if name == "one" else 1e30) for power in range(4, 20)]
        del rubbish
        tasks.fit(run)
        losses = [value for _, key, value in read_history(run.history.path) if key == "train/loss"]
        assert len(losses) == 2
        weights.append((losses, copy.deepcopy(run.task.network.state_dict())))
    assert weights[0][0] == weights[1][0]
    for key, value in weights[0][1].items():
        assert value.isfinite().all()
        assert torch.equal(value, weights[1][1][key]), key


@pytest.mark.parametrize("task", list(TASKS))
def test_tensorboard_gets_every_tasks_figures(tmp_path, task):
    run = make(tmp_path / "run", task, "arch=narrow", "logger=tensorboard")
    tasks.fit(run)
    content = b"".join(path.read_bytes() for path in (tmp_path / "run").glob("tensorboard/events*"))
    names = {name for _, name, _ in read_history(run.history.path)}  # what the CSV file has
    assert {"train/loss", "train/lr"} < names
    assert all(name.encode() in content for name in names)


class Killed(Exception):
    pass


class KillBeforeTheSecondStep(pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 1:
            raise Killed


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("task", list(TASKS))
def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path, task, precision):
    steps = (*TWO_STEPS, f"trainer.precision={precision}")
    whole = make(tmp_path / "whole", task, *steps)
    tasks.fit(whole)
    broken = make(tmp_path / "broken", task, *steps)
    broken.trainer.callbacks.append(KillBeforeTheSecondStep())
    with pytest.raises(Killed):
        tasks.fit(broken)
    resumed = make(tmp_path / "broken", task, *steps, "ckpt_path=auto")
    tasks.fit(resumed)
    assert resumed.throughput._seen == 1  # the first step was not done again
    for key, value in whole.task.network.state_dict().items():
        torch.testing.assert_close(resumed.task.network.state_dict()[key], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "arch"),
    [(task, "arch=timm arch.name=resnet18") for task in TASKS]
    + [("det3d", f"arch=pointpillars{which}") for which in ("", " arch.name=pointpillars-16")],
)
def test_a_baseline_trains_costs_what_torch_counts_and_comes_back(tmp_path, task, arch):
    run = make(tmp_path / "run", task, *arch.split())
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    result = tasks.summarise(run, metrics)
    assert result["cost"]["macs_at_size"] == measured(run)
    assert result["cost"]["params"] == sum(p.numel() for p in run.task.network.parameters())
    (tmp_path / "again").mkdir()
    again = tasks.restore(compose(f"ckpt_path={result['checkpoint']}", name="evaluate"), tmp_path / "again")
    assert tasks.evaluate(again) == pytest.approx(metrics, abs=1e-6, nan_ok=True)
