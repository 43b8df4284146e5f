"""What ``src.report`` compares: architectures from searches, trainings, multiruns, files, names and texts.

Result files come from anywhere: each is checked when it is read, and one that cannot be used is a
:class:`~ncp.errors.UserError` that names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, runs, spaces
from ncp.errors import UserError
from ncp.report import walks
from ncp.report.sweep import distinct
from ncp.results import Described, SearchResult, Training
from ncp.spaces import found

TRAJECTORY = "trajectory.csv"
SEVERAL_RUNS = 1000  # jobs of a multirun that are read at most


@dataclass(frozen=True)
class Entry:
    """One line of a comparison.

    Attributes:
        name: as it is called.
        given: what the user gave.
        space: its space; ``architecture`` is None for a baseline that is in none.
        search, training: its result, where one of these found or trained it.
        walk: the table of the search's trajectory, where it can be read; ``walk_error`` says why it cannot.
    """

    name: str
    given: str
    space: spaces.Space[Any]
    architecture: Any | None
    search: SearchResult | None = None
    training: Training | None = None
    walk: Mapping[str, np.ndarray] | None = None
    walk_error: str = ""


@dataclass(frozen=True)
class Entries:
    """All lines, and those that were left out: what was given -> why.

    ``mistaken``: reasons why something that the user named gave no line at all; a damaged job of a multirun is none.
    """

    items: list[Entry]
    left_out: dict[str, str]
    mistaken: tuple[str, ...] = ()


def read(given: Any, names: Any = None, space: str = "multires") -> Entries:
    """Read all that is to be compared; what is damaged is left out as long as something remains.

    Args:
        given: run folders, multirun folders (all their jobs), ``result.json`` files, architecture files, known names,
            texts and codes.
        names: one for each of ``given``, or for each line.
        space: of architectures that are given without one.

    Raises:
        UserError: for none, a wrong number of names, nothing that can be used, or architectures of different spaces.
    """
    listed = _listed(given, space)
    if not listed:
        raise UserError("nothing to compare; give run folders, as in runs=[outputs/search/DATE/RUN]")
    wanted = None if names is None else [str(n) for n in ([names] if isinstance(names, str) else list(names))]
    groups: list[list[Entry]] = []
    left_out: dict[str, str] = {}
    mistaken: list[str] = []
    for value in listed:
        lost: dict[str, str] = {}
        groups.append(_entries(value, space, lost))
        left_out |= lost
        mistaken += list(lost.values()) if not groups[-1] else []
    items = _named(groups, wanted)
    if not items:
        raise UserError(next(iter(left_out.values())))
    known = sorted({entry.space.name for entry in items if entry.architecture is not None})
    if len(known) > 1:
        raise UserError(f"the architectures are of different spaces ({', '.join(known)}); compare those of one")
    return Entries(items, left_out, tuple(mistaken))


def _listed(given: Any, space: str) -> list[Any]:
    """What was given, one by one; a single code is one thing."""
    if given is None:
        return []
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        return [given]
    if len(given) == spaces.get(space).dim and all(isinstance(value, int) for value in given):
        return [list(given)]
    return list(given)


def _named(groups: Sequence[list[Entry]], names: list[str] | None) -> list[Entry]:
    items = [entry for group in groups for entry in group]
    if names is None or len(names) == len(items) != len(groups):
        return items if names is None else [replace(e, name=n) for e, n in zip(items, names, strict=True)]
    if len(names) != len(groups):
        raise UserError(f"{len(names)} names were given for {len(groups)} runs; give one for each, or none")
    return [
        replace(entry, name=name if len(group) == 1 else f"{name}: {entry.name}")
        for group, name in zip(groups, names, strict=True)
        for entry in group
    ]


def _entries(value: Any, space: str, lost: dict[str, str]) -> list[Entry]:
    """The lines of one thing that was given; what is damaged goes into ``lost`` with the reason."""
    path = Path(value) if isinstance(value, str) else None
    shown = files.printable(value)
    try:
        if path is not None and path.is_dir():
            if not (path / runs.RESULT_FILE).exists():
                return _jobs(path, space, lost)
            return [_result(path / runs.RESULT_FILE, shown, space)]
        if path is not None and path.suffix == ".json":
            return [_result(path, shown, space)]
        return [_architecture(value, shown, space)]
    except UserError as error:
        lost[shown] = str(error)
    except (OSError, ValueError) as error:  # a path that cannot be one: too long, with a zero in it
        lost[shown] = f"'{shown[:200]}' cannot be read ({getattr(error, 'strerror', None) or error})"
    return []


def _jobs(folder: Path, space: str, lost: dict[str, str]) -> list[Entry]:
    """The lines of a multirun, named by the overrides in which its jobs differ."""
    jobs = runs.jobs(folder, runs.RESULT_FILE)
    if not jobs:
        raise UserError(
            f"no result at '{files.printable(folder)}'; give a run folder that holds a {runs.RESULT_FILE}, such a file, "
            "or the folder of a multirun"
        )
    if len(jobs) > SEVERAL_RUNS:
        raise UserError(f"'{files.printable(folder)}' holds {len(jobs):,} runs; at most {SEVERAL_RUNS:,} are compared")
    out = []
    for job, label in zip(jobs, distinct([runs.state(job).get("overrides", []) for job in jobs]), strict=True):
        try:
            entry = _result(job / runs.RESULT_FILE, files.printable(job), space)
            out.append(replace(entry, name=label or job.name))
        except UserError as error:
            lost[files.printable(job)] = str(error)
    return out


def _architecture(value: Any, shown: str, space: str) -> Entry:
    text = value if isinstance(value, str) else ""
    its_space = spaces.get(space)
    if text in found.FOUND and space == "multires":
        return Entry(text, shown, its_space, found.get(text))
    a_file = text.endswith((".yaml", ".yml"))
    if text and not a_file and not text[0].isdigit() and "~" not in text:
        raise UserError(
            f"'{shown}' is neither a run folder nor a file nor an architecture; known names: {', '.join(found.FOUND)}"
        )
    return Entry(Path(text).stem if a_file else shown, shown, its_space, _parse(its_space, value, shown))


def _result(path: Path, shown: str, space: str) -> Entry:
    """The line of a search's, a training's or an evaluation's ``result.json``."""
    where = f"'{files.printable(path)}'"
    if not path.exists():
        raise UserError(f"no result at {where}; give a run folder that holds a {runs.RESULT_FILE}, or such a file")
    content = files.read_json(path, dict[str, Any])
    if "objectives" in content:
        search: SearchResult = files.checked(content, SearchResult, where)
        its_space = _space(search.space, where)
        entry = Entry(
            ", ".join(o.setting for o in search.objectives), shown, its_space,
            _described(its_space, search.architecture, where), search,
        )  # fmt: skip
        return _with_walk(entry, path.parent / TRAJECTORY)
    its_space = _space(str(content.get("space", space)), where)
    if "metrics" in content:
        training: Training = files.checked(content, Training, where)
        code = training.architecture.code
        architecture = None if code is None else _parse(its_space, code, where)
        return Entry(f"{training.measures}, {path.parent.name}", shown, its_space, architecture, training=training)
    if "architecture" in content:
        described: Described = files.checked(content["architecture"], Described, where)
        return Entry(path.parent.name, shown, its_space, _described(its_space, described, where))
    raise UserError(f"{where} holds no architecture; give the run of a search or a training, or an architecture.yaml")


def _space(name: str, where: str) -> spaces.Space[Any]:
    try:
        return spaces.get(name)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _described(space: spaces.Space[Any], described: Described, where: str) -> Any:
    """The architecture in a result; no file is opened, whatever its text is."""
    return _parse(space, described.code or {"text": described.text}, where)


def _parse(space: spaces.Space[Any], value: Any, where: str) -> Any:
    """The architecture; whatever else its parser stumbles over is a mistake in what was given."""
    try:
        return spaces.parsed(space, value)
    except UserError as error:
        text = str(error)
        raise UserError(text if where.strip("'") in text or not where.startswith("'") else f"{where}: {text}") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, AttributeError) as error:
        raise UserError(f"{where} holds no architecture ({files.printable(error)[:120]})") from None


def _with_walk(entry: Entry, path: Path) -> Entry:
    if entry.search is None or not path.exists():
        return entry
    try:
        return replace(
            entry,
            walk=walks.read(path, entry.space, [o.name for o in entry.search.objectives], entry.search.chosen_step),
        )
    except UserError as error:
        return replace(entry, walk_error=str(error))
