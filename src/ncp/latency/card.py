"""What a latency model says of itself: what was measured, on what, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from ncp.errors import UserError
from ncp.models.setups import SETUPS
from ncp.numeric import several

Text = Annotated[str, Meta(max_length=500)]
Positive = Annotated[int, Meta(ge=1, le=10**6)]
Error = Annotated[float, Meta(ge=0, le=1e9)]
TRUSTED = 0.10
"""Median relative error on networks that a model did not see, above which it is no hard limit."""
# how each task's network is counted: the arguments of a space's ``work`` and ``memory``
TASKS: dict[str, dict[str, Any]] = {name: setup._asdict() for name, setup in SETUPS.items()}


@dataclass
class MachineCard:
    """What was measured.

    Attributes:
        space: of the architectures.
        device: ``cpu``, ``cuda``, or whatever name the measurer gave his machine.
        runtime: ``torch``, ``onnxruntime``, or another.
        task, size, batch, dtype, threads, classes: of the networks as they ran.
        host, processor, versions: of the machine; empty where they are not known.
        compiled: whether torch had compiled the networks.
        rows: networks that the model was fitted on.
        held: networks on which the errors were measured.
        median_error, p90_error: of the relative errors on networks that it did not see, 0.05 for 5 %.
        spearman: rank correlation on these.
        drift: how far the reference network's time moved while it was measured, as a share of its median.
        source: where the measurements come from, in words.
    """

    space: Annotated[str, Meta(max_length=200)]
    device: Text = ""
    runtime: Text = ""
    task: Text = ""
    size: Annotated[list[Positive], Meta(min_length=2, max_length=2)] | None = None
    batch: Positive = 1
    dtype: Text = "fp32"
    threads: Annotated[int, Meta(ge=0, le=10**6)] = 0
    classes: Annotated[int, Meta(ge=0, le=10**6)] | None = None
    host: Text = ""
    processor: Text = ""
    versions: Annotated[dict[str, Text], Meta(max_length=50)] = field(default_factory=dict)
    compiled: bool = False
    rows: Annotated[int, Meta(ge=1, le=4000)] = 1
    held: Annotated[int, Meta(ge=0, le=10**7)] = 0
    median_error: Error | None = None
    p90_error: Error | None = None
    spearman: Annotated[float, Meta(ge=-1, le=1)] | None = None
    drift: Error | None = None
    source: Text = ""

    def setting(self) -> dict[str, Any]:
        """Arguments of the space's ``work``. Raises ``UserError`` for a task that does not exist."""
        if self.space != "multires":
            return {}
        if self.task not in TASKS:
            raise UserError(f"unknown task '{self.task}'; tasks: {', '.join(TASKS)}")
        out = dict(TASKS[self.task])
        if self.classes is not None:
            out["classes"] = self.classes
        return {**out, "size": (self.size[0], self.size[1]) if self.size else (128, 128)}

    @property
    def trusted(self) -> bool:
        """Whether its errors on unseen networks let it be a hard limit; what is not measured is not trusted."""
        return self.median_error is not None and self.median_error <= TRUSTED

    def described(self) -> str:
        """One line of what it is of."""
        where = f"{self.device or 'a device'}{f' ({self.processor})' if self.processor else ''}"
        size = f", {self.size[0]}x{self.size[1]}" if self.size else ""
        how = ", ".join(filter(None, (self.runtime, "compiled" * self.compiled, self.task, self.dtype)))
        threads = f", {several(self.threads, 'thread')}" if self.threads else ""
        return f"{where}, {how}{size}, batch {self.batch}{threads}"
