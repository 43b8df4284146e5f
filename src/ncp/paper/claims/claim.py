"""What a claim of the paper is, and what measuring it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ncp.paper.claims.lab import Lab

HOLDS, PART, NOT, UNKNOWN = "holds", "holds in part", "does not hold", "cannot be told here"
VERDICTS = (HOLDS, PART, NOT, UNKNOWN)


@dataclass(frozen=True)
class Measured:
    """A verdict, what was measured in words, and the same as numbers.

    Attributes:
        verdict: one of :data:`VERDICTS`.
        text: with the spread over seeds.
        figures: name -> number.
    """

    verdict: str
    text: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A claim.

    Attributes:
        name: as the command names it.
        where: the section of the paper.
        text: what it says, in one line.
        measure: measures it.
    """

    name: str
    where: str
    text: str
    measure: Callable[[Lab], Measured]


def verdict(good: bool, some: bool = False) -> str:
    """Holds where all is as claimed, in part where some of it is."""
    return HOLDS if good else PART if some else NOT
