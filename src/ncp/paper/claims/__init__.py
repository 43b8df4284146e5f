"""Claims of the paper, each a function that measures it and gives a verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ncp.errors import UserError
from ncp.files import shown
from ncp.paper.claims import codes, others, searching, space, tables, tasks, within
from ncp.paper.claims.claim import VERDICTS, Claim, Measured
from ncp.paper.claims.lab import Lab
from ncp.progress import Progress

__all__ = ["CLAIMS", "VERDICTS", "Checked", "Claim", "Lab", "Measured", "check", "wanted"]
CLAIMS = tuple(claim for part in (searching, others, tasks, within, codes, space, tables) for claim in part.CLAIMS)


@dataclass(frozen=True)
class Checked:
    """A claim, what was measured, and how long that took in CPU seconds."""

    claim: Claim
    measured: Measured
    seconds: float


def wanted(given: Any) -> tuple[Claim, ...]:
    """The claims that a user names: true for all, null or false for none, a name, or a list of names.

    Raises:
        UserError: for a name that does not exist.
    """
    if given is True:
        return CLAIMS
    listed = given if isinstance(given, list) else [given] if given else []
    known = {claim.name: claim for claim in CLAIMS}
    for name in listed:
        if name not in known:
            raise UserError(
                f"there is no claim '{shown(name)}'; give claims=true for all, or some of {', '.join(known)}"
            )
    return tuple(known[name] for name in dict.fromkeys(listed))


def check(claims: Sequence[Claim], lab: Lab, progress: Progress | None = None) -> list[Checked]:
    """Measure claims; ``progress`` is told the part done (0..1) and a line about it."""
    out = []
    for i, claim in enumerate(claims):
        if progress is not None:
            progress(i / len(claims), f"claim {claim.name}")
        began = time.process_time()
        measured = claim.measure(lab)
        out.append(Checked(claim, measured, time.process_time() - began))
    return out
