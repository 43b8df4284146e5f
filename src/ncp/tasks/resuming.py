"""Whether a training can go on from a checkpoint: the same task, architecture and weights, and a state of the same optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ncp import files, tensorfile
from ncp.benchmark.inert import Shape
from ncp.errors import UserError
from ncp.tasks.base import Task
from ncp.tasks.checkpoint import Checkpoint
from ncp.tasks.own import KEY
from ncp.tasks.position import resumed


def check(found: Checkpoint, task: Task) -> None:
    """Raise ``UserError``, naming the file and what differs, unless ``task`` can go on from a checkpoint."""
    for what in ("task", "architecture"):
        theirs, ours = getattr(found.own, what), task.about[what]
        if theirs != ours:
            raise UserError(
                f"the checkpoint {found.where} is of {what} {files.shown(theirs)}, this run is of {ours}; give the "
                f"checkpoint's own {what}, or another checkpoint"
            )
    resumed(found.inert[KEY], task.plan, files.printable(found.path))
    wanted = tensorfile.shapes_of(task.state_dict())
    tensorfile.check_shapes(found.shapes, wanted, f"the weights in {found.where} do not fit this network")
    reason = misfit(found.inert.get("optimizer_states"), task)
    if reason:
        raise UserError(
            f"the state of the optimiser in {found.where} does not fit this recipe's: {reason}; give the checkpoint's own "
            "recipe, or start another training from its weights with pretrained=FILE"
        )


def misfit(states: Any, task: Task) -> str | None:
    """What of a kept state (a :class:`Shape` for every tensor) does not fit the task's optimiser; None for nothing."""
    if not isinstance(states, list) or len(states) != 1 or not isinstance(states[0], dict):
        return "it is of another number of optimisers"
    parameters = task.trained()
    ours = task.configure_optimizers().state_dict()["param_groups"]
    theirs, state = states[0].get("param_groups"), states[0].get("state")
    if not isinstance(theirs, list) or len(theirs) != len(ours):
        return "it has another number of groups"
    for here, there in zip(ours, theirs, strict=True):
        if not isinstance(there, dict) or there.get("params") != here["params"]:
            return "its groups hold other parameters"
        for key, value in here.items():
            if key == "params" or (key not in there and (value is None or isinstance(value, bool))):
                continue  # switches that another version of torch did not have
            if key not in there or not _alike(there[key], value):
                return f"its group has {files.shown(there.get(key))} for {key}"
    if not isinstance(state, dict):
        return "it has no numbers"
    kept = _kept(task)
    for index, numbers in state.items():
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(parameters):
            return f"it has numbers of a parameter {files.shown(index)}"
        found = _wrong(numbers, kept, tuple(parameters[index].shape))
        if found:
            return f"of parameter {index} {found}"
    return None


def _wrong(numbers: Any, kept: Mapping[str, Any], shape: tuple[int, ...]) -> str | None:
    if not isinstance(numbers, dict) or set(numbers) != set(kept):
        return f"it holds {_listed(numbers)}, not {_listed(kept)}"
    for key, like in kept.items():
        value = numbers[key]
        if isinstance(like, torch.Tensor):
            wanted = shape if like.ndim else ()
            if not isinstance(value, Shape) or value.sizes != wanted:
                return f"{key} has the shape {value.sizes if isinstance(value, Shape) else None}, not {wanted}"
        elif not _alike(value, like):
            return f"{key} is {files.shown(value)}"
    return None


def _kept(task: Task) -> Mapping[str, Any]:
    """What the task's optimiser keeps of a parameter, seen on one of its own."""
    trial = nn.Parameter(torch.zeros(2, 3))
    trial.grad = torch.zeros(2, 3)
    optimiser = task.recipe.make_optimizer([trial])
    optimiser.step()
    return dict(optimiser.state[trial])


def _alike(theirs: Any, ours: Any) -> bool:
    """Whether a value can stand for one of ours: a switch for a switch, a number of at least 0 for a number."""
    if ours is None or isinstance(ours, bool):
        return theirs is None or isinstance(theirs, bool)
    if isinstance(ours, (tuple, list)):
        same = isinstance(theirs, (tuple, list)) and len(theirs) == len(ours)
        return same and all(map(_alike, theirs, ours))
    if isinstance(ours, int):
        return isinstance(theirs, int) and not isinstance(theirs, bool) and 0 <= theirs <= 10**9
    return isinstance(theirs, (int, float)) and not isinstance(theirs, bool) and 0 <= theirs < math.inf


def _listed(numbers: Any) -> str:
    return (
        ", ".join(files.shown(key, 30) for key in list(numbers)[:5]) or "nothing"
        if isinstance(numbers, Mapping)
        else "no keys"
    )
