"""Recording what a device does, to have it do the same again by one call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import torch

T = TypeVar("T")


class Capture(Protocol):
    """Something that records work on a device.

    What is recorded always reads and writes the same memory: inputs must lie in tensors that stay, outputs lie in the tensors
    that the work returned. Numbers of Python are fixed when it is recorded.
    """

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """Within, work runs as it will be recorded (on a stream of its own), but is not recorded."""

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Record ``work`` without doing it: what does it, and what it returns.

        Raises:
            RuntimeError: where it holds something that cannot be recorded, such as waiting for the device.
        """


class CudaGraphs:
    """:class:`torch.cuda.CUDAGraph`, on a stream and in a memory pool that all records of a training share.

    They may share it: one runs at a time, and nobody reads what one has written once another has run.

    Args:
        device: a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.pool: Any = torch.cuda.graph_pool_handle()
        self.inside = False

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """See :class:`Capture`."""
        if self.inside:
            yield
            return
        outer = torch.cuda.current_stream()
        self.stream.wait_stream(outer)
        self.inside = True
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            self.inside = False
            outer.wait_stream(self.stream)

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """See :class:`Capture`. Threads that pin memory for the loader go on meanwhile."""
        graph = torch.cuda.CUDAGraph()
        recording = torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local")
        generator: Any = torch.cuda.default_generators[self.device.index or 0]
        before = generator.clone_state()
        try:
            with recording:
                out = work()
        except RuntimeError:
            # what failed leaves random numbers and the allocator as if it still went on
            generator.graphsafe_set_state(before.graphsafe_get_state())
            with contextlib.suppress(RuntimeError, AttributeError):
                torch._C._cuda_endAllocateToPool(self.device.index or 0, self.pool)
            raise
        return graph.replay, out


def as_recorded(kind: str) -> torch.autocast:
    """The precision at hand, as recorded work must run in it: weights are converted within, not kept from outside.

    Steps before a recording run in it too, so that what is compiled for them is what the recording finds.

    Args:
        kind: of device.
    """
    return torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), cache_enabled=False)
