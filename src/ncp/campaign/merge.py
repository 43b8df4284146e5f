"""From records to one table in the benchmark's own format: the same records give the same file, byte by byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ncp.benchmark import importing, settings
from ncp.benchmark import store as tables
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import Refusal, Table
from ncp.campaign import checks
from ncp.campaign.checks import Anomaly
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import DONE, STOPPED, TrainingRecord
from ncp.campaign.status import UnitStatus
from ncp.campaign.store import Folder
from ncp.errors import UserError

# last part of a data set's module -> what the table says that it was trained on
BUILT_IN = {
    "digits": "built-in handwritten digits",
    "streets": "built-in street scenes",
    "lidar": "built-in LiDAR scenes",
}


@dataclass(frozen=True)
class Merged:
    """A table and what is doubtful in it."""

    table: Table
    anomalies: list[Anomaly]


def merge(plan: BuildPlan, units: Sequence[UnitStatus]) -> Merged:
    """The table of all trainings that were done.

    Failed, stopped and open units are no rows: they stand in the provenance's ``refused``, each with its reason, so that
    nobody takes them for low scores and nobody misses them.

    Args:
        units: see :func:`ncp.campaign.status.read_units`.

    Raises:
        UserError: where no training is done yet.
    """
    contents = [unit.record for unit in units if unit.record and unit.record["state"] == DONE]
    if not contents:
        raise UserError("no training is done yet; there is nothing to merge")
    setting, digest = _setting(plan), hashlib.sha256()
    rows = []
    for content in contents:
        digest.update(json.dumps(content, sort_keys=True).encode())
        rows.append(TrainingRecord.from_json(content).row())
    for row, costs in zip(rows, _costs(setting, [row["code"] for row in rows]), strict=True):
        row.update(costs)
    source = f"build {plan.setting}-{plan.hash}"
    table = importing.from_rows(rows, setting, source=source, sha256=digest.hexdigest())
    assert len(table) == len(contents), "every record of a finished training is a row"
    refused = [Refusal(int(unit.name), reason) for unit in units if (reason := why_not(unit, plan))]
    found = checks.anomalies(
        table.space, table.codes, table.column(table.main), [checks.properties(content) for content in contents]
    )
    flags, rules = dict(table.flags), dict(table.provenance.rules)
    for kept in (flags, rules):  # by a threshold of the release's table; a record says itself whether a training failed
        kept.pop("failed", None)
    if found:
        flags["suspect"] = np.logical_or.reduce([a.rows for a in found] + [table.flagged("suspect")])
        rules["suspect"] = "; ".join([*([rules["suspect"]] if "suspect" in rules else []), *(a.rule for a in found)])
    provenance = replace(
        table.provenance,
        date=max(str(content["finished"]) for content in contents),
        rows_read=len(plan),
        refused=tuple(refused),
        rules=rules,
    )
    return Merged(Table(setting, table.codes, table.columns, flags, provenance), found)


def write(plan: BuildPlan, store: Folder, merged: Merged) -> Path:
    """``<build>/<setting>.parquet``, replaced as a whole."""
    return tables.write(merged.table, store.path(f"{plan.setting}.parquet"))


def why_not(unit: UnitStatus, plan: BuildPlan) -> str | None:
    """Why a unit is no row of the table; None where it is one."""
    text = plan.architectures[int(unit.name)]
    if unit.state == DONE:
        return None
    if unit.state == STOPPED and unit.record:
        return f"{text}: stopped early: {unit.record.get('reason', '')}"[:300]
    if unit.state == "failed":
        last = unit.failures[-1]
        return f"{text}: failed {len(unit.failures)} times, last: {last.get('kind')}: {last.get('reason')}"[:300]
    return f"{text}: not trained yet ({unit.state})"


def _setting(plan: BuildPlan) -> Setting:
    """The setting, saying what it was trained on where that is not the release's data."""
    setting = settings.get(plan.setting)
    target = str((plan.training.get("data") or {}).get("_target_", ""))
    words = BUILT_IN.get(target.split(".")[-2] if "." in target else "")
    return replace(setting, dataset=words) if words else setting


def _costs(setting: Setting, codes: Sequence[Sequence[int]]) -> list[dict[str, float]]:
    """Exact costs in the units of the released table, for predictors that learn them; of 3ddet as in its one large run."""
    if setting.space != "multires":
        return [{} for _ in codes]
    from ncp.benchmark.table import PAPER_INPUT
    from ncp.spaces import cost

    codes_ND = np.array(codes)
    det3d = setting.task == "det3d"
    flops, params = cost.kitti_units(codes_ND, PAPER_INPUT) if det3d else cost.release_units(codes_ND)
    return [{"flops": float(f), "params": float(p)} for f, p in zip(flops, params, strict=True)]
