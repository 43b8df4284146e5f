"""Optimisers whose step can be recorded: what changes from step to step lives on the device, not in Python's numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ncp.tasks.optimizers import Relative

SWITCHES = ("fused", "foreach", "capturable")
"""How an optimiser computes, which a checkpoint of another device must not decide."""


def set_rate(group: dict[str, Any], rate: float) -> None:
    """The learning rate of a group, in place where it lives on a device."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def unfit(optimizer: torch.optim.Optimizer, scheduled: bool) -> str | None:
    """Why an optimiser's step cannot be recorded; None where it can.

    Args:
        optimizer: of a training.
        scheduled: whether the momentum, which is a number of Python in all optimisers, changes from step to step.
    """
    if scheduled:
        return "the recipe changes the momentum from step to step"
    if isinstance(optimizer, Relative):
        return None
    name = type(optimizer).__name__
    if isinstance(optimizer, torch.optim.SGD):
        if all(group.get("fused") for group in optimizer.param_groups):
            return None
        return f"{name} reads its rate on the host unless it is fused"
    if all("capturable" in group for group in optimizer.param_groups):
        return None
    return f"{name} keeps numbers on the host"


def take_in(optimizer: torch.optim.Optimizer) -> None:
    """Move the rate, and what counts steps, to the weights' device; an optimiser of which :func:`unfit` says nothing."""
    for group in optimizer.param_groups:
        device = group["params"][0].device
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32).to(device, copy=True)
        if "capturable" in group:
            group["capturable"] = True
        if isinstance(optimizer, Relative):
            group["steps"] = torch.as_tensor(group["steps"], dtype=torch.float64).to(device, copy=True)
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if isinstance(state.get("step"), Tensor):
                state["step"] = state["step"].to(device, torch.float32)


def switches_of(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """How each group computes; see :data:`SWITCHES`."""
    return [{key: group[key] for key in SWITCHES if key in group} for group in optimizer.param_groups]


def switch(optimizer: torch.optim.Optimizer, wanted: list[dict[str, Any]]) -> None:
    """Have each group compute as it did before its state was read from a checkpoint."""
    for group, switches in zip(optimizer.param_groups, wanted, strict=True):
        group.update(switches)
        on_device = switches.get("fused") or switches.get("capturable")
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if isinstance(state.get("step"), Tensor):
                state["step"] = state["step"].to(parameter.device if on_device else "cpu")


def plain_groups(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of a kept state as any device may go on with them: plain numbers, and no switch that belongs to one device."""
    out = []
    for group in groups:
        kept = {key: _plain(key, value) for key, value in group.items()}
        if kept.get("capturable"):
            kept["capturable"] = False
        out.append(kept)
    return out


def _plain(key: str, value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return int(value) if key == "steps" else float(value)
