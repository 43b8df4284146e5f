"""Two processes on the CPU (gloo) against one."""

from pathlib import Path

import ddp_worker
import pytest
import torch

from ncp.tasks import ledger
from ncp.tasks import run as tasks
from ncp.tasks.callbacks import read_history


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    (folder / "begun").mkdir()
    run = tasks.assemble(ddp_worker.compose(*ddp_worker.RESUMED, "recipe.per_device=4"), folder / "begun")
    tasks.fit(run)
    torch.save(run.task.network.state_dict(), folder / "begun.pt")
    return ddp_worker.launch(Path(ddp_worker.__file__), folder, ("exact", "live", "few", "resumed"))


def load(folder, name, rank):
    return torch.load(folder / f"{name}-{rank}.pt", weights_only=True)


@pytest.mark.slow
def test_two_processes_take_the_very_steps_of_one(results, tmp_path):
    run = tasks.assemble(ddp_worker.compose(*ddp_worker.EXACT), tmp_path)
    gradients = ddp_worker.first_gradients(run)
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    assert len(gradients) > 100
    for rank in (0, 1):
        theirs = load(results, "exact", rank)
        for ours, other in ((gradients, theirs["gradients"]), (run.task.network.state_dict(), theirs["weights"])):
            assert ours.keys() == other.keys()
            for key, value in ours.items():
                assert torch.allclose(value.double(), other[key].double(), rtol=0, atol=1e-9), key
        assert theirs["metrics"] == pytest.approx(metrics, abs=1e-9)  # counted over all devices, three scenes on two


@pytest.mark.slow
def test_live_norms_end_with_equal_weights_everywhere(results):
    first, second = load(results, "live", 0), load(results, "live", 1)
    assert first["weights"].keys() == second["weights"].keys()
    for key, value in first["weights"].items():
        assert torch.equal(value, second["weights"][key]), key
    assert first["metrics"] == second["metrics"]
    rows = read_history(results / "live" / "metrics.csv")  # written by the first process alone
    assert [step for step, name, _ in rows if name == "val/mIoU"] == [4, 8]


@pytest.mark.slow
def test_two_processes_go_on_where_one_was(results):
    """Other devices and other passes: same samples, evaluations and weights; the checkpoint of the end is there."""
    whole = torch.load(results / "begun.pt", weights_only=True)
    for rank in (0, 1):
        theirs = load(results, "resumed", rank)["weights"]
        for key, value in whole.items():
            # Lightning reads a checkpoint into a network of 32 bit before it makes it one of 64
            assert torch.allclose(value.double(), theirs[key].double(), rtol=0, atol=1e-6), key
    assert [entry.step for entry in ledger.read(results / "resumed" / ledger.FILE)] == [2, 3, 4, 5]
    content = tasks.read_checkpoint(results / "resumed/checkpoints/last.ckpt")["ncp"]
    assert content["position"] == {"step": 5, "samples": 20, "batch": 4, "set": 7}


@pytest.mark.slow
def test_a_device_without_validation_samples_waits_for_the_other(results, tmp_path):
    run = tasks.assemble(ddp_worker.compose(*ddp_worker.FEW), tmp_path)
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    for rank in (0, 1):
        assert load(results, "few", rank)["metrics"] == pytest.approx(metrics, abs=1e-9)
