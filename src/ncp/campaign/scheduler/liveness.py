"""Who a worker is, and whether another one still lives. Where that cannot be known, its heartbeat decides."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def identity() -> dict[str, Any]:
    """What others need to judge this process: machine, process and, on SLURM, the job and how often it was requeued."""
    out: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}
    out["machine"] = _machine()
    if job := os.environ.get("SLURM_JOB_ID"):
        array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
        out["slurm_job"] = f"{array}_{task}" if array and task else job
        restarts = os.environ.get("SLURM_RESTART_COUNT", "")
        out["slurm_restart"] = int(restarts) if restarts.isdecimal() else 0
    return out


def alive(other: Mapping[str, Any], me: Mapping[str, Any]) -> bool | None:
    """Whether the process ``other`` still works, as far as ``me`` can tell; None: ask its heartbeat.

    A requeued SLURM job knows that its former incarnation is gone; a process of the same machine (and the same namespace of
    processes) can be looked up. What ``other`` says is believed where it has the types of :func:`identity`, else it is nothing.
    """
    same_job = other.get("slurm_job") and other.get("slurm_job") == me.get("slurm_job")
    restarts = other.get("slurm_restart", 0), me.get("slurm_restart", 0)
    if same_job and all(type(restart) is int for restart in restarts) and restarts[0] < restarts[1]:
        return False
    pid = other.get("pid")
    if other.get("machine") and other.get("machine") == me.get("machine") and type(pid) is int and 0 < pid < 2**31:
        born = _born(pid)
        return born is not None and born == other.get("born")
    return None


def _machine() -> str | None:
    """This boot of this machine and its namespace of processes; None where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _born(pid: int) -> int | None:
    """When a process started, in the kernel's ticks; None when there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
