"""A network and its discriminator, trained by one optimiser, against two by hand, also where a step has several passes."""

import copy

import pytest
import torch
from scene_trainings import make
from torch import nn
from torch.nn import functional as F

from ncp.data.base import Key
from ncp.report.training import curves
from ncp.tasks import run as tasks
from ncp.tasks.callbacks import read_history

ADAM = {"name": "adam", "lr": 1e-3, "betas": [0.5, 0.999], "weight_decay": 1e-4}
pytestmark = pytest.mark.usefixtures("one_thread")


def by_hand(network: nn.Module, judge: nn.Module, batches, passes: int) -> None:
    """The discriminator first, then the network against the one that has moved; on a step's last pass."""
    kept = {"lr": ADAM["lr"], "betas": (0.5, 0.999), "weight_decay": 1e-4}
    of_network, of_judge = torch.optim.Adam(network.parameters(), **kept), torch.optim.Adam(judge.parameters(), **kept)
    for number, (image, target) in enumerate(batches):
        made, last = network(image), number % passes == passes - 1
        judge.requires_grad_(True)
        no, yes = judge(image, made.detach()), judge(image, target)
        loss = 0.5 * (
            F.binary_cross_entropy_with_logits(no, torch.zeros_like(no))
            + F.binary_cross_entropy_with_logits(yes, torch.ones_like(yes))
        )
        (loss / passes).backward()
        if last:
            of_judge.step()
            of_judge.zero_grad()
        judge.requires_grad_(False)
        fooled = judge(image, made)
        loss = 0.99 * F.l1_loss(made, target) + 0.01 * F.binary_cross_entropy_with_logits(
            fooled, torch.ones_like(fooled)
        )
        (loss / passes).backward()
        if last:
            of_network.step()
            of_network.zero_grad()


@pytest.mark.parametrize("passes", [1, 2])
def test_both_move_as_with_two_optimisers(tmp_path, passes):
    recipe = {"optimizer": ADAM, "schedule": {"shape": "constant"}, "batch": 4, "per_device": 4 // passes, "length": 3}
    run = make(tmp_path, "normal", recipe=recipe)
    assert run.task.plan.policy.accumulate == passes
    network, judge = copy.deepcopy(run.task.network), copy.deepcopy(run.task.discriminator)
    stream = iter(run.data.train_dataloader())
    batches = [(run.task.prepare_batch(batch), batch[1]) for batch in stream]
    assert len(batches) == 3 * passes
    tasks.fit(run)
    by_hand(network.train(), judge.train(), batches, passes)
    for ours, theirs in ((run.task.network, network), (run.task.discriminator, judge)):
        for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-3, atol=2e-4, msg=name)
    assert all(p.requires_grad for p in run.task.parameters())


def test_both_losses_are_told(tmp_path):
    run = make(tmp_path, "autoencoder", recipe={"length": 2})
    tasks.fit(run)
    metrics = tasks.evaluate(run)
    history = read_history(run.history.path)
    assert {"train/g_loss", "train/d_loss", "train/l1_loss", "train/ssim"} <= {name for _, name, _ in history}
    assert set(metrics) == {"valid_ssim", "valid_ssim_usual", "valid_l1_loss"}
    assert curves(run, history).axes
    run.task.eval()
    image, _ = run.data.val_set[Key(-1, 0)]
    assert run.task.predict((image[None], image[None])).shape == (1, 3, 32, 32)
