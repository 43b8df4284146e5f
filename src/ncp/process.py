"""What this process has of its machine, and what those that it starts inherit. Standard library alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

SIDE_BY_SIDE = "NCP_SIDE_BY_SIDE"  # the variable that tells a process how many like it were started


def own_cores() -> frozenset[int]:
    """The cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def side_by_side() -> int:
    """How many processes that do the same share this one's cores, as the one that started them has said; 1 where none has."""
    said = os.environ.get(SIDE_BY_SIDE, "")
    return max(1, int(said)) if said.isdecimal() else 1


def free_memory_mb() -> float:
    """MiB that programs can still get, within the limits of this group of processes (containers, SLURM)."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").is_file() else []
    free = next((int(line.split()[1]) / 2**10 for line in lines if line.startswith("MemAvailable")), 4096.0)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return free
    return free if limit == "max" else min(free, (int(limit) - used) / 2**20)


@contextlib.contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """Let this process get at most ``more`` further bytes: beyond them its allocations fail, where Linux counts them.

    Address space is what is counted, as the kernel hands out no other limit of a process's own; what a GPU's driver reserves
    has no room in it.
    """
    try:
        import resource

        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):  # another system
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    unlimited = resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (min([held + more, *(n for n in (soft, hard) if n != unlimited)]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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
