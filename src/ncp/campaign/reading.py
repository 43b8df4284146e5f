"""Records and failures as they are read back: whole, of this plan, and usable as a row; or what is wrong with them.

A record that cannot be used is no result. It is set aside by the next worker that meets it (``ncp.campaign.units``) and its
architecture is trained again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from msgspec import Struct

from ncp import files, spaces
from ncp.benchmark import settings
from ncp.campaign import schemas
from ncp.campaign.plan import BuildPlan
from ncp.campaign.records import DONE, FORMAT, TrainingRecord, check_metrics
from ncp.campaign.schemas import Facts, Name, Notes, Positive, Seed, Words
from ncp.campaign.states import RECORD, UNITS, folder
from ncp.campaign.store import Store, Unusable, inside
from ncp.errors import UserError

log = logging.getLogger(__name__)


class Damaged(UserError):
    """A record that cannot be used; its training has to be done again."""


class OtherVersion(UserError):
    """A record of another version of this program, which is not ours to judge."""


class _Header(Struct):
    format: str = ""


class Failure(Struct):
    """What is written down about an attempt that failed; of old or foreign files much may be missing."""

    kind: Name = "unknown"
    reason: Words = ""
    where: Name = ""
    seed: Seed = 0
    seconds: Positive = 0.0
    worker: Facts = {}
    versions: Facts = {}
    finished: Name = ""


def path(name: str) -> str:
    """A unit's record."""
    return f"{folder(name)}/{RECORD}"


def parse(raw: bytes, where: str) -> TrainingRecord:
    """A record of this format.

    Raises:
        OtherVersion: for a record of another version's format.
        Damaged: naming ``where``, for anything else.
    """
    try:
        header: _Header = schemas.decode(raw, _Header, where)
        other = re.fullmatch(r"ncp-record-[0-9]{1,6}", header.format)
        if other and header.format != FORMAT:
            raise OtherVersion(f"{where} is of the format {header.format}; this version reads {FORMAT}")
        if not other:
            raise UserError(f"{where} cannot be used: it is not of the format {FORMAT}")
        record: TrainingRecord = schemas.decode(raw, TrainingRecord, where)
        record.finished_at()
    except OtherVersion:
        raise
    except UserError as error:
        raise Damaged(str(error)) from None
    except (ValueError, OverflowError):
        raise Damaged(f"{where} cannot be used: it does not say when the training ended") from None
    return record


def read(plan: BuildPlan, store: Store, unit: int) -> TrainingRecord | None:
    """A unit's record, None where there is none.

    Raises:
        Damaged: where it is no record of this unit that can be a row.
        UserError: where the file system does not answer, or another version wrote it.
    """
    name = plan.units[unit]
    where = f"the record '{path(name)}'"
    try:
        raw = store.read(path(name))
    except Unusable as error:
        raise Damaged(str(error)) from None
    if raw is None:
        return None
    record = parse(raw, where)
    text = plan.architectures[unit]
    if (record.unit, record.setting, record.architecture) != (name, plan.setting, text):
        raise Damaged(f"{where} cannot be used: it is of another unit, setting or architecture than the plan says")
    setting = settings.get(plan.setting)
    try:
        if tuple(record.code) != _code(setting.space, text):
            raise UserError(f"its code is not that of {text}")
        if record.checkpoint is not None:
            inside(record.checkpoint)
        if record.state == DONE:
            check_metrics(record.metrics, setting)
    except UserError as error:
        raise Damaged(f"{where} cannot be used: {error}") from None
    return record


def usable(plan: BuildPlan, store: Store, units: Iterable[int]) -> Iterator[tuple[int, TrainingRecord]]:
    """Those of ``units``, in their order, that have a record which can be used, and the records.

    One look at the build's folder tells which units were begun, of thousands perhaps a few; of the others nothing is asked.
    """
    begun = set(store.names(UNITS))
    for unit in units:
        if plan.units[unit] in begun:
            try:
                record = read(plan, store, unit)
            except (Damaged, OtherVersion):
                continue
            if record is not None:
                yield unit, record


@lru_cache(maxsize=4096)
def _code(space: str, text: str) -> tuple[int, ...]:
    return tuple(spaces.of_text(spaces.get(space), text).code)


def damage(plan: BuildPlan, store: Store, unit: int) -> str | None:
    """Why a unit's record has to be set aside; None where it is good, absent, or another version's."""
    try:
        read(plan, store, unit)
    except Damaged as error:
        return str(error)
    except OtherVersion as error:
        log.warning("%s; it is left as it is", error)
    return None


def read_failure(store: Store, name: str, file: str) -> dict[str, Any]:
    """What is known of a failed attempt; where its file cannot be read, that, as its ``reason``."""
    where = f"{folder(name)}/{file}"
    try:
        raw = store.read(where)
        if raw is None:
            raise UserError(f"'{where}' is gone")
        content: dict[str, Any] = schemas.decode(raw, Notes, f"'{where}'")
        files.checked(content, Failure, f"'{where}'")
    except UserError as error:
        return {"kind": "unknown", "reason": str(error)}
    return content
