"""Reading ahead: several threads read and prepare inputs while the network works; what cannot be read is told, not raised."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from ncp.data.video_index import CorruptVideo
from ncp.errors import UserError
from ncp.inference.inputs import Input

T = TypeVar("T")
Work = Callable[[], T]


class Failed(NamedTuple):
    """An input that cannot be used, and why."""

    input: Input
    reason: str


def ahead(work: Iterable[tuple[Input, Work[T]]], threads: int, most: int) -> Iterator[tuple[Input, T | Failed]]:
    """The results of ``work`` in its order, each beside its input.

    Args:
        work: inputs and what is to be done with each, which may raise ``UserError`` or :class:`CorruptVideo`.
        threads: how many work.
        most: results that may wait.
    """
    waiting: deque[tuple[Input, Future[T | Failed]]] = deque()
    pool = ThreadPoolExecutor(max(1, threads))
    with warnings.catch_warnings():  # readers set filters, which are all threads', and put them back in any order
        try:
            for given, one in work:
                waiting.append((given, pool.submit(_done, given, one)))
                if len(waiting) >= most:
                    first, result = waiting.popleft()
                    yield first, result.result()
            while waiting:
                first, result = waiting.popleft()
                yield first, result.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _done(given: Input, one: Work[T]) -> T | Failed:
    try:
        return one()
    except UserError as error:
        return Failed(given, str(error))
    except CorruptVideo as error:
        return Failed(given, f"the video {error}")
    except MemoryError:
        return Failed(given, "it does not fit into memory")


def batches(items: Iterable[T], most: int | Callable[[T], int], same: Callable[[T], object]) -> Iterator[list[T]]:
    """Neighbours that are alike, at most ``most`` together (of a kind, where that is a function).

    >>> list(batches([1, 1, 1, 2, 1], 2, same=lambda n: n))
    [[1, 1], [1], [2], [1]]
    """
    batch: list[T] = []
    for item in items:
        limit = most(item) if callable(most) else most
        if batch and (len(batch) >= limit or same(batch[0]) != same(item)):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
