"""Leases: who trains a unit, when that was last heard of, and when it counts as gone.

A lease is a file that others wrote, perhaps in another version or by hand. What it says is believed within bounds only: one
that cannot be read says nothing of its owner (then the heartbeat decides), a heartbeat from the future is none, and a
process that lives but is silent for long (it hangs, or is another one that has its number) is replaced all the same. That is
safe at any time: a worker that was replaced finds the newer lease and stops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from ncp import files
from ncp.campaign import schemas
from ncp.campaign.schemas import Facts, Name, Positive, Seed
from ncp.campaign.states import folder
from ncp.campaign.store import Store
from ncp.errors import UserError

LIVING = 4
"""So many times the patience may a process be silent that is known to live."""
LIMIT = 2**16

Verdict = Callable[[Mapping[str, Any]], bool | None]


class Lease(Struct):
    """What a lease may say; all of it may be missing."""

    host: Name | UnsetType = UNSET
    pid: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET
    born: Annotated[int, Meta(ge=0, le=2**63 - 1)] | UnsetType | None = UNSET
    machine: Name | UnsetType | None = UNSET
    slurm_job: Name | UnsetType = UNSET
    slurm_restart: Annotated[int, Meta(ge=0, le=10**6)] | UnsetType = UNSET
    claimed: Positive | UnsetType = UNSET
    progress: Seed | UnsetType = UNSET
    again: bool | UnsetType = UNSET


def path(name: str, generation: int) -> str:
    """The lease of a unit's generation."""
    return f"{folder(name)}/{generation}.lease"


def read(store: Store, name: str, generation: int) -> dict[str, Any]:
    """What a lease says.

    Raises:
        UserError: naming the file, where it cannot be read or says what no lease says.
    """
    file = path(name, generation)
    raw = store.read(file, LIMIT)
    if raw is None:
        return {}
    content: dict[str, Any] = schemas.decode(raw, Facts, f"the lease '{file}'")
    files.checked(content, Lease, f"the lease '{file}'")
    return content


def read_or_nothing(store: Store, name: str, generation: int) -> dict[str, Any]:
    """The same, ``{}`` where :func:`read` raises: then nothing is known of the owner."""
    try:
        return read(store, name, generation)
    except UserError:
        return {}


@dataclass(frozen=True)
class Holder:
    """Who holds a unit, as far as its lease tells.

    Attributes:
        unit, generation: whose lease it is.
        who: in words, without control characters.
        lives: whether the process lives; None where that is not known.
        silent: seconds since the last heartbeat; infinity where the file's time says nothing, None where there is no lease.
        problem: why the lease cannot be read; empty where it can.
    """

    unit: str
    generation: int
    who: str
    lives: bool | None
    silent: float | None
    problem: str = ""

    def gone(self, patience: float) -> bool:
        """Whether others may take the unit over."""
        if self.silent is None:
            return False
        return self.lives is False or self.silent > (LIVING * patience if self.lives else patience)

    def at_work(self, patience: float) -> bool:
        """Whether its process is known to live and has been heard of lately."""
        return self.lives is True and self.silent is not None and self.silent <= patience

    def words(self, patience: float) -> str:
        """One line: who holds what, and what will become of it."""
        assert self.silent is not None
        heard = "its heartbeat says nothing (from the future, or no file)"
        if math.isfinite(self.silent):
            heard = f"last heard of {self.silent:,.0f} s ago"
        state = {True: "the process lives", False: "the process is gone", None: "whether it lives is not known here"}
        limit = LIVING * patience if self.lives else patience
        next_ = "will be taken over" if self.gone(patience) else f"free in {limit - self.silent:,.0f} s of silence"
        said = [f"unit {self.unit}: {self.who}", heard, state[self.lives], next_]
        return "; ".join([*said, self.problem] if self.problem else said)


def holder(store: Store, name: str, generation: int, alive: Verdict) -> Holder:
    """Who holds a unit by this lease.

    Raises:
        UserError: where the file system does not answer.
    """
    problem, content = "", dict[str, Any]()
    try:
        content = read(store, name, generation)
    except UserError as error:
        problem = files.printable(error)
    silent = store.age(path(name, generation))
    return Holder(name, generation, _who(content), None if problem else alive(content), silent, problem)


def seconds_held(store: Store, name: str, generation: int, now: float) -> float:
    """How long a lease was held, from the claim to the last heartbeat; 0 where that is not known.

    Args:
        now: by the clock of :func:`time.time`.
    """
    claimed, silent = read_or_nothing(store, name, generation).get("claimed"), store.age(path(name, generation))
    if not isinstance(claimed, (int, float)) or silent is None or not math.isfinite(silent):
        return 0.0
    return max(0.0, now - silent - claimed)


def _who(content: Mapping[str, Any]) -> str:
    names = {"host": "", "pid": "process ", "slurm_job": "SLURM job "}
    parts = [f"{words}{files.printable(content[key])}" for key, words in names.items() if content.get(key) is not None]
    return " ".join(parts)[:300] or "an unknown worker"
