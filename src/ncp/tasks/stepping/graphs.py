"""Whole steps as graphs: what a step has a device do is recorded once and then started by one call.

A step of a small network is some thousand kernels of a few microseconds each, and starting them takes longer than running them.
Recorded are forward, loss, backward, clipping and the optimiser; where a step has several passes (accumulation), or the optimiser
cannot be recorded, forward, loss and backward alone.

The first steps of a training, and of one that goes on, run kernel by kernel: they make what the recording takes for granted
(the optimiser's moments, the choice of convolution algorithms), and they are steps like any other, so nothing has to be undone.
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
from ncp.tasks.stepping import optimiser
from ncp.tasks.stepping.base import Batch, Loss

log = logging.getLogger(__name__)
WARM = 3  # steps before anything is recorded
MOST = 8  # records of a training: of each shape of a batch one with figures and one without
Key = tuple[Any, ...]
Outcome = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class Settings:
    """What a step is beside its loss.

    Attributes:
        accumulate: passes of a step.
        clip: largest norm (or value) of the gradient; None for no limit.
        by_value: whether each number of the gradient is limited by itself.
        scheduled: whether the momentum changes from step to step.
    """

    accumulate: int = 1
    clip: float | None = None
    by_value: bool = False
    scheduled: bool = False


@dataclass
class Record:
    """A recorded pass (or whole step): where its batch lies, what runs it, what it has written, and its gradients."""

    batch: Batch
    run: Callable[[], None]
    outcome: Outcome
    gradients: list[Tensor | None]


class Graphs:
    """Steps that are recorded and run again; see :class:`ncp.tasks.stepping.base.Stepping`.

    Args:
        loss: of the task.
        parameters: what is trained.
        settings: of a step.
        capture: what records.
        told: gets a sentence where something is not recorded.
    """

    name = "graphs"

    def __init__(
        self,
        loss: Loss,
        parameters: Sequence[nn.Parameter],
        settings: Settings,
        capture: Capture,
        told: Callable[[str], None] = log.info,
    ) -> None:
        self.loss, self.parameters, self.settings, self.capture, self.told = loss, parameters, settings, capture, told
        self.records: dict[Key, Record] = {}
        self.refused: set[Key] = set()
        self.stopped = False  # nothing is recorded any more
        self.steps = 0
        self.optimizer: torch.optim.Optimizer | None = None
        self.whole = False  # the optimiser's step is part of a record
        self._replayed = False  # the pass under way
        self._held: list[Tensor | None] | None = None  # gradients that several passes add up in

    def prepare(self, optimizer: torch.optim.Optimizer) -> None:
        """Have the optimiser keep its numbers on the device where its step will be recorded."""
        self.optimizer = optimizer
        reason = optimiser.unfit(optimizer, self.settings.scheduled)
        self.whole = reason is None and self.settings.accumulate == 1
        if self.whole:
            optimiser.take_in(optimizer)
        elif reason is not None:
            self.told(f"the optimiser runs outside of the CUDA graph: {reason}")

    # ---- the four calls of a pass

    def forward(self, batch: Batch, report: bool, first: bool) -> Outcome:
        """See :class:`ncp.tasks.stepping.base.Stepping`."""
        record = self._record_for(batch, report, first)
        self._replayed = record is not None
        if record is None:
            with self._aside(), as_recorded(_kind(batch)):
                return self.loss(batch, report)
        for name, value in record.batch.items():
            value.copy_(batch[name], non_blocking=True)
        if first and self._held is not None:
            self._clear_held()
        record.run()
        for parameter, gradient in zip(self.parameters, record.gradients, strict=True):
            parameter.grad = gradient
        loss, figures = record.outcome
        return loss.clone(), {name: value.clone() for name, value in figures.items()}

    def clear(self, optimizer: Any) -> None:
        """See :class:`ncp.tasks.stepping.base.Stepping`."""
        if self._replayed:
            return
        if self._held is not None:
            self._clear_held()
        else:
            optimizer.zero_grad()

    def backward(self, loss: Tensor) -> None:
        """See :class:`ncp.tasks.stepping.base.Stepping`."""
        if not self._replayed:
            with self._aside():
                loss.backward()  # type: ignore[no-untyped-call]

    def finish(self, optimizer: Any, closure: Callable[[], Any]) -> None:
        """See :class:`ncp.tasks.stepping.base.Stepping`."""
        if self.whole:
            closure()
            if not self._replayed:  # a record has taken the step already
                assert self.optimizer is not None
                with self._aside():
                    self._clip()
                    self.optimizer.step()
        else:
            optimizer.step(closure=closure)
        self.steps += 1

    def close(self) -> None:
        """Forget the records and their memory."""
        self.stopped = True
        self.records.clear()

    # ---- recording

    def _record_for(self, batch: Batch, report: bool, first: bool) -> Record | None:
        """The record that runs this pass; None for kernel by kernel."""
        key = _key(batch, report)
        if key in self.records:
            return self.records[key]
        if self.stopped or self.steps < WARM or key in self.refused or not (first or self._held):
            return None
        if len(self.records) >= MOST:
            self._stop(f"batches come in more than {MOST // 2} shapes", "steps of further shapes")
            return None
        for name, value in batch.items():
            if not isinstance(value, Tensor):
                self._stop(f"the batch's '{name}' is no array")
                return None
        try:
            self.records[key] = self._recorded(batch, report)
        except RuntimeError as error:
            self.refused.add(key)
            if self._held is not None:
                self._hold()  # to what they hold the earlier passes of this step were added
            else:
                for parameter in self.parameters:
                    parameter.grad = None
            self.told(f"{'figures are' if report else 'a step is'} not recorded as a CUDA graph: {_first_line(error)}")
            if not report:
                self._stop("see above")
            return None
        return self.records[key]

    def _stop(self, reason: str, which: str = "further steps") -> None:
        self.stopped = True
        self.told(f"{which} run kernel by kernel: {reason}")

    def _recorded(self, batch: Batch, report: bool) -> Record:
        static = {name: torch.empty_like(value) for name, value in batch.items()}
        for name, value in static.items():
            value.copy_(batch[name])
        if self.settings.accumulate > 1:
            self._hold()
        else:
            for parameter in self.parameters:
                parameter.grad = None  # so that the recording makes them, and each run writes them anew
        run, outcome = self.capture.record(lambda: self._work(static, report))
        return Record(static, run, outcome, [parameter.grad for parameter in self.parameters])

    def _work(self, batch: Batch, report: bool) -> Outcome:
        """A pass, and the step where it is a whole one. Nothing in it may wait for the device."""
        kind = _kind(batch)
        with as_recorded(kind):
            loss, figures = self.loss(batch, report)
        with torch.autocast(kind, enabled=False):
            (loss / self.settings.accumulate).backward()  # type: ignore[no-untyped-call]
            if self.whole:
                self._clip()
                assert self.optimizer is not None
                self.optimizer.step()
        return loss.detach(), {name: value.detach() for name, value in figures.items()}

    def _clip(self) -> None:
        limit = self.settings.clip
        if not limit:
            return
        if self.settings.by_value:
            nn.utils.clip_grad_value_(self.parameters, limit)
        else:
            nn.utils.clip_grad_norm_(self.parameters, limit)

    # ---- several passes

    def _hold(self) -> None:
        """Gradients that stay where they are, of the parameters that had one in the step before."""
        if self._held is None:
            self._held = [None if p.grad is None else torch.zeros_like(p) for p in self.parameters]
        for parameter, gradient in zip(self.parameters, self._held, strict=True):
            parameter.grad = gradient

    def _clear_held(self) -> None:
        self._hold()
        assert self._held is not None
        torch._foreach_zero_([gradient for gradient in self._held if gradient is not None])

    def _aside(self) -> contextlib.AbstractContextManager[None]:
        """Steps before the recording run where it will."""
        return contextlib.nullcontext() if self.stopped or self.records else self.capture.aside()


def _kind(batch: Batch) -> str:
    """Of the device on which the batch lies."""
    return next((value.device.type for value in batch.values() if isinstance(value, Tensor)), "cpu")


def _key(batch: Batch, report: bool) -> Key:
    """What a record depends on."""
    sides = ((name, tuple(v.shape), v.dtype, v.stride()) for name, v in batch.items() if isinstance(v, Tensor))
    return (report, *sides)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
