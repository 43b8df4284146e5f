"""Steps of which a part is recorded: the network alone, where what stands around it does something else in each step.

As many points and objects as a scene has, so a detector's pillars and its losses run kernel by kernel; the network between
them always reads and writes maps of the same shapes. Its forward and its backward pass are two graphs behind one operation that
autograd sees, as :func:`torch.cuda.make_graphed_callables` does it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ncp.models.capture import Capture, as_recorded
from ncp.tasks.stepping.base import Batch, Eager, Loss
from ncp.tasks.stepping.graphs import WARM

log = logging.getLogger(__name__)
MOST = 4  # shapes of the input that are recorded
Maps = tuple[Tensor, ...]


@dataclass(frozen=True)
class Part:
    """What can be recorded of a task's step.

    Attributes:
        call: from one array to some.
        parameters: that it uses.
        put: sets what is called in its place.
    """

    call: Callable[[Tensor], Maps]
    parameters: Sequence[nn.Parameter]
    put: Callable[[Callable[[Tensor], Maps]], None]


@dataclass
class Record:
    """Both passes over one shape: where what they read lies, and what runs them."""

    given: Tensor
    forward: Callable[[], None]
    out: Maps
    slopes_out: Maps
    backward: Callable[[], None]
    slopes: Sequence[Tensor | None]


class PartGraphs(Eager):
    """Steps whose network is recorded; see :class:`ncp.tasks.stepping.base.Stepping`.

    Args:
        loss: of the task.
        part: what is recorded.
        several: whether gradients of several passes add up.
        capture: what records.
        told: gets a sentence where something is not recorded.
    """

    name = "part graphs"

    def __init__(
        self, loss: Loss, part: Part, several: bool, capture: Capture, told: Callable[[str], None] = log.info
    ) -> None:
        super().__init__(loss)
        self.part, self.several, self.capture, self.told = part, several, capture, told
        self.parameters = [parameter for parameter in part.parameters if parameter.requires_grad]
        self.records: dict[Any, Record] = {}
        self.stopped = False
        self.steps = 0
        part.put(self)

    # ---- steps, which are the usual ones

    def forward(self, batch: Batch, report: bool, first: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`ncp.tasks.stepping.base.Stepping`."""
        with self._aside():
            return super().forward(batch, report, first)

    def backward(self, loss: Tensor) -> None:
        """See :class:`ncp.tasks.stepping.base.Stepping`."""
        with self._aside():
            super().backward(loss)

    def finish(self, optimizer: Any, closure: Callable[[], Any]) -> None:
        """See :class:`ncp.tasks.stepping.base.Stepping`."""
        super().finish(optimizer, closure)
        self.steps += 1

    def close(self) -> None:
        """Put the part itself in its place again, and forget the records and their memory."""
        self.part.put(self.part.call)
        self.stopped = True
        self.records.clear()

    def _aside(self) -> contextlib.AbstractContextManager[None]:
        """Steps before the recording run where it will."""
        return contextlib.nullcontext() if self.stopped or self.records else self.capture.aside()

    # ---- the part

    def __call__(self, x: Tensor) -> Maps:
        """In the part's place; evaluations run as ever."""
        if self.stopped or not torch.is_grad_enabled():
            return self.part.call(x)
        if self.steps < WARM:
            with as_recorded(x.device.type):
                return self.part.call(x)
        key = (tuple(x.shape), x.dtype, x.stride(), x.requires_grad)
        if key not in self.records:
            if len(self.records) >= MOST:
                self._stop(f"the network reads more than {MOST} shapes")
                return self.part.call(x)
            try:
                self.records[key] = self._recorded(x)
            except RuntimeError as error:
                self._stop(str(error).strip().splitlines()[0])
                return self.part.call(x)
        found: Maps = _Replay.apply(self.records[key], self.several, x, *self.parameters)  # type: ignore[no-untyped-call]
        return found

    def _stop(self, reason: str) -> None:
        self.stopped = True
        self.told(f"further steps run kernel by kernel: {reason}")

    def _recorded(self, x: Tensor) -> Record:
        given = torch.empty_like(x).requires_grad_(x.requires_grad)
        with torch.no_grad():
            given.copy_(x)
        with as_recorded(x.device.type):
            forward, out = self.capture.record(lambda: self.part.call(given))
        slopes_out = tuple(torch.zeros_like(y) for y in out)
        asked = [given, *self.parameters] if x.requires_grad else self.parameters

        def back() -> Sequence[Tensor | None]:
            return torch.autograd.grad(out, asked, slopes_out, allow_unused=True)

        with torch.autocast(x.device.type, enabled=False):
            backward, slopes = self.capture.record(back)
        slopes = slopes if x.requires_grad else [None, *slopes]
        return Record(given, forward, tuple(y.detach() for y in out), slopes_out, backward, slopes)


class _Replay(torch.autograd.Function):
    """The two graphs of a record as one operation."""

    @staticmethod
    def forward(ctx: Any, record: Record, several: bool, x: Tensor, *parameters: Tensor) -> Maps:
        ctx.record, ctx.several = record, several
        record.given.detach().copy_(x)
        record.forward()
        return tuple(y.view_as(y) for y in record.out)

    @staticmethod
    def backward(ctx: Any, *slopes_out: Tensor) -> tuple[Any, ...]:
        record: Record = ctx.record
        for place, slope in zip(record.slopes_out, slopes_out, strict=True):
            place.copy_(slope)
        record.backward()
        # gradients of one pass may stay where the next one writes; those that add up may not
        return (None, None, *(None if s is None else s.clone() if ctx.several else s.detach() for s in record.slopes))
