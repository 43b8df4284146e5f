"""Several architectures side by side: a table, bars (Figure 8) and, for those that were searched, their walks (Figure 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncp import runs, spaces
from ncp.errors import UserError
from ncp.report.search import read_csv
from ncp.terminal import console, relative

TRAJECTORY = "trajectory.csv"


@dataclass(frozen=True)
class Entry:
    """One architecture to compare; ``result`` and ``table`` (its trajectory) are there if a search found it."""

    name: str
    space: spaces.Space[Any]
    architecture: Any
    result: Mapping[str, Any] | None = None
    table: Mapping[str, Any] | None = None

    @property
    def predicted(self) -> dict[str, float]:
        """``setting.metric`` -> prediction for the search's objectives."""
        if self.result is None:
            return {}
        return {o["name"]: self.result["predicted"][o["setting"]][o["metric"]] for o in self.result["objectives"]}


def read(given: Sequence[Any], names: Sequence[str] | None = None, space: str = "multires") -> list[Entry]:
    """Read run folders, ``result.json`` files, architecture files or texts.

    Raises:
        UserError: for none, a wrong number of names, anything unreadable, or architectures of different spaces.
    """
    if isinstance(given, str):
        given = [given]
    if not given:
        raise UserError("nothing to compare; give run folders, as in runs=[outputs/search/DATE/RUN]")
    if names is not None and len(names) != len(given):
        raise UserError(f"{len(names)} names were given for {len(given)} runs; give one for each, or none")
    entries = [_entry(value, space, None if names is None else str(names[i])) for i, value in enumerate(given)]
    found = sorted({entry.space.name for entry in entries})
    if len(found) > 1:
        raise UserError(f"the architectures are of different spaces ({', '.join(found)}); compare those of one")
    return entries


def _entry(value: Any, space: str, name: str | None) -> Entry:
    path = Path(value) if isinstance(value, str) else None
    if path is None or not (path.is_dir() or path.suffix == ".json"):
        if path is not None and path.suffix not in (".yaml", ".yml") and not str(value)[:1].isdigit():
            raise UserError(f"'{value}' is neither a run folder nor a file nor an architecture")
        its_space = spaces.get(space)
        return Entry(name or (path.stem if path and path.suffix else str(value)), its_space, its_space.parse(value))
    result = runs.read_result(path)
    architecture = runs.found_architecture(value)
    its_space = spaces.get(str(result.get("space", space)))
    trajectory = (path if path.is_dir() else path.parent) / TRAJECTORY
    table = read_csv(trajectory) if trajectory.is_file() and "objectives" in result else None
    default = ", ".join(o["setting"] for o in result.get("objectives", [])) or path.name
    return Entry(name or default, its_space, its_space.parse(architecture), result if table else None, table)


def write(entries: Sequence[Entry], folder: Path, title: str) -> dict[str, Path]:
    """Write ``architectures.png``, ``result.json`` and, where there are searches, ``trajectories.png``; name -> path."""
    from ncp.report import bars, propagation, style

    space = entries[0].space
    rows = []
    for entry in entries:
        cost = space.cost([entry.architecture.code])
        rows.append(
            {
                "name": entry.name,
                "architecture": {"code": list(entry.architecture.code), "text": entry.architecture.text},
                "predicted": entry.predicted,
                "cost": {"macs": int(cost.macs[0]), "params": int(cost.params[0])},
            }
        )
    files = {"result": runs.write_result(folder, {"command": "report", "space": space.name, "architectures": rows})}
    unique = _unique([entry.name for entry in entries])
    architectures = {name: entry.architecture for name, entry in zip(unique, entries, strict=True)}
    subtitle = "each bar is a part of its dimension's range"
    files["architectures"] = style.save(
        bars.figure(architectures, space, title, subtitle), folder / "architectures.png"
    )
    searched = [
        propagation.Search(name, e.table, [o["name"] for o in e.result["objectives"]], e.result["chosen_step"])
        for name, e in zip(unique, entries, strict=True)
        if e.table is not None and e.result is not None
    ]
    if searched:
        files["trajectories"] = style.save(propagation.transfer(searched, space, title), folder / "trajectories.png")
    return files


def show(entries: Sequence[Entry], files: Mapping[str, Path]) -> None:
    """Print one table of all and where the files are."""
    from rich.table import Table

    metrics = list(dict.fromkeys(name for entry in entries for name in entry.predicted))
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in (*(f"{m}, %" for m in metrics), "multiply-adds, G", "params, M"):
        table.add_column(name, justify="right", header_style="dim")
    for entry in entries:
        cost = entry.space.cost([entry.architecture.code])
        values = [f"{entry.predicted[m]:.2f}" if m in entry.predicted else "" for m in metrics]
        table.add_row(entry.name, *values, f"{cost.macs[0] / 1e9:.3f}", f"{cost.params[0] / 1e6:.3f}")
    out = console()
    out.print(table)
    for path in files.values():
        out.print(relative(path), style="dim")


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that occur more than once."""
    return [f"{n} ({names[: i + 1].count(n)})" if names.count(n) > 1 else n for i, n in enumerate(names)]
