"""Recorded steps against steps that run kernel by kernel, whole trainings in miniature; graphs are those of ``taped.py``."""

import pytest
import torch
from composed import SMALL_SEG, compose
from taped import TapedGraphs

from ncp.tasks import base
from ncp.tasks import run as tasks
from ncp.tasks.stepping import choose, graphs
from ncp.tasks.stepping.graphs import WARM

pytestmark = pytest.mark.usefixtures("one_thread")
SGD = ("recipe.optimizer={name: sgd, lr: 0.01, momentum: 0.9, weight_decay: 0.01, fused: true}",)
ADAM = ("recipe.optimizer={name: adamw, lr: 0.001, weight_decay: 0.01, fused: true}",)


@pytest.fixture
def taped(monkeypatch):
    """Trainings take graphs; what recorded them."""
    tape = TapedGraphs()
    monkeypatch.setattr(
        base, "choose", lambda task, trainer, wanted, kernels: choose(task, trainer, "auto", tape, kernels)
    )
    return tape


def train(folder, *words):
    folder.mkdir(parents=True, exist_ok=True)
    run = tasks.assemble(compose(*SMALL_SEG, "trainer=cpu", "trainer.precision=32-true", *words), folder)
    tasks.fit(run)
    return run


def weights(run):
    return {key: value.clone() for key, value in run.task.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("optimizer", [(), SGD, ADAM], ids=["relative", "sgd", "adamw"])
def test_recorded_steps_are_the_steps_that_others_take(tmp_path, taped, monkeypatch, optimizer):
    """Bit by bit, weights, statistics and figures. (Relative steps turn the last bit of a rate into another path.)"""
    recorded = train(tmp_path / "graphs", *optimizer, "recipe.clip=1.0")
    assert recorded.task.stepping.name == "graphs"
    assert (taped.recorded, taped.run) == (2, 8 - WARM)  # with figures and without; steps after the warm ones
    if optimizer == SGD:
        monkeypatch.undo()
    else:
        monkeypatch.setattr(graphs, "WARM", 99)  # the optimiser's numbers are on the device, and nothing is recorded
    eager = train(tmp_path / "eager", *optimizer, "recipe.clip=1.0")
    assert taped.run == 8 - WARM
    assert same(weights(recorded), weights(eager))
    assert not same(weights(recorded), weights(tasks.assemble(compose(*SMALL_SEG), tmp_path)))
    assert figures(tmp_path / "graphs") == figures(tmp_path / "eager")


def figures(folder):
    from ncp.tasks.callbacks import read_history

    return read_history(folder / "metrics.csv")


def test_the_rate_of_each_step_is_the_schedules(tmp_path, taped, monkeypatch):
    """A rate that was fixed when the step was recorded would go on moving the weights: here it becomes 0."""
    monkeypatch.setattr(base.Task, "rate_at", lambda self, step: 0.01 if step < 5 else 0.0)
    seen = []
    monkeypatch.setattr(base.Task, "on_train_batch_end", lambda self, *a: seen.append(weights_of(self)), raising=False)
    train(tmp_path, *SGD)
    assert not torch.equal(seen[4], seen[3])
    assert torch.equal(seen[5], seen[4])
    assert torch.equal(seen[7], seen[4])


def weights_of(task):
    return torch.cat([p.detach().reshape(-1) for p in task.network.parameters()])


def test_passes_add_up_and_the_optimiser_runs_outside(tmp_path, taped, monkeypatch):
    words = (*SGD, "recipe.per_device=1", "data.crop=[64,64]")
    recorded = train(tmp_path / "graphs", *words)
    assert recorded.task.plan.policy.accumulate == 2
    assert taped.run == 2 * (8 - WARM)
    monkeypatch.undo()
    assert same(weights(recorded), weights(train(tmp_path / "eager", *words)))


def test_a_momentum_that_changes_keeps_the_optimiser_outside(tmp_path, taped, monkeypatch, caplog):
    words = (*SGD, "recipe.momentum_schedule=poly")
    with caplog.at_level("INFO"):
        recorded = train(tmp_path / "graphs", *words)
    assert "the optimiser runs outside of the CUDA graph: the recipe changes the momentum" in caplog.text
    assert taped.run == 8 - WARM
    monkeypatch.undo()
    assert same(weights(recorded), weights(train(tmp_path / "eager", *words)))


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adamw"])
def test_a_training_goes_on_with_graphs_and_without(tmp_path, taped, monkeypatch, optimizer):
    """A checkpoint of recorded steps holds plain numbers: whoever goes on may run steps as it likes."""
    from ncp.tasks.checkpoint import read_checkpoint

    whole = weights(train(tmp_path / "whole", *optimizer))
    train(tmp_path / "part", *optimizer, "keep=paper", "recipe.keep=[6]")
    (kept,) = read_checkpoint(tmp_path / "part" / "checkpoints" / "step-000006.ckpt")["optimizer_states"]
    assert type(kept["param_groups"][0]["lr"]) is float
    assert not any(isinstance(value, torch.Tensor) for value in kept["param_groups"][0].values())
    go_on = (*optimizer, f"ckpt_path={tmp_path / 'part' / 'checkpoints' / 'step-000006.ckpt'}")
    assert same(weights(train(tmp_path / "graphs", *go_on)), whole)
    monkeypatch.undo()
    eager = weights(train(tmp_path / "eager", *go_on))
    assert all(torch.allclose(eager[key], whole[key], rtol=1e-3, atol=1e-5) for key in whole)


def test_what_waits_for_the_device_runs_kernel_by_kernel(tmp_path, taped, monkeypatch, caplog):
    from ncp.tasks.segmentation import Segmentation

    plain = Segmentation.loss

    def waiting(self, batch, report):
        loss, found = plain(self, batch, report)
        assert float(loss.detach()) > 0
        return loss, found

    monkeypatch.setattr(Segmentation, "loss", waiting)
    with caplog.at_level("INFO"):
        recorded = train(tmp_path / "graphs", *SGD)
    assert taped.run == 0
    assert "further steps run kernel by kernel" in caplog.text
    monkeypatch.undo()
    assert same(weights(recorded), weights(train(tmp_path / "eager", *SGD)))


def test_figures_that_wait_leave_the_passes_before_them(tmp_path, taped, monkeypatch, caplog):
    """Figures come with the last pass of a step, when the gradients of the others are there already."""
    from ncp.tasks.segmentation import Segmentation

    plain = Segmentation.loss

    def waiting(self, batch, report):
        loss, found = plain(self, batch, report)
        assert not report or float(loss.detach()) > 0
        return loss, found

    words = (*SGD, "recipe.per_device=1", "data.crop=[64,64]")
    monkeypatch.setattr(Segmentation, "loss", waiting)
    with caplog.at_level("INFO"):
        recorded = train(tmp_path / "graphs", *words)
    assert recorded.task.plan.policy.accumulate == 2
    assert "figures are not recorded as a CUDA graph" in caplog.text
    assert taped.recorded == 1
    assert "further steps run kernel by kernel" not in caplog.text
    monkeypatch.undo()
    assert same(weights(recorded), weights(train(tmp_path / "eager", *words)))
