"""Batches that are on their way to the GPU, and get their colours there, while the one before is worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor


class Side(Protocol):
    """A stream beside the one that computes."""

    def bring(self, batch: Any) -> Any:
        """Begin to copy a batch to the device; returns what it will be there."""

    def arrived(self, batch: Any) -> Any:
        """The same batch for those who compute: what they do next waits for the copy, on the device."""


class CudaSide:
    """Copies on a CUDA stream of their own; batches must lie in pinned memory, else the host waits for each.

    Args:
        device: a GPU.
        stay: entries of a batch that are read on the host: taken back from the device, they would make it wait.
        finish: what is done to a batch once it is there, on the same stream.
    """

    def __init__(
        self, device: torch.device, stay: Sequence[str] = (), finish: Callable[[Any], Any] = lambda batch: batch
    ) -> None:
        self.device, self.stay, self.finish = device, stay, finish
        self.stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def bring(self, batch: Any) -> Any:
        """See :class:`Side`."""
        with torch.cuda.stream(self.stream):
            there = _each(batch, lambda one: one.to(self.device, non_blocking=True), self.stay)
            return self.finish(there)

    def arrived(self, batch: Any) -> Any:
        """See :class:`Side`."""
        computing = torch.cuda.current_stream(self.device)
        computing.wait_stream(self.stream)

        def in_use(one: Tensor) -> Tensor:
            one.record_stream(computing)  # its memory is not given to a later copy before it was read
            return one

        return _each(batch, in_use, self.stay)


def _each(value: Any, change: Callable[[Tensor], Tensor], but: Sequence[str] = ()) -> Any:
    """The same tree of dictionaries, lists and tuples with every tensor changed, ``but`` those entries of a dictionary."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: item if key in but else _each(item, change, but) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        changed = [_each(item, change, but) for item in value]
        return type(value)(*changed) if hasattr(value, "_fields") else type(value)(changed)
    return value


def ahead(batches: Iterable[Any], side: Side) -> Iterator[Any]:
    """``batches`` in their order, each brought to the device while the one before it is worked on."""
    coming: Any = None
    some = False
    for batch in batches:
        if some:
            # before the next copy begins, so that computing waits for this batch's alone
            ready = side.arrived(coming)
            coming = side.bring(batch)
            yield ready
        else:
            coming, some = side.bring(batch), True
    if some:
        yield side.arrived(coming)
