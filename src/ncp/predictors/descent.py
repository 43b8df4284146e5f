"""Many small minimisations at once: what a cross-validation asks for, at little more than the price of one.

Shape suffixes: B problems, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor], Tensor]
"""Parameters ``(B, P)`` to losses ``(B,)``, each of its own parameters alone; not finite where there is none."""
ARMIJO = 1e-4
HALVINGS = 12
LONGEST = 2.0
"""No parameter moves further in one step."""


def minimise(loss: Loss, start_BP: Tensor, iterations: int = 60, enough: float = 1e-4) -> Tensor:
    """``(B, P)`` where each loss is least, by BFGS (Nocedal and Wright, 2006, chapter 6) with halved steps.

    A problem ends where a step gains less than ``enough``, or none gains anything.
    """
    x_BP = start_BP.detach().clone()
    value_B, slope_BP = _slope(loss, x_BP)
    eye = torch.eye(x_BP.shape[1], dtype=x_BP.dtype)
    inverse_BPP = (eye / slope_BP.norm(dim=1).clamp_min(1.0)[:, None, None]).clone()
    running_B = value_B.isfinite()
    for _ in range(iterations):
        if not running_B.any():
            break
        step_BP = -(inverse_BPP @ slope_BP[..., None])[..., 0]
        step_BP = step_BP * (LONGEST / step_BP.abs().amax(1, keepdim=True).clamp_min(LONGEST)) * running_B[:, None]
        new_BP, taken_B = _shortened(loss, x_BP, value_B, step_BP, (slope_BP * step_BP).sum(1), running_B)
        if not taken_B.any():
            break
        after_B, there_BP = _slope(loss, new_BP)
        taken_B &= there_BP.isfinite().all(1)
        moved_BP, change_BP = new_BP - x_BP, there_BP - slope_BP
        inverse_BPP = torch.where(taken_B[:, None, None], _updated(inverse_BPP, moved_BP, change_BP), inverse_BPP)
        running_B = taken_B & (value_B - after_B > enough)
        x_BP = torch.where(taken_B[:, None], new_BP, x_BP)
        value_B, slope_BP = torch.where(taken_B, after_B, value_B), torch.where(taken_B[:, None], there_BP, slope_BP)
    return x_BP


def curvature(loss: Loss, x_BP: Tensor) -> Tensor:
    """``(B, P, P)`` second derivatives, symmetric."""
    x_BP = x_BP.detach().requires_grad_()
    (slope_BP,) = torch.autograd.grad(loss(x_BP).sum(), x_BP, create_graph=True)
    rows = [torch.autograd.grad(part.sum(), x_BP, retain_graph=True)[0] for part in slope_BP.unbind(1)]
    out_BPP = torch.stack(rows, 1)
    return (out_BPP + out_BPP.mT) / 2


def _slope(loss: Loss, x_BP: Tensor) -> tuple[Tensor, Tensor]:
    x_BP = x_BP.detach().requires_grad_()
    value_B = loss(x_BP)
    (slope_BP,) = torch.autograd.grad(value_B.sum(), x_BP)
    return value_B.detach(), slope_BP


def _shortened(
    loss: Loss, x_BP: Tensor, value_B: Tensor, step_BP: Tensor, along_B: Tensor, running_B: Tensor
) -> tuple[Tensor, Tensor]:
    """Steps halved until they gain enough, and which of them did."""
    taken_B = ~running_B
    share_B = torch.ones_like(value_B)
    with torch.no_grad():
        for _ in range(HALVINGS):
            reached_B = loss(x_BP + share_B[:, None] * step_BP)
            taken_B |= reached_B <= value_B + ARMIJO * share_B * along_B  # false where it is not finite
            if taken_B.all():
                break
            share_B = torch.where(taken_B, share_B, share_B / 2)
    return x_BP + share_B[:, None] * step_BP, taken_B & running_B


def _updated(inverse_BPP: Tensor, moved_BP: Tensor, change_BP: Tensor) -> Tensor:
    """The inverse curvature that fits the last step; the same where the step saw none."""
    along_B11 = (moved_BP * change_BP).sum(1)[:, None, None]
    rho_B11 = 1 / along_B11.clamp_min(1e-10)
    eye = torch.eye(moved_BP.shape[1], dtype=moved_BP.dtype)
    left_BPP = eye - rho_B11 * moved_BP[:, :, None] * change_BP[:, None]
    out_BPP = left_BPP @ inverse_BPP @ left_BPP.mT + rho_B11 * moved_BP[:, :, None] * moved_BP[:, None]
    return torch.where(along_B11 > 1e-10, out_BPP, inverse_BPP)
