"""Free units whose holder does not come back: ``action=release``.

The files of the dead are not touched: a note beside them hands the unit back, as a worker does before a time limit. Should the
holder live after all, it loses the unit to whoever takes it next, finds that out at its next heartbeat, and stops.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ncp import files
from ncp.campaign.plan import BuildPlan
from ncp.campaign.scheduler import liveness
from ncp.campaign.states import folder
from ncp.campaign.status import UnitStatus
from ncp.campaign.store import Store
from ncp.errors import UserError


def chosen(wanted: Any, plan: BuildPlan) -> list[int] | None:
    """The units that ``units=...`` names: numbers, a list of them, ``all``; None where it names none.

    Raises:
        UserError: for anything else, or a number that the plan does not have.
    """
    if wanted is None:
        return None
    if wanted == "all":
        return list(range(len(plan)))
    out = []
    for item in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
        text = str(item)
        number = int(text) if text.isdecimal() and text.isascii() and len(text) <= 9 else -1
        if isinstance(item, bool) or not 0 <= number < len(plan):
            raise UserError(
                f"units must be all, a unit's number within 0..{len(plan) - 1}, or a list of numbers; given was "
                f"{files.printable(item)[:40]}"
            )
        out.append(number)
    return out


def release(
    plan: BuildPlan, store: Store, units: Sequence[UnitStatus], wanted: Sequence[int] | None = None
) -> list[str]:
    """Hand units back.

    Args:
        plan, store: of the build, for writing.
        units: see :func:`ncp.campaign.status.read_units`.
        wanted: those to free, also where their holder seems to live; None for all that are silent.

    Returns:
        The names of those that were freed.

    Raises:
        UserError: where one that is named is held by nobody, or the folder cannot be written.
    """
    if wanted is None:
        those = [unit for unit in units if unit.state == "silent"]
    else:
        those = [units[number] for number in wanted]
        if len(those) < len(units) and (free := [unit for unit in those if unit.holder is None]):
            raise UserError(
                f"unit {free[0].name} is held by nobody, it is {free[0].state}; action=status names those that are"
            )
    me = liveness.identity()
    freed = []
    for unit in those:
        if unit.holder is not None:
            note = json.dumps({"worker": me, "reason": "action=release"}) + "\n"
            if store.create(f"{folder(unit.name)}/{unit.holder.generation}.released.json", note.encode()):
                freed.append(unit.name)
    return freed
