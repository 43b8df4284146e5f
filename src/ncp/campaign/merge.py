"""From records to one table in the benchmark's own format: the same records give the same file, byte by byte."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ncp import files
from ncp.benchmark import importing, settings
from ncp.benchmark import store as tables
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import Refusal, Table
from ncp.campaign import checks, schemas
from ncp.campaign.checks import Anomaly
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import DONE, STOPPED, TrainingRecord
from ncp.campaign.status import UnitStatus
from ncp.campaign.store import Folder
from ncp.errors import UserError


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
    records = [unit.record for unit in units if unit.record and unit.state == DONE]
    if not records:
        raise UserError("no training is done yet; there is nothing to merge")
    setting, digest = _setting(plan, records), hashlib.sha256()
    odd = {int(record.unit): _other_overlap(record, setting) for record in records}
    records = [record for record in records if not odd[int(record.unit)]]
    rows = []
    for record in records:
        digest.update(schemas.encode(record))
        rows.append(record.row())
    for row, costs in zip(rows, _costs(setting, [row["code"] for row in rows]), strict=True):
        row.update(costs)
    source = f"build {plan.setting}-{plan.hash}"
    table = importing.from_rows(rows, setting, source=source, sha256=digest.hexdigest())
    # a record that is no row after all is told like any other unit that is none
    unusable = {unit: reason for unit, reason in odd.items() if reason}
    unusable |= {int(records[refusal.row].unit): refusal.reason for refusal in table.provenance.refused}
    records = [record for record in records if int(record.unit) not in unusable]
    refused = [
        Refusal(int(unit.name), reason)
        for unit in units
        if (reason := unusable.get(int(unit.name)) or why_not(unit, plan)) is not None
    ]
    found = checks.anomalies(
        table.space, table.codes, table.column(table.main), [checks.properties(record) for record in records]
    )
    flags, rules = dict(table.flags), dict(table.provenance.rules)
    for kept in (flags, rules):  # by a threshold of the release's table; a record says itself whether a training failed
        kept.pop("failed", None)
    if found:
        flags["suspect"] = np.logical_or.reduce([a.rows for a in found] + [table.flagged("suspect")])
        rules["suspect"] = "; ".join([*([rules["suspect"]] if "suspect" in rules else []), *(a.rule for a in found)])
    provenance = replace(
        table.provenance,
        date=max(records, key=TrainingRecord.finished_at).finished,
        rows_read=len(plan),
        refused=tuple(refused),
        rules=rules,
    )
    return Merged(Table(setting, table.codes, table.columns, flags, provenance), found)


def write_table(plan: BuildPlan, store: Folder, merged: Merged, instead: Path | None = None) -> Path:
    """``<build>/<setting>.parquet``, replaced as a whole.

    Args:
        instead: where the table goes when the build's folder cannot be written (another user's, or an archive).

    Raises:
        UserError: where it can be written nowhere.
    """
    name = files.safe_name(plan.setting.replace("/", "-"), "setting") + ".parquet"
    if instead is not None and not os.access(store.root, os.W_OK):
        return tables.write(merged.table, instead / name)
    return tables.write(merged.table, store.path(name))


def why_not(unit: UnitStatus, plan: BuildPlan) -> str | None:
    """Why a unit is no row of the table; None where it is one."""
    text = plan.architectures[int(unit.name)]
    if unit.state == DONE:
        return None
    reason = f"not trained yet ({unit.state})"
    if unit.state == STOPPED and unit.record:
        reason = f"stopped early: {unit.record.reason}"
    elif unit.state == "failed" and unit.failures:
        last = unit.failures[-1]
        reason = f"failed {len(unit.failures)} times, last: {last.get('kind')}: {last.get('reason')}"
    elif unit.state == "blocked":
        reason = f"not trained: {unit.problem}"
    elif unit.state == "damaged":
        reason = f"its record cannot be used and will be made again: {unit.problem}"
    return files.printable(f"{text}: {reason}")[:300]


def _setting(plan: BuildPlan, records: Sequence[TrainingRecord]) -> Setting:
    """The setting, saying what it was trained on where that is not the release's data."""
    setting = settings.get(plan.setting)
    words = next((record.dataset for record in records if record.dataset), "")
    stated = [record.min_overlap for record in records if record.min_overlap]
    overlap = max(stated, key=stated.count) if stated else {} if words else setting.min_overlap
    return replace(setting, dataset=words or setting.dataset, min_overlap=overlap)


def _other_overlap(record: TrainingRecord, setting: Setting) -> str:
    """Why a record's figures are of another metric than the table's, though they have its name; empty where they are not."""
    if not record.min_overlap or record.min_overlap == setting.min_overlap:
        return ""
    both = (
        ", ".join(f"{name} {value:g}" for name, value in o.items()) for o in (record.min_overlap, setting.min_overlap)
    )
    return files.printable("its boxes count as found from IoU {}, those of this table from {}".format(*both))[:300]


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
