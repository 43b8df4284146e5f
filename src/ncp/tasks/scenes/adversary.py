"""A discriminator beside a training: it learns to tell targets from what the network makes, and the network to pass for them.

Both move within one optimiser step of the training, by one optimiser with two groups of parameters, so that position, ledger and
checkpoints are those of any training. As in the benchmark's code the discriminator goes first, against what the network has
just made, and the network then answers the discriminator that has moved. Where a step has several passes (accumulation), the
passes before the last see the discriminator as the step before left it.

Shape suffixes: B batch, C channels, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def vanilla(logits_B: Tensor, real: bool) -> Tensor:
    """Binary cross entropy: how far the discriminator is from taking samples for real, or for made."""
    logits_B = logits_B.float()
    return F.binary_cross_entropy_with_logits(logits_B, torch.full_like(logits_B, float(real)))


def discriminator_loss(discriminator: nn.Module, image: Tensor, real: Tensor, made: Tensor) -> Tensor:
    """Mean of the losses on real targets and on what was made, which gets no gradient."""
    on_made = vanilla(discriminator(image, made.detach()), real=False)
    return (on_made + vanilla(discriminator(image, real), real=True)) * 0.5


class Gradients:
    """A discriminator's gradients over the passes of a step.

    Args:
        discriminator: whose parameters they are of.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        self.parameters = list(discriminator.parameters())
        self.sums: list[Tensor] | None = None

    def add(self, loss: Tensor, share: float) -> None:
        """Add those of a pass, which is a ``share`` of the step."""
        with torch.autocast(loss.device.type, enabled=False):
            found = torch.autograd.grad(loss * share, self.parameters)
        self.sums = list(found) if self.sums is None else [a + b for a, b in zip(self.sums, found, strict=True)]

    def step(self, optimizer: torch.optim.Optimizer, others: Sequence[nn.Parameter], devices: int = 1) -> None:
        """Move the discriminator by the mean over devices; ``others``, the optimiser's further parameters, keep theirs."""
        assert self.sums is not None
        if devices > 1:
            for gradient in self.sums:
                torch.distributed.all_reduce(gradient)
                gradient /= devices
        held = [parameter.grad for parameter in others]
        for parameter in others:
            parameter.grad = None
        for parameter, gradient in zip(self.parameters, self.sums, strict=True):
            parameter.grad = gradient
        optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None
        for parameter, kept in zip(others, held, strict=True):
            parameter.grad = kept
        self.sums = None


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Within, gradients go through a network and not to its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
