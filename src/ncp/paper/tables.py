"""The tables of the paper done here: for each of its rows what it prints, what its strategy finds, and what the default finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ncp import runs
from ncp.benchmark import settings
from ncp.paper import printed
from ncp.paper.judging import Figure, Judges
from ncp.paper.searches import TASKS, SearchResults, flops_of, get
from ncp.progress import Progress

SOURCES = ("paper", "faithful", "default")
NUMBERS = (2, 3, 4, 5, 8, 9, 10)
START = {"video-p": " pretrained=CHECKPOINT"}
"""Of a training of cls-50-1000 with the same architecture."""


@dataclass
class Line:
    """One network.

    Attributes:
        objective: the paper's name of its row.
        source: ``paper`` (what it prints), ``faithful`` (its strategy, done here), ``default`` (ours at the paper's cost).
        architecture: None where the paper's is not public.
        macs, params: exact; None where the architecture is not known.
        flops_g, params_m: as the table counts them.
        figures: name -> percent points: printed ones of trained networks, else those that our predictor expects.
        doubts: name -> one standard deviation of our predictor's own doubt.
        exact: name -> what the exact process says.
        before: of a transfer, the figure of the network that it started from; and what the exact process says of that.
        seconds: of the search: CPU seconds of what was done here.
        queries: how often predictors were asked.
        note: what else to know.
        row: its name, ``T2.10`` for the tenth line of Table 2, under which the commands of its trainings are listed.
        trainings: setting -> the command that trains the network there on real data, which nobody can repeat here; empty where
            the network is not known, as the note says.
    """

    objective: str
    source: str
    architecture: Any = None
    macs: int | None = None
    params: int | None = None
    flops_g: float | None = None
    params_m: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    doubts: dict[str, float] = field(default_factory=dict)
    exact: dict[str, Figure] = field(default_factory=dict)
    before: float | None = None
    before_exact: float | None = None
    seconds: float | None = None
    queries: int | None = None
    note: str = ""
    row: str = ""
    trainings: dict[str, str] = field(default_factory=dict)


@dataclass
class Done:
    """A table done here.

    Attributes:
        table: the paper's.
        names: of its figures, in its order.
        lines: by row, each row's sources after each other.
        own: of Table 4, task -> the figure of its network in its own setting, printed and here.
    """

    table: printed.PrintedTable
    names: tuple[str, ...]
    lines: list[Line]
    own: dict[str, tuple[float, float]] = field(default_factory=dict)


def do(
    number: int,
    found: SearchResults,
    judges: Judges,
    progress: Progress | None = None,
    only: Sequence[str] | None = None,
) -> Done:
    """Do a table: every search of it, judged.

    Args:
        number: of :data:`NUMBERS`.
        found: results so far, to which those of this table are added.
        judges: who judges.
        progress: told the part done (0..1) and a line about it.
        only: names of searches; rows that stand for others are left out.

    Raises:
        UserError: for a table that holds no networks.
    """
    table = printed.table(number)
    if only is not None:
        table = replace(table, rows=tuple(row for row in table.rows if row.search in only))
    names = tuple(dict.fromkeys(name for row in table.rows for name in row.figures))
    names = names or ("seg.mIoU",)  # Table 10 prints seconds alone
    lines: list[Line] = []
    for i, row in enumerate(table.rows):
        if progress is not None:
            progress(i / len(table.rows), f"table {number}, {row.name}")
        lines.append(_printed(row, table))
        if row.search is not None:
            lines += [_faithful(row, table, found), _default(row, table, found)]
    for i, line in enumerate(lines, start=1):
        line.row = f"T{number}.{i}"
    _judge(lines, names, judges)
    own = {}
    if number == 4:
        _before(table, lines, found, judges)
        own = _own(found, judges)
    return Done(table, names, lines, own)


def _printed(row: printed.PrintedRow, table: printed.PrintedTable) -> Line:
    """What the paper prints; the exact counts too, where the network is public."""
    line = Line(
        row.name, "paper", flops_g=row.flops_g, params_m=row.params_m, figures=dict(row.figures), before=row.same,
        seconds=row.seconds, note=row.note or row.kind,
    )  # fmt: skip
    if row.network is not None:
        from ncp.spaces import found as networks

        _describe(line, networks.get(row.network))
        line.trainings = _trainings(row, f"arch={row.network}")
    elif row.timm is not None:
        line.trainings = _trainings(row, f"arch=timm arch.name={row.timm}")
    elif row.search is not None:
        line.note = row.note or "its code is not public"
    return line


def _faithful(row: printed.PrintedRow, table: printed.PrintedTable, found: SearchResults) -> Line:
    assert row.search is not None
    result = found.faithful(row.search)
    wanted = get(row.search)
    line = Line(row.name, "faithful", seconds=result.seconds, queries=result.trajectory.queries)
    line.note = f"{wanted.strategy}, lambda {wanted.lam:g}" + (f", from {wanted.start}" if wanted.start else "")
    _describe(line, result.architecture, table)
    line.trainings = _trainings(row, f"arch=code arch.code={result.architecture.text}")
    return line


def _default(row: printed.PrintedRow, table: printed.PrintedTable, found: SearchResults) -> Line:
    """At the cost that the paper prints; where it prints none, at that of the faithful search."""
    assert row.search is not None
    cost = row.flops_g or flops_of(found.faithful(row.search).architecture, table)
    result = found.default(row.search, cost, table)
    line = Line(row.name, "default", seconds=result.seconds, queries=result.trajectory.queries)
    line.note = f"robust, at most {cost:g} G"
    _describe(line, result.architecture, table)
    line.trainings = _trainings(row, f"arch=code arch.code={result.architecture.text}")
    return line


def _describe(line: Line, architecture: Any, table: printed.PrintedTable | None = None) -> None:
    from ncp import spaces

    cost = spaces.get("multires").cost([architecture.code])
    line.architecture = architecture
    line.macs, line.params = int(cost.macs[0]), int(cost.params[0])
    if table is not None:
        line.flops_g, line.params_m = flops_of(architecture, table), line.params / 1e6


def _trainings(row: printed.PrintedRow, architecture: str) -> dict[str, str]:
    """For every setting that the row has a figure of (Table 10, which has seconds alone: where its search looked)."""
    there = [name.rpartition(".")[0] for name in row.figures]
    if not there:
        assert row.search is not None
        there = list(get(row.search).objectives)
    return {
        name: f"{runs.invocation('train')} setting={name} {architecture} data.root=DATA{START.get(name, '')}"
        for name in dict.fromkeys(there)
        if name in settings.SETTINGS
    }


def _judge(lines: Sequence[Line], names: Sequence[str], judges: Judges) -> None:
    known = [line for line in lines if line.architecture is not None]
    every = [line.architecture for line in known]
    expected, exact = judges.say(every, names), judges.say_exact(every, names)
    for line, told, said in zip(known, expected, exact, strict=True):
        if line.source != "paper":
            line.figures = {name: figure.value for name, figure in told.items()}
            line.doubts = {name: figure.doubt for name, figure in told.items()}
        line.exact = said


def _before(table: printed.PrintedTable, lines: Sequence[Line], found: SearchResults, judges: Judges) -> None:
    """Of every transfer the network that it started from, as it is judged in the new task (-F)."""
    for row in table.rows:
        assert row.search is not None
        wanted = get(row.search)
        assert wanted.start is not None
        name = f"{wanted.objectives[0]}.{settings.get(wanted.objectives[0]).main}"
        start = found.faithful(wanted.start).architecture
        told, said = judges.say([start], [name])[0], judges.say_exact([start], [name])[0]
        for line in lines:
            if line.objective == row.name and line.source != "paper":
                line.before = told[name].value
                line.before_exact = said[name].value if name in said else None


def _own(found: SearchResults, judges: Judges) -> dict[str, tuple[float, float]]:
    """Task -> what its network reaches in its own setting: printed in Table 3, and here."""
    out = {}
    for task, setting in TASKS.items():
        row = printed.table(3).of(task)
        assert row is not None
        name = f"{setting}.{settings.get(setting).main}"
        start = found.faithful(task).architecture
        told, said = judges.say([start], [name])[0], judges.say_exact([start], [name])[0]
        out[task] = row.figures[name], (said if name in said else told)[name].value
    return out


def matrix(done: Done) -> list[list[str]]:
    """Table 4 as a matrix, a row a source task, a column a target: before (-F) and after (-T), printed and here, for a terminal.

    On the diagonal is what the network of a task is worth in its own.
    """
    words = {"cls": "Classification", "seg": "Segmentation", "video": "Video", "3ddet": "3D detection"}
    out = [["From", *(f"to {words[t][0].lower()}{words[t][1:]}" for t in TASKS)]]
    by_search = {row.search: row.name for row in done.table.rows}
    for a in TASKS:
        cells = [words[a]]
        for b in TASKS:
            row = by_search.get(f"{a}-to-{b}")
            if a == b and a in done.own:
                cells.append("{:.2f} | {:.2f}".format(*done.own[a]))
                continue
            if row is None:
                cells.append("")
                continue
            lines = {line.source: line for line in done.lines if line.objective == row}
            paper, here = lines["paper"], lines["faithful"]
            (name,) = paper.figures
            exact = name in here.exact
            before = here.before_exact if exact else here.before
            after = here.exact[name].value if exact else here.figures[name]
            cells.append(f"{paper.before:.2f} → {paper.figures[name]:.2f} | {before:.2f} → {after:.2f}")
        out.append(cells)
    return out
