"""Several trainings on one device: small networks leave a big one idle.

``build.per_device=auto`` trains one unit alone, the dearest of the shard, and takes its peak memory as that of any: so many
trainings run at a time as fit into nine tenths of the memory that is free, at most one a core and at most ``MOST``. Each is a
process of its own, so a crash takes down no other.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from multiprocessing import connection
from pathlib import Path
from typing import Any

from ncp import signals, terminal
from ncp.campaign import reading
from ncp.campaign.halting import Deadline
from ncp.campaign.options import BuildOptions
from ncp.campaign.plan import BuildPlan
from ncp.campaign.states import UNITS
from ncp.campaign.store import Folder
from ncp.campaign.work import work
from ncp.errors import UserError
from ncp.process import SIDE_BY_SIDE, environment, free_memory_mb, own_cores

log = logging.getLogger(__name__)
MOST = 8
ENOUGH = 20
SHARE = 0.9  # of the free memory
CONTEXT_MB = 600.0  # what a process takes of a GPU before its first tensor
PATIENCE = 30.0  # seconds that a process has to hand back what it trains
RESTARTS = 3  # of a process that crashed; a unit that crashes every process is given up by its own rule


def run(options: BuildOptions, plan: BuildPlan, store: Folder) -> int:
    """Train this shard, one unit at a time or several; how many. What is all done already starts nothing.

    Raises:
        UserError: as :func:`ncp.campaign.work.work`, or when a process fails for another reason than its user.
    """
    per_device, hours, after = options.build.per_device or 1, options.build.hours, options.build.after
    end = math.inf if hours is None else time.time() + 3600 * hours

    def each(at_a_time: int) -> Callable[..., object]:
        return work if hours is None else partial(work, deadline=Deadline(end, after, at_a_time))

    def fit_here() -> int:
        return how_many(plan, store, plan.shards(options.shards)[options.shard])

    if _all_done(plan, store):
        return fit_here() if per_device == "auto" else per_device
    if per_device == "auto":
        each(1)(options, plan, store, most=1)
        per_device = fit_here()
        log.info("build.per_device=auto: %d at a time", per_device)
    if per_device == 1:
        each(1)(options, plan, store)
    else:
        side_by_side(options, plan, store, per_device, each(per_device))
    return per_device


def _all_done(plan: BuildPlan, store: Folder) -> bool:
    """Whether every unit of all rounds has its record; none is read before all were begun."""
    if len(store.names(UNITS)) < plan.total:
        return False
    return sum(1 for _ in reading.usable(plan, store, range(len(plan)))) == plan.total


def how_many(plan: BuildPlan, store: Folder, shard: Sequence[int]) -> int:
    """Trainings that fit on this machine's device at a time, by the peaks that are recorded; 1 before there are any.

    Args:
        shard: units of this worker, whose records are read first; a large build has thousands, of which ``ENOUGH`` do.
    """
    import torch

    gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if gpu else "cpu"
    peaks: list[float] = []
    for _, record in reading.usable(plan, store, dict.fromkeys([*shard, *range(len(plan))])):
        if record.device.get("name") == device:
            peaks.append(record.peak_memory_mb)
        if len(peaks) == ENOUGH:
            break
    if not peaks:
        return 1
    free = torch.cuda.mem_get_info()[0] / 2**20 if gpu else free_memory_mb()
    return fitting(free, max(peaks) + (CONTEXT_MB if gpu else 0.0), len(own_cores()))


def fitting(free_mb: float, peak_mb: float, cores: int) -> int:
    """How many of ``peak_mb`` fit into ``free_mb``, at least 1, at most one a core.

    >>> fitting(80_000, 6_000, 16), fitting(80_000, 50_000, 16), fitting(80_000, 100, 2)
    (8, 1, 2)
    """
    return max(1, min(int(SHARE * free_mb // max(peak_mb, 1.0)), cores, MOST))


def side_by_side(
    options: BuildOptions, plan: BuildPlan, store: Folder, number: int, each: Callable[..., object] = work
) -> None:
    """``number`` processes over the same shard; each takes whatever is next. They end with this one, however it ends.

    Args:
        each: what each process does, called as :func:`ncp.campaign.work.work` is.

    Raises:
        UserError: for a user's mistake that one of them met, or when they crash again and again.
        KeyboardInterrupt: for a signal to end (:mod:`ncp.signals`).
    """
    context = multiprocessing.get_context("spawn")
    threads = str(max(1, len(own_cores()) // number))
    mine = len(plan.shards(options.shards)[options.shard])
    errors = context.SimpleQueue()
    processes: dict[int, Any] = {}

    def start(slot: int) -> None:
        first = slot % max(1, mine)
        arguments = (each, options, plan, store.root, first, errors, multiprocessing.get_start_method())
        process = context.Process(target=_slot, args=arguments, name=f"slot-{slot}")
        with signals.leaving():  # none is started that would not be ended
            process.start()
            processes[slot] = process
        signals.check()

    with signals.handled(yielding=True), environment(**{"OMP_NUM_THREADS": threads, SIDE_BY_SIDE: str(number)}):
        try:
            for slot in range(number):
                start(slot)
            _wait(processes, start)
        finally:
            with signals.leaving():
                _end(processes.values())
        signals.check()
    if not errors.empty():
        raise UserError(errors.get())


def _wait(processes: Mapping[int, Any], start: Callable[[int], None]) -> None:
    """Until all have ended by themselves; one that crashed, or that somebody ended alone, begins anew, a few times."""
    restarts = 0
    while running := {slot: p for slot, p in processes.items() if p.is_alive() or p.exitcode != 0}:
        for slot, process in running.items():
            process.join(timeout=0.2)
            signals.check()
            if not process.exitcode:  # still at work, or done
                continue
            if process.exitcode == 2:  # a user's mistake: it was told through the queue
                return
            if restarts >= RESTARTS * len(processes):
                raise UserError(f"the processes of this worker crash again and again (exit code {process.exitcode})")
            restarts += 1
            log.warning("a training's process ended with exit code %s; it begins anew", process.exitcode)
            start(slot)


def _end(processes: Iterable[Any]) -> None:
    """Ask all to end, and make them after a while."""
    living = [process for process in processes if process.is_alive()]
    for process in living:
        process.terminate()
    end = time.monotonic() + PATIENCE
    for process in living:
        process.join(max(0.1, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _slot(
    each: Callable[..., object],
    options: BuildOptions,
    plan: BuildPlan,
    root: Path,
    first: int,
    errors: Any,
    method: str,
) -> None:
    """One process of several; its loaders start by the same ``method`` as those of a process alone, not by how it was started
    itself: each would import everything anew for every training."""
    multiprocessing.set_start_method(method, force=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[terminal.Lines()])
    if first:  # what there is to say of the data the first one says
        logging.getLogger("ncp.data").setLevel(logging.WARNING)
    try:
        with signals.handled():
            _end_with_parent()
            each(options, plan, Folder(root), first)
    except KeyboardInterrupt as stop:
        sys.exit(signals.exit_code(stop))
    except UserError as error:
        errors.put(str(error))
        sys.exit(2)


def _end_with_parent() -> None:
    """Send this process a SIGTERM when the one that started it has gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="parent").start()
