"""What the names in a unit's folder say of it.

The folder holds write-once files, numbered by generation: ``<g>.lease`` (who works; its time is the heartbeat),
``<g>.failed.<a>.json`` (attempt a failed; two workers that overlapped may both say so of the same attempt),
``<g>.released.json`` (handed back, for example before a time limit), ``<g>.damaged.json`` (a record that could not be used, set
aside under lease g) and ``record.json``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

UNITS = "units"
RECORD = "record.json"
_FILE = re.compile(
    r"(?P<generation>0|[1-9][0-9]{0,8})\.(?P<kind>lease|released|failed|damaged)(\.(?P<attempt>[0-9]{1,9}))?(\.json)?"
)


def folder(name: str) -> str:
    """A unit's folder."""
    return f"{UNITS}/{name}"


@dataclass(frozen=True)
class UnitState:
    """What a unit's folder says.

    Attributes:
        recorded: there is a result.
        generation: the newest lease's, -1 for none. Generations have no gaps: a lease whose number is too high is nobody's.
        closed: the newest generation failed or was handed back.
        failures: the file of each attempt that failed, in their order.
        failed: the newest generation that failed, -1 for none.
        lost: generations that ended without a word, ascending (the newest one not counted while it is open).
    """

    recorded: bool
    generation: int
    closed: bool
    failures: tuple[str, ...]
    failed: int
    lost: tuple[int, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> UnitState:
        """From the names in the folder."""
        found, ended, failures = set[int](), set[int](), dict[int, tuple[int, str]]()
        for name in names:
            if match := _FILE.fullmatch(name):
                generation = int(match["generation"])
                # the one before it left the record that was set aside
                ended_with = generation - 1 if match["kind"] == "damaged" else generation
                (found if match["kind"] == "lease" else ended).add(ended_with)
                if match["kind"] == "failed":
                    attempt = int(match["attempt"] or 0)
                    failures[attempt] = min(failures.get(attempt, (generation, name)), (generation, name))
        newest = next(generation for generation in itertools.count() if generation not in found) - 1
        return cls(
            recorded=RECORD in names,
            generation=newest,
            closed=newest in ended,
            failures=tuple(name for _, (_, name) in sorted(failures.items())),
            failed=min(max((generation for generation, _ in failures.values()), default=-1), newest),
            lost=tuple(sorted(generation for generation in found - ended if generation < newest)),
        )

    @property
    def open(self) -> range:
        """Generations after the last failure, whose checkpoints may be taken up (none has a number without its lease)."""
        return range(self.failed + 1, self.generation + 1)
