"""What a file of a table says of its rows, in every format: the setting, where they come from; and how rows are checked.

A file may come from anyone: its texts are made printable, names of ours mean what they mean here, and codes and numbers are
checked as those of an import.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ncp import files, spaces
from ncp.benchmark import settings
from ncp.benchmark.settings import Setting
from ncp.benchmark.table import Provenance, Table
from ncp.benchmark.writing import FORMAT
from ncp.errors import UserError

log = logging.getLogger(__name__)


def read_metadata(raw: str | bytes, given: Setting | None, where: str) -> tuple[Setting, Provenance]:
    """What the table is of (what the user says counts more than what the file says), and where its rows come from.

    Args:
        raw: what :func:`ncp.benchmark.writing.metadata` wrote.
        given: what the user says that it is of; None for what the file says.
        where: the file, for messages.

    Raises:
        UserError: for another format, or a description of no table.
    """
    content = files.parse_json(raw, f"the metadata of {where}")
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise UserError(f"{where} has the table format '{files.shown(found)}', this version reads '{FORMAT}'")
    provenance = files.checked(content.get("provenance"), Provenance, f"the provenance in {where}")
    refused = tuple(replace(r, reason=files.printable(r.reason)) for r in provenance.refused)
    rules = {files.printable(name): files.printable(rule) for name, rule in provenance.rules.items()}
    ignored, source = tuple(map(files.printable, provenance.ignored)), files.printable(provenance.source)
    provenance = replace(provenance, source=source, refused=refused, rules=rules, ignored=ignored)
    stated = content.get("setting")
    if given is None:
        return _stated(stated, where), provenance
    name = stated.get("name") if isinstance(stated, dict) else None
    if name == given.name:  # what it was measured on is the file's to say
        theirs = _stated(stated, where)
        return replace(given, dataset=theirs.dataset, min_overlap=theirs.min_overlap), provenance
    log.warning("%s says that it is a table of '%s'; it is read as %s, as asked", where, files.shown(name), given.name)
    return given, provenance


def _stated(content: Any, where: str) -> Setting:
    """A setting that a file describes: its own, or exactly one of ours."""
    if isinstance(content, dict):
        files.safe_file(content.get("name"), f"setting's name in {where}")
    setting: Setting = files.checked(content, Setting, f"the setting in {where}")
    texts = (*setting.metrics, *setting.min_overlap, *(v for v in setting.described().values() if isinstance(v, str)))
    if any(not text.isprintable() or len(text) > 500 for text in texts):
        raise UserError(f"the setting in {where} has texts that are too long or hold control characters")
    if len(setting.metrics) > 100 or len(setting.min_overlap) > 100:
        raise UserError(f"the setting in {where} has more than 100 metrics or classes")
    spaces.get(setting.space)
    ours = settings.SETTINGS.get(setting.name)
    if ours is None:
        return replace(setting, real=None, builtin=None)  # how it is trained is no table's to say
    same = all(getattr(ours, name) == getattr(setting, name) for name in ("task", "metrics", "main", "space"))
    if not same:
        return ours
    # tables of earlier versions do not state it: ours holds for the data set that ours is of
    known = "min_overlap" in content or setting.dataset != ours.dataset
    return replace(ours, dataset=setting.dataset, min_overlap=setting.min_overlap if known else ours.min_overlap)


def checked(
    setting: Setting,
    codes: np.ndarray,
    columns: Mapping[str, np.ndarray],
    flags: Mapping[str, np.ndarray],
    provenance: Provenance,
    shown: str,
) -> Table:
    """The table of a file's arrays.

    Args:
        setting: what they are of; its metrics are among the columns.
        codes: ``(N, D)`` integers.
        columns: name -> ``(N,)`` numbers.
        flags: name -> ``(N,)`` bool.
        provenance: where they come from.
        shown: the file, for messages.

    Raises:
        UserError: for codes outside of the space, or numbers that no metric has.
    """
    space = spaces.get(setting.space)
    for start in range(0, len(codes), 2**16):  # in parts: the check takes many times the memory of its codes
        part = codes[start : start + 2**16]
        if not np.array_equal(space.round(part), part):
            raise UserError(f"'{shown}' holds codes outside of the space of {setting.name}; import it again")
    if any(np.isinf(values).any() for values in columns.values()):
        raise UserError(f"'{shown}' holds numbers that are not finite; import it again")
    main, (low, high) = columns[setting.main], setting.range(setting.main)
    if not ((main >= low) & (main <= high)).all():
        raise UserError(f"'{shown}' holds impossible values of {setting.main}; import it again")
    return Table(setting, codes, columns, flags, provenance)
