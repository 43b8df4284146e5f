"""An optimiser whose steps are relative to the weights, for short trainings of networks of very different width and depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Relative(torch.optim.Optimizer):
    """A step moves the whole network by about ``lr``: each of its M matrices by ``lr / M`` of its own size.

    So one rate serves shallow and deep, narrow and wide networks: relative moves of layers on top of each other add up (the best
    move of a layer was found to fall from 0.1 over 0.05 to below 0.02 with 40, 122 and 274 matrices).

    Adafactor (Shazeer and Stern 2018: relative steps, update clipping, decay ``1 - t ** -0.8``) without its factored memory,
    which is slow for small convolutions (0.5 s a step for 4 M weights against 0.04 s here, one core).

    Args:
        params: as for any optimiser of torch.
        lr: sum over the group's matrices (convolutions, linear layers) of their relative moves; a group without matrices
            moves by ``lr`` itself.
        least: root mean square below which a tensor counts as being of this size (zeros must be able to move).
        floor: a matrix of n inputs counts as being of at least ``floor / sqrt(n)``, the size that keeps the scale of what goes
            through (1 lets heads move that begin almost at zero, as a detector's do).
        clip: largest root mean square of an update before it is scaled.
        weight_decay: decoupled, times ``lr``.

    Where a group's ``lr`` and ``steps`` are tensors, its steps can be recorded as a CUDA graph.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 6.0,
        least: float = 1e-3,
        floor: float = 0.0,
        clip: float = 1.0,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value in (("lr", lr), ("least", least), ("clip", clip)):
            if not value > 0:
                raise ValueError(f"{name} must be positive, given was {value}")
        if not floor >= 0:
            raise ValueError(f"floor must be at least 0, given was {floor}")
        defaults = {"lr": lr, "least": least, "floor": floor, "clip": clip, "weight_decay": weight_decay, "steps": 0}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move all weights that have gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                group["steps"] += 1
                self._move(weights, group)
        return loss

    def _move(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        grads: list[Any] = [p.grad for p in weights]
        for p in weights:
            if "square" not in self.state[p]:
                self.state[p]["square"] = torch.zeros_like(p)
        squares = [self.state[p]["square"] for p in weights]
        keep = 1 - group["steps"] ** -0.8
        if isinstance(keep, Tensor):  # on the weights' device, where no number may be read
            keep = keep.to(weights[0].dtype)
            torch._foreach_mul_(squares, keep)
            added = torch._foreach_mul(torch._foreach_mul(grads, grads), 1 - keep)
            torch._foreach_add_(squares, added)
        else:
            torch._foreach_mul_(squares, keep)
            torch._foreach_addcmul_(squares, grads, grads, value=1 - keep)
        scales = torch._foreach_sqrt(squares)
        torch._foreach_add_(scales, torch.finfo(weights[0].dtype).tiny ** 0.5)  # no gradient, no move
        updates = torch._foreach_div(grads, scales)
        roots, least = self._of(weights, group)
        of_weights = torch.stack(torch._foreach_norm(weights)) / roots
        of_updates = torch.stack(torch._foreach_norm(updates)) / roots
        lr = group["lr"] / max(1, sum(p.ndim > 1 for p in group["params"]))
        rates = lr * of_weights.maximum(least) / (of_updates / group["clip"]).clamp(min=1)
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - lr * group["weight_decay"])
        torch._foreach_mul_(updates, list(rates.unbind()))
        torch._foreach_sub_(weights, updates)

    def _of(self, weights: list[Tensor], group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """``(len(weights),)`` each: the roots of their counts of numbers, and the sizes that they count as at least.

        They are brought to the device once: a copy from the host would wait for it at every step.
        """
        # not of the constructor: a copied optimiser has gone through none
        fixed: dict[Any, tuple[Tensor, Tensor]] = self.__dict__.setdefault("_fixed", {})
        key = (*map(id, weights), group["least"], group["floor"])
        if key not in fixed:
            like: Any = {"device": weights[0].device, "dtype": weights[0].dtype}
            roots = torch.tensor([p.numel() for p in weights], **like).sqrt()
            fixed[key] = roots, torch.tensor([_least(p, group["least"], group["floor"]) for p in weights], **like)
        return fixed[key]


def _least(weight: Tensor, least: float, floor: float) -> float:
    """The size that a tensor counts as at least."""
    if weight.ndim < 2:
        return least
    inputs = weight[0].numel()
    out: float = max(least, floor * inputs**-0.5)
    return out
