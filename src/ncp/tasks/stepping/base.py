"""What a way of running steps is, and the usual one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

Batch = dict[str, Any]
Loss = Callable[[Batch, bool], tuple[Tensor, dict[str, Tensor]]]
"""Of a task: a batch, and whether figures are wanted beside the loss."""


class Stepping(Protocol):
    """How the passes of a training are run, and the optimiser at the end of a step.

    The four calls stand at the hooks of Lightning's automatic optimisation and come in its order: ``forward``, ``clear`` (of the
    first pass of a step), ``backward``; those of a step's last pass all within ``finish``.
    """

    name: str

    def prepare(self, optimizer: torch.optim.Optimizer) -> None:
        """Before the first step, and after the optimiser's state was read from a checkpoint."""

    def forward(self, batch: Batch, report: bool, first: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a pass, and its figures where ``report`` asks for them; ``first`` of a step."""

    def clear(self, optimizer: Any) -> None:
        """Forget the gradients of the step before."""

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss (already divided by the number of passes)."""

    def finish(self, optimizer: Any, closure: Callable[[], Any]) -> None:
        """``closure`` (the last pass), then the optimiser's step."""

    def close(self) -> None:
        """After the last step: give back what was taken."""


class Eager:
    """Kernel by kernel, as torch does.

    Args:
        loss: of the task.
    """

    name = "eager"

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def prepare(self, optimizer: torch.optim.Optimizer) -> None:
        """Nothing."""

    def forward(self, batch: Batch, report: bool, first: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Stepping`."""
        return self.loss(batch, report)

    def clear(self, optimizer: Any) -> None:
        """See :class:`Stepping`."""
        optimizer.zero_grad()

    def backward(self, loss: Tensor) -> None:
        """See :class:`Stepping`."""
        loss.backward()  # type: ignore[no-untyped-call]

    def finish(self, optimizer: Any, closure: Callable[[], Any]) -> None:
        """See :class:`Stepping`."""
        optimizer.step(closure=closure)

    def close(self) -> None:
        """Nothing."""
