"""What this process has of its machine, and what those that it starts inherit. Standard library alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def own_cores() -> frozenset[int]:
    """The cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables, for processes that are started from here too, and put the old ones back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
