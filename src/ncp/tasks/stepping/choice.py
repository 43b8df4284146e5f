"""Which way of running steps a training takes, and why not the fast one."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
import torch

from ncp.errors import UserError
from ncp.models import kernels as triton
from ncp.models.capture import Capture, CudaGraphs
from ncp.models.runtime import REGIONAL
from ncp.tasks.stepping.base import Eager, Stepping
from ncp.tasks.stepping.graphs import Graphs, Settings
from ncp.tasks.stepping.part import Part, PartGraphs

log = logging.getLogger(__name__)
NO_GPU = "there is no GPU"
_OWN_GRAPHS = ("reduce-overhead", "max-autotune")  # modes of torch.compile that make graphs themselves


def choose(
    task: Any, trainer: pl.Trainer, wanted: Any = "auto", capture: Capture | None = None, kernels: Any = "auto"
) -> Stepping:
    """How a task's steps will be run.

    Args:
        task: a :class:`ncp.tasks.base.Task`.
        trainer: that is about to begin.
        wanted: ``trainer.graphs``: auto (graphs where they can be, the reason logged where not), true, false.
        capture: what records; unless given, CUDA graphs where there is a GPU.
        kernels: ``trainer.kernels``: auto (Triton's kernels in recorded steps where they can be had), true, false.

    Raises:
        UserError: where graphs or kernels are asked for and cannot be.
    """
    reason = against(task, trainer, capture is not None)
    _choose_kernels(task, trainer, kernels, "steps are not recorded" if wanted is False or reason is not None else None)
    if wanted is False or reason is not None:
        if wanted is True:
            raise UserError(f"trainer.graphs=true, but {reason}; leave it out, or give trainer.graphs=auto")
        # without a GPU there is no other way, and nothing to tell
        level = logging.DEBUG if reason == NO_GPU else logging.INFO
        log.log(level, "steps run kernel by kernel: %s", reason or "trainer.graphs=false")
        return Eager(task.loss)
    settings = Settings(
        accumulate=trainer.accumulate_grad_batches,
        clip=trainer.gradient_clip_val,  # type: ignore[arg-type]
        by_value=str(getattr(trainer.gradient_clip_algorithm, "value", trainer.gradient_clip_algorithm)) == "value",
        scheduled=task.recipe.momentum_schedule is not None,
    )
    capture = capture or CudaGraphs(trainer.strategy.root_device)
    if task.static:
        log.info("steps are recorded as CUDA graphs from the fourth on")
        return Graphs(task.loss, task.trained(), settings, capture)
    part: Part = task.part()
    log.info("the network of a step is recorded as CUDA graphs from the fourth step on")
    return PartGraphs(task.loss, part, trainer.accumulate_grad_batches > 1, capture)


def _choose_kernels(task: Any, trainer: pl.Trainer, wanted: Any, reason: str | None) -> None:
    """Take Triton's kernels, unless ``reason`` or another one is against it."""
    if wanted is False:
        return
    if reason is None and task.compiled_as is not None:
        reason = f"compile={task.compiled_as} has kernels of its own"
    if reason is None:
        reason = triton.refused(trainer.strategy.root_device)
    if reason is None:
        triton.use(task)
        log.info("norms after convolutions, sums and joins of maps are Triton's kernels in a step")
    elif wanted is True:
        raise UserError(f"trainer.kernels=true, but {reason}; leave it out, or give trainer.kernels=auto")
    else:
        log.debug("no kernels of Triton's in a step: %s", reason)


def against(task: Any, trainer: pl.Trainer, recorder: bool = False) -> str | None:
    """Why a task's steps cannot be recorded; None where nothing is known to be in the way."""
    if not recorder and trainer.strategy.root_device.type != "cuda":
        return NO_GPU
    if not task.static and task.part() is None:
        return f"task={task.name} does something else in each step than in the one before"
    if trainer.world_size > 1:
        return f"{trainer.world_size} devices exchange gradients within a step"
    if getattr(trainer.precision_plugin, "scaler", None) is not None:
        return f"losses of the precision {trainer.precision} are scaled on the host; use bf16-mixed"
    if task.compiled_as in _OWN_GRAPHS:
        return f"compile={task.compiled_as} makes graphs of its own"
    if not task.static and task.compiled_as not in (None, REGIONAL):
        return f"compile={task.compiled_as} takes the network apart; use compile={REGIONAL}"
    if torch.is_anomaly_enabled():  # type: ignore[no-untyped-call]
        return "anomalies are being looked for"
    return None
