"""Who trains what: each unit is claimed by one worker at a time, resumed by another when that one dies, recorded once.

A claim is the exclusive creation of the next generation's lease: of several workers that find a unit free, or its owner dead,
exactly one gets it; a worker that was thought dead finds the newer lease and stops. The files of a unit's folder are described in
:mod:`ncp.campaign.states`.

A record that cannot be used (empty, cut off, of another architecture) is no result: whoever holds the newest lease moves it to
``<g>.damaged.json`` and trains anew. Nothing else is ever renamed or removed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncp.campaign import leases
from ncp.campaign.leases import Holder, Verdict
from ncp.campaign.reading import read_failure
from ncp.campaign.states import RECORD, UnitState, folder
from ncp.campaign.store import Store, Unusable

log = logging.getLogger(__name__)
LOST_WITHOUT_PROGRESS = 3  # so many deaths in a row, none of which left a newer checkpoint, count as a failed attempt


@dataclass
class Claim:
    """A unit that this worker may train now.

    Attributes:
        unit: its index in the plan.
        name: its name.
        generation: of the lease.
        failures: what earlier attempts failed of, oldest first.
        resume: earlier generations whose checkpoint may be taken up, newest first (none after a failure).
        lost: how many workers died on it.
    """

    unit: int
    name: str
    generation: int
    failures: list[dict[str, Any]] = field(default_factory=list)
    resume: tuple[int, ...] = ()
    lost: int = 0

    def file(self, kind: str) -> str:
        """A file of this generation."""
        return f"{folder(self.name)}/{self.generation}.{kind}"


class Worker:
    """Claims units and publishes what became of them.

    Args:
        store: the build's.
        names: of all units (``plan.units``).
        mine: units of this worker's shard, in the order in which to do them.
        me: see :func:`ncp.campaign.scheduler.liveness.identity`.
        alive: whether the owner of a lease lives; None when it cannot be known.
        patience: seconds without a heartbeat after which an owner counts as dead.
        attempts: failed attempts after which a unit is given up.
        steal: take units of other shards when the own one is done.
        progress: how far a generation's checkpoint is, a number that grows (to tell deaths without progress); 0 where unknown.
        clock: seconds, for the lease's own note of when it was taken.
        damage: why a unit's record has to be set aside, None where it is good; where not given, records are believed. Of
            other shards' units the records are believed until those units are claimed.

    Attributes:
        waiting: see :meth:`next`.
        blockers: units of the own shard that others hold, since the last :meth:`next`.
        held: the claim that this worker has not given an end to yet.
    """

    def __init__(
        self,
        store: Store,
        names: Sequence[str],
        mine: Sequence[int],
        me: Mapping[str, Any],
        alive: Verdict = lambda other: None,
        patience: float = 300.0,
        attempts: int = 2,
        steal: bool = True,
        progress: Callable[[str, int], int] = lambda name, generation: 0,
        clock: Callable[[], float] = time.time,
        damage: Callable[[int], str | None] | None = None,
    ) -> None:
        self.store, self.names, self.me, self.alive = store, names, dict(me), alive
        self.clock, self.damage = clock, damage
        self.patience, self.attempts, self.progress = patience, attempts, progress
        own = set(mine)
        # others' units from the back: their owners come from the front
        first = mine[0] if mine else 0
        others = [i for i in range(len(names)) if i not in own] if steal else []
        self.mine, self.others = list(mine), others[first:] + others[:first]
        self.waiting = False
        self.blockers: list[Holder] = []
        self.held: Claim | None = None
        self._own = own
        self._over: set[int] = set()

    def next(self) -> Claim | None:
        """The next unit to train; None when there is none now. Then ``waiting`` says whether one of the shard's own is still
        in the hands of another worker, which may die.
        """
        self.waiting, self.blockers = False, []
        for unit in self._left(self.mine):
            if claim := self._try(unit):
                return claim
            self.waiting = self.waiting or unit not in self._over
        for unit in self._left(self.others):
            if claim := self._try(unit):
                self.waiting = False
                return claim
        return None

    def _left(self, units: Sequence[int]) -> Iterator[int]:
        return (unit for unit in units if unit not in self._over)

    def _try(self, unit: int) -> Claim | None:
        name = self.names[unit]
        try:
            state = UnitState.of(self.store.names(folder(name)))
        except Unusable as error:  # nothing can be read or written there; the other units go on
            log.warning("unit %s is left out: %s", name, error)
            self._over.add(unit)
            return None
        again = state.recorded and unit in self._own and self._damaged(unit) is not None
        if len(state.failures) >= self.attempts or (state.recorded and not again):
            self._over.add(unit)
            return None
        if not self._free(unit, state, again):
            return None
        claim = self._claim(unit, state, again)
        if claim is None or again or not self._hopeless(claim, state):
            return claim
        self.fail(claim, {"kind": "lost", "reason": f"its process died {LOST_WITHOUT_PROGRESS} times without progress"})
        return self._try(unit)

    def _free(self, unit: int, state: UnitState, again: bool) -> bool:
        """Whether nobody holds a unit, or its holder has gone."""
        name, generation = self.names[unit], state.generation
        if generation < 0 or state.closed:
            return True
        if again and not leases.read_or_nothing(self.store, name, generation).get("again"):
            return True  # the lease of the one that left the damaged record: it was done
        holder = leases.holder(self.store, name, generation, self.alive)
        if holder.gone(self.patience):
            return True
        if unit in self._own and holder.silent is not None:
            self.blockers.append(holder)
        return False

    def _claim(self, unit: int, state: UnitState, again: bool) -> Claim | None:
        name, generation = self.names[unit], state.generation + 1
        usable = state.open
        progress = max((self.progress(name, g) for g in usable), default=0)
        claim = Claim(unit, name, generation, resume=tuple(reversed(usable)), lost=len(state.lost))
        words = {**self.me, "claimed": self.clock(), "progress": progress} | ({"again": True} if again else {})
        self.held = claim
        if not self.store.create(claim.file("lease"), _json(words)):
            self.held = None
            return None
        after = UnitState.of(self.store.names(folder(name)))
        good = after.recorded and not self._set_aside(claim)
        if good or len(after.failures) >= self.attempts:  # published between the look and the claim
            self._over.add(unit)
            self.release(claim)
            return None
        claim.failures = [read_failure(self.store, name, file) for file in after.failures]
        return claim

    def _damaged(self, unit: int) -> str | None:
        return self.damage(unit) if self.damage is not None else None

    def _set_aside(self, claim: Claim) -> bool:
        """Give a damaged record, looked at again under the claim, another name; False where it is good."""
        reason = self._damaged(claim.unit)
        if reason is None:
            return False
        self.store.move(f"{folder(claim.name)}/{RECORD}", claim.file("damaged.json"))
        log.warning("unit %s is trained again: %s; set aside as '%s'", claim.name, reason, claim.file("damaged.json"))
        return True

    def _hopeless(self, claim: Claim, state: UnitState) -> bool:
        """Whether the last owners all died, and none of them got further than the one before."""
        lost = [g for g in state.open if g in state.lost or (g == state.generation and not state.closed)]
        read = [leases.read_or_nothing(self.store, claim.name, g) for g in (*lost, claim.generation)]
        marks = [content.get("progress", 0) for content in read]
        return len(lost) >= LOST_WITHOUT_PROGRESS and len(set(marks[-LOST_WITHOUT_PROGRESS - 1 :])) == 1

    def beat(self, claim: Claim) -> bool:
        """Show that this worker lives; False when another one has taken the unit over: then stop."""
        if not self.owns(claim):
            return False
        self.store.touch(claim.file("lease"))
        return True

    def owns(self, claim: Claim) -> bool:
        """Whether no newer lease exists."""
        return UnitState.of(self.store.names(folder(claim.name))).generation == claim.generation

    def record(self, claim: Claim, content: Mapping[str, Any]) -> bool:
        """Publish the result; False when the unit was taken over, or has one already."""
        self._over.add(claim.unit)
        told = self.owns(claim) and self.store.create(f"{folder(claim.name)}/{RECORD}", _json(content))
        self.held = None
        return told

    def fail(self, claim: Claim, content: Mapping[str, Any]) -> None:
        """Publish that this attempt failed; ``content`` holds ``kind`` and ``reason``."""
        self.store.create(claim.file(f"failed.{len(claim.failures)}.json"), _json(content))
        self.held = None

    def release(self, claim: Claim) -> None:
        """Hand the unit back, to be resumed by whoever comes next."""
        self.store.create(claim.file("released.json"), _json({"worker": self.me}))
        self.held = None

    def leave(self) -> None:
        """Hand back what this worker holds, if anything: it was told to end."""
        claim = self.held
        if claim is not None:
            lease = leases.read_or_nothing(self.store, claim.name, claim.generation)
            if all(lease.get(key) == value for key, value in self.me.items()):  # not another's, created a moment before
                self.release(claim)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, allow_nan=False) + "\n").encode()
